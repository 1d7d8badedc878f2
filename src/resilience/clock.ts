/**
 * Time, handed in. This file is the only one in `src/` that touches the platform's clocks and timers;
 * everything that measures or waits takes a `Clock`.
 */
export interface Clock {
  /** Milliseconds on a clock that never steps; its zero means nothing. */
  now(): number
  /** Milliseconds since 1970 UTC. It may step: use it for dates shown to people and for nothing that waits. */
  wallNow(): number
  /** Runs `fn` once after `ms`, a long one up to 100 ms later; the answer cancels it. */
  setTimer(ms: number, fn: () => void): () => void
}

const longMs = 10_000
const longStepMs = 100

export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimer(ms, fn) {
    // Platforms keep one list of timers for each length: long ones, which hardly ever fire, share a few lengths.
    const timer = setTimeout(fn, ms > longMs ? Math.ceil(ms / longStepMs) * longStepMs : ms)
    return () => clearTimeout(timer)
  },
}

/** Resolves after `ms`; rejects with the signal's reason as soon as it aborts, leaving no timer and no listener. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const onAbort = () => {
      cancel()
      reject(signal.reason)
    }
    const cancel = clock.setTimer(ms, () => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    })
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
