/**
 * Composition root of the worker at the edge: the door, then the HTTP cache, then the regions. It runs in any runtime that
 * has the web's `Request` and `Response`.
 */
import { createHttpCache, type HttpCacheStore } from './cache/http/http-cache.ts'
import { createCors, isPreflight } from './domain/cors.ts'
import { parseProxiedTarget } from './domain/proxied-path.ts'
import type { EdgeConfig } from './edge/config.ts'
import { createDoor, type Visitor } from './edge/door.ts'
import { createRegions, type RegionalRequest } from './edge/regions.ts'
import { ApiError, openAiError, problemDetails } from './errors.ts'
import type { Clock } from './resilience/clock.ts'

export interface EdgePorts {
  clock: Clock
  random: () => number
  newId: () => string
  digest: (text: string) => Promise<string>
  /** Asks a region; does not follow redirects. @throws NotSent where no byte has left */
  ask: (request: Request) => Promise<Response>
  store: HttpCacheStore
  /** Of what was not foreseen: the caller is told its request's id and no more. */
  onUnexpected: (error: unknown, requestId: string) => void
}

export interface EdgeContext {
  /** The other end of the connection. */
  address: string
  /** Goes on after the answer has left. */
  background: (work: Promise<unknown>) => void
}

export interface Edge {
  fetch: (request: Request, context: EdgeContext) => Promise<Response>
}

const purgePath = '/edge/purge'
const maxTags = 100

/** A longer body goes through as it comes, to one region. */
const maxWholeBytes = 1024 * 1024
/** How long the origin's word for a token is good: what it revokes is refused everywhere within that time. */
const acceptedMs = 5_000
/** So long ago at most, where the origin cannot say: as it does itself while its database is away. */
const coverMs = 5 * 60_000
const maxAccepted = 10_000
/** Between two neighbours only (RFC 9110 section 7.6.1), and what the edge says of the caller itself. */
const notForwarded = [
  ...['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer'],
  ...[
    'transfer-encoding',
    'host',
    'x-forwarded-for',
    'x-forwarded-host',
    'x-forwarded-proto',
    'x-real-ip',
    'forwarded',
  ],
]
const always: Record<string, string> = {
  'strict-transport-security': 'max-age=31536000',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
}
/** Where the origin asks nobody who he is: a 200 from there says nothing of his credential. */
const openPaths = ['/api/v1/health', '/api/v1/auth', '/api/v1/webhooks', '/api/v1/receipts/keys']
const authenticates = ({ url }: Request) => {
  const { pathname } = new URL(url)
  // The origin decodes a path before it looks: one that is spelt so is none of those that anybody needs.
  const isOpen =
    pathname.includes('%') || openPaths.some((path) => pathname === path || pathname.startsWith(`${path}/`))
  return !isOpen && (pathname.startsWith('/v1/') || pathname.startsWith('/api/v1/'))
}
const stored = new Set(['HIT', 'STALE', 'REVALIDATED'])
const empty = new Set([101, 204, 205, 304])

