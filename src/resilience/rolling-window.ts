/** Counts of outcomes over a sliding stretch of time: a ring of buckets, each emptied when its turn comes round again. */
export interface WindowCounts {
  calls: number
  failures: number
  slow: number
}

export interface RollingWindow {
  add(now: number, failed: boolean, slow: boolean): void
  /** A success added at `at` has turned out to be a failure. One that has left the window counts as a new call. */
  turnFailed(at: number, now: number): void
  counts(now: number): WindowCounts
  clear(): void
}

/** Older than every bucket, whatever the clock's zero means. */
const never = -Infinity

export function createRollingWindow({ buckets, bucketMs }: { buckets: number; bucketMs: number }): RollingWindow {
  const ring = Array.from({ length: buckets }, () => ({ index: never, calls: 0, failures: 0, slow: 0 }))
  const indexOf = (time: number) => Math.floor(time / bucketMs)
  const bucketOf = (index: number) => ring[((index % buckets) + buckets) % buckets]!

  const add = (now: number, failed: boolean, slow: boolean) => {
    const index = indexOf(now)
    const bucket = bucketOf(index)
    if (bucket.index !== index) Object.assign(bucket, { index, calls: 0, failures: 0, slow: 0 })
    bucket.calls++
    if (failed) bucket.failures++
    if (slow) bucket.slow++
  }

  return {
    add,
    turnFailed(at, now) {
      const index = indexOf(at)
      const bucket = bucketOf(index)
      if (bucket.index === index && index > indexOf(now) - buckets) bucket.failures++
      else add(now, true, false)
    },
    counts(now) {
      const newest = indexOf(now)
      const sum = { calls: 0, failures: 0, slow: 0 }
      for (const bucket of ring) {
        if (bucket.index <= newest - buckets) continue
        sum.calls += bucket.calls
        sum.failures += bucket.failures
        sum.slow += bucket.slow
      }
      return sum
    },
    clear() {
      for (const bucket of ring) bucket.index = never
    },
  }
}
