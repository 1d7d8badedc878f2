/** What every GPU market's client has in common: one guarded GET or POST of JSON, and rows that may be odd. */
import type * as z from 'zod'
import type { MicroUsd } from '../domain/money.ts'
import type { MarketName, Offer } from '../domain/offer.ts'
import type { Endpoint, RentalSpec } from '../domain/rental.ts'
import type { Clock, HttpCall, HttpClient, Pace } from '../ports.ts'
import { createDeadline } from '../resilience/deadline.ts'
import type { GuardedCall, Target } from '../upstream/guarded-call.ts'
import { checkStatus, UpstreamFailure } from '../upstream/outcome.ts'
import type { Upstream } from '../upstream/upstream.ts'

export interface Market {
  name: MarketName
  upstream: Upstream
  /** Everything that can be rented now. Bounds itself in time. */
  offers(): Promise<Offer[]>
}

/** What is done with machines, of all accounts together, since the market knows one customer: the operator. */
export interface MarketControl {
  name: MarketName
  /**
   * `by_second`: what was used is paid for, until it is destroyed. `hours_ahead`: hours are bought before they begin and
   * are not given back.
   */
  billing: 'by_second' | 'hours_ahead'
  /** Sent once, and not again once bytes have left. Never throws for what the market or the network does. */
  create(order: MachineOrder, signal: AbortSignal): Promise<CreateOutcome>
  /** `accepted`: asked for, and gone sooner or later. @throws UpstreamFailure, ApiError where it did not say */
  destroy(machineId: string, signal: AbortSignal): Promise<'accepted' | 'gone'>
  setRunning(machineId: string, running: boolean, signal: AbortSignal): Promise<ChangeOutcome>
  /**
   * Buys more hours ahead; for `by_second` it does nothing. `unknown`: it may have been bought.
   * @throws UpstreamFailure where nothing was sent
   */
  extend(machineId: string, hours: number, signal: AbortSignal): Promise<'bought' | 'refused' | 'unknown'>
  /** Every machine of the operator's there is, complete, or it throws. */
  list(signal: AbortSignal): Promise<Machine[]>
  /** One machine, asked for by itself; undefined = the market knows of none. */
  show(machineId: string, signal: AbortSignal): Promise<Machine | undefined>
  /** The last lines that it wrote, at most 1 MiB. @throws ApiError `instance_state` where there are none yet */
  logs(machineId: string, signal: AbortSignal): Promise<string>
  /** What the market charges for it in all, so far or in the end; undefined = it does not say (yet). */
  bill(machineId: string, since: Date, signal: AbortSignal): Promise<MicroUsd | undefined>
}

export interface MachineOrder {
  /** The market's own id for it. */
  offerId: string
  /** Unique: what it is found again by. */
  label: string
  spec: RentalSpec
  /** Bought ahead, where hours are. */
  hours: number
  /** The price that it was offered for; the market's own may have risen since. */
  pricePerHour: MicroUsd
  /** An hour without disk, for an interruptible machine; undefined = on demand. */
  bid?: MicroUsd | undefined
  gpuCount: number
}

/**
 * `gone`: somebody else has the offer. `refused`: the market will not, whatever the offer. `busy`: it asks for a pause,
 * and nothing was done. `not_sent`: nothing left for the market. `unknown`: it may have been done.
 */
export type CreateOutcome =
  | { outcome: 'created'; machineId: string }
  | { outcome: 'gone' }
  /** `credential`: ours, whatever was asked. */
  | { outcome: 'refused'; message: string; credential?: boolean }
  | { outcome: 'busy'; retryAfterMs: number }
  | { outcome: 'not_sent'; retryAfterMs: number }
  | { outcome: 'unknown' }

/** `gone`: there is no such machine. `unsupported`: machines of this market cannot be stopped. `refused`: why it will not. */
export type ChangeOutcome = 'accepted' | 'gone' | 'unsupported' | { refused: string }

export interface Machine {
  id: string
  label: string | undefined
  /** `lost`: its host is not heard of, or it has ended by itself: it will not run again. */
  status: 'starting' | 'running' | 'stopped' | 'lost'
  /** As the market words it, for people. */
  detail: string
  endpoints: readonly Endpoint[]
  startedAt: Date | undefined
  /** What the market charges for it now, an hour. */
  pricePerHour: MicroUsd | undefined
}

