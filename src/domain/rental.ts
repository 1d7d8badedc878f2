/**
 * A machine that is rented, from the intent to its end. The states are a table: what is not in it cannot happen. The
 * market's label carries the rental's id, so that a machine can be found again when the answer that told of it was lost.
 */
import type { MicroUsd } from './money.ts'
import type { MarketName, OfferFilter, OfferTerms } from './offer.ts'

export const rentalStates = [
  /** Written down and its credit held; nothing was sent to a market. */
  'intended',
  /** The call that creates it may have left. It is never sent again for this offer. */
  'creating',
  /** How that call ended nobody knows: the market's lists will tell. */
  'unknown',
  'starting',
  'running',
  'stopping',
  'stopped',
  /** To be destroyed, for the reason given; asked again until the market says that it is gone. */
  'ending',
  /** Its owner ended it, or it never came about: nobody is shown it any more. */
  'gone',
  /** Ended without its owner's asking, for the reason given. Nothing of it is left at the market. */
  'failed',
] as const
export type RentalState = (typeof rentalStates)[number]

/** What may follow what. `starting` to `running` and back is the market's word; the rest is ours. */
export const transitions: Record<RentalState, readonly RentalState[]> = {
  intended: ['creating', 'gone', 'failed'],
  // Back to `intended` where the offer was certainly not taken, so that the next one may be tried.
  creating: ['intended', 'unknown', 'starting', 'running', 'ending', 'gone', 'failed'],
  unknown: ['starting', 'running', 'ending', 'gone', 'failed'],
  starting: ['running', 'stopping', 'stopped', 'ending'],
  running: ['starting', 'stopping', 'stopped', 'ending'],
  stopping: ['stopped', 'running', 'starting', 'ending'],
  stopped: ['starting', 'running', 'ending'],
  ending: ['gone', 'failed'],
  gone: [],
  failed: ['gone'],
}

export const isFinal = (state: RentalState): state is 'gone' | 'failed' => state === 'gone' || state === 'failed'

/** Why it ends or has ended. `owner` and `group` lead to `gone`, as do refusals before anything came about. */
export const endReasons = [
  'owner',
  /** Its reservation or deployment could not have all of its machines, or has no need of it any more. */
  'group',
  /** No offer could be had within the price. */
  'no_offer',
  /** The market knows of no such machine: the call that creates it had no effect. */
  'not_created',
  'max_hours',
  'max_price',
  'credit',
  'guardrail',
  'budget',
  /** Its host is not heard of, or the market has given the machine up. */
  'host_lost',
  /** The market no longer lists it, and nobody asked for that. */
  'market_ended',
  'account_closed',
] as const
export type EndReason = (typeof endReasons)[number]

/** What the contract's clients see. */
export type ShownStatus = 'pending' | 'starting' | 'running' | 'stopping' | 'stopped' | 'failed' | 'unknown'

/** Undefined: it is shown no more. */
export const shownStatus: Record<RentalState, ShownStatus | undefined> = {
  intended: 'pending',
  creating: 'pending',
  unknown: 'unknown',
  starting: 'starting',
  running: 'running',
  stopping: 'stopping',
  stopped: 'stopped',
  ending: 'stopping',
  failed: 'failed',
  gone: undefined,
}

/** Its owner's to see. One that he has ended is gone for him with the machine, though its bill may still be waited for. */
export const isShown = ({ state, reason, endedAt }: Pick<Rental, 'state' | 'reason' | 'endedAt'>) =>
  shownStatus[state] !== undefined &&
  !(state === 'ending' && endedAt !== undefined && (reason === 'owner' || reason === 'group'))

/** What its owner wants run, whatever machine it is on. */
export interface RentalSpec {
  image: string
  diskGb: number
  /** As `args` and `onstart`, it may hold secrets: shown to nobody, its owner's other keys neither, and forgotten at its end. */
  env: Readonly<Record<string, string>>
  /** TCP ports of the container to publish; the first is what the proxy leads to. */
  ports: readonly number[]
  /** Arguments of the image's entry point. */
  args: readonly string[]
  /** Run when it starts. */
  onstart: string | undefined
  /** Its owner's own name for it; the market is told another. */
  label: string | undefined
  /** All in, an hour; undefined = the price of the offer it was asked for with. */
  maxPrice: MicroUsd | undefined
  /** Undefined = until it is ended. */
  maxHours: number | undefined
  /** An hour without disk, of an interruptible machine; undefined = on demand, or as the search says. */
  bid: MicroUsd | undefined
  /** A machine whose host is lost is replaced. */
  replace: boolean
}

/** What an offer must do for it. */
export const needsOf = ({ diskGb, bid, ports, onstart }: RentalSpec) =>
  ({ diskGb, bid, ports: ports.length, onstart: onstart !== undefined }) satisfies OfferTerms

/** What a machine is looked for by, where the offer that was asked for has gone, or none was named. */
export interface RentalSearch {
  filter: OfferFilter
  /** Machines of one group go to different hosts. */
  spread: boolean
  /** An offer was named: what stands in for it has the very same GPU. The filter would take any whose name begins so. */
  sameModel?: boolean | undefined
}

