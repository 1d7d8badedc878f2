/**
 * How long what a stream brings is gathered before it goes on. Nothing while the loop has time to spare: each event leaves
 * as it comes. The fuller the loop, the longer, for reading, checking and writing ten events at once costs little more than
 * one: a pod with too much to do gets more done, its streams a little less smoothly.
 */
import { performance } from 'node:perf_hooks'

export interface Batching {
  /** In ms; 0 = at once. */
  ms(): number
  close(): void
}

/** Of the loop's time: nothing is gathered below the first, and it is gathered for the longest at the second. */
const busy = { from: 0.8, to: 1 }
const longestMs = 40
const sampleMs = 100

export function createBatching(): Batching {
  let ms = 0
  let since = performance.eventLoopUtilization()
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, since)
    since = now
    // Half of the way: gathering makes the loop less busy, and must not be given up for that.
    ms = (ms + batchMsAt(utilization)) / 2
  }, sampleMs).unref()
  return { ms: () => Math.floor(ms), close: () => clearInterval(timer) }
}

/**
 * So long one turn of the loop may hand on what was gathered. Whoever else waits for the loop, as a probe does, is served
 * before the rest: after a long turn all streams are due at once, and would make the next one as long.
 */
export function createTurnBudget({
  maxMs = 15,
  now = () => performance.now(),
  onNextTurn = (fn: () => void): void => void setImmediate(fn),
} = {}) {
  let until: number | undefined
  return function hasTime(): boolean {
    if (until === undefined) {
      until = now() + maxMs
      onNextTurn(() => {
        until = undefined
      })
    }
    return now() < until
  }
}

export function batchMsAt(utilisation: number): number {
  const share = (utilisation - busy.from) / (busy.to - busy.from)
  return longestMs * Math.min(Math.max(share, 0), 1)
}
