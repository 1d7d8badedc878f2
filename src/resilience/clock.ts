/**
 * Time, handed in. This file is the only one in `src/` that touches the platform's clocks and timers;
 * everything that measures or waits takes a `Clock`.
 */
export interface Clock {
  /** Milliseconds on a clock that never steps; its zero means nothing. */
  now(): number
  /** Milliseconds since 1970 UTC. It may step: use it for dates shown to people and for nothing that waits. */
  wallNow(): number
  /** Runs `fn` once after `ms`; the answer cancels it. */
  setTimer(ms: number, fn: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimer(ms, fn) {
    const timer = setTimeout(fn, ms)
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
