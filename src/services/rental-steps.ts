/**
 * What is to be done next for a rental, by the state it is in. Any pod does it, and goes on where another has stopped:
 * each change says which version it saw, so that of two pods one comes too late.
 */
import type { MicroUsd } from '../domain/money.ts'
import type { MarketName } from '../domain/offer.ts'
import {
  accruedBy,
  type EndReason,
  endingBy,
  hourEndOf,
  lastMomentOf,
  type NewRental,
  needsOf,
  priceOfTime,
  type Rental,
  shownStatus,
} from '../domain/rental.ts'
import { abandonedMs } from '../domain/rental-changes.ts'
import type { Accounts, Clock, Log, Metrics, RentalChange, Rentals } from '../ports.ts'
import type { MarketControl } from '../providers/market.ts'
import { instruments } from '../telemetry/instruments.ts'
import { atMost, type Background, sharedEvery, startBackground } from './background.ts'
import type { OfferBook } from './offer-book.ts'
import { type CreateRental, maxOffers } from './rental-create.ts'
import { createTermsOf, isRefusal, reasonOf } from './rental-money.ts'

export interface RentalStepsOptions {
  clock: Clock
  random: () => number
  newId: () => string
  rentals: Rentals
  offers: Pick<OfferBook, 'pick'>
  accounts: Pick<Accounts, 'keyLimits'>
  controls: ReadonlyMap<MarketName, MarketControl>
  create: CreateRental
  /** Live pods, this one included. */
  pods: () => number
  /** Longer than a step may take, so that no two pods are at the same one. */
  leaseMs: number
  mode: { readOnly: boolean }
  metrics: Metrics
  log: Log
}

export interface RentalSteps {
  /** Does what is due, at most a few; true where there may be more. */
  round(): Promise<boolean>
  start(): void
  stop(options: { timeoutMs: number }): Promise<void>
}

const everyMs = 1_000
const maxAtOnce = 16
const minuteMs = 60_000
/** The next hour is held, or bought, so long before the one under way is over: longer than a pod that dies at it has it. */
const aheadMs = 5 * minuteMs
/** Tries at the same thing: what is not to be had is given up. */
const maxCreateTries = 20
/** At a machine, by when ten minutes have passed. Whatever its market says, it may cost money, or be paid for by nobody. */
const stuckTries = 15
/** A bill that is not drawn up yet is asked for soon at first, then now and then, and no more after two days. */
const soonBillTries = 8
/** At a machine that its market shows as failed and does not know, a minute apart in the end. */
const lostTries = 10
const billEveryMs = 15 * minuteMs
const maxBillMs = 48 * 60 * minuteMs
/** One that comes to less than our own metering may lack the last of it: until the last of those soon tries. */
const shortBillMs = 3 * minuteMs
/** What has taken another's place and is lost sooner than this is not replaced: it may be what runs there that ends. */
const leastRunMs = 10 * minuteMs
/** What was bought may be told as late as that; before the hour is over there is time for three more calls. */
const restMs = minuteMs
/** Markets round. */
const priceTolerance = 1.01
const countMs = 15_000
/** Markets round the parts of a bill, one by one. */
const roundingMicroUsd = 2

