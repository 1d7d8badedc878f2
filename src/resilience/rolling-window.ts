/** Counts of outcomes over a sliding stretch of time: a ring of buckets, each emptied when its turn comes round again. */
export interface WindowCounts {
  calls: number
  failures: number
  slow: number
}

export interface RollingWindow {
  add(now: number, failed: boolean, slow: boolean): void
  counts(now: number): WindowCounts
  clear(): void
}

export function createRollingWindow({ buckets, bucketMs }: { buckets: number; bucketMs: number }): RollingWindow {
  const ring = Array.from({ length: buckets }, () => ({ index: -1, calls: 0, failures: 0, slow: 0 }))

  return {
    add(now, failed, slow) {
      const index = Math.floor(now / bucketMs)
      const bucket = ring[((index % buckets) + buckets) % buckets]!
      if (bucket.index !== index) Object.assign(bucket, { index, calls: 0, failures: 0, slow: 0 })
      bucket.calls++
      if (failed) bucket.failures++
      if (slow) bucket.slow++
    },
    counts(now) {
      const newest = Math.floor(now / bucketMs)
      const sum = { calls: 0, failures: 0, slow: 0 }
      for (const bucket of ring) {
        if (bucket.index <= newest - buckets || bucket.index > newest) continue
        sum.calls += bucket.calls
        sum.failures += bucket.failures
        sum.slow += bucket.slow
      }
      return sum
    },
    clear() {
      for (const bucket of ring) bucket.index = -1
    },
  }
}
