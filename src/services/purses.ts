/**
 * Credit that this pod may spend without asking. A slice of the account's balance is leased from the books, some
 * seconds of what it spends, and requests are admitted from it in memory; near the end of the credit a slice is what one
 * request needs. Guard rails and budgets are checked where a slice is leased, so no request can pass them.
 *
 * While nothing may be written no slice can be leased: then a pod goes by what the books said last, and its part of that
 * is what is left divided by the pods, so that all of them together spend no more than there is.
 *
 * A purse is an account's credit, or what a key with a budget of its own may spend of it.
 */

import type { MicroUsd } from '../domain/money.ts'
import type { Principal } from '../domain/principal.ts'
import { ApiError } from '../errors.ts'
import {
  type Budgets,
  type Clock,
  type CreditSlice,
  type LeaseAnswer,
  type LedgerStore,
  type Log,
  type Metrics,
  StorageUnavailable,
  type WriteMode,
} from '../ports.ts'
import { sleep } from '../resilience/clock.ts'
import { instruments } from '../telemetry/instruments.ts'
import { refusalOf } from './credit-refusals.ts'

export interface PursesOptions {
  clock: Clock
  store: Pick<LedgerStore, 'lease' | 'look' | 'giveBack' | 'renew'>
  mode: Pick<WriteMode, 'readOnly'>
  metrics: Metrics
  log: Log
  podId: string
  processId: string
  /** Pods that live, this one included. */
  pods: () => number
}

export interface Purses {
  of(principal: Principal): Purse
  /** Undefined: taken. @throws ApiError where the account, its guard rails or the key's budget do not allow it. */
  take(purse: Purse, amount: MicroUsd, signal: AbortSignal): undefined | Promise<void>
  /** What was taken has become this. */
  spend(purse: Purse, taken: MicroUsd, cost: MicroUsd): void
  /** All events of the purses before `event` are in the books, and so much is left to lease. */
  entered(event: number, spendable: ReadonlyMap<string, MicroUsd>): void
  /** Gives everything back. */
  stop(): Promise<void>
}

export interface Purse {
  readonly accountId: string
  readonly id: string
  budgets: Budgets | undefined
  /** May be below zero, where something cost more than it was expected to. */
  free: MicroUsd
  /** The least of it since the last tick: that much was not needed. */
  lowest: MicroUsd
  /** Operations that have not ended. */
  open: number
  spentSinceTick: MicroUsd
  /** Spent in a second, of late. */
  rate: MicroUsd
  /** The most that was asked for at once, of late. */
  largest: MicroUsd
  /** The most that was ever asked for at once. */
  peak: MicroUsd
  /** As the books said last. */
  spendable: MicroUsd
  limited: boolean
  /** Spent without a lease, while nothing may be written. */
  unsecured: MicroUsd
  usedAt: number
  /** The number of its last event. */
  lastEvent: number
  waiting: Waiting[]
  leasing: boolean
  refused: { until: number; amount: MicroUsd; answer: LeaseAnswer } | undefined
  /** The books know of a slice. */
  leased: boolean
  /** And maybe of more of it than this pod: what was asked of them last had no answer. */
  uncertain: boolean
  /** All of it is being given back: a slice that is leased before that is done would be given back with it. */
  returning: Promise<void> | undefined
}

interface Waiting {
  amount: MicroUsd
  settle(error?: unknown): void
}

const tickMs = 1_000
/**
 * Of what is spent, a slice is so many seconds: longer than it takes to notice that the database stands still, while
 * nothing can be leased. Less where what is leased counts against a limit, and is missing there to others.
 */
const sliceSeconds = { usual: 8, limited: 2 }
/** After so long without a request only the reserve is kept. */
const idleMs = 1_000
const returnMs = 10_000
/** Until then it is known what an account had, should the books be away. */
const forgetMs = 5 * 60_000
const minParts = 4
const renewEveryTicks = 15
/** Of what is remembered as the largest, after a tick. */
const largestKept = 0.9
/** Of what is left, each pod's part (see `minParts`) must be so many slices before it leases one ahead of need. */
const plentyOfSlices = 4
/** What is kept in reserve, in requests of the largest size. */
const reserveRequests = 4
const maxWaiting = 2_000
const maxPurses = 100_000
/** What others hold and do not need comes back within this, so that it is worth asking again. */
const patience = { tries: 3, ms: 100 }
/**
 * A primary that does not answer is either back by then or known to be lost, after two looks at it. Whoever needs a
 * slice waits for that: one look may fail by chance, and a lost primary is no reason to refuse.
 */