export function createRentalSteps(options: RentalStepsOptions): RentalSteps {
  const { clock, random, newId, rentals, offers, accounts, controls, create, pods, leaseMs, mode, metrics, log } =
    options
  const termsOf = createTermsOf(accounts)
  const stopping = new AbortController()
  const now = () => new Date(clock.wallNow())
  const inMs = (ms: number) => new Date(clock.wallNow() + ms)
  const later = (rental: Rental, ms: number, also: RentalChange = {}) =>
    rentals.change(rental, { ...also, dueAt: inMs(ms) })
  /** Twice as long each time, a minute at most. */
  const again = (rental: Rental, also: RentalChange = {}) => {
    const failures = Math.min(rental.failures + 1, 100)
    if (failures === stuckTries && rental.marketId !== undefined) tellStuck(rental)
    return later(rental, Math.min(1_000 * 2 ** rental.failures, minuteMs), { ...also, failures })
  }

  function tellStuck({ accountId, id, state, offer: { market: provider }, marketId }: Rental) {
    metrics.count(instruments.gpuStuck, { provider })
    log.error('a rented machine can neither be ended nor gone on with', {
      ...{ account_id: accountId, provider, state, detail: `${id}, ${marketId} at its market` },
    })
  }

  async function step(rental: Rental): Promise<unknown> {
    switch (rental.state) {
      case 'intended':
        return begin(rental)
      case 'creating':
        // Its pod has had its time: the call may have left.
        return rentals.change(rental, { state: 'unknown', dueAt: inMs(minuteMs) })
      case 'unknown':
        // The market's lists tell, and whoever reads them changes it.
        return later(rental, minuteMs)
      case 'starting':
      case 'running':
      case 'stopping':
      case 'stopped':
        return keep(rental)
      case 'ending':
        return end(rental)
      case 'gone':
      case 'failed':
        return undefined
    }
  }

  /** Nothing was sent for it. Whoever asked for one machine has had an error by now, or hears of it by the same key. */
  async function begin(rental: Rental) {
    const { createdAt, reservationId, deploymentId, replaces, failures } = rental
    const isAlone = reservationId === undefined && deploymentId === undefined && replaces === undefined
    if (!isAlone && failures < maxCreateTries) return create(rental)
    const ageMs = clock.wallNow() - createdAt.getTime()
    if (isAlone && ageMs < abandonedMs) return later(rental, abandonedMs - ageMs)
    return rentals.end(rental, { at: now(), state: 'gone', reason: 'not_created', settle: 0, refund: 0 })
  }

  async function keep(rental: Rental) {
    const control = controls.get(rental.offer.market)
    if (!control) return later(rental, minuteMs)
    const last = lastMomentOf(rental)
    if (last !== undefined && clock.wallNow() >= last) return toEnd(rental, control, 'max_hours')
    if (control.billing === 'hours_ahead' && rental.accrued === 0) return buy(rental, control)
    // Hours that are bought ahead are bought whole: none is where the rental ends with the one under way.
    const turnAt = hourEndOf(rental) - aheadMs
    const wants = last === undefined || last > hourEndOf(rental)
    if (clock.wallNow() < turnAt || !wants) {
      const next = Math.min(wants ? turnAt : Number.POSITIVE_INFINITY, last ?? Number.POSITIVE_INFINITY)
      return rentals.change(rental, { dueAt: new Date(next) })
    }
    return turnHour(rental, control)
  }

  async function turnHour(rental: Rental, control: MarketControl) {
    const { accrued } = accruedBy(rental, now(), control.billing)
    const isAhead = control.billing === 'hours_ahead'
    const paid = isAhead ? await control.bill(rental.marketId!, rental.createdAt, stopping.signal) : undefined
    // Than was agreed: no list tells what an hour that is bought ahead costs.
    const costsMore = paid !== undefined && paid > (rental.settled + accrued) * priceTolerance
    if (costsMore) return toEnd(rental, control, 'max_price')
    const next = rental.offer.pricePerHour
    // It stays with this pod, which buys the hour: two would buy two.
    const dueAt = isAhead ? undefined : new Date(hourEndOf(rental) + 3_600_000 - aheadMs)
    const hour = { at: now(), settle: accrued, next, dueAt, ...(isAhead && { paid: paidByNow(rental, paid) }) }
    const turned = await rentals.nextHour(rental, hour, await termsOf(rental))
    if (!turned) return undefined
    if (isRefusal(turned)) return toEnd(rental, control, reasonOf(turned))
    metrics.count(instruments.revenue, { kind: 'gpu' }, accrued / 1e6)
    return isAhead ? buy(turned, control) : turned
  }

  /** The hour that is held and not bought. What was paid tells of a call before whose answer was lost. */
  async function buy(rental: Rental, control: MarketControl) {
    const { marketId, offer } = rental
    const bought = () => rentals.change(rental, { accrued: offer.pricePerHour, failures: 0, dueAt: now() })
    if (await isBought(rental, control)) return bought()
    const outcome = await control.extend(marketId!, 1, stopping.signal)
    if (outcome === 'bought') return bought()
    return outcome === 'refused' ? toEnd(rental, control, 'market_ended') : later(rental, restMs)
  }

  async function isBought(rental: Rental, control: MarketControl): Promise<boolean> {
    const { marketId, createdAt, offer } = rental
    const paid = await control.bill(marketId!, createdAt, stopping.signal)
    return paid !== undefined && paid > paidBefore(rental) + offer.pricePerHour / 2
  }

  const toEnd = (rental: Rental, { billing }: MarketControl, reason: EndReason) =>
    rentals.change(rental, endingBy(rental, reason, now(), billing))

  async function end(rental: Rental) {
    const control = controls.get(rental.offer.market)
    // Where it is not known which machine it is, the lists tell, and whether there is one.
    if (!control || rental.marketId === undefined) return later(rental, minuteMs)
    await replace(rental)
    const asked = await control.destroy(rental.marketId, stopping.signal)
    const shown = await control.show(rental.marketId, stopping.signal)
    // A market may go on showing one that failed, and knows of none to destroy: after some time that is its last word.
    const isOver = asked === 'gone' && shown?.status === 'lost' && rental.failures >= lostTries
    if (shown && !isOver) return again(rental, { heardAt: now() })
    const total = await totalOf(rental, control)
    if (total === undefined) {
      // The tries at ending it were other ones.
      if (!rental.endedAt) return later(rental, 1_000, { endedAt: now(), failures: 0 })
      return rental.failures < soonBillTries ? again(rental) : later(rental, billEveryMs)
    }
    const [settle, refund] = [Math.max(0, total - rental.settled), Math.max(0, rental.settled - total)]
    const ended = await rentals.end(rental, {
      at: now(),
      state: rental.reason === 'owner' || rental.reason === 'group' ? 'gone' : 'failed',
      reason: rental.reason ?? 'owner',
      ...{ settle, refund },
    })
    if (ended) metrics.count(instruments.revenue, { kind: 'gpu' }, settle / 1e6)
    if (ended && refund > 0) metrics.count(instruments.refunds, { kind: 'gpu' }, refund / 1e6)
    return ended
  }

  /** What it all came to; undefined = the market has not told yet. */
  async function totalOf(rental: Rental, control: MarketControl): Promise<number | undefined> {
    const own = rental.settled + rental.accrued
    const since = rental.createSentAt ?? rental.createdAt
    if (control.billing === 'hours_ahead') {
      // It may have been ended while the answer that told of its last hour was out.
      return rental.accrued === 0 && (await isBought(rental, control)) ? own + rental.offer.pricePerHour : own
    }
    const bill = await control.bill(rental.marketId!, since, stopping.signal).catch((error) => {
      if (stopping.signal.aborted) throw error
      // A market that does not tell is waited for like one that has not told yet.
      const { accountId: account_id, id: detail } = rental
      log.warn('a market does not tell what it charges', { account_id, detail, error: String(error) })
      return undefined
    })
    const endedAt = rental.endedAt?.getTime() ?? clock.wallNow()
    if (bill === undefined) {
      if (clock.wallNow() - endedAt < maxBillMs) return undefined
      const { accountId: account_id, offer } = rental
      log.warn('a market has drawn up no bill, so our metering stands', {
        ...{ account_id, provider: offer.market, detail: rental.id },
      })
      return own
    }
    const isShort = own - bill > priceOfTime(rental.offer.pricePerHour, minuteMs)
    if (isShort && clock.wallNow() - endedAt < shortBillMs) return undefined
    // Whatever the market charges us, nobody pays more than the price that was agreed.
    const agreed = priceOfTime(rental.offer.pricePerHour, endedAt - since.getTime()) + roundingMicroUsd
    return Math.max(0, Math.min(bill, agreed))
  }

  /** What was asked for, on another host where there is one: a market may offer the one that was lost again. */
  async function otherOffer({ spec, search, offer }: Rental) {
    const limit = search.sameModel ? Infinity : 2 * maxOffers
    const ask = { ...needsOf(spec), limit, without: [offer.id] }
    const all = await offers.pick(search.filter, ask)
    const found = search.sameModel ? all.filter(({ gpuModel }) => gpuModel === offer.gpuModel) : all
    return found.find(({ hostId }) => hostId === undefined || hostId !== offer.hostId) ?? found[0] ?? offer
  }

  /** Its id is written down first, so that it is rented once, whoever does this again. */
  async function replace(rental: Rental) {
    const isLost = rental.reason === 'host_lost' || rental.reason === 'market_ended'
    if (!isLost || !rental.spec.replace) return
    // Its hours are those of whoever stands in for it, too.
    const last = lastMomentOf(rental)
    if (last !== undefined && last <= clock.wallNow()) return
    let { replacedBy } = rental
    if (replacedBy === undefined && isLostAtOnce(rental))
      return leave(rental, 'so was the one before it, and this one at once')
    if (replacedBy === undefined) {
      replacedBy = newId()
      const noted = await rentals.change(rental, { replacedBy })
      if (!noted) throw new Error('the rental was changed meanwhile')
      Object.assign(rental, noted)
    }
    if ((await rentals.byIds([replacedBy])).length > 0) return
    const { accountId, keyId, purseId, reservationId, deploymentId, search } = rental
    const spec = { ...rental.spec, ...(last !== undefined && { maxHours: (last - clock.wallNow()) / 3_600_000 }) }
    const offer = await otherOffer(rental)
    const of = { accountId, keyId, purseId, reservationId, deploymentId, spec, search, offer }
    const successor: NewRental = { ...of, id: replacedBy, replaces: rental.id }
    const begun = await rentals.begin([{ rental: successor, hold: offer.pricePerHour }], await termsOf(rental))
    if (isRefusal(begun)) await leave(rental, reasonOf(begun))
  }

  /** Not replaced, once and for all: nobody expects a machine hours later. */
  async function leave(rental: Rental, why: string) {
    log.warn('a lost machine is not replaced', { account_id: rental.accountId, detail: `${rental.id}: ${why}` })
    const noted = await rentals.change(rental, { spec: { ...rental.spec, replace: false } })
    if (!noted) throw new Error('the rental was changed meanwhile')
    Object.assign(rental, noted)
  }

  async function guarded(rental: Rental) {
    try {
      await step(rental)
    } catch (error) {
      log.warn('a rental could not be gone on with', {
        account_id: rental.accountId,
        state: rental.state,
        detail: rental.id,
        error: String(error),
      })
      // Where this fails too, it is due again by itself.
      await again(rental).catch(() => {})
    }
  }

  let counts: Awaited<ReturnType<Rentals['counts']>> = []
  let countedAt = Number.NEGATIVE_INFINITY
  metrics.gauge(instruments.gpuInstances, () => {
    const byStatus = new Map<string, [labels: { provider: string; status: string }, value: number]>()
    for (const { market: provider, state, count } of counts) {
      const status = shownStatus[state] ?? 'failed'
      const before = byStatus.get(`${provider} ${status}`)?.[1] ?? 0
      byStatus.set(`${provider} ${status}`, [{ provider, status }, before + count])
    }
    return byStatus.values()
  })

  async function count() {
    if (clock.now() - countedAt < countMs) return
    countedAt = clock.now()
    counts = await rentals.counts()
  }

  async function round(): Promise<boolean> {
    await count()
    if (mode.readOnly) return false
    const due = await rentals.takeDue({ now: now(), max: maxAtOnce, forMs: leaseMs })
    await Promise.all(due.map(guarded))
    return due.length === maxAtOnce
  }

  let background: Background | undefined
  return {
    round,
    start() {
      const onError = (error: unknown) => log.warn('rentals could not be gone on with', { error: String(error) })
      background ??= startBackground({ clock, random, everyMs: sharedEvery(everyMs, pods), round, onError })
    },
    async stop({ timeoutMs }) {
      const ended = background?.stop() ?? Promise.resolve()
      await atMost(clock, timeoutMs, ended)
      stopping.abort()
    },
  }
}

/** It stood in for one that was lost. Its use is counted up to when it was given up. */
const isLostAtOnce = ({ replaces, startedAt, accruedAt }: Rental): boolean =>
  replaces !== undefined && (accruedAt?.getTime() ?? 0) - (startedAt?.getTime() ?? 0) < leastRunMs

/**
 * For the hours before the one under way, by the market's own word: what it takes may differ from what was agreed by a
 * little in each hour, which after fifty of them is as much as an hour costs.
 */
const paidBefore = ({ paid, hour, settled }: Rental): MicroUsd => (paid?.hour === hour ? paid.amount : settled)

/** For the hour under way as well. A list that does not know of it yet is late. */
function paidByNow(rental: Rental, told: MicroUsd | undefined): MicroUsd {
  const before = paidBefore(rental)
  return told !== undefined && told > before + rental.accrued / 2 ? told : before + rental.accrued
}
