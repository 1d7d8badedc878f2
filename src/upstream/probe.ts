/**
 * Asks an upstream, while one of its circuits is open, whether it is back, so that a blip of two seconds does not cost
 * the breaker's whole wait. The question is a cheap GET; what it earns is trial calls, never a closed circuit.
 *
 * A provider may answer that GET and fail every real call. After a trial that failed on a probe's word, more probes in
 * a row must succeed before the next is believed: 1, 2, 4, then 5.
 */
import type { Clock } from '../ports.ts'
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
}

export interface Probe {
  /** To be called after each change of state of one of the circuits. */
  wake(): void
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
}

const intervalMs = 4_000
const timeoutMs = 2_000
const mostNeeded = 5

export function createProbe({ clock, random, ask, circuits, onAnswer }: ProbeOptions): Probe {
  const doubts = new WeakMap<Circuit, Doubt>()
  let cancelTimer: (() => void) | undefined
  let asking: AbortController | undefined
  let stopped = false

  /** Circuits that wait. One whose wait is over needs no probe: the next call is its trial. */
  function* waiting(): Generator<Circuit> {
    for (const circuit of circuits()) {
      const { state, nextTrialInMs } = circuit.breaker.status()
      if (state === 'open' && nextTrialInMs > 0) yield circuit
    }
  }

  function takeNote(circuit: Circuit) {
    const { state } = circuit.breaker.status()
    const doubt = doubts.get(circuit)
    if (state === 'half_open') {
      // The record is replaced: an answer that is still under way was asked for before the trial.
      if (doubt) doubts.set(circuit, { ...doubt, successes: 0 })
    } else if (state !== 'open') doubts.delete(circuit)
    else if (!doubt) doubts.set(circuit, { needed: 1, successes: 0, believed: false })
    else if (doubt.believed) {
      doubts.set(circuit, { needed: Math.min(doubt.needed * 2, mostNeeded), successes: 0, believed: false })
    }
  }

  function schedule() {
    if (stopped || asking || cancelTimer || waiting().next().done) return
    cancelTimer = clock.setTimer(intervalMs * (0.8 + 0.4 * random()), () => {
      cancelTimer = undefined
      void probe()
    })
  }

  async function probe() {
    const asked = [...waiting()].map((circuit) => [circuit, doubts.get(circuit)] as const)
    if (asked.length === 0) return
    const succeeded = await answers()
    if (stopped) return
    onAnswer?.(succeeded)
    for (const [circuit, doubt] of asked) {
      // Whatever has changed its state meanwhile knows better.
      if (!doubt || doubts.get(circuit) !== doubt) continue
      doubt.successes = succeeded ? doubt.successes + 1 : 0
      if (doubt.successes < doubt.needed) continue
      doubt.believed = true
      circuit.breaker.probeSucceeded()
    }
    schedule()
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
      for (const circuit of circuits()) takeNote(circuit)
      schedule()
    },
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
