/** The metrics port over prom-client: the catalogue's instruments, Node's own process metrics, and the text page. */
import client from 'prom-client'
import type { Metrics } from '../../src/ports.ts'
import { type Counter, firstSeries, instruments } from '../../src/telemetry/instruments.ts'

/** `business`: with the instruments that tell of the operator's business. @default false: as if there were none */
export function createMetrics({ business = false }: { business?: boolean } = {}): Metrics {
  const registry = new client.Registry()
  client.collectDefaultMetrics({ register: registry })
  // Gauges named like counters, which `promtool check metrics` rightly refuses.
  for (const name of ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']) {
    registry.removeSingleMetric(name)
  }

  const counters = new Map<string, Map<string, Cell>>()
  const histograms = new Map<string, Histogram>()
  const registers = [registry]
  for (const instrument of Object.values(instruments)) {
    if ('business' in instrument && !business) continue
    const { kind, name, help, labels, ...rest } = instrument
    const common = { name, help, labelNames: [...labels], registers }
    if (kind === 'counter') counters.set(name, registerCounter(common))
    if (kind === 'histogram' && 'buckets' in rest) {
      histograms.set(name, registerHistogram(registry, { name, help, buckets: rest.buckets }))
    }
  }

  const count = (instrument: Counter, labels: Record<string, string>, by = 1) => {
    const cells = counters.get(instrument.name)
    const key = keyOf(instrument, labels)
    const cell = cells?.get(key)
    if (cell) cell.value += by
    else cells?.set(key, { labels, value: by })
  }
  for (const instrument of Object.values(instruments)) {
    if (instrument.kind === 'counter') for (const labels of firstSeries(instrument)) count(instrument, labels, 0)
  }

  return {
    count,
    observe(instrument, labels: Record<string, string>, value) {
      const histogram = histograms.get(instrument.name)
      if (!histogram) return
      const key = keyOf(instrument, labels)
      let series = histogram.series.get(key)
      if (!series) {
        series = { labels, counts: new Array(instrument.buckets.length + 1).fill(0), sum: 0 }
        histogram.series.set(key, series)
      }
      let bucket = 0
      while (bucket < instrument.buckets.length && value > instrument.buckets[bucket]!) bucket++
      series.counts[bucket]!++
      series.sum += value
    },
    gauge(instrument, read) {
      if (instrument.business && !business) return
      const gauge = new client.Gauge({
        name: instrument.name,
        help: instrument.help,
        labelNames: [...instrument.labels],
        registers,
        collect() {
          gauge.reset()
          for (const [labels, value] of read()) gauge.set(labels, value)
        },
      })
    },
    render: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  }
}

/** A single label's value is its own key: joining makes a new text, which would have to be hashed for each count. */
function keyOf(instrument: { labels: readonly string[] }, labels: Record<string, string>): string {
  if (instrument.labels.length === 1) return labels[instrument.labels[0]!]!
  let key = ''
  for (const label of instrument.labels) key += `${labels[label]}\n`
  return key
}

interface Cell {
  labels: Record<string, string>
  value: number
}

/** Counts in plain cells, which the library is given at each scrape: its own way of counting costs three times as much. */
function registerCounter(options: client.CounterConfiguration<string>): Map<string, Cell> {
  const cells = new Map<string, Cell>()
  new client.Counter({
    ...options,
    collect() {
      this.reset()
      for (const { labels, value } of cells.values()) this.inc(labels, value)
    },
  })
  return cells
}

interface Histogram {
  series: Map<string, Series>
}

interface Series {
  labels: Record<string, string>
  /** For each bucket, and at the end for what is above them all; not cumulative. */
  counts: number[]
  sum: number
}

/** Likewise. The library has no way to be given a histogram, so this registers what its registry asks of a metric. */
function registerHistogram(
  registry: client.Registry,
  { name, help, buckets }: { name: string; help: string; buckets: readonly number[] },
): Histogram {
  const series = new Map<string, Series>()
  const values = function* () {
    for (const { labels, counts, sum } of series.values()) {
      let total = 0
      for (const [i, count] of counts.entries()) {
        total += count
        yield { metricName: `${name}_bucket`, labels: { le: buckets[i] ?? '+Inf', ...labels }, value: total }
      }
      yield { metricName: `${name}_sum`, labels, value: sum }
      yield { metricName: `${name}_count`, labels, value: total }
    }
  }
  const get = async () => ({ name, help, type: 'histogram', aggregator: 'sum', values: [...values()] })
  registry.registerMetric({ name, get } as unknown as client.Metric)
  return { series }
}
