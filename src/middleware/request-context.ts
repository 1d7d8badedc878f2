/**
 * The outermost middleware: gives the request its id, answers through the `reply` port, and tells metrics and the log
 * how it ended, be that with the last byte of a stream or with the caller's leaving.
 */
import type { Context, MiddlewareHandler } from 'hono'
import { matchedRoutes } from 'hono/route'
import type { Principal } from '../domain/principal.ts'
import type { AnswerHeaders, Clock, Log, Metrics, Reply, ReplyBody } from '../ports.ts'
import type { RecentRequest } from '../services/recent-requests.ts'
import { instruments } from '../telemetry/instruments.ts'
import type { LogFields } from '../telemetry/log-fields.ts'
import type { Tracer } from '../telemetry/trace.ts'
import type { CallTrace } from '../upstream/guarded-call.ts'

/** One request under way. A class, since one is made for each: methods cost nothing there, closures do. */
export class RequestInFlight {
  readonly id: string
  /** Headers of the answer. Written before it is made: adding to a finished response costs the runtime's fast path. */
  readonly headers: Record<string, string>
  principal: Principal | undefined = undefined
  /** Of what stood for him. */
  credentialDigest: string | undefined = undefined
  /** Tries at upstreams and the time spent on them. */
  readonly trace: CallTrace = { attempts: 0, waitedMs: 0 }
  /** What else the request's log line says. */
  readonly log: LogFields = {}
  /** In all, where the answer said so. */
  tokensUsed: number | undefined = undefined
  streaming = false
  /** Sees the answer before it leaves, with all its headers, and says which body leaves. */
  onAnswer: ((status: number, headers: Readonly<AnswerHeaders>, body: ReplyBody) => ReplyBody) | undefined = undefined
  /** Ends what is done for this request, where that goes on without its caller. */
  ownSignal: AbortSignal | undefined = undefined
  /** The answer has come to its end and is kept, whether or not the caller was there to read it. */
  kept = false
  private readonly startedAt: number
  /** Of a stream, until it began: what is waited for later is the provider's time. */
  private overheadMs: number | undefined = undefined
  private endings: ((status: number) => void)[] | undefined = undefined
  private readonly c: AppContext
  private readonly owner: Owner

  constructor(c: AppContext, owner: Owner) {
    const { clock, newId, isDraining } = owner.options
    this.c = c
    this.owner = owner
    this.startedAt = clock.now()
    this.id = newId()
    this.headers = { 'x-request-id': this.id }
    const { tracer } = owner.options
    if (tracer) this.trace.span = tracer.begin((name) => header(c, name))
    if (isDraining()) this.headers.connection = 'close'
    owner.inFlight++
  }

  /** Aborted when nobody wants the answer any more. Asking for it makes one. */
  get signal(): AbortSignal {
    return this.ownSignal ?? this.c.req.raw.signal
  }

  /** Runs when the answer has ended, in whatever way: with 499 if the caller left before. */
  onEnd(fn: (status: number) => void) {
    this.endings ??= []
    this.endings.push(fn)
  }

  respond(status: number, headers: AnswerHeaders, answer: ReplyBody): Response {
    const { clock, reply } = this.owner.options
    const all: AnswerHeaders = Object.assign(this.headers, headers)
    const body = this.onAnswer ? this.onAnswer(status, all, answer) : answer
    if (body === null || typeof body === 'string' || body instanceof Uint8Array) return reply(status, all, body)
    if (this.c.req.method === 'HEAD') {
      void discard(body)
      return reply(status, all, null)
    }
    this.streaming = true
    this.overheadMs = clock.now() - this.startedAt - this.trace.waitedMs
    return reply(status, all, this.tracked(body, status))
  }

  /** Sees how a body ends. No generator around it: that would be felt at each of its pieces. */
  private tracked(body: AsyncIterable<string | Uint8Array>, status: number): AsyncIterable<string | Uint8Array> {
    const iterator = body[Symbol.asyncIterator]()
    let open = true
    this.owner.streams++
    const end = (ended: boolean) => {
      if (!open) return
      open = false
      this.owner.streams--
      // A caller who left may also be noticed by the relay first, which then just ends.
      this.finish(this.kept || (ended && !this.c.req.raw.signal.aborted) ? status : 499)
    }
    const onNext = (next: IteratorResult<string | Uint8Array, undefined>) => {
      if (next.done) end(true)
      return next
    }
    const onError = (error: unknown) => {
      // Bytes have no room for an error: the connection is cut, and that is the provider's doing, not the caller's.
      this.log.code = 'stream_interrupted'
      end(true)
      throw error
    }
    const tracked: AsyncIterableIterator<string | Uint8Array, undefined> = {
      [Symbol.asyncIterator]: () => tracked,
      next: () => iterator.next().then(onNext, onError),
      async return() {
        try {
          await iterator.return?.()
        } finally {
          end(false)
        }
        return { done: true, value: undefined }
      },
    }
    return tracked
  }