/** The offer it is, or is to be, rented by. */
export interface RentalOffer {
  /** `<market>:<the market's own id>`. */
  id: string
  market: MarketName
  gpuModel: string
  gpuCount: number
  vramMib: number
  /** Of the machine's host, where the market tells. */
  hostId: string | undefined
  location: string | null
  /** All in, with the disk that was asked for, while it runs. */
  pricePerHour: MicroUsd
  /** While it is stopped: its disk alone. */
  stoppedPerHour: MicroUsd
  /** What is bid for it, an hour without disk; undefined = on demand. */
  bid?: MicroUsd | undefined
  /** The sandbox plays its market. */
  sandbox?: true | undefined
}

export interface NewRental {
  /** A UUID (version 7): in the market's label, and of the ledger's operations. */
  id: string
  accountId: string
  /** Of the key, or session, it was asked for with: whose budget it counts against. */
  keyId: string
  /** The account's id, or the key's where the key has a budget of its own. */
  purseId: string
  /** What it was asked for together with; undefined = by itself. */
  reservationId: string | undefined
  deploymentId: string | undefined
  /** That it takes the place of. */
  replaces: string | undefined
  spec: RentalSpec
  search: RentalSearch
  offer: RentalOffer
}

/** Where one of its ports is reached. */
export interface Endpoint {
  /** Of the container; undefined = the only one there is. */
  port: number | undefined
  /** Scheme, host and port, as the market published it: `http://203.0.113.7:41234`. */
  origin: string
}

export const sameEndpoint = (one: Endpoint, other: Endpoint) => one.port === other.port && one.origin === other.origin

export interface Rental extends NewRental {
  state: RentalState
  /** Grows with every change: who changes it says which one he saw. */
  version: number
  /** The market's own id for the machine, once that is known. */
  marketId: string | undefined
  reason: EndReason | undefined
  endpoints: readonly Endpoint[]
  /** Offers that were tried and could not be had. */
  tried: readonly string[]
  createdAt: Date
  /** When the last call that creates it was sent. */
  createSentAt: Date | undefined
  /** From when it is paid for. Undefined: it has not come about yet. */
  startedAt: Date | undefined
  /** When the market last told that the machine lives. */
  heardAt: Date | undefined
  endedAt: Date | undefined
  /** When something has to be done for it next. */
  dueAt: Date
  /** Failures in a row of what is being tried. */
  failures: number
  /** The hour that is being metered, counted from `startedAt`. */
  hour: number
  /** Held for that hour. */
  held: MicroUsd
  /** Used of it up to `accruedAt`, at the price of the state it was in. */
  accrued: MicroUsd
  accruedAt: Date | undefined
  /** What all hours before it came to. */
  settled: MicroUsd
  /** What the market had been paid in all, by its own word, when this hour was held: of markets whose hours are bought ahead. */
  paid: { hour: number; amount: MicroUsd } | undefined
  /** That has taken its place. */
  replacedBy: string | undefined
}

/**
 * The ledger's operation for one hour of a rental: its `rental:hour` key. The hour is added to the last sixteen bits of
 * the rental's id, so that it needs no table, comes out the same whoever asks, and sorts with the rental.
 */
export function hourOperation(rentalId: string, hour: number): string {
  const last = (Number.parseInt(rentalId.slice(-4), 16) + hour) % 0x1_0000
  return rentalId.slice(0, -4) + last.toString(16).padStart(4, '0')
}

const uuidText = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
const labelled = new RegExp(`^aiserve-([0-9a-f]{8})-(${uuidText})$`)

/** What a market is told as the machine's name. `fleet`: eight hexadecimal digits of all pods that share a database. */
export const labelOf = (fleet: string, rentalId: string): string => `aiserve-${fleet}-${rentalId}`

/** Undefined: not one of ours, whoever's it is. */
export function parseLabel(label: string | null | undefined): { fleet: string; rentalId: string } | undefined {
  const [, fleet, rentalId] = labelled.exec(label ?? '') ?? []
  return fleet !== undefined && rentalId !== undefined ? { fleet, rentalId } : undefined
}

const hourMs = 3_600_000

/** What so much time costs, rounded to the nearest micro-dollar. */
export const priceOfTime = (perHour: MicroUsd, ms: number): MicroUsd => Math.round((perHour * Math.max(ms, 0)) / hourMs)

/** Used of the hour under way by then, at the price of the state it is in; hours bought ahead are used when bought. */
export function accruedBy(rental: Rental, at: Date, billing: 'by_second' | 'hours_ahead') {
  const { state, offer, accrued, accruedAt } = rental
  const counts = state === 'starting' || state === 'running' || state === 'stopping' || state === 'stopped'
  if (billing === 'hours_ahead' || !counts || !accruedAt) return { accrued, accruedAt: at }
  const perHour = state === 'stopped' ? offer.stoppedPerHour : offer.pricePerHour
  return { accrued: accrued + priceOfTime(perHour, at.getTime() - accruedAt.getTime()), accruedAt: at }
}

/** The change by which a rental is to be destroyed, as soon as somebody comes to it. */
export const endingBy = (rental: Rental, reason: EndReason, at: Date, billing: 'by_second' | 'hours_ahead') =>
  ({ state: 'ending', reason, failures: 0, dueAt: at, ...accruedBy(rental, at, billing) }) as const

/** When the hour under way ends, in ms since 1970. */
export const hourEndOf = ({ startedAt, hour }: Rental): number => (startedAt?.getTime() ?? 0) + (hour + 1) * hourMs

/** When it has been rented for as long as it may; undefined = it may for ever. */
export const lastMomentOf = ({ startedAt, spec }: Rental): number | undefined =>
  spec.maxHours === undefined || !startedAt ? undefined : startedAt.getTime() + spec.maxHours * hourMs
