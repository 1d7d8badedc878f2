/**
 * Stops calling what keeps failing, and finds out cheaply when it works again.
 *
 * Two steps fit streams and buffered calls alike: `acquire()` asks for a permit, `permit.report()` tells how it went.
 * A permit belongs to the generation (the stretch between two transitions) that gave it out: a result from before the
 * trip cannot close the circuit, and one from before the close cannot trip it.
 *
 * closed -> open: the window's failure or slow share is too high, or it fails so often in a row that this is no chance.
 * open -> half-open: when the wait is over, on the next call, or earlier when an active probe succeeded.
 * half-open -> closed: after `trialCalls` successes; -> open again on any failure, or when a trial is never heard of.
 * One that takes long gives its place to another, as late as an open circuit would try again, and still counts when it
 * is heard of.
 * After a close, calls return in steps, so that a fleet does not stampede what has just recovered.
 *
 * What other pods know comes in from outside (fleet-breaker.ts): whose turn it is to try, and their word to open, to stay
 * open and to close.
 */
import type { Clock } from './clock.ts'
import { createRollingWindow } from './rolling-window.ts'

export interface CircuitBreakerOptions {
  clock: Clock
  random: () => number
  /** Share of failures in the window that opens the circuit, 0-1. @default 0.6 */
  failureThreshold?: number
  /** Share of slow successes in the window that opens the circuit, 0-1. @default 0.8 */
  slowThreshold?: number
  /** Calls the window must hold before a share counts. @default 10 */
  minCalls?: number
  /** Failures in a row that open a circuit whose window holds fewer than `minCalls`. @default 5 */
  consecutiveFailures?: number
  /** How long such a row must last, so that one burst is not taken for an outage. @default 1_000 */
  consecutiveSpanMs?: number
  /** How long an open circuit waits before it lets trial calls through; doubles with each reopening. @default 30_000 */
  openMs?: number
  /** The longest such wait, and the longest Retry-After that is believed. @default 300_000 */
  maxOpenMs?: number
  /** Calls let through half-open, and successes needed to close. @default 3 */
  trialCalls?: number
  /** A trial call that does not say how long it may take counts as a failure when not heard of for this. @default 10_000 */
  trialLeaseMs?: number
  /** Length of one step of the return after closing (25, 50, 75 %); 0 = none. @default 1_000 */
  slowStartStepMs?: number
  onTransition?: (to: BreakerState, from: BreakerState) => void
  /** Told of each failure that leaves the circuit closed. */
  onFailure?: () => void
  /** Asked before each trial call: why it must not be made now. @default it may */
  trialTurn?: () => Refusal | undefined
  /** Pods that share the upstream: the calls that each step of the return always admits are all of theirs. @default 1 */
  pods?: () => number
  restore?: BreakerSnapshot
}

export type BreakerState = 'closed' | 'open' | 'half_open' | 'forced_open' | 'forced_closed'

/**
 * `failure` and `slow` are evidence against the upstream, `success` for it; `neutral` says nothing about it (the caller
 * left, our own limits refused, the provider asked us to slow down) and gives a trial's place back.
 */
export type Verdict = 'success' | 'slow' | 'failure' | 'neutral'

export interface Permit {
  /** Only the first report counts. `retryAfterMs`: the upstream's own hint, which an opening honours. */
  report(verdict: Verdict, retryAfterMs?: number): void
  /** A stream broke after its permit was settled (at its first event): the success that it was counts as a failure. */
  failedLater(): void
}

export interface Refusal {
  refused: 'open' | 'trials_busy' | 'slow_start'
  /** When asking again may help. */
  retryAfterMs: number
  /** The turn to try is being asked for: once this settles, which is soon, asking again may help. */
  turn?: Promise<void>
}

export type Admission = { permit: Permit } | Refusal

/** What another process needs to go on from here. Durations, not instants: clocks differ between processes. */
export interface BreakerSnapshot {
  state: BreakerState
  opensInARow: number
  /** Until the trial calls, when open. */
  remainingMs: number
}

