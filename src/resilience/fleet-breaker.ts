/**
 * A circuit breaker that knows what other pods say of the same circuit. Each pod decides by itself; the others' word only
 * moves a decision that its own calls support:
 *
 * - Open early: a quorum of the others (2, or 30 % of the live pods if that is more) are open by their own calls, and
 *   the latest call here failed as well. One pod that always fails, or the calls of one that is well, open nothing.
 * - Try in turn: a pod whose wait is over asks for the circuit's claim when a call is at hand, and that call waits for
 *   the answer. The holder alone lets calls through, its `trialCalls`. It renews the claim while one of them has its
 *   place, so a pod that dies, or whose trials hang, is followed by another within `claimMs`.
 * - Close together: the holder's success closes all that opened before it; each returns in its own steps.
 * - Stay open: a failed trial keeps the claim taken for the rest of `claimMs`, and then another pod tries. Only when two
 *   pods have failed do all wait anew, longer: the network of one may be what is broken.
 * - The board is not to be reached: each tries for itself, as if it were alone. A pod that is cut off while another holds
 *   the claim is the one case of two that try.
 *
 * What is late does no harm: a grant counts from its asking, and a success closes only what had opened before it.
 */
import {
  type BreakerState,
  type CircuitBreaker,
  type CircuitBreakerOptions,
  createCircuitBreaker,
  type Refusal,
} from './circuit-breaker.ts'
import type { CircuitReport, FleetBoard } from './fleet-board.ts'

export interface FleetBreakerOptions extends Omit<CircuitBreakerOptions, 'trialTurn' | 'onFailure' | 'pods'> {
  fleet: FleetBoard
  /** The same in all pods, and no other circuit's. */
  circuit: string
  /** What it is called in metrics now. */
  name: () => string
}

export interface FleetBreaker extends CircuitBreaker {
  /** Other pods say something else of this circuit. */
  heard(): void
  /** It is not used any more: the others are told nothing of it from here on. */
  retire(): void
}

const leastQuorum = 2
const quorumShare = 0.3
/** A failure of one's own supports others' word for so long. */
const evidenceMs = 10_000
/** Each opening on others' word takes twice as many failures in a row as the one before, until none came for so long. */
const creditMs = 600_000
/** A claim outlives its holder by at most this; it also keeps the tries of different pods apart. */
const claimMs = 5_000
/** The holder stops this much before the board would let another begin. */
const marginMs = 500
const renewMs = 1_500
/** How soon to ask again for what another holds. */
const askAgainMs = 500
const trialsBusyMs = 1_000
/** How long a recovery is told. */
const recoveryMs = 60_000

