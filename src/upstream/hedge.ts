/**
 * A second call where the first is slower than nearly all before it; the first success wins. For reads that cost
 * nothing and have no vendor's limit: never for inference, a creation, or a market's list.
 */
import type { Clock } from '../ports.ts'
import type { RetryBudget } from '../resilience/retry-budget.ts'

export interface HedgeOptions {
  clock: Clock
  /** Second calls, as a share of all calls. @default 0.05 */
  maxShare?: number
  /** Times to answer that must be known before there is a second call. @default 100 */
  minSamples?: number
  /** Told of each second call: whose answer was taken. */
  onHedged?: (won: 'first' | 'second' | 'neither') => void
}

export interface HedgedOptions {
  /** Of the caller: ends both calls. */
  signal: AbortSignal
  /** A second call is a retry to it. */
  budget: Pick<RetryBudget, 'retry'>
}

export interface Hedge {
  /** The wait before a second call: the 95th percentile of the latest times to answer; undefined = too few known. */
  delayMs(): number | undefined
  /** Each call gets a signal of its own. Where both fail, the failure of the first is thrown. */
  hedged<T>(send: (signal: AbortSignal) => Promise<T>, options: HedgedOptions): Promise<T>
}

const keptTimes = 200
const percentile = 0.95

export function createHedge({ clock, maxShare = 0.05, minSamples = 100, onHedged }: HedgeOptions): Hedge {
  if (!(maxShare >= 0 && maxShare <= 1)) throw new TypeError(`maxShare must be 0 to 1, got ${maxShare}`)
  if (!(minSamples >= 1 && minSamples <= keptTimes)) {
    throw new TypeError(`minSamples must be 1 to ${keptTimes}, got ${minSamples}`)
  }
  /** A ring: `nextTime` is where the oldest stands once it is full. */
  const timesMs: number[] = []
  let nextTime = 0
  /** Second calls that may be made now. Bounded, so that a quiet day does not save up for a burst. */
  let allowed = 0
  const maxAllowed = Math.max(maxShare * keptTimes, 1)

  function note(ms: number) {
    timesMs[nextTime] = ms
    nextTime = (nextTime + 1) % keptTimes
  }

  function delayMs() {
    if (timesMs.length < minSamples) return undefined
    const sorted = timesMs.toSorted((a, b) => a - b)
    return sorted[Math.ceil(percentile * sorted.length) - 1]
  }

  /** What ends a second call's place in the budget; undefined = there must be none. */
  function takeSecond(budget: HedgedOptions['budget']) {
    if (allowed < 1) return undefined
    const end = budget.retry()
    if (end) allowed--
    return end
  }

  return {
    delayMs,
    hedged<T>(send: (signal: AbortSignal) => Promise<T>, { signal, budget }: HedgedOptions): Promise<T> {
      allowed = Math.min(allowed + maxShare, maxAllowed)
      const afterMs = delayMs()
      const startedAt = clock.now()
      const calls: AbortController[] = []
      const onAbort = () => {
        for (const call of calls) call.abort(signal.reason)
      }

      return new Promise<T>((resolve, reject) => {
        let pending = 0
        let firstFailure: { reason: unknown } | undefined
        let stopTimer = () => {}

        const settle = (won: 'first' | 'second' | 'neither') => {
          stopTimer()
          signal.removeEventListener('abort', onAbort)
          if (calls.length > 1) onHedged?.(won)
        }
        const begin = async (which: 'first' | 'second') => {
          const call = new AbortController()
          calls.push(call)
          pending++
          try {
            const value = await send(call.signal)
            if (pending === 0) return // The other one has won, and this one did not obey.
            pending = 0
            // From the first call on, also where the second won: what is left out of the times would make them small.
            note(clock.now() - startedAt)
            settle(which)
            resolve(value)
            for (const other of calls) if (other !== call) other.abort()
          } catch (reason) {
            if (pending === 0) return
            if (which === 'first') firstFailure = { reason }
            if (--pending > 0) return
            settle('neither')
            reject(firstFailure?.reason)
          }
        }

        signal.addEventListener('abort', onAbort, { once: true })
        void begin('first')
        if (signal.aborted) onAbort()
        if (afterMs === undefined || pending === 0) return
        stopTimer = clock.setTimer(afterMs, () => {
          const endSecond = signal.aborted ? undefined : takeSecond(budget)
          if (endSecond) void begin('second').finally(endSecond)
        })
      })
    },
  }
}