const knownWithinMs = 3_000
/** So long a refusal holds, for as much and for more. */
const refusalMs = 500

const unchecked = {
  message:
    'Nothing may be written at the moment, so the guard rails of this account, or the budget of this key, cannot be held to. Try again after the time in Retry-After.',
  retryAfterMs: 1_000,
}

export function createPurses(options: PursesOptions): Purses {
  const { clock, store, mode, metrics, log, podId, processId, pods } = options
  const purses = new Map<string, Purse>()
  const stopping = new AbortController()
  let cancelTick: (() => void) | undefined
  let ticks = 0
  let refilling: Promise<void> | undefined
  let enteredUpTo = 0

  function of({ accountId, keyId, limits }: Principal): Purse {
    const { budgetPerDay: perDay, budgetPerMonth: perMonth } = limits.key
    const budgets = perDay === undefined && perMonth === undefined ? undefined : { keyId, perDay, perMonth }
    const id = budgets ? keyId : accountId
    let purse = purses.get(id)
    if (!purse) {
      if (purses.size >= maxPurses) throw new ApiError('overloaded', { retryAfterMs: 1_000 })
      purse = {
        ...{ accountId, id, budgets, free: 0, lowest: 0, open: 0, spentSinceTick: 0, rate: 0, largest: 0, peak: 0 },
        ...{
          spendable: 0,
          limited: false,
          unsecured: 0,
          usedAt: 0,
          lastEvent: 0,
          waiting: [],
          leasing: false,
          refused: undefined,
          leased: false,
          uncertain: false,
          returning: undefined,
        },
      }
      purses.set(id, purse)
      cancelTick ??= clock.setTimer(tickMs, tick)
    }
    purse.budgets = budgets
    return purse
  }

  function take(purse: Purse, amount: MicroUsd, signal: AbortSignal): undefined | Promise<void> {
    purse.usedAt = clock.now()
    if (amount > purse.largest) purse.largest = amount
    if (amount > purse.peak) purse.peak = amount
    if (purse.unsecured > 0 && !mode.readOnly) forgetUnsecured(purse)
    // What costs nothing needs no credit.
    if (amount === 0 || (purse.waiting.length === 0 && purse.free >= amount)) {
      purse.open++
      purse.free -= amount
      if (purse.free < purse.lowest) purse.lowest = purse.free
      return undefined
    }
    const { refused } = purse
    if (refused && refused.until > purse.usedAt && amount >= refused.amount) {
      throw refusalOf(refused.answer, amount, clock.wallNow())
    }
    if (purse.waiting.length >= maxWaiting) throw new ApiError('overloaded', { retryAfterMs: 1_000 })
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        amount,
        settle(error) {
          signal.removeEventListener('abort', onAbort)
          if (error === undefined) resolve()
          else reject(error)
        },
      }
      const onAbort = () => {
        purse.waiting = purse.waiting.filter((each) => each !== waiting)
        reject(new ApiError('client_closed'))
      }
      signal.addEventListener('abort', onAbort, { once: true })
      purse.waiting.push(waiting)
      if (!purse.leasing) void lease(purse)
    })
  }

  /**
   * What is left of it is no slice that the books know of: others may have leased it by now, and given back it would be
   * taken off what requests under way were admitted from. What was taken of it and is not in the books yet will be taken
   * from the next slice, when it is; what is there already was taken from none.
   */
  function forgetUnsecured(purse: Purse) {
    const { free, unsecured } = purse
    const isInBooks = purse.lastEvent <= enteredUpTo
    purse.free = isInBooks ? Math.min(free, Math.max(0, free - unsecured)) : free - unsecured
    purse.lowest = Math.min(purse.lowest, purse.free)
    purse.unsecured = 0
  }

  async function lease(purse: Purse) {
    purse.leasing = true
    let tries = patience.tries
    let failingSince: number | undefined
    try {
      for (;;) {
        if (purse.returning) await purse.returning
        if (purse.unsecured > 0 && !mode.readOnly) forgetUnsecured(purse)
        serve(purse)
        const first = purse.waiting[0]
        if (!first) return
        const all = purse.waiting.reduce((sum, { amount }) => sum + amount, 0) - purse.free
        const need = first.amount - purse.free
        const want = all + spare(purse, purse.spendable - all)
        const { accountId, id: purseId, budgets } = purse
        // As it is now, whatever it is when the answer comes.
        let secured = !mode.readOnly
        const answer = !secured
          ? await unsecured(purse, need, want)
          : await store.lease({ accountId, purseId, processId, podId, budgets, need, want }).catch((error) => {
              noteUncertain(purse, error)
              // The primary was lost meanwhile: whoever waits is served as those are who come now.
              if (mode.readOnly) {
                secured = false
                return unsecured(purse, need, want)
              }
              failingSince ??= clock.now()
              const mayBeLost = error instanceof StorageUnavailable && clock.now() - failingSince < knownWithinMs
              if (!mayBeLost) throw error
              return undefined
            })
        if (!answer) {
          await sleep(clock, patience.ms, stopping.signal)
          continue
        }
        failingSince = undefined
        purse.free += answer.granted
        purse.lowest = Math.min(purse.lowest, purse.free)
        purse.spendable = answer.spendable
        purse.limited = answer.limited
        if (!secured) purse.unsecured += answer.granted
        else purse.leased = true
        if (answer.shadowed?.by === 'window') tellBlocked(purse, answer.shadowed.window, 'shadow')
        if (answer.granted > 0) continue
        if (!answer.blocked && answer.elsewhere > 0) {
          if (secured) await giveBackTooLittle(purse)
          if (tries-- > 0) {
            await sleep(clock, patience.ms, stopping.signal)
            continue
          }
        }
        refuse(purse, first.amount, inWhole(answer, purse.free))
      }
    } catch (cause) {
      const known = cause instanceof ApiError && cause.code === 'ledger_unavailable'
      const error = known ? cause : new ApiError('ledger_unavailable', { cause, retryAfterMs: 1_000 })
      for (const { settle } of purse.waiting.splice(0)) settle(error)
    } finally {
      purse.leasing = false
    }
  }

  /** Two pods that each keep what is too little for those who wait would both refuse what it pays for together. */
  async function giveBackTooLittle(purse: Purse) {
    if (purse.free > 0 && purse.unsecured === 0) await giveBack([giveUp(purse, purse.free)])
  }

  /** Not where guard rails or a budget would have to be asked. */
  async function unsecured(purse: Purse, need: MicroUsd, want: MicroUsd): Promise<LeaseAnswer> {
    const known = { spendable: purse.spendable, elsewhere: 0, held: 0, limited: purse.limited }
    const seen = await store.look(purse.accountId).catch((error) => {
      if (known.spendable > 0) return known
      throw error
    })
    if (seen.limited || purse.budgets) throw new ApiError('ledger_unavailable', unchecked)
    const part = Math.floor(seen.spendable / Math.max(minParts, pods())) - purse.unsecured
    if (part < need && seen.spendable >= need) throw new Error('the rest may be spent by other pods')
    return { ...seen, granted: part >= need ? Math.min(part, want) : 0, blocked: undefined, shadowed: undefined }
  }

  function serve(purse: Purse) {
    while (purse.waiting.length > 0 && purse.free >= purse.waiting[0]!.amount) {
      const { amount, settle } = purse.waiting.shift()!
      purse.free -= amount
      purse.open++
      settle()
    }
    if (purse.free < purse.lowest) purse.lowest = purse.free
  }

  /** A slice was asked for what the purse lacks; whoever is refused asked for more, and what it has is not spent. */
  function inWhole(answer: LeaseAnswer, free: MicroUsd): LeaseAnswer {
    const { blocked } = answer
    return blocked ? { ...answer, blocked: { ...blocked, spent: blocked.spent - Math.max(0, free) } } : answer
  }

  /** The first and all that ask for as much: they would hear the same. */
  function refuse(purse: Purse, amount: MicroUsd, answer: LeaseAnswer) {
    purse.refused = { until: clock.now() + refusalMs, amount, answer }
    const refused = purse.waiting.filter((each) => each.amount >= amount)
    purse.waiting = purse.waiting.filter((each) => each.amount < amount)
    for (const each of refused) {
      if (answer.blocked?.by === 'window') tellBlocked(purse, answer.blocked.window, 'refused')
      each.settle(refusalOf(answer, each.amount, clock.wallNow()))
    }
  }

  function tellBlocked(purse: Purse, window: string, outcome: 'refused' | 'shadow') {
    metrics.count(instruments.guardrailBlocked, { window })
    if (outcome === 'shadow')
      log.warn('guard rail passed in shadow mode', { account_id: purse.accountId, detail: window })
  }

  /** What is kept above what is asked for now, so that the next requests need not wait. */
  const spare = ({ rate, limited, budgets }: Purse, spendable: MicroUsd) => {
    const seconds = limited || budgets ? sliceSeconds.limited : sliceSeconds.usual
    return Math.max(0, Math.floor(Math.min(seconds * rate, spendable / 4)))
  }

  /**
   * Holds are far larger than what they come to, so a pod needs room for a few more at once than a moment ago: without
   * it each little crowd would have to ask the database, which may be slow or gone. Kept for a while also where nobody
   * asks. Not where what is leased counts against a limit.
   */
  const reserve = ({ largest, limited, budgets, spendable }: Purse) =>
    limited || budgets ? 0 : Math.floor(Math.min(reserveRequests * largest, spendable / 8))

  function tick() {
    cancelTick = undefined
    ticks++
    const now = clock.now()
    const slices: CreditSlice[] = []
    const emptied: Purse[] = []
    const low: Purse[] = []
    for (const purse of purses.values()) {
      purse.rate = (purse.rate + (purse.spentSinceTick * 1000) / tickMs) / 2
      purse.spentSinceTick = 0
      purse.largest = Math.floor(purse.largest * largestKept)
      if (mode.readOnly) continue
      if (purse.unsecured > 0) forgetUnsecured(purse)
      const atRest = purse.open === 0 && !purse.leasing
      const idle = atRest && now - purse.usedAt >= idleMs
      // What only the books know of comes back with all of it. Callers who are refused for want of it keep it in use.
      const isOver = (idle && now - purse.usedAt >= returnMs) || (atRest && purse.uncertain)
      if (isOver && purse.lastEvent <= enteredUpTo) {
        if (purse.leased || purse.uncertain) {
          slices.push({ ...nameOf(purse), amount: 'all' })
          emptied.push(purse)
        }
        purse.leased = false
        purse.uncertain = false
        purse.free = 0
        purse.lowest = 0
        if (now - purse.usedAt >= forgetMs) purses.delete(purse.id)
        continue
      }
      const slice = idle ? 0 : spare(purse, purse.spendable)
      const excess = Math.min(purse.lowest, purse.free) - Math.max(reserve(purse), slice)
      if (excess > 0) slices.push(giveUp(purse, excess))
      purse.lowest = purse.free
      if (purse.free < slice / 2) low.push(purse)
    }
    const returning = giveBack(slices).finally(() => {
      for (const purse of emptied) purse.returning = undefined
    })
    for (const purse of emptied) purse.returning = returning
    if (low.length > 0) {
      refilling ??= refill(low).finally(() => {
        refilling = undefined
      })
    }
    if (ticks % renewEveryTicks === 0 && !mode.readOnly) void renew()
    if (purses.size > 0 && !stopping.signal.aborted) cancelTick ??= clock.setTimer(tickMs, tick)
  }

  /**
   * Of a slice that is leased only when somebody needs it any part may be left when the database comes to a stand. So one
   * that is half used up is leased anew: what is left then lasts longer than it takes to notice. One after another, so that
   * those who wait for theirs find a connection.
   */
  async function refill(low: readonly Purse[]) {
    try {
      for (const purse of low) if (mayBeRefilled(purse)) await refillOne(purse)
    } catch (error) {
      // Nobody needs it yet: who does asks for himself, and hears why not. The others would fail alike.
      log.debug('credit could not be leased ahead', { error: String(error) })
    }
  }

  /**
   * Near the end of the credit another pod may be asked for what this one would lease ahead, and refuse what is paid for.
   * Nor where it counts against a limit, nor while other steps with its lease are under way.
   */
  function mayBeRefilled(purse: Purse) {
    const slice = spare(purse, Infinity) + purse.peak
    const isPlenty = purse.spendable >= plentyOfSlices * Math.max(minParts, pods()) * slice
    const isFree = !(purse.leasing || purse.returning || purse.unsecured > 0)
    return isPlenty && isFree && !(purse.limited || purse.budgets || mode.readOnly || stopping.signal.aborted)
  }

  async function refillOne(purse: Purse) {
    const { accountId, id: purseId, budgets, free } = purse
    const want = spare(purse, purse.spendable) - free
    if (want <= 0) return
    purse.leasing = true
    try {
      const answer = await store.lease({ accountId, purseId, processId, podId, budgets, need: 0, want })
      purse.free += answer.granted
      purse.spendable = answer.spendable
      purse.limited = answer.limited
      purse.leased = true
    } catch (error) {
      noteUncertain(purse, error)
      throw error
    } finally {
      purse.leasing = false
      if (purse.waiting.length > 0) void lease(purse)
    }
  }

  const nameOf = ({ accountId, id }: Purse) => ({ accountId, purseId: id, processId })

  function giveUp(purse: Purse, amount: MicroUsd): CreditSlice {
    purse.free -= amount
    purse.lowest -= amount
    return { ...nameOf(purse), amount }
  }

  async function giveBack(slices: CreditSlice[]) {
    if (slices.length === 0) return
    try {
      const returned = await store.giveBack(slices)
      // What the books do not know yet to have come free they cannot take back: it stays here until they do.
      for (const { purseId, amount } of slices) {
        const purse = purses.get(purseId)
        if (!purse || amount === 'all') continue
        purse.free += amount - (returned.get(purseId) ?? 0)
        serve(purse)
      }
    } catch (error) {
      log.warn('credit could not be given back', { error: String(error) })
      // It may be back already, for others to lease. Where it is not, it is found when all of the purse is given back.
      for (const { purseId, amount } of slices) {
        const purse = purses.get(purseId)
        // All of it is tried again: nobody here knows of any more, and until it is found to be nobody's others lack it.
        if (purse && amount === 'all') purse.uncertain = true
        else noteUncertain(purse, error)
      }
      if (error instanceof StorageUnavailable && error.mayHaveRun) return
      // While the books are away, what this pod has is all that its callers can use.
      for (const { purseId, amount } of slices) {
        const purse = purses.get(purseId)
        if (purse && amount !== 'all') purse.free += amount
      }
    }
  }

  function noteUncertain(purse: Purse | undefined, error: unknown) {
    if (purse && error instanceof StorageUnavailable && error.mayHaveRun) purse.uncertain = true
  }

  async function renew() {
    const all = [...purses.values()].filter(({ leased }) => leased)
    try {
      const lost = new Set(await store.renew(all.map(nameOf)))
      // Nobody had heard of this pod for long, and its credit was taken back.
      for (const purse of all) if (lost.has(purse.id)) purse.free = Math.min(purse.free, 0)
    } catch (error) {
      log.warn('credit leases could not be renewed', { error: String(error) })
    }
  }

  return {
    of,
    take,
    spend(purse, taken, cost) {
      purse.open--
      purse.free += taken - cost
      purse.spentSinceTick += cost
      if (purse.free < purse.lowest) purse.lowest = purse.free
      if (purse.waiting.length > 0) serve(purse)
    },
    entered(event, spendable) {
      enteredUpTo = event
      const slices: CreditSlice[] = []
      for (const purse of purses.values()) {
        const left = spendable.get(purse.accountId)
        if (left === undefined) continue
        purse.spendable = left
        if (purse.unsecured > 0 && !mode.readOnly) forgetUnsecured(purse)
        // Near the end nobody keeps what another pod may be asked for.
        if (left < 8 * purse.largest && purse.free > 0 && purse.waiting.length === 0) {
          slices.push(giveUp(purse, purse.free))
        }
      }
      void giveBack(slices)
    },
    async stop() {
      stopping.abort()
      cancelTick?.()
      // What is granted after all has gone back would be missed until it is found to be nobody's.
      await refilling
      await giveBack([...purses.values()].map((purse) => ({ ...nameOf(purse), amount: 'all' as const })))
    },
  }
}