export function createEdge(config: EdgeConfig, ports: EdgePorts): Edge {
  const { clock, newId } = ports
  const door = createDoor({ config, ...ports })
  const cors = createCors(config.CORS_ORIGINS ?? [])
  const regions = createRegions({ origins: config.ORIGINS, ...ports })
  const accepted = new Map<string, number>()
  const cache = createHttpCache({
    store: ports.store,
    clock,
    refuse: (request, why) =>
      errorResponse(request, new ApiError(why === 'only_if_cached' ? 'not_cached' : 'stale_unusable'), newId()),
  })

  async function answer(request: Request, context: EdgeContext, id: string) {
    const visitor = await door.admit(request, context.address)
    if (new URL(request.url).pathname === purgePath) return { response: await purge(request), use: 'bypass' as const }
    const { body, isWhole } = await readBody(request)
    const next = async (asked: Request): Promise<Response> => {
      const askedAt = clock.now()
      const response = await regions.send(regional(asked, body, visitor, context.address, id))
      if (visitor.isMember && response.ok && authenticates(asked)) accept(visitor.caller!, askedAt)
      if (visitor.isMember && response.status === 401) accepted.delete(visitor.caller!)
      return response
    }
    const { upgrade } = Object.fromEntries(request.headers)
    // A key is the origin's to know and to count, a console's cookie too, and a tunnel's answer is its own.
    if (upgrade !== undefined || (visitor.hasCredential && !visitor.isMember) || !isWhole) {
      return { response: await next(request), use: 'bypass' as const }
    }
    const { background } = context
    if (!visitor.isMember) return cache.handle(request, next, { background })
    const heard = clock.now() - (accepted.get(visitor.caller!) ?? Number.NEGATIVE_INFINITY)
    const options = { background, group: 'members', ask: heard >= acceptedMs, cover: heard < coverMs } as const
    return cache.handle(request, next, options)
  }

  /** Dated when it was asked: an answer that took minutes says who he was before them. */
  function accept(caller: string, askedAt: number) {
    const before = accepted.get(caller) ?? askedAt
    accepted.delete(caller)
    accepted.set(caller, Math.max(askedAt, before))
    const [oldest] = accepted.keys()
    if (accepted.size > maxAccepted && oldest !== undefined) accepted.delete(oldest)
  }

  /** `{"tags": [...]}`: what carries one of them is asked for anew. By whoever has the token, in this place's cache. */
  async function purge(request: Request): Promise<Response> {
    const given = /^bearer +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1] ?? ''
    const { PURGE_TOKEN: token } = config
    // Digests, so that the time to compare says nothing of the token.
    if (token === undefined || (await ports.digest(given)) !== (await ports.digest(token))) {
      throw new ApiError('unknown_route')
    }
    const { tags } = (await request.json().catch(() => ({}))) as { tags?: unknown }
    const isList = Array.isArray(tags) && tags.length <= maxTags && tags.every((tag) => typeof tag === 'string')
    if (!isList) throw new ApiError('invalid_body', { message: `Send {"tags": [...]}, at most ${maxTags} texts.` })
    for (const tag of tags) await cache.purge(tag)
    return new Response(null, { status: 204 })
  }

  return {
    fetch: async (request, context) => {
      const id = newId()
      const { method, headers } = request
      if (isPreflight(method, headers.get('access-control-request-method')) && !isForMachine(request)) {
        return finished(new Response(null, { status: 204, headers: cors.preflight(originOf(request)) }), request, id)
      }
      try {
        const { response, use } = await answer(request, context, id)
        if (response.status === 101) return response
        return finished(response, request, id, use.toUpperCase())
      } catch (error) {
        if (!(error instanceof ApiError) && request.signal.aborted) throw error
        if (error instanceof ApiError) return finished(errorResponse(request, error, id), request, id)
        ports.onUnexpected(error, id)
        return finished(errorResponse(request, new ApiError('internal'), id), request, id)
      }
    },
  }

  function finished(response: Response, request: Request, id: string, use?: string): Response {
    const headers = new Headers(response.headers)
    for (const [name, value] of Object.entries(always)) if (!headers.has(name)) headers.set(name, value)
    // The origin's own, where it has answered just now; it has ours in its log.
    if (!headers.has('x-request-id') || stored.has(use ?? '')) headers.set('x-request-id', id)
    if (use !== undefined) headers.set('x-edge-cache', use)
    const ofPages = isForMachine(request) ? {} : cors.headers(originOf(request))
    for (const [name, value] of Object.entries(ofPages)) {
      if (name === 'vary') headers.append(name, value)
      else headers.set(name, value)
    }
    const { status, statusText } = response
    return new Response(empty.has(status) ? null : response.body, { status, statusText, headers })
  }
}

const originOf = ({ headers }: Request) => headers.get('origin') ?? undefined

/** What a rented machine serves is the machine's to open to pages (0057). */
const isForMachine = ({ url }: Request) => parseProxiedTarget(new URL(url).pathname) !== undefined

/** Short bodies are read, so that they can be sent again; a body whose length nobody tells goes through as it comes. */
async function readBody(request: Request): Promise<{ body: RegionalRequest['body']; isWhole: boolean }> {
  if (request.body === null) return { body: null, isWhole: true }
  if (request.method === 'GET' || request.method === 'HEAD') {
    // Some runtimes have a body wherever a length is told, were it 0; none can send one on.
    if (request.headers.get('content-length') === '0') return { body: null, isWhole: true }
    throw new ApiError('invalid_body', { message: `A ${request.method} has no body here.` })
  }
  const length = Number(request.headers.get('content-length') ?? Number.NaN)
  if (!(length <= maxWholeBytes)) return { body: request.body, isWhole: false }
  return { body: new Uint8Array(await request.arrayBuffer()), isWhole: true }
}

function regional(
  asked: Request,
  body: RegionalRequest['body'],
  { caller }: Visitor,
  address: string,
  id: string,
): RegionalRequest {
  const url = new URL(asked.url)
  const headers = new Headers(asked.headers)
  const named = (headers.get('connection') ?? '').split(',').map((name) => name.trim().toLowerCase())
  const isTunnel = headers.has('upgrade')
  for (const name of [...notForwarded, ...named]) {
    // A header that would let itself be named away by its sender must not be one that matters.
    if (/^[\w-]+$/.test(name) && !(isTunnel && name === 'upgrade') && !kept.has(name)) headers.delete(name)
  }
  if (body === null) headers.delete('content-length')
  headers.set('x-forwarded-for', address)
  headers.set('x-forwarded-proto', url.protocol.slice(0, -1))
  headers.set('x-request-id', id)
  return { method: asked.method, path: url.pathname + url.search, headers, body, signal: asked.signal, caller }
}

/** Of the request's own, whatever `Connection` says. */
const kept = new Set(['authorization', 'x-api-key', 'cookie', 'content-type', 'content-length', 'idempotency-key'])

function errorResponse(request: Request, error: ApiError, id: string): Response {
  const isOpenAi = new URL(request.url).pathname.startsWith('/v1/')
  const { retryAfterMs, shouldRetry, headers } = error.options
  return new Response(JSON.stringify(isOpenAi ? openAiError(error) : problemDetails(error, id)), {
    status: error.status,
    headers: {
      'content-type': isOpenAi ? 'application/json' : 'application/problem+json',
      'cache-control': 'no-store',
      ...(retryAfterMs !== undefined && { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) }),
      ...(shouldRetry !== undefined && { 'x-should-retry': String(shouldRetry) }),
      ...headers,
    },
  })
}
