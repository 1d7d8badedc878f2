/** The metrics port over prom-client: the catalogue's instruments, Node's own process metrics, and the text page. */
import client from 'prom-client'
import type { Metrics } from '../../src/ports.ts'
import { instruments } from '../../src/telemetry/instruments.ts'

export function createMetrics(): Metrics {
  const registry = new client.Registry()
  client.collectDefaultMetrics({ register: registry })
  // Gauges named like counters, which `promtool check metrics` rightly refuses.
  for (const name of ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']) {
    registry.removeSingleMetric(name)
  }

  const counters = new Map<string, client.Counter>()
  const histograms = new Map<string, client.Histogram>()
  const registers = [registry]
  for (const { kind, name, help, labels, ...rest } of Object.values(instruments)) {
    const common = { name, help, labelNames: [...labels], registers }
    if (kind === 'counter') counters.set(name, new client.Counter(common))
    if (kind === 'histogram' && 'buckets' in rest) {
      histograms.set(name, new client.Histogram({ ...common, buckets: [...rest.buckets] }))
    }
  }

  return {
    count: (instrument, labels, by = 1) => counters.get(instrument.name)?.inc(labels, by),
    observe: (instrument, labels, value) => histograms.get(instrument.name)?.observe(labels, value),
    gauge(instrument, read) {
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
