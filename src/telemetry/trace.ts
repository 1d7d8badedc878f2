/**
 * What happened to one request, as spans. They are written down while it runs, as cheap as can be, and only at its end
 * it is decided whether anybody gets to see them: so those that failed or were slow are there, however few are sampled.
 */
import { formatTraceparent, parseTraceparent, parseTracestate, type TraceContext } from './trace-context.ts'

export type SpanKind = 'server' | 'client' | 'internal'
/** Names are OpenTelemetry's where it has one. Never a prompt, an answer, a secret. */
export type SpanAttributes = Record<string, string | number | boolean | undefined>

export interface TraceOptions {
  /** In ms, for spans to be told apart. */
  now: () => number
  newSpanId: () => string
  context: TraceContext
  /** Undefined: it began here. */
  parentId: string | undefined
  /** Of other vendors, handed on. */
  state: string | undefined
}

/** Of one request; more would be of a request that went wrong, and say nothing new. */
const maxSpans = 128

export class Trace {
  readonly spans: Span[] = []
  /** Not kept, for there were too many. */
  dropped = 0
  readonly options: TraceOptions
  constructor(options: TraceOptions) {
    this.options = options
  }

  get id() {
    return this.options.context.traceId
  }
}

export class Span {
  readonly trace: Trace
  readonly parent: Span | undefined
  name: string
  readonly kind: SpanKind
  readonly attributes: SpanAttributes
  startedAt: number
  endedAt: number | undefined = undefined
  /** What went wrong, from a small set of words. */
  error: string | undefined = undefined
  private ownId: string | undefined = undefined

  constructor(trace: Trace, parent: Span | undefined, name: string, kind: SpanKind, attributes: SpanAttributes) {
    this.trace = trace
    this.parent = parent
    this.name = name
    this.kind = kind
    this.attributes = attributes
    this.startedAt = trace.options.now()
    if (trace.spans.length < maxSpans) trace.spans.push(this)
    else trace.dropped++
  }

  /** Most spans are never sent anywhere, so that they need no id. */
  get id(): string {
    this.ownId ??= this.trace.options.newSpanId()
    return this.ownId
  }

  child(name: string, kind: SpanKind, attributes: SpanAttributes = {}): Span {
    return new Span(this.trace, this, name, kind, attributes)
  }

  /** What has taken so long until now. */
  past(name: string, ms: number, attributes: SpanAttributes) {
    const span = this.child(name, 'client', attributes)
    span.end()
    span.startedAt = span.endedAt! - ms
  }

  /** The first call counts. */
  end(error?: string) {
    if (this.endedAt !== undefined) return
    this.endedAt = this.trace.options.now()
    this.error ??= error
  }

  /** For a call that is made on behalf of this span. */
  headers(): Record<string, string> {
    const { context, state } = this.trace.options
    const traceparent = formatTraceparent({ ...context, parentId: this.id })
    return state === undefined ? { traceparent } : { traceparent, tracestate: state }
  }
}

/** What a runtime supplies: ids, the span under way where a call is made, and the way out. */
export interface Tracing {
  newTraceId(): string
  newSpanId(): string
  /** Whether a trace that begins here, or goes on from a caller who says so or not, is sampled. */
  isSampled(traceId: string, callerSays: boolean | undefined): boolean
  /** An answer later than this, in ms, is kept whether it is sampled or not. */
  slowMs: number
  run<T>(span: Span, fn: () => T): T
  current(): Span | undefined
  /** Takes what has ended, keeps a bounded number of them, and never waits. */
  take(trace: Trace): void
}

export interface Tracer {
  /** The server's span of a request with these headers. */
  begin(header: (name: string) => string | undefined): Span
  /** Of what is not sampled, only the tries are seen: for those the span is handed on by hand. */
  run<T>(span: Span, fn: () => T): T
  /** `describe` is asked for the root's name and attributes only where the trace is kept. */
  end(root: Span, status: number, describe: () => { name: string; attributes: SpanAttributes }): void
}

export function createTracer(tracing: Tracing, now: () => number): Tracer {
  return {
    begin(header) {
      const caller = parseTraceparent(header('traceparent'))
      const traceId = caller?.traceId ?? tracing.newTraceId()
      const trace = new Trace({
        now,
        newSpanId: tracing.newSpanId,
        context: {
          traceId,
          parentId: '',
          sampled: tracing.isSampled(traceId, caller?.sampled),
          random: caller?.random ?? true,
        },
        parentId: caller?.parentId,
        state: caller && parseTracestate(header('tracestate')),
      })
      return new Span(trace, undefined, 'request', 'server', {})
    },
    // Handing the span on to whatever is awaited costs more than all the rest: it is done for those that are sampled.
    run: (span, fn) => (span.trace.options.context.sampled ? tracing.run(span, fn) : fn()),
    end(root, status, describe) {
      const { trace } = root
      root.end(status >= 500 ? String(status) : undefined)
      const { sampled } = trace.options.context
      if (!sampled && status < 500 && root.endedAt! - root.startedAt < tracing.slowMs) return
      const { name, attributes } = describe()
      root.name = name
      Object.assign(root.attributes, attributes)
      for (const span of trace.spans) span.end()
      tracing.take(trace)
    },
  }
}

/** The port with a span for each call of these methods, while there is one to be its parent. */
export function withSpans<P extends object>(
  port: P,
  tracing: Tracing | undefined,
  system: string,
  methods: readonly (keyof P & string)[],
  attributesOf: (value: unknown) => SpanAttributes = () => ({}),
): P {
  if (!tracing) return port
  const traced = Object.create(port) as Record<string, unknown>
  for (const method of methods) {
    const call = port[method] as (...args: unknown[]) => unknown
    traced[method] = (...args: unknown[]) => {
      const parent = tracing.current()
      if (!parent) return call.apply(port, args)
      const span = parent.child(`${system} ${method}`, system === 'cache' ? 'internal' : 'client')
      const ended = (value: unknown) => {
        Object.assign(span.attributes, attributesOf(value))
        span.end()
        return value
      }
      const failed = (error: unknown) => {
        span.end(error instanceof Error ? error.name : 'error')
        throw error
      }
      const value = tracing.run(span, () => call.apply(port, args))
      return value instanceof Promise ? value.then(ended, failed) : ended(value)
    }
  }
  return traced as P
}
