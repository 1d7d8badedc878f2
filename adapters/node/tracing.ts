/**
 * Traces to an OpenTelemetry collector, in OTLP over HTTP. Its packages are loaded only where one is configured, and
 * read the other standard variables (headers, timeouts, certificates) by themselves.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { randomFillSync } from 'node:crypto'
import type { HrTime, SpanContext } from '@opentelemetry/api'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import type { Config } from '../../src/config.ts'
import type { Clock, Log } from '../../src/ports.ts'
import type { Span, Trace, Tracing } from '../../src/telemetry/trace.ts'

export interface NodeTracing extends Tracing {
  /** Sends what is still here. */
  close(): Promise<void>
}

export interface TracingOptions {
  config: Config
  version: string
  clock: Clock
  log: Log
}

const kinds = { internal: 0, server: 1, client: 2 } as const
const unset = { code: 0 } as const
/** What is sent at the end of the process may take so long; a collector that is away must not hold up the pod's end. */
const closeTimeoutMs = 3_000

/** Undefined: no collector is configured, and nothing is traced. */
export async function openTracing({ config, version, clock, log }: TracingOptions): Promise<NodeTracing | undefined> {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: base, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: whole } = config
  const url = whole ?? (base && `${base}/v1/traces`)
  if (url === undefined || config.OTEL_SDK_DISABLED) return undefined
  const [{ BatchSpanProcessor, SamplingDecision, TraceIdRatioBasedSampler }, { OTLPTraceExporter }, resources, api] =
    await Promise.all([
      import('@opentelemetry/sdk-trace'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/api'),
    ])
  const tell = (message: string) => log.warn('traces are not taken', { detail: message.slice(0, 200) })
  const ignore = () => {}
  api.diag.setLogger(
    { error: tell, warn: tell, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: api.DiagLogLevel.WARN, suppressOverrideMessage: true },
  )
  const resource = resources
    .resourceFromAttributes({
      'service.name': config.OTEL_SERVICE_NAME,
      'service.version': version,
      'service.instance.id': config.HOSTNAME,
    })
    .merge(resources.detectResources({ detectors: [resources.resourceAttributesEnvDetector] }))
  const processor = new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url }) })
  const ratio = new TraceIdRatioBasedSampler(config.OTEL_TRACES_SAMPLER_ARG)
  const byRatio = (traceId: string) =>
    ratio.shouldSample(api.ROOT_CONTEXT, traceId).decision === SamplingDecision.RECORD_AND_SAMPLED
  const [, parentBased, sampler] = /^(parentbased_)?(.+)$/.exec(config.OTEL_TRACES_SAMPLER)!
  const scope = { name: 'aiserve-gpuproxy', version }
  const storage = new AsyncLocalStorage<Span>()

  return {
    newTraceId: () => randomHex(16),
    newSpanId: () => randomHex(8),
    isSampled(traceId, callerSays) {
      if (parentBased && callerSays !== undefined) return callerSays
      return sampler === 'always_on' || (sampler === 'traceidratio' && byRatio(traceId))
    },
    slowMs: config.TRACE_SLOW,
    run: (span, fn) => storage.run(span, fn),
    current: () => storage.getStore(),
    take(trace) {
      // One for all of them: the two clocks tick apart, and a span must not seem to begin before its parent.
      const wallAheadMs = clock.wallNow() - clock.now()
      for (const span of trace.spans) processor.onEnd(readable(trace, span, { resource, scope, wallAheadMs }))
    },
    async close() {
      let cancel = () => {}
      const late = new Promise<void>((resolve) => {
        cancel = clock.setTimer(closeTimeoutMs, resolve)
      })
      await Promise.race([processor.shutdown().catch((error: Error) => tell(error.message)), late])
      cancel()
    },
  }
}

interface Shared {
  resource: ReadableSpan['resource']
  scope: { name: string; version: string }
  /** Of the clock that spans are timed by. */
  wallAheadMs: number
}

function readable(trace: Trace, span: Span, { resource, scope, wallAheadMs }: Shared): ReadableSpan {
  const { traceId } = trace.options.context
  // What got here is kept, sampled or not.
  const contextOf = (spanId: string): SpanContext => ({ traceId, spanId, traceFlags: 1 })
  const parentId = span.parent ? span.parent.id : trace.options.parentId
  const { startedAt, endedAt = startedAt, error } = span
  return {
    name: span.name,
    kind: kinds[span.kind],
    spanContext: () => contextOf(span.id),
    ...(parentId !== undefined && { parentSpanContext: contextOf(parentId) }),
    startTime: hrTime(wallAheadMs + startedAt),
    endTime: hrTime(wallAheadMs + endedAt),
    duration: hrTime(endedAt - startedAt),
    status: error === undefined ? unset : { code: 2, message: error },
    attributes: error === undefined ? span.attributes : { ...span.attributes, 'error.type': error },
    links: [],
    events: [],
    ended: true,
    resource,
    instrumentationScope: scope,
    droppedAttributesCount: 0,
    droppedEventsCount: span.parent ? 0 : trace.dropped,
    droppedLinksCount: 0,
  }
}

const hrTime = (ms: number): HrTime => {
  const seconds = Math.floor(ms / 1_000)
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)]
}

/** Drawn many at a time: one draw from the system costs as much as a hundred ids. */
const pool = Buffer.alloc(4_096)
let used = pool.length

function randomHex(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  const hex = pool.toString('hex', used - bytes, used)
  return /^0+$/.test(hex) ? randomHex(bytes) : hex
}