export interface CircuitBreaker {
  /** `leaseMs`: how long this call may take; a trial not heard of for so long counts as a failure. @default trialLeaseMs */
  acquire(leaseMs?: number): Admission
  /** Until a call may be let through; 0 = now. Asking changes nothing. */
  refusesForMs(): number
  state(): BreakerState
  /** Trials under way that others wait for. */
  placesTaken(): number
  /** An active probe succeeded: an open circuit takes trial calls from now on. */
  probeSucceeded(): void
  /** An open circuit has waited long enough: the next call asks for its turn. */
  endWait(): void
  /** Others have seen enough: opens a closed circuit whose latest `failures` calls failed; whether it did. */
  openEarly(failures: number): boolean
  /** Trials made elsewhere failed: an open circuit waits as if they had been its own. */
  stayOpen(): void
  /** Trials made elsewhere succeeded: closes the circuit, and calls return in steps. */
  recover(): void
  /** An operator's word: keeps the circuit open or closed whatever happens, until `auto`. */
  force(state: 'open' | 'closed' | 'auto'): void
  status(): { state: BreakerState; calls: number; failureRate: number; nextTrialInMs: number }
  snapshot(): BreakerSnapshot
}

type State =
  | {
      name: 'closed'
      since: number
      returning: boolean
      rowStart: number
      row: number
      step: number
      stepCalls: number
    }
  | { name: 'open'; until: number }
  | { name: 'half_open'; successes: number; leases: Map<Permit, Lease>; cancelTimer: () => void }
  | { name: 'forced_open' }
  | { name: 'forced_closed' }

interface Lease {
  /** A trial that is not heard of by then counts as a failure. */
  end: number
  /** Until then nobody else has its place. */
  placeEnd: number
}

const windowBuckets = 20
const windowBucketMs = 3_000
/** How long a telling row must last: all streams of a connection that breaks fail at one moment. */
const suddenSpanMs = 500
/** Failures in a row that half-failing calls, so many in the window, show by chance about once in a thousand seconds. */
const tellingRow = (calls: number) => Math.ceil(Math.log2((1_000 * calls) / ((windowBuckets * windowBucketMs) / 1_000)))
/** How soon to ask again while others try. */
const trialsBusyMs = 1_000
const slowStartShares = [0.25, 0.5, 0.75]