  /** Its connection lives on after the answer, as a tunnel does: the request ends with it. */
  outlive(closed: Promise<void>, status: number) {
    this.streaming = true
    this.overheadMs = this.owner.options.clock.now() - this.startedAt - this.trace.waitedMs
    this.owner.streams++
    void closed.then(() => {
      this.owner.streams--
      this.finish(status)
    })
  }

  /** Since it came, in ms. */
  elapsedMs(): number {
    return this.owner.options.clock.now() - this.startedAt
  }

  finish(status: number) {
    const { clock, metrics } = this.owner.options
    const { c, trace } = this
    this.owner.inFlight--
    if (this.endings) for (const ending of this.endings) ending(status)
    const ms = clock.now() - this.startedAt
    const method = methods.has(c.req.method) ? c.req.method : 'other'
    const route = routeOf(c)
    const { span } = trace
    // A crowd that is refused by load says the same thousands of times a second.
    const usual = (status < 400 || this.log.code === 'overloaded') && !span?.trace.options.context.sampled
    if (span) this.owner.options.tracer!.end(span, status, () => this.described(route, status))
    const oneOf = usual ? (this.owner.options.logOneOf?.() ?? 1) : 1
    const overheadMs = this.overheadMs ?? ms - trace.waitedMs
    metrics.observe(instruments.httpDuration, { method, route }, ms / 1000)
    metrics.observe(instruments.overhead, {}, Math.max(overheadMs, 0) / 1000)
    tell(this.owner, {
      id: this.id,
      callerId: header(c, 'x-request-id'),
      traceId: span?.trace.id,
      method,
      route,
      status,
      ms,
      overheadMs,
      principal: this.principal,
      attempts: trace.attempts,
      log: this.log,
      oneOf: oneOf > 1 && this.owner.unlogged++ % oneOf !== 0 ? undefined : oneOf,
    })
  }

  private described(route: string, status: number) {
    const { c, principal, log } = this
    const method = methods.has(c.req.method) ? c.req.method : '_OTHER'
    const attributes = {
      'http.request.method': method,
      'http.route': route,
      'http.response.status_code': status,
      'gpuproxy.request_id': this.id,
      'gpuproxy.account_id': principal?.accountId,
      'gpuproxy.key_id': principal?.keyId,
      'gpuproxy.code': log.code,
      'gpuproxy.cache': this.headers['x-cache'],
    }
    return { name: `${method} ${route}`, attributes }
  }
}

/** One that has ended. */
interface Ended {
  id: string
  /** The caller's own. */
  callerId: string | undefined
  traceId: string | undefined
  method: string
  route: string
  status: number
  ms: number
  overheadMs: number
  principal: Principal | undefined
  attempts: number
  log: LogFields
  /** It has a line, for so many like it; undefined = it has none. */
  oneOf: number | undefined
}

/** To metrics, operators and the log. */
function tell(owner: Owner, ended: Ended) {
  const { metrics, log, onEnded, clock } = owner.options
  const { id, callerId, method, route, status, ms, overheadMs, principal, attempts, oneOf } = ended
  metrics.count(instruments.httpRequests, { method, route, status: statuses.get(status) ?? 'other' })
  if (status === 504 && ended.log.code === 'deadline_exceeded') metrics.count(instruments.callerDeadlines, {})
  if (!probes.has(route)) {
    onEnded({
      request_id: id,
      at: clock.wallNow(),
      method,
      route,
      status,
      duration_ms: rounded(ms),
      account_id: principal?.accountId,
      key_id: principal?.keyId,
      provider: ended.log.provider as string | undefined,
      attempts,
      code: ended.log.code as string | undefined,
    })
  }
  if (oneOf === undefined) return
  log[probes.has(route) ? 'debug' : 'info']('request', {
    request_id: id,
    caller_request_id: callerId !== undefined && printable.test(callerId) ? callerId : undefined,
    trace_id: ended.traceId,
    method,
    route,
    status,
    duration_ms: rounded(ms),
    overhead_ms: rounded(overheadMs),
    account_id: principal?.accountId,
    key_id: principal?.keyId,
    attempts: attempts || undefined,
    one_of: oneOf > 1 ? oneOf : undefined,
    ...ended.log,
  })
}

/** Nobody reads it, and what it holds is given back: the framework answers HEAD as GET and drops the body unread. */
async function discard(body: AsyncIterable<string | Uint8Array>): Promise<void> {
  const iterator = body[Symbol.asyncIterator]()
  try {
    await iterator.next()
    await iterator.return?.()
  } catch {
    // The status has gone already.
  }
}

interface Owner {
  options: RequestContextOptions
  inFlight: number
  streams: number
  /** Of those of which not all have a line. */
  unlogged: number
  turnedAway: number
}