export function createFleetBreaker({ fleet, circuit, name, ...options }: FleetBreakerOptions): FleetBreaker {
  const { clock, minCalls = 10, trialCalls = 3, onTransition } = options
  /** Since when this pod's own calls have spoken against the upstream, while it is open. */
  let evidenceAt = -Infinity
  let own = false
  let failedAt = -Infinity
  let closedAt = -Infinity
  let claimedUntil = -Infinity
  let askAfter = -Infinity
  let asking: Promise<void> | undefined
  let waiting = 0
  let openedEarlyAt = -Infinity
  let rowNeeded = 1
  /** The others' word is what moves the circuit now. */
  let byOthers = false
  const failers = new Set<string>()
  const known = new WeakSet<CircuitReport>()
  let retired = false
  let stopTelling = () => {}
  let stopRenewing = () => {}

  const breaker = createCircuitBreaker({
    ...options,
    pods: fleet.pods,
    trialTurn,
    onFailure() {
      failedAt = clock.now()
      openEarly()
    },
    onTransition(to, from) {
      if (to === 'open') opened()
      else if (to === 'closed') closed(from)
      tell(to, from)
      onTransition?.(to, from)
    },
  })

  function opened() {
    own = !byOthers
    evidenceAt = clock.now()
    // Where its own trials failed, the next are another pod's: what is broken may be this one's network.
    askAfter = claimedUntil + marginMs + askAgainMs
    claimedUntil = -Infinity
  }

  function closed(from: BreakerState) {
    own = from === 'half_open' && !byOthers
    closedAt = clock.now()
    failers.clear()
  }

  function tell(state: BreakerState, from: BreakerState) {
    if (retired) return // Its last calls are still to report.
    stopTelling()
    stopTelling = () => {}
    if (state === 'closed' && own) {
      stopTelling = clock.setTimer(recoveryMs, () => fleet.tell(circuit, undefined))
    } else if (state !== 'open' && state !== 'half_open') return fleet.tell(circuit, undefined)
    const at = state === 'closed' ? closedAt : evidenceAt
    const until = clock.now() + breaker.status().nextTrialInMs
    fleet.tell(circuit, { name: name(), state, own, byTrials: from === 'half_open', at, until })
  }

  function ledByOthers<T>(move: () => T): T {
    byOthers = true
    const moved = move()
    byOthers = false
    return moved
  }

  function openEarly() {
    const now = clock.now()
    if (breaker.state() !== 'closed' || now - failedAt > evidenceMs || !fleet.reachable()) return
    let votes = 0
    for (const [, report] of fleet.said(circuit)) if (isVote(report, now)) votes++
    if (votes < Math.max(leastQuorum, Math.ceil(quorumShare * fleet.pods()))) return
    const row = now - openedEarlyAt > creditMs ? 1 : rowNeeded
    if (!ledByOthers(() => breaker.openEarly(row))) return
    openedEarlyAt = now
    rowNeeded = Math.min(row * 2, minCalls)
  }

  /** Open by its own calls, since this pod was last closed, and still waiting: an idle pod stays open for ever. */
  function isVote({ state, own, at, until }: CircuitReport, now: number): boolean {
    return own && at > closedAt && (state === 'half_open' || (state === 'open' && until > now))
  }

  function trialTurn(): Refusal | undefined {
    const now = clock.now()
    if (now < claimedUntil || !fleet.reachable()) return undefined
    const refusal: Refusal = { refused: 'trials_busy', retryAfterMs: trialsBusyMs }
    if (!asking && now < askAfter) return refusal
    if (!asking) {
      waiting = 0
      asking = claim().finally(() => {
        asking = undefined
      })
    }
    // As many as may try wait for the answer; a board that does not answer must not hold up a crowd.
    return waiting++ < trialCalls ? { ...refusal, turn: asking } : refusal
  }

  async function claim() {
    const from = clock.now()
    const answer = await fleet.claim(circuit, claimMs)
    if (answer === 'granted') {
      claimedUntil = from + claimMs - marginMs
      stopRenewing()
      stopRenewing = clock.setTimer(renewMs, renew)
    } else {
      if (answer === 'held') claimedUntil = -Infinity
      askAfter = clock.now() + askAgainMs
    }
  }

  /** Not without a trial that is waited for: others may have calls to try with. */
  function renew() {
    const trying = breaker.placesTaken() > 0
    if (!trying && clock.now() >= claimedUntil) return
    stopRenewing = clock.setTimer(renewMs, renew)
    if (trying) void claim()
  }

  function heard() {
    for (const [pod, report] of fleet.said(circuit)) {
      if (known.has(report)) continue
      known.add(report)
      if (report.own && report.byTrials) heardOfTrials(pod, report)
    }
    openEarly()
  }

  function heardOfTrials(pod: string, { state, at }: CircuitReport) {
    if (at <= evidenceAt) return
    if (state === 'closed') return ledByOthers(() => breaker.recover())
    if (state !== 'open' || breaker.state() !== 'open') return
    failers.add(pod)
    if (failers.size < 2) return
    failers.clear()
    breaker.stayOpen()
    tell('open', 'open')
  }

  return {
    ...breaker,
    refusesForMs() {
      const ms = breaker.refusesForMs()
      const trying = ms === 0 && (breaker.state() === 'open' || breaker.state() === 'half_open')
      return trying && clock.now() < askAfter && clock.now() >= claimedUntil && fleet.reachable() ? trialsBusyMs : ms
    },
    probeSucceeded: () => (fleet.reachable() ? breaker.endWait() : breaker.probeSucceeded()),
    heard,
    retire() {
      retired = true
      stopTelling()
      stopRenewing()
      fleet.tell(circuit, undefined)
    },
  }
}
