/**
 * The outermost middleware: gives the request its id, answers through the `reply` port, and tells metrics and the log
 * how it ended, be that with the last byte of a stream or with the caller's leaving.
 */
import type { Context, MiddlewareHandler } from 'hono'
import { routePath } from 'hono/route'
import type { Principal } from '../domain/principal.ts'
import type { Clock, Log, Metrics, Reply, ReplyBody } from '../ports.ts'
import { instruments } from '../telemetry/instruments.ts'
import type { LogFields } from '../telemetry/log-fields.ts'
import type { CallTrace } from '../upstream/guarded-call.ts'

export interface RequestContext {
  id: string
  /** Headers of the answer. Written before it is made: adding to a finished response costs the runtime's fast path. */
  headers: Record<string, string>
  principal: Principal | undefined
  /** Tries at upstreams and the time spent on them. */
  trace: CallTrace
  /** What else the request's log line says. */
  log: LogFields
  /** Runs when the answer has ended, in whatever way. */
  onEnd(fn: () => void): void
}

/** What a runtime hands in with each request. */
export interface Bindings {
  /** The request's headers, names in lower case, where the runtime has them parsed already. */
  headers?: Readonly<Record<string, string | string[] | undefined>>
  [own: string]: unknown
}
export type AppEnv = { Bindings: Bindings; Variables: { request: RequestInFlight } }
export type AppContext = Context<AppEnv>

interface RequestInFlight extends RequestContext {
  respond(status: number, headers: Record<string, string>, body: ReplyBody): Response
}

export interface RequestContextOptions {
  clock: Clock
  newId: () => string
  metrics: Metrics
  log: Log
  reply: Reply
  isDraining: () => boolean
}

const methods = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'])
/** Asked every few seconds by machines: their log lines would only hide the others. */
const probes = new Set(['/livez', '/readyz', '/startupz', '/health', '/api/v1/health', '/metrics'])
const printable = /^[\x21-\x7e]{1,128}$/

export function createRequestContext(options: RequestContextOptions): {
  middleware: MiddlewareHandler<AppEnv>
  inFlight: () => number
  streams: () => number
} {
  const { clock, newId, metrics, log, reply, isDraining } = options
  let inFlight = 0
  let streams = 0

  async function requestContext(c: AppContext, next: () => Promise<void>) {
    const startedAt = clock.now()
    const id = newId()
    const trace: CallTrace = { attempts: 0, waitedMs: 0 }
    const endings: (() => void)[] = []
    let streaming = false
    let firstByteMs: number | undefined
    const caller = header(c, 'x-request-id')

    const finish = (status: number) => {
      inFlight--
      for (const ending of endings) ending()
      const ms = clock.now() - startedAt
      const method = methods.has(c.req.method) ? c.req.method : 'other'
      const route = routeOf(c)
      const overheadMs = (firstByteMs ?? ms) - trace.waitedMs
      metrics.count(instruments.httpRequests, { method, route, status: String(status) })
      metrics.observe(instruments.httpDuration, { method, route }, ms / 1000)
      metrics.observe(instruments.overhead, {}, Math.max(overheadMs, 0) / 1000)
      log[probes.has(route) ? 'debug' : 'info']('request', {
        request_id: id,
        caller_request_id: caller !== undefined && printable.test(caller) ? caller : undefined,
        method,
        route,
        status,
        duration_ms: rounded(ms),
        overhead_ms: rounded(overheadMs),
        account_id: request.principal?.accountId,
        key_id: request.principal?.keyId,
        attempts: trace.attempts || undefined,
        ...request.log,
      })
    }

    async function* tracked(body: AsyncIterable<string | Uint8Array>, status: number) {
      streams++
      let ended = false
      try {
        yield* body
        ended = true
      } finally {
        streams--
        // A caller who left may also be noticed by the relay first, which then just ends.
        finish(ended && !c.req.raw.signal.aborted ? status : 499)
      }
    }

    const request: RequestInFlight = {
      id,
      headers: { 'x-request-id': id, ...(isDraining() && { connection: 'close' }) },
      principal: undefined,
      trace,
      log: {},
      onEnd: (fn) => endings.push(fn),
      respond(status, headers, body) {
        const all = Object.assign(request.headers, headers)
        if (body === null || typeof body === 'string' || body instanceof Uint8Array) return reply(status, all, body)
        streaming = true
        firstByteMs = clock.now() - startedAt
        return reply(status, all, tracked(body, status))
      },
    }
    c.set('request', request)
    inFlight++
    await next()
    if (!streaming) finish(c.res.status)
  }

  return { middleware: requestContext, inFlight: () => inFlight, streams: () => streams }
}

/** A request header. The web's own look-up checks, folds and searches each time: seven of them are felt. */
export function header(c: AppContext, name: string): string | undefined {
  const value = c.env.headers ? c.env.headers[name] : c.req.header(name)
  return Array.isArray(value) ? value[0] : value
}

export function respond(c: AppContext, status: number, headers: Record<string, string>, body: ReplyBody): Response {
  return c.get('request').respond(status, headers, body)
}

export function respondJson(c: AppContext, status: number, value: unknown): Response {
  return respond(c, status, { 'content-type': 'application/json' }, JSON.stringify(value))
}

function routeOf(c: AppContext): string {
  const route = routePath(c, -1)
  return route.endsWith('*') ? 'unmatched' : route
}

const rounded = (ms: number) => Math.round(ms * 100) / 100