/** What a runtime hands in with each request. */
export interface Bindings {
  /** The request's headers, names in lower case, where the runtime has them parsed already. */
  headers?: Readonly<Record<string, string | string[] | undefined>>
  /** The other end of the connection: a caller, or a proxy in front. */
  remoteAddress?: string | undefined
  /** What of the request target belongs to the instance it is for, byte for byte. */
  proxiedPath?: string | undefined
  /** There where the caller asks for a WebSocket: what `Tunnel` joins. */
  upgrade?: unknown
  [own: string]: unknown
}
export type AppEnv = { Bindings: Bindings; Variables: { request: RequestInFlight } }
export type AppContext = Context<AppEnv>

export interface RequestContextOptions {
  clock: Clock
  newId: () => string
  metrics: Metrics
  log: Log
  reply: Reply
  isDraining: () => boolean
  /** @default nothing is traced */
  tracer?: Tracer | undefined
  /** Of requests that went well or were refused by load one in so many has its line: writing them takes time that a busy pod lacks. @default 1 */
  logOneOf?: () => number
  /** Told of each request that has ended, but for probes. */
  onEnded: (request: RecentRequest) => void
}

/** A tenant's machine may answer with any number: those that are told apart are few. */
const statuses = new Map(
  [
    ...[101, 200, 201, 202, 204, 205, 206, 301, 302, 303, 304, 307, 308],
    ...[400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 412, 413, 415, 416, 417, 418, 421, 422, 425, 426, 428, 429],
    ...[431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 511],
  ].map((status) => [status, String(status)]),
)
const methods = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'])
/** Asked every few seconds by machines: their log lines would only hide the others. */
const probes = new Set(['/livez', '/readyz', '/startupz', '/health', '/api/v1/health', '/metrics'])
/** Who is turned away is one of a crowd. */
const turnedAwayLogOneOf = 100
const printable = /^[\x21-\x7e]{1,128}$/

export function createRequestContext(options: RequestContextOptions) {
  const owner: Owner = { options, inFlight: 0, streams: 0, unlogged: 0, turnedAway: 0 }

  async function requestContext(c: AppContext, next: () => Promise<void>) {
    const request = new RequestInFlight(c, owner)
    c.set('request', request)
    const { span } = request.trace
    await (span ? options.tracer!.run(span, next) : next())
    if (!request.streaming) request.finish(c.res.status)
  }

  return {
    middleware: requestContext satisfies MiddlewareHandler<AppEnv>,
    /** Tells of one that was refused before it was begun: it took no time that counts, has no span, and seldom a line. */
    turnedAway(request: Pick<Ended, 'id' | 'callerId' | 'method' | 'route' | 'status' | 'principal' | 'log'>) {
      const nothing = { traceId: undefined, ms: 0, overheadMs: 0, attempts: 0 }
      const oneOf = owner.turnedAway++ % turnedAwayLogOneOf === 0 ? turnedAwayLogOneOf : undefined
      tell(owner, { ...request, ...nothing, oneOf })
    },
    inFlight: () => owner.inFlight,
    streams: () => owner.streams,
  }
}

/** A request header. The web's own look-up checks, folds and searches each time: seven of them are felt. */
export function header(c: AppContext, name: string): string | undefined {
  const value = c.env.headers ? c.env.headers[name] : c.req.header(name)
  return Array.isArray(value) ? value[0] : value
}

/** Whether the caller's `Cache-Control` holds a directive that takes no value (RFC 9111 section 5.2.1). */
export function cacheControl(c: AppContext, directive: 'no-cache' | 'no-store'): boolean {
  const value = header(c, 'cache-control')
  return value?.split(',').some((each) => each.trim().toLowerCase() === directive) ?? false
}

/** Either of them: on what all callers share, they mean the same. */
export const wantsFresh = (c: AppContext) => cacheControl(c, 'no-cache') || cacheControl(c, 'no-store')

export function respond(c: AppContext, status: number, headers: AnswerHeaders, body: ReplyBody): Response {
  return c.get('request').respond(status, headers, body)
}

export function respondJson(c: AppContext, status: number, value: unknown): Response {
  return respond(c, status, { 'content-type': 'application/json' }, JSON.stringify(value))
}

/**
 * What somebody else is asked for takes his time, not the gateway's; nor does what is slow on purpose. `isTheirs`: whether
 * anybody was, as the answer tells.
 */
export async function waitedFor<T>(c: AppContext, work: Promise<T>, isTheirs: (value: T) => boolean = always) {
  const request = c.get('request')
  const from = request.elapsedMs()
  let isWaiting = true
  try {
    const value = await work
    isWaiting = isTheirs(value)
    return value
  } finally {
    if (isWaiting) request.trace.waitedMs += request.elapsedMs() - from
  }
}
const always = () => true
/** Of what is kept in memory, which costs nobody's time but ours. */
export const notInMemory = ({ result }: { result: string }) => result !== 'memory'

/** The handler's pattern, also where a check refused before it ran; middleware has patterns that end in a star. */
export function routeOf(c: AppContext): string {
  return matchedRoutes(c).findLast(({ path }) => !path.endsWith('*'))?.path ?? 'unmatched'
}

const rounded = (ms: number) => Math.round(ms * 100) / 100
