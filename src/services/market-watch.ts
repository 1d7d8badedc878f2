/**
 * What markets tell of the machines there are. One pod of the fleet lists a market; from that one list come states,
 * addresses, adoption by label, losses, and machines that no rental accounts for.
 */
import type { MarketName } from '../domain/offer.ts'
import { accruedBy, type EndReason, endingBy, parseLabel, type Rental } from '../domain/rental.ts'
import type { Clock, Log, Metrics, RentalChange, Rentals, Sightings, Turns } from '../ports.ts'
import type { Machine, MarketControl } from '../providers/market.ts'
import { instruments } from '../telemetry/instruments.ts'
import { atMost, type Background, sharedEvery, startBackground } from './background.ts'
import type { Orphans } from './orphans.ts'

export interface MarketWatchOptions {
  clock: Clock
  random: () => number
  control: MarketControl
  rentals: Rentals
  turns: Turns
  sightings: Sightings
  orphans: Orphans
  /** Eight hexadecimal digits, of all pods that share a database. */
  fleet: string
  /** Of this process. */
  holder: string
  /** Live pods, this one included. */
  pods: () => number
  /** Of the market's turn: longer than a long list takes. */
  leaseMs: number
  mode: { readOnly: boolean }
  metrics: Metrics
  log: Log
}

export interface MarketWatch {
  market: MarketName
  /** Lists the market where that is due and this pod's turn. */
  round(): Promise<void>
  start(): void
  stop(options: { timeoutMs: number }): Promise<void>
}

const everyMs = 3_000
/** While nothing is on its way. */
const quietMs = 30_000
/** Lists that began so long after the call that creates, starts or stops a machine would show it. */
const settledMs = 120_000
/** Two lists that lack a machine count as two when they are so far apart. */
const apartMs = 60_000
/** How old the word that a machine lives may be before a new one is written down. */
const heardMs = 60_000
/** Machines that are asked for by themselves after one list: of those that have no address yet, and of those that it lacks. */
const maxShown = 5
/** Markets round, and add what a machine's traffic costs: only what is more than that is another price. */
const priceTolerance = 1.01

const inTransition = new Set(['creating', 'unknown', 'starting', 'stopping'])
/** One that waits for the market's bill alone is looked at later than this. */
const endingMs = 2 * 60_000
const nobody = new AbortController().signal

