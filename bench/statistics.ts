/** The arithmetic of the result tables. */

export interface Spread {
  median: number
  min: number
  max: number
}

/** Nearest rank: the smallest value that at least `percent` of all values do not pass. NaN when there is none. */
export function percentile(sorted: ArrayLike<number>, percent: number): number {
  if (sorted.length === 0) return Number.NaN
  const rank = Math.ceil((percent / 100) * sorted.length)
  return sorted[Math.min(Math.max(rank, 1), sorted.length) - 1] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length % 2 === 1) return sorted[middle] ?? Number.NaN
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/** Round by round, so that what disturbs the machine for a while disturbs both sides of a ratio. */
export function roundRatios(ours: readonly number[], theirs: readonly number[]): number[] {
  if (ours.length !== theirs.length) throw new TypeError(`${ours.length} rounds against ${theirs.length}`)
  return ours.map((value, round) => value / (theirs[round] ?? Number.NaN))
}

/** Adds up counts by name, as in `{ 429: 3 }`. */
export function addCounts(all: readonly Record<string, number>[]): Record<string, number> {
  const sum: Record<string, number> = {}
  for (const counts of all) for (const [name, count] of Object.entries(counts)) sum[name] = (sum[name] ?? 0) + count
  return sum
}

export const total = (counts: Record<string, number>) => Object.values(counts).reduce((sum, count) => sum + count, 0)

/** Welch's t of two samples: how many standard errors their means are apart. NaN where one has fewer than two values. */
export function welchT(a: readonly number[], b: readonly number[]): number {
  const [first, second] = [moments(a), moments(b)]
  return (first.mean - second.mean) / Math.sqrt(first.variance / a.length + second.variance / b.length)
}

function moments(values: readonly number[]): { mean: number; variance: number } {
  let mean = 0
  let squares = 0
  for (const [i, value] of values.entries()) {
    const off = value - mean
    mean += off / (i + 1)
    squares += off * (value - mean)
  }
  return { mean, variance: squares / (values.length - 1) }
}