export interface MarketOptions {
  /** Host root, as in `https://console.vast.ai`. */
  baseUrl: string
  apiKey: string | undefined
  http: HttpClient
  clock: Clock
  upstream: Upstream
  guardedCall: GuardedCall
  /** Of the fleet. @default searches are made as often as they are asked for */
  pace?: Pace | undefined
  /** What prices are multiplied by, asked once a list; other than 1 in a game day only. @default 1 */
  priceFactor?: () => number
}

const restHeadersMs = 10_000
const slowMs = 2_000
const listLimitMs = 25_000
/** Of all pods together: one in 7.5 s and two at once after a rest are ten in any minute, which is what Vast.ai allows. */
const searchEveryMs = 7_500
const searchBurst = 2
const maxListBytes = 32 * 1024 * 1024
const decoder = new TextDecoder()

/** Nobody's request: the answer is shared, so no caller's leaving may end it. The deadline does. */
const nobody = new AbortController().signal

/** A read of the market's list, guarded by the circuit `list`. */
export async function listCall(
  { baseUrl, http, clock, upstream, guardedCall, pace }: MarketOptions,
  request: Pick<HttpCall, 'method' | 'path' | 'headers'> & { body?: string },
): Promise<unknown> {
  const { origin, pathname } = new URL(baseUrl)
  const target: Target<unknown> = {
    upstream,
    circuit: upstream.circuit('list'),
    tryTimeoutMs: restHeadersMs,
    slowMs,
    async send(signal) {
      // Each try: what has failed counts at the market as well.
      const waitMs = (await pace?.take(`${upstream.name}:search`, searchEveryMs, searchBurst)) ?? 0
      if (waitMs > 0) throw new UpstreamFailure('local', { reason: 'throttle_gate', retryAfterMs: waitMs })
      const reply = await http.bytes({
        ...request,
        origin,
        path: (pathname === '/' ? '' : pathname) + request.path,
        headers: { 'accept-encoding': 'identity', 'user-agent': 'aiserve-gpuproxy', ...request.headers },
        signal,
        headersTimeoutMs: restHeadersMs,
        idleTimeoutMs: restHeadersMs,
        maxBytes: maxListBytes,
      })
      checkStatus(reply, clock.wallNow())
      if (reply.status !== 200) throw new UpstreamFailure('poison', { status: reply.status })
      return JSON.parse(decoder.decode(reply.body))
    },
  }
  const answer = await guardedCall([target], {
    deadline: createDeadline(clock, { limitMs: listLimitMs }),
    signal: nobody,
    repeat: 'idempotent',
    trace: { attempts: 0, waitedMs: 0 },
  })
  return answer.value
}

/** The offers of the rows that make sense. @throws UpstreamFailure where there are rows, and none does: they have another shape by now */
export function parseOffers<T>(
  { priceFactor }: MarketOptions,
  rows: readonly unknown[],
  schema: z.ZodType<T>,
  toOffer: (row: T) => Offer,
): Offer[] {
  const offers = parseRows(rows, schema).map(toOffer)
  if (offers.length === 0 && rows.length > 0) throw new UpstreamFailure('poison')
  const factor = priceFactor?.() ?? 1
  return factor === 1 ? offers : offers.map((offer) => dearer(offer, factor))
}

function dearer(offer: Offer, factor: number): Offer {
  const { priceMicroUsd, disk, egressPerGb, minBid } = offer
  return {
    ...offer,
    priceMicroUsd: Math.round(priceMicroUsd * factor),
    disk: disk && { ...disk, perGbHour: disk.perGbHour * factor },
    egressPerGb: (egressPerGb ?? 0) * factor,
    minBid: minBid === undefined ? undefined : Math.round(minBid * factor),
  }
}

/** The rows that make sense. A market adds fields and oddities at any time; one odd row must not hide the others. */
export function parseRows<T>(rows: readonly unknown[], schema: z.ZodType<T>): T[] {
  return rows.flatMap((row) => {
    const parsed = schema.safeParse(row)
    return parsed.success ? [parsed.data] : []
  })
}