export function createMarketWatch(options: MarketWatchOptions): MarketWatch {
  const { clock, random, control, rentals, turns, sightings, orphans, fleet, holder, pods, leaseMs } = options
  const { mode, metrics, log } = options
  const market: MarketName = control.name
  let listedAt = Number.NEGATIVE_INFINITY
  /** This pod has the market's turn: the others need not look often. */
  let isMine = false
  let addressTurn = 0

  const ending = (rental: Rental, reason: EndReason, at: Date) => endingBy(rental, reason, at, control.billing)

  /** A machine whose creation nobody heard of. */
  function adoption(rental: Rental, machine: Machine, at: Date): RentalChange {
    const sentAt = rental.createSentAt ?? at
    // Metered from then on: no date counts at which it cannot have begun.
    const isSense = machine.startedAt && machine.startedAt >= sentAt && machine.startedAt <= at
    const startedAt = isSense ? machine.startedAt : sentAt
    const isPrepaid = control.billing === 'hours_ahead'
    return {
      marketId: machine.id,
      startedAt,
      accruedAt: startedAt,
      heardAt: at,
      dueAt: at,
      ...(isPrepaid && { accrued: rental.offer.pricePerHour }),
      ...(rental.state === 'unknown' && { state: 'starting' }),
    }
  }

  /** What the list says of a rental's machine that is not known yet; undefined = nothing. */
  function news(rental: Rental, machine: Machine, at: Date): RentalChange | undefined {
    const { state, offer } = rental
    const lives = state === 'starting' || state === 'running' || state === 'stopping' || state === 'stopped'
    if (!lives) return undefined
    if (machine.status === 'lost') return isBeingRestarted(rental, at) ? undefined : ending(rental, 'host_lost', at)
    const costs = machine.pricePerHour ?? 0
    const isDearer = machine.status !== 'stopped' && state !== 'stopped' && costs > offer.pricePerHour * priceTolerance
    if (isDearer) return ending(rental, 'max_price', at)
    const to = stateAfter(rental, machine, at)
    const endpoints = machine.endpoints.length > 0 ? machine.endpoints : rental.endpoints
    const isNew = to !== state || JSON.stringify(endpoints) !== JSON.stringify(rental.endpoints)
    const isOld = at.getTime() - (rental.heardAt?.getTime() ?? 0) >= heardMs
    if (!isNew && !isOld) return undefined
    const accrual = to === state ? undefined : accruedBy(rental, at, control.billing)
    return { state: to, endpoints, heardAt: at, ...accrual }
  }

  /** A list may show a while longer how it was: stopped, though it is to run, which looks like a host that is lost. */
  function isBeingRestarted({ state, startedAt, accruedAt }: Rental, at: Date): boolean {
    if (state !== 'starting' || !startedAt || !accruedAt || accruedAt <= startedAt) return false
    return at.getTime() - accruedAt.getTime() < settledMs
  }

  async function observe(rental: Rental, machine: Machine, at: Date) {
    const change = news(rental, machine, at)
    if (change) await rentals.change(rental, change)
  }

  /** A list that began then should show its machine. */
  function isExpected({ marketId, state, createSentAt, createdAt }: Rental, began: number): boolean {
    if (marketId !== undefined) return state !== 'ending'
    const sentAt = (createSentAt ?? createdAt).getTime()
    return (state === 'unknown' || state === 'ending') && began >= sentAt + settledMs
  }

  /** Machines that this list lacks. How often lists did is kept where a pod that takes over finds it. */
  async function missAll(lacking: readonly Rental[], began: number) {
    const expected = lacking.filter((rental) => isExpected(rental, began))
    const absent = expected.map(({ id }) => ({ machineId: absenceOf(id), label: undefined, at: new Date(began) }))
    const known = new Map((await sightings.note(market, absent)).map((each) => [each.machineId, each]))
    let shown = 0
    // Those that are there move on to the end, by being heard of.
    for (const rental of expected.toSorted((a, b) => heardOf(a) - heardOf(b))) {
      const { times, firstSeenAt } = known.get(absenceOf(rental.id))!
      if (times < 2) continue
      if (rental.marketId === undefined) await endUncreated(rental)
      else if (began - firstSeenAt.getTime() >= apartMs && shown++ < maxShown) await ask(rental, rental.marketId)
    }
  }

  /** A market's lists may be empty for a while: what runs is not destroyed on their word alone. */
  async function ask(rental: Rental, marketId: string) {
    let machine: Machine | undefined
    try {
      machine = await control.show(marketId, nobody)
    } catch {
      return // It is asked for again after the next list that lacks it.
    }
    const at = new Date(clock.wallNow())
    if (machine) await observe(rental, machine, at)
    else await rentals.change(rental, ending(rental, 'market_ended', at))
  }

  /** Its credit is free again: two lists say that there is no such machine. */
  async function endUncreated(rental: Rental) {
    const { state } = rental
    const at = new Date(clock.wallNow())
    const asked = rental.reason === 'owner' || rental.reason === 'group'
    const reason = state === 'ending' ? (rental.reason ?? 'not_created') : 'not_created'
    await rentals.end(rental, { at, state: asked ? 'gone' : 'failed', reason, settle: 0, refund: 0 })
  }

  /** Some markets' lists do not tell where a machine is reached; one that cannot be asked for now is as it was listed. */
  async function withAddress(machine: Machine): Promise<Machine> {
    return (await control.show(machine.id, nobody).catch(() => undefined)) ?? machine
  }

  /** A few of them, each in its turn: some never come to have an address. */
  function inTurn<T>(all: readonly T[]): Set<T> {
    const from = (addressTurn++ * maxShown) % Math.max(all.length, 1)
    return new Set([...all.slice(from), ...all.slice(0, from)].slice(0, maxShown))
  }

  async function observeAll(seen: readonly Seen[]) {
    const asked = inTurn(seen.filter(lacksAddress))
    for (const each of seen) {
      const machine = asked.has(each) ? await withAddress(each.machine) : each.machine
      await observe(each.rental, machine, new Date(clock.wallNow()))
    }
  }

  async function readList(known: readonly Rental[]) {
    const began = clock.wallNow()
    const machines = await control.list(nobody)
    const byId = new Map(known.map((rental) => [rental.id, rental]))
    const found = new Set<string>()
    const strays: Machine[] = []
    const seen: Seen[] = []
    // In one order, so that of two machines with one label the same is taken whoever looks.
    for (const listed of machines.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
      const label = parseLabel(listed.label)
      const rental = label?.fleet === fleet ? byId.get(label.rentalId) : undefined
      const isAdopted = rental?.marketId === undefined && (rental?.state === 'unknown' || rental?.state === 'ending')
      if (rental && isAdopted && !found.has(rental.id)) {
        found.add(rental.id)
        const at = new Date(clock.wallNow())
        if (await rentals.change(rental, adoption(rental, listed, at))) {
          metrics.count(instruments.gpuOrphans, { provider: market, action: 'adopted' })
        }
      } else if (rental && rental.marketId === listed.id) {
        found.add(rental.id)
        seen.push({ rental, machine: listed })
      } else if (rental?.state !== 'creating' && rental?.state !== 'intended') {
        strays.push(listed)
      }
    }
    await observeAll(seen)
    const lacking = known.filter(({ id }) => !found.has(id))
    await missAll(lacking, began)
    await orphans.consider(strays, new Date(began))
    // What this list has shown again, or nobody misses any more, counts from the start.
    await sightings.forget(market, new Date(began))
  }

  function isOnItsWay({ state, dueAt }: Rental): boolean {
    return inTransition.has(state) || (state === 'ending' && dueAt.getTime() - clock.wallNow() < endingMs)
  }

  async function round() {
    if (mode.readOnly) return
    const known = await rentals.live(market)
    const isBusy = known.some(isOnItsWay)
    if (!isBusy && clock.now() - listedAt < quietMs) return
    isMine = await turns.take(`market:${market}`, holder, leaseMs)
    if (!isMine) return
    await readList(known)
    listedAt = clock.now()
  }

  const others = sharedEvery(everyMs, pods)
  let background: Background | undefined
  return {
    market,
    round,
    start() {
      background ??= startBackground({
        clock,
        random,
        everyMs: () => (isMine ? everyMs : others()),
        round: async () => {
          await round()
          return false
        },
        onError: (error) => log.warn('a market could not be listed', { provider: market, error: String(error) }),
      })
    },
    async stop({ timeoutMs }) {
      await atMost(clock, timeoutMs, background?.stop() ?? Promise.resolve())
      // Where it cannot be ended it runs out by itself.
      await turns.endTurn(`market:${market}`, holder).catch(() => {})
    },
  }
}

/** A rental and its machine, as a list shows it. */
interface Seen {
  rental: Rental
  machine: Machine
}

/** One that publishes nothing has none. */
const lacksAddress = ({ rental, machine }: Seen): boolean =>
  rental.spec.ports.length > 0 &&
  machine.status === 'running' &&
  machine.endpoints.length + rental.endpoints.length === 0

/** Beside the machines that are seen and not accounted for: no market's id looks like it. */
const absenceOf = (rentalId: string) => `absent:${rentalId}`

const heardOf = ({ heardAt }: Rental): number => heardAt?.getTime() ?? 0

/** The market's word; what we have asked for and it has not done yet stays as it is, for a while. */
function stateAfter({ state, accruedAt }: Rental, { status }: Machine, at: Date): Rental['state'] {
  if (status === 'lost') return state
  const isAskedFor = at.getTime() - (accruedAt?.getTime() ?? 0) < settledMs
  if (status === 'stopped') return state === 'starting' && isAskedFor ? state : 'stopped'
  return state === 'stopping' && isAskedFor ? state : status
}
