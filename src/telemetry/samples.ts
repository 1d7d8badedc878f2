/** Metrics as they are read back from their own page: sums over series, and quantiles of what came between two looks. */

export interface Samples {
  /** Of all series of that name that have these labels. */
  sum(name: string, labels?: Record<string, string>): number
  /** Sums by the values of one label. */
  by(name: string, label: string, labels?: Record<string, string>): Map<string, number>
  /** Cumulative counts by upper bound, in order. */
  buckets(name: string, labels?: Record<string, string>): [bound: number, count: number][]
}

interface Series {
  labels: Record<string, string>
  value: number
}

const line = /^([a-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/i
const label = /\b(\w+)="((?:[^"\\]|\\.)*)"/g
const escapes: Record<string, string> = { n: '\n', '"': '"', '\\': '\\' }

export function readSamples(text: string): Samples {
  const series = new Map<string, Series[]>()
  for (const each of text.split('\n')) {
    const [, name, labels = '', value] = line.exec(each) ?? []
    if (name === undefined) continue
    const known = series.get(name) ?? []
    series.set(name, known)
    known.push({ labels: readLabels(labels), value: Number(value) })
  }
  const matching = (name: string, labels: Record<string, string>) => {
    const wanted = Object.entries(labels)
    return (series.get(name) ?? []).filter((each) => wanted.every(([key, value]) => each.labels[key] === value))
  }
  const by = (name: string, of: string, labels: Record<string, string> = {}) => {
    const sums = new Map<string, number>()
    for (const each of matching(name, labels)) {
      const key = each.labels[of] ?? ''
      sums.set(key, (sums.get(key) ?? 0) + each.value)
    }
    return sums
  }
  return {
    sum: (name, labels = {}) => matching(name, labels).reduce((sum, { value }) => sum + value, 0),
    by,
    buckets: (name, labels = {}) =>
      [...by(`${name}_bucket`, 'le', labels)]
        .map(([le, count]): [number, number] => [le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le), count])
        .sort(([a], [b]) => a - b),
  }
}

const readLabels = (text: string) =>
  Object.fromEntries(
    [...text.matchAll(label)].map(([, key, value]) => [
      key!,
      value!.replace(/\\(.)/g, (_, sign: string) => escapes[sign] ?? sign),
    ]),
  )

/** Of what was counted between two looks, as Prometheus reckons it: even within a bucket. Undefined: nothing was. */
export function quantileBetween(
  before: readonly [number, number][],
  now: readonly [number, number][],
  q: number,
): number | undefined {
  const earlier = new Map(before)
  const counts = now.map(([bound, count]): [number, number] => [bound, count - (earlier.get(bound) ?? 0)])
  const total = counts.at(-1)?.[1] ?? 0
  if (total <= 0) return undefined
  const rank = q * total
  let below = 0
  let from = 0
  for (const [bound, count] of counts) {
    if (count >= rank) {
      if (bound === Number.POSITIVE_INFINITY) return from
      return from + ((bound - from) * (rank - below)) / Math.max(count - below, Number.MIN_VALUE)
    }
    below = count
    from = bound
  }
  return from
}
