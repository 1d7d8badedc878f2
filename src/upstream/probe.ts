/**
 * Asks an upstream, while one of its circuits is open, whether it is back, so that a blip of two seconds does not cost
 * the breaker's whole wait. The question is a cheap GET; what it earns is trial calls, never a closed circuit.
 *
 * A provider may answer that GET and fail every real call. After a trial that failed on a probe's word, more probes in
 * a row must succeed before the next is believed: 1, 2, 4, then 5.
 *
 * One probe at a time serves the fleet: whoever is the first to claim an interval asks, so that a pod whose own network
 * is broken asks only in its turn, and all take the answer for their own.
 */
import type { Clock, FleetBoard } from '../ports.ts'
import type { CircuitReport } from '../resilience/fleet-board.ts'
import type { Circuit } from './upstream.ts'

export interface ProbeOptions {
  clock: Clock
  random: () => number
  /** Whether the upstream answers. A rejection is a no. */
  ask: (signal: AbortSignal) => Promise<boolean>
  /** All that an answer holds for. */
  circuits: () => Iterable<Circuit>
  /** Told of each answer. */
  onAnswer?: (succeeded: boolean) => void
  fleet: FleetBoard
  /** What this is called on the fleet's board. */
  what: string
}

export interface Probe {
  /** To be called after each change of state of one of the circuits. */
  wake(): void
  /** Another pod has asked. */
  heard(): void
  /** For good. */
  stop(): void
}

/** What is known of a circuit that opened; a new record for each time. */
interface Doubt {
  /** Successes in a row that it takes to be believed. */
  needed: number
  successes: number
  /** Trial calls are being let through on a probe's word. */
  believed: boolean
  since: number
}

const intervalMs = 4_000
/** Shorter than the shortest interval, or a pod would find its own claim in the way. */
const claimMs = 3_000
const timeoutMs = 2_000
const mostNeeded = 5

export function createProbe({ clock, random, ask, circuits, onAnswer, fleet, what }: ProbeOptions): Probe {
  const doubts = new WeakMap<Circuit, Doubt>()
  const known = new WeakSet<CircuitReport>()
  let cancelTimer: (() => void) | undefined
  let asking: AbortController | undefined
  let busy = false
  let stopped = false

  /** Circuits that wait. One whose wait is over needs no probe: the next call is its trial. */
  function* waiting(): Generator<Circuit> {
    for (const circuit of circuits()) {
      const { state, nextTrialInMs } = circuit.breaker.status()
      if (state === 'open' && nextTrialInMs > 0) yield circuit
    }
  }

  function takeNote(circuit: Circuit) {
    const { state, nextTrialInMs } = circuit.breaker.status()
    const doubt = doubts.get(circuit)
    const since = clock.now()
    if (state === 'half_open') {
      // The record is replaced: an answer that is still under way was asked for before the trial.
      if (doubt) doubts.set(circuit, { ...doubt, successes: 0, since })
    } else if (state !== 'open') doubts.delete(circuit)
    else if (!doubt) doubts.set(circuit, { needed: 1, successes: 0, believed: false, since })
    // One that waits for nothing has not been tried yet.
    else if (doubt.believed && nextTrialInMs > 0) {
      doubts.set(circuit, { needed: Math.min(doubt.needed * 2, mostNeeded), successes: 0, believed: false, since })
    }
  }

  function schedule() {
    if (stopped || busy || cancelTimer || waiting().next().done) return
    cancelTimer = clock.setTimer(intervalMs * (0.8 + 0.4 * random()), () => {
      cancelTimer = undefined
      void probe()
    })
  }

  async function probe() {
    busy = true
    const mine = !fleet.reachable() || (await fleet.claim(what, claimMs)) === 'granted'
    const asked = [...waiting()].map((circuit) => [circuit, doubts.get(circuit)] as const)
    if (mine && asked.length > 0 && !stopped) {
      const at = clock.now()
      const succeeded = await answers()
      if (stopped) return
      onAnswer?.(succeeded)
      const state = succeeded ? 'closed' : 'open'
      fleet.tell(what, { name: what, state, own: true, byTrials: false, at, until: at })
      // Whatever has changed its state meanwhile knows better.
      for (const [circuit, doubt] of asked) if (doubt === doubts.get(circuit)) believe(circuit, doubt, succeeded)
    }
    busy = false
    schedule()
  }

  function heard() {
    for (const circuit of circuits()) takeNote(circuit)
    for (const [, report] of fleet.said(what)) {
      if (known.has(report)) continue
      known.add(report)
      for (const circuit of waiting()) {
        const doubt = doubts.get(circuit)
        if (doubt && doubt.since < report.at) believe(circuit, doubt, report.state === 'closed')
      }
    }
  }

  function believe(circuit: Circuit, doubt: Doubt | undefined, succeeded: boolean) {
    if (!doubt) return
    doubt.successes = succeeded ? doubt.successes + 1 : 0
    if (doubt.successes < doubt.needed) return
    doubt.believed = true
    circuit.breaker.probeSucceeded()
  }

  async function answers(): Promise<boolean> {
    const controller = new AbortController()
    asking = controller
    const stopTimer = clock.setTimer(timeoutMs, () => controller.abort())
    try {
      return await Promise.race([ask(controller.signal), aborted(controller.signal)])
    } catch {
      // Why it does not answer is for the calls to find out.
      return false
    } finally {
      stopTimer()
      asking = undefined
    }
  }

  return {
    wake() {
      let allClosed = true
      for (const circuit of circuits()) {
        takeNote(circuit)
        allClosed &&= circuit.breaker.state() === 'closed'
      }
      if (allClosed) fleet.tell(what, undefined)
      schedule()
    },
    heard,
    stop() {
      stopped = true
      cancelTimer?.()
      cancelTimer = undefined
      asking?.abort()
    },
  }
}

/** False as soon as the signal aborts, also where whoever was asked does not obey it. */
const aborted = (signal: AbortSignal) =>
  new Promise<false>((resolve) => signal.addEventListener('abort', () => resolve(false), { once: true }))