export function createCircuitBreaker(options: CircuitBreakerOptions): CircuitBreaker {
  const { clock, random, onTransition, restore } = options
  const failureThreshold = share('failureThreshold', options.failureThreshold ?? 0.6)
  const slowThreshold = share('slowThreshold', options.slowThreshold ?? 0.8)
  const minCalls = positive('minCalls', options.minCalls ?? 10)
  const consecutiveFailures = positive('consecutiveFailures', options.consecutiveFailures ?? 5)
  const consecutiveSpanMs = options.consecutiveSpanMs ?? 1_000
  const openMs = positive('openMs', options.openMs ?? 30_000)
  const maxOpenMs = Math.max(openMs, options.maxOpenMs ?? 300_000)
  const trialCalls = positive('trialCalls', options.trialCalls ?? 3)
  const trialLeaseMs = positive('trialLeaseMs', options.trialLeaseMs ?? 10_000)
  const slowStartStepMs = options.slowStartStepMs ?? 1_000
  const { onFailure, trialTurn, pods = () => 1 } = options

  const window = createRollingWindow({ buckets: windowBuckets, bucketMs: windowBucketMs })
  let generation = 0
  let opensInARow = restore?.opensInARow ?? 0
  let state: State = restoredState()

  function restoredState(): State {
    const from = restore?.state ?? 'closed'
    if (from === 'forced_open' || from === 'forced_closed') return { name: from }
    // Trials that were under way in another process cannot report here: start over as open, due at once.
    if (from === 'open' || from === 'half_open')
      return { name: 'open', until: clock.now() + (restore?.remainingMs ?? 0) }
    return closed(false)
  }

  function closed(returning: boolean): State {
    return { name: 'closed', since: clock.now(), returning, rowStart: 0, row: 0, step: 0, stepCalls: 0 }
  }

  function enter(next: State) {
    const from = state.name
    if (state.name === 'half_open') state.cancelTimer()
    generation++
    state = next
    if (next.name !== from) onTransition?.(next.name, from)
  }

  function open(retryAfterMs: number) {
    const wait = Math.min(openMs * 2 ** opensInARow, maxOpenMs) * (0.8 + 0.4 * random())
    opensInARow++
    enter({ name: 'open', until: clock.now() + Math.max(wait, Math.min(retryAfterMs, maxOpenMs)) })
  }

  function halfOpen() {
    enter({ name: 'half_open', successes: 0, leases: new Map(), cancelTimer: () => {} })
  }

  function close() {
    window.clear()
    opensInARow = 0
    enter(closed(slowStartStepMs > 0))
  }

  /** A trial whose caller never came back counts as one failure; found by the next caller or by the timer. */
  function expireLeases() {
    if (state.name !== 'half_open') return
    const now = clock.now()
    for (const { end } of state.leases.values()) if (end <= now) return open(0)
  }

  /** One timer, for the lease that ends first. */
  function watchLeases() {
    if (state.name !== 'half_open') return
    state.cancelTimer()
    state.cancelTimer = () => {}
    if (state.leases.size === 0) return
    const first = Math.min(...Array.from(state.leases.values(), ({ end }) => end))
    state.cancelTimer = clock.setTimer(Math.max(first - clock.now(), 0), () => {
      expireLeases()
      watchLeases() // Again, where the platform's timer was a little early.
    })
  }

  function permit(): Permit {
    const born = generation
    let used = false
    let succeededAt: number | undefined
    const self: Permit = {
      report(verdict, retryAfterMs = 0) {
        if (used) return
        used = true
        if (born !== generation) return
        if (verdict === 'success' || verdict === 'slow') succeededAt = clock.now()
        if (state.name === 'closed') reportClosed(state, verdict, retryAfterMs)
        else if (state.name === 'half_open') reportTrial(state, self, verdict, retryAfterMs)
      },
      failedLater() {
        if (succeededAt === undefined || born !== generation) return
        const at = succeededAt
        succeededAt = undefined
        if (state.name === 'closed') brokeLater(state, at)
        else if (state.name === 'half_open') open(0)
      },
    }
    return self
  }

  function reportClosed(current: State & { name: 'closed' }, verdict: Verdict, retryAfterMs: number) {
    if (verdict === 'neutral') return
    const now = clock.now()
    const failed = verdict === 'failure'
    window.add(now, failed, verdict === 'slow')
    if (failed) lengthenRow(current, now)
    else current.row = 0
    if (verdict !== 'success') evaluate(current, now, retryAfterMs)
    if (failed && state === current) onFailure?.()
  }

  /** Not a call more: an upstream that breaks each of its streams fails all calls, not half of them. */
  function brokeLater(current: State & { name: 'closed' }, at: number) {
    const now = clock.now()
    window.turnFailed(at, now)
    lengthenRow(current, now)
    evaluate(current, now, 0)
    if (state === current) onFailure?.()
  }

  function lengthenRow(current: State & { name: 'closed' }, now: number) {
    if (current.row++ === 0) current.rowStart = now
  }

  function evaluate(current: State & { name: 'closed' }, now: number, retryAfterMs: number) {
    const { calls, failures, slow } = window.counts(now)
    const enough = calls >= minCalls
    const rowMs = now - current.rowStart
    if (!enough) {
      if (current.row >= consecutiveFailures && rowMs >= consecutiveSpanMs) open(retryAfterMs)
      return
    }
    // A minute of good calls would hide a sudden outage from the shares for longer than that.
    const suddenOutage = current.row >= Math.max(minCalls, tellingRow(calls)) && rowMs >= suddenSpanMs
    if (suddenOutage || failures / calls >= failureThreshold || slow / calls >= slowThreshold) open(retryAfterMs)
  }

  function reportTrial(current: State & { name: 'half_open' }, trial: Permit, verdict: Verdict, retryAfterMs: number) {
    current.leases.delete(trial)
    if (verdict === 'failure') return open(retryAfterMs)
    if (verdict !== 'neutral' && ++current.successes >= trialCalls) return close()
    watchLeases()
  }

  const hasRoom = (current: State & { name: 'half_open' }) => placesTaken(current) + current.successes < trialCalls

  function placesTaken({ leases }: State & { name: 'half_open' }): number {
    const now = clock.now()
    let taken = 0
    for (const { placeEnd } of leases.values()) if (placeEnd > now) taken++
    return taken
  }

  /** Whatever hangs there, no more are sent after it than if each round of trials had failed. */
  function placeMs(current: State & { name: 'half_open' }): number {
    const overdue = current.leases.size - placesTaken(current)
    return Math.min(openMs * 2 ** Math.floor(overdue / trialCalls), maxOpenMs)
  }

  /** While traffic returns: a floor of calls for quiet upstreams, which is the whole fleet's, a growing share of the rest. */
  function admitReturning(current: State & { name: 'closed' }): boolean {
    const step = Math.floor((clock.now() - current.since) / slowStartStepMs)
    const admitted = slowStartShares[step]
    if (admitted === undefined) {
      current.returning = false
      return true
    }
    if (step !== current.step) Object.assign(current, { step, stepCalls: 0 })
    return ++current.stepCalls <= Math.ceil(minCalls / pods()) || random() < admitted
  }

  return {
    acquire(leaseMs = trialLeaseMs) {
      if (state.name === 'half_open') expireLeases()
      const due = state.name === 'open' && clock.now() >= state.until
      const notNow = due || (state.name === 'half_open' && hasRoom(state)) ? trialTurn?.() : undefined
      if (notNow) return notNow
      if (due) halfOpen()
      switch (state.name) {
        case 'closed':
          if (state.returning && !admitReturning(state)) return { refused: 'slow_start', retryAfterMs: slowStartStepMs }
          return { permit: permit() }
        case 'open':
          return { refused: 'open', retryAfterMs: state.until - clock.now() }
        case 'half_open': {
          if (!hasRoom(state)) return { refused: 'trials_busy', retryAfterMs: trialsBusyMs }
          const trial = permit()
          const now = clock.now()
          state.leases.set(trial, { end: now + leaseMs, placeEnd: now + placeMs(state) })
          watchLeases()
          return { permit: trial }
        }
        case 'forced_open':
          return { refused: 'open', retryAfterMs: openMs }
        case 'forced_closed':
          return { permit: permit() }
      }
    },
    refusesForMs() {
      if (state.name === 'open') return Math.max(state.until - clock.now(), 0)
      if (state.name === 'half_open') return hasRoom(state) ? 0 : trialsBusyMs
      return state.name === 'forced_open' ? openMs : 0
    },
    state: () => state.name,
    placesTaken: () => (state.name === 'half_open' ? placesTaken(state) : 0),
    probeSucceeded() {
      if (state.name === 'open') halfOpen()
    },
    endWait() {
      if (state.name === 'open') state.until = Math.min(state.until, clock.now())
    },
    openEarly(failures) {
      if (state.name !== 'closed' || state.row < failures) return false
      open(0)
      return true
    },
    stayOpen() {
      if (state.name === 'open') open(0)
    },
    recover() {
      if (state.name === 'open' || state.name === 'half_open') close()
    },
    force(to) {
      if (to === 'open') enter({ name: 'forced_open' })
      else if (to === 'closed') enter({ name: 'forced_closed' })
      else if (state.name === 'forced_open' || state.name === 'forced_closed') {
        window.clear()
        opensInARow = 0
        enter(closed(false))
      }
    },
    status() {
      const now = clock.now()
      const { calls, failures } = window.counts(now)
      const nextTrialInMs = state.name === 'open' ? Math.max(state.until - now, 0) : 0
      return { state: state.name, calls, failureRate: calls === 0 ? 0 : failures / calls, nextTrialInMs }
    },
    snapshot() {
      const remainingMs = state.name === 'open' ? Math.max(state.until - clock.now(), 0) : 0
      return { state: state.name, opensInARow, remainingMs }
    },
  }
}

function share(name: string, value: number): number {
  if (!(value > 0 && value <= 1)) throw new TypeError(`${name} must be above 0 and at most 1, got ${value}`)
  return value
}

function positive(name: string, value: number): number {
  if (!(value > 0)) throw new TypeError(`${name} must be above 0, got ${value}`)
  return value
}
