/**
 * A shared HTTP cache (RFC 9111), with `stale-while-revalidate` and `stale-if-error` (RFC 5861) and `CDN-Cache-Control`
 * (RFC 9213). It stands between a caller's request and the function that asks the origin; what it may not keep or may not
 * answer goes through it as it came.
 */
import type { Clock } from '../../resilience/clock.ts'
import { isNotModified, isWeak, notModified, opaque, partOf } from './conditions.ts'
import {
  ageMs,
  dateOf,
  freshened,
  isStillKeepable,
  isStorable,
  judge,
  matches,
  requestDirectives,
  type StoredResponse,
  tagsOf,
  toStored,
} from './stored.ts'

export type { StoredResponse } from './stored.ts'

/** The answers to one URL, of which each was chosen by other request headers. A bound on bytes is the store's. */
export interface HttpCacheStore {
  get(url: string): Promise<readonly StoredResponse[]>
  put(url: string, variants: readonly StoredResponse[]): Promise<void>
  delete(url: string): Promise<void>
  /** All that carries the tag and came before `at`, in ms, is not to be used. */
  purge(tag: string, at: number): Promise<void>
  /** When what carries one of them was purged last. 0: never. */
  purgedAt(tags: readonly string[]): Promise<number>
}

export interface HttpCacheOptions {
  store: HttpCacheStore
  clock: Pick<Clock, 'now' | 'wallNow' | 'setTimer'>
  /** A longer answer is handed on and not kept. In bytes. @default 2 MiB */
  maxBodyBytes?: number
  /** Of one URL; the oldest goes. @default 8 */
  maxVariants?: number
  /** How long a stale answer is good where the origin cannot be reached. In ms. @default an hour */
  maxDisconnectedMs?: number
  /** Callers who wait for the answer to another's same question; more of them ask for themselves. @default 1_000 */
  maxWaiting?: number
  /** How long after it was asked, before another of them asks. In ms. @default 10_000 */
  maxWaitMs?: number
  /** Where there is nothing to answer with: the caller wanted no other than a stored answer, or it must not be used unasked. */
  refuse: (request: Request, why: 'only_if_cached' | 'must_revalidate') => Response
}

export type CacheUse = 'hit' | 'stale' | 'revalidated' | 'miss' | 'bypass'

export interface Answer {
  response: Response
  use: CacheUse
}

export interface HandleOptions {
  /** What goes on after the answer has left. It never rejects. */
  background: (work: Promise<void>) => void
  /** Whose answers: those of one group are never another's, whatever they say. @default everybody's */
  group?: 'members'
  /** Nothing is answered without the origin: it has to say something about this caller. @default false */
  ask?: boolean
  /** What is stored may stand in where the origin fails, as far as the answer allows for that. @default true */
  cover?: boolean
}

export interface HttpCache {
  /** @throws what `next` throws, where nothing stored may be sent instead */
  handle(request: Request, next: (request: Request) => Promise<Response>, options: HandleOptions): Promise<Answer>
  purge(tag: string): Promise<void>
}

type Next = (request: Request) => Promise<Response>

const maxChanged = 10_000
const safe = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])
/** In which the origin did not answer the question (RFC 5861 section 4). */
const failures = new Set([500, 502, 503, 504])
const conditional = ['if-none-match', 'if-modified-since', 'if-match', 'if-unmodified-since', 'if-range']
const statusesWithoutBody = new Set([204, 304])

export function createHttpCache(options: HttpCacheOptions): HttpCache {
  const { clock, refuse } = options
  const store = sparing(options.store)
  const { wallNow } = clock
  const {
    maxBodyBytes = 2 * 1024 * 1024,
    maxVariants = 8,
    maxDisconnectedMs = 3_600_000,
    maxWaiting = 1_000,
    maxWaitMs = 10_000,
  } = options
  /** Questions on their way to the origin: whether others may wait for the answer, and when it is stored. */
  const flights = new Map<string, Flight>()
  /** What has been changed lately: an answer that was on its way then is old. */
  const changedAt = new Map<string, number>()

  async function handle(
    request: Request,
    next: Next,
    { group, ask: mustAsk = false, cover = true, background }: HandleOptions,
  ): Promise<Answer> {
    const url = urlOf(request)
    if (!safe.has(request.method)) {
      const response = await next(request)
      if (response.status < 400) await invalidate(url, response)
      return { response, use: 'bypass' }
    }
    if (!isAnswerable(request)) return { response: await next(request), use: 'bypass' }
    return answer({ key: keyOf(url, group), request, next, background, cover }, mustAsk)
  }

  /** GET and HEAD. A HEAD is answered from what a GET brought, and brings nothing to keep. */
  async function answer(inquiry: Inquiry, mustAsk: boolean): Promise<Answer> {
    const { request } = inquiry
    const stored = await find(inquiry)
    const wanted = requestDirectives(request)
    if (mustAsk) return stored ? revalidate(inquiry, stored) : fetchAndKeep(inquiry)
    if (stored) {
      const judged = judge(stored, request, wallNow(), { maxDisconnectedMs })
      if (judged.use !== 'no') return { response: send(stored, request), use: judged.use === 'fresh' ? 'hit' : 'stale' }
      if (judged.whileRevalidating) {
        inquiry.background(renew(inquiry))
        return { response: send(stored, request), use: 'stale' }
      }
    }
    if (wanted.has('only-if-cached')) return { response: refuse(request, 'only_if_cached'), use: 'miss' }
    return together(inquiry, () => (stored ? revalidate(inquiry, stored) : fetchAndKeep(inquiry)))
  }

  /** Nothing is stored that may be sent: alone, or behind one who asks the same. */
  async function together(inquiry: Inquiry, ask: () => Promise<Asked>, isFirst = true): Promise<Answer> {
    const { key, request } = inquiry
    const flight = flightOf(key)
    if (flight && flight.waiting < maxWaiting && isShareable(request)) {
      flight.waiting++
      const landing = await landingOf(flight, clock, request.signal)
      const stored = landing === 'stored' ? await find(inquiry) : undefined
      if (stored && judge(stored, request, wallNow(), { maxDisconnectedMs }).use === 'fresh') {
        return { response: send(stored, request), use: 'hit' }
      }
      // Who led has gone: another leads, once. What is another's own each asks for, or all would wait in a row.
      if (landing === 'lost' && isFirst) return together(inquiry, ask, false)
      return ask()
    }
    if (flight || !isShareable(request)) return ask()
    const own = takeOff(key)
    try {
      const { response, use, kept } = await ask()
      void kept.then(own.land)
      return { response, use }
    } catch (error) {
      own.land('lost')
      throw error
    }
  }

  /** One that has been away for too long may never come back: nobody waits for it any more. */
  function flightOf(key: string): Flight | undefined {
    const flight = flights.get(key)
    return flight && clock.now() < flight.until ? flight : undefined
  }

  function takeOff(key: string): Flight {
    const { promise, resolve } = Promise.withResolvers<Landing>()
    const land = (landing: Landing) => {
      if (flights.get(key) === flight) flights.delete(key)
      resolve(landing)
    }
    const flight: Flight = { waiting: 0, until: clock.now() + maxWaitMs, landing: promise, land }
    flights.set(key, flight)
    return flight
  }

  /** `kept`: what has become of it, once its last byte has been read. */
  async function fetchAndKeep(inquiry: Inquiry): Promise<Asked> {
    const { request, next } = inquiry
    const requestedAt = wallNow()
    const response = await next(request)
    const times = { requestedAt, receivedAt: wallNow() }
    if (request.method === 'HEAD') {
      await freshenByHead(inquiry, response, times)
      return unkept(response, 'miss')
    }
    return keep(inquiry, response, times)
  }

  /** Hands an answer on while it is read into the store, if it may be. */
  function keep(inquiry: Inquiry, response: Response, times: Times): Asked {
    const { request, background } = inquiry
    if (!isStorable(request, response)) return unkept(response, 'miss')
    const { promise: kept, resolve } = Promise.withResolvers<Landing>()
    const settle = async (body: Uint8Array | undefined) => {
      if (body === undefined || !isComplete(response, body)) return resolve('lost')
      const fresh = toStored(request, response, body, times)
      await put(inquiry, fresh).then(
        () => resolve('stored'),
        () => resolve('lost'),
      )
    }
    if (!response.body) {
      background(settle(new Uint8Array()))
      return { response: withDate(response, times), use: 'miss', kept }
    }
    background(kept.then(() => {}))
    const body = collecting(response.body, maxBodyBytes, (bytes) => void settle(bytes))
    return { response: withDate(new Response(body, response), times), use: 'miss', kept }
  }

  /** Asks whether it is still good (RFC 9111 section 4.3). */
  async function revalidate(inquiry: Inquiry, stored: StoredResponse): Promise<Asked> {
    const { request, next, cover } = inquiry
    const requestedAt = wallNow()
    const condition = conditionalOn(stored, request)
    let response: Response
    try {
      response = await next(condition ?? request)
    } catch (error) {
      if (request.signal.aborted || !cover) throw error
      const judged = judge(stored, request, wallNow(), { maxDisconnectedMs })
      if (judged.ifError || judged.ifUnreachable) return unkept(send(stored, request), 'stale')
      if (judged.neverStale) return unkept(refuse(request, 'must_revalidate'), 'miss')
      throw error
    }
    const times = { requestedAt, receivedAt: wallNow() }
    if (condition && response.status === 304) {
      await discard(response)
      if (isOf(response, stored)) {
        const renewed = freshened(stored, request, response, times)
        const kept = await keepFreshened(inquiry, renewed)
        return { response: send(renewed, request), use: 'revalidated', kept: Promise.resolve(kept) }
      }
      // About another answer than ours: asked again, without a condition of ours.
      return fetchAndKeep(inquiry)
    }
    if (cover && failures.has(response.status) && judge(stored, request, wallNow(), { maxDisconnectedMs }).ifError) {
      await discard(response)
      return unkept(send(stored, request), 'stale')
    }
    if (request.method === 'HEAD') {
      await freshenByHead(inquiry, response, times)
      return unkept(response, 'miss')
    }
    return keep(inquiry, response, times)
  }

  /** Behind a stale answer that has left already. One at a time for a URL. */
  async function renew(inquiry: Inquiry): Promise<void> {
    const { key, request } = inquiry
    if (flightOf(key)) return
    const own = takeOff(key)
    let landing: Landing = 'lost'
    try {
      const stored = await find(inquiry)
      const plain = { ...inquiry, request: new Request(request.url, { headers: withoutConditions(request.headers) }) }
      const { response, kept } = stored ? await revalidate(plain, stored) : await fetchAndKeep(plain)
      await readThrough(response)
      landing = await kept
    } catch {
      // The stale answer stays as good as it was; the next caller tries again.
    } finally {
      own.land(landing)
    }
  }

  async function find({ key, request }: Inquiry): Promise<StoredResponse | undefined> {
    const fitting = (await store.get(key)).filter((each) => matches(each, request))
    // The newest, of several (RFC 9111 section 4.1).
    const [newest] = fitting.sort((a, b) => dateOfStored(b) - dateOfStored(a))
    if (!newest || newest.tags.length === 0) return newest
    // What was on its way when it was purged may be as old.
    return (await store.purgedAt(newest.tags)) >= newest.requestedAt ? undefined : newest
  }

  async function put({ key, request }: Inquiry, fresh: StoredResponse): Promise<void> {
    // Asked for before it was changed, in this process at least.
    if ((changedAt.get(key) ?? -1) >= fresh.requestedAt) return
    const others = (await store.get(key)).filter((each) => !matches(each, request))
    await store.put(key, [fresh, ...others].slice(0, maxVariants))
  }

  async function keepFreshened(inquiry: Inquiry, renewed: StoredResponse): Promise<Landing> {
    if (isStillKeepable(inquiry.request, renewed)) {
      await put(inquiry, renewed)
      return 'stored'
    }
    await store.delete(inquiry.key)
    return 'personal'
  }

  /** What a HEAD says of the answer to a GET: it is as it was, or it is not to be used any more (RFC 9111 section 4.3.5). */
  async function freshenByHead(inquiry: Inquiry, response: Response, times: Times): Promise<void> {
    const { request } = inquiry
    if (response.status !== 200) return
    const stored = await find(inquiry)
    if (!stored) return
    const length = response.headers.get('content-length')
    const isSame = isOf(response, stored) && (length === null || Number(length) === stored.body.length)
    if (isSame) await keepFreshened(inquiry, freshened(stored, request, response, times))
    else await store.delete(inquiry.key)
  }

  /** RFC 9111 section 4.4: also what the answer names, where that is the same origin's. */
  async function invalidate(url: string, response: Response): Promise<void> {
    const named = ['location', 'content-location'].map((name) => response.headers.get(name))
    for (const each of new Set([url, ...named.map((value) => sameOrigin(value, url))])) {
      if (each === undefined) continue
      for (const group of [undefined, 'members'] as const) {
        const key = keyOf(each, group)
        changedAt.delete(key)
        changedAt.set(key, wallNow())
        const [oldest] = changedAt.keys()
        if (changedAt.size > maxChanged && oldest !== undefined) changedAt.delete(oldest)
        await store.delete(key)
      }
    }
  }

  function send(stored: StoredResponse, request: Request): Response {
    const headers = new Headers(stored.headers)
    headers.delete('cache-tag')
    headers.set('age', String(Math.floor(ageMs(stored, wallNow()) / 1000)))
    if (isNotModified(stored, request)) return new Response(null, { status: 304, headers: notModified(headers) })
    const part = partOf(stored, request)
    if (part === 'unsatisfiable') {
      headers.set('content-range', `bytes */${stored.body.length}`)
      headers.delete('content-length')
      return new Response(null, { status: 416, headers })
    }
    if (part) {
      headers.set('content-range', `bytes ${part.from}-${part.to}/${stored.body.length}`)
      headers.set('content-length', String(part.to - part.from + 1))
      return new Response(bytesOf(stored.body.subarray(part.from, part.to + 1)), { status: 206, headers })
    }
    const hasBody = request.method !== 'HEAD' && !statusesWithoutBody.has(stored.status)
    if (hasBody) headers.set('content-length', String(stored.body.length))
    return new Response(hasBody ? bytesOf(stored.body) : null, { status: stored.status, headers })
  }

  return { handle, purge: (tag) => store.purge(tag.toLowerCase(), wallNow()) }
}

/** What cannot be read is not there, and what cannot be kept is not: the origin's answer is good without. */
function sparing(store: HttpCacheStore): HttpCacheStore {
  return {
    get: (key) => store.get(key).catch(() => []),
    put: (key, variants) => store.put(key, variants).catch(() => {}),
    delete: (key) => store.delete(key).catch(() => {}),
    // Who purges is told.
    purge: store.purge,
    purgedAt: (tags) => store.purgedAt(tags).catch(() => Number.POSITIVE_INFINITY),
  }
}

/** What the origin was asked for. */
interface Asked extends Answer {
  kept: Promise<Landing>
}

/** One request on its way through. */
interface Inquiry {
  /** Under which its answers are kept. */
  key: string
  request: Request
  next: Next
  background: HandleOptions['background']
  cover: boolean
}

interface Times {
  requestedAt: number
  receivedAt: number
}

/** `personal`: nobody else may have it; `lost`: it did not come whole. */
type Landing = 'stored' | 'personal' | 'lost'

interface Flight {
  waiting: number
  /** Waited for until then. */
  until: number
  landing: Promise<Landing>
  land(landing: Landing): void
}

const unkept = (response: Response, use: CacheUse): Asked => ({ response, use, kept: Promise.resolve('personal') })

/** Under which the answers to a URL are kept: no URL has a second scheme in front. */
const keyOf = (url: string, group: HandleOptions['group']) => (group === undefined ? url : `${group}:${url}`)

function urlOf(request: Request): string {
  const url = new URL(request.url)
  url.hash = ''
  return url.href
}

/** By a store at all. A body on a GET means nothing to a cache, and a tunnel is no answer. */
const isAnswerable = (request: Request) =>
  (request.method === 'GET' || request.method === 'HEAD') &&
  request.body === null &&
  !request.headers.has('upgrade') &&
  !request.headers.has('if-match') &&
  !request.headers.has('if-unmodified-since') &&
  !requestDirectives(request).has('no-store')

/** Whether its answer can be one for others: not if it is about what this caller has, or wants, of it. */
const isShareable = (request: Request) =>
  request.method === 'GET' &&
  !request.headers.has('range') &&
  !conditional.some((name) => request.headers.has(name)) &&
  !requestDirectives(request).has('no-cache')

const dateOfStored = ({ headers, receivedAt }: StoredResponse) => dateOf(new Headers(headers).get('date')) ?? receivedAt

/** With our own validators, not with the caller's: those are looked at when the answer is here. None: there are none. */
function conditionalOn(stored: StoredResponse, request: Request): Request | undefined {
  const known = new Headers(stored.headers)
  const [tag, modified] = [known.get('etag'), known.get('last-modified')]
  if (tag === null && modified === null) return undefined
  const headers = withoutConditions(request.headers)
  headers.delete('range')
  if (tag !== null) headers.set('if-none-match', tag)
  if (modified !== null) headers.set('if-modified-since', modified)
  return new Request(request.url, { method: request.method, headers, signal: request.signal })
}

function withoutConditions(from: Headers): Headers {
  const headers = new Headers(from)
  for (const name of conditional) headers.delete(name)
  headers.delete('range')
  return headers
}

/** Whether what the origin says is about this answer (RFC 9111 section 4.3.4). */
function isOf(response: Response, stored: StoredResponse): boolean {
  const known = new Headers(stored.headers)
  const [tag, own] = [response.headers.get('etag'), known.get('etag')]
  if (tag !== null && own !== null)
    return isWeak(tag) || isWeak(own) ? opaque(tag) === opaque(own) : tag.trim() === own.trim()
  if (tag !== null) return false
  const modified = response.headers.get('last-modified')
  return modified === null || dateOf(modified) === dateOf(known.get('last-modified'))
}

/** A part of an answer must not pass for the whole (RFC 9111 section 3.3). What was encoded has another length than is told. */
function isComplete({ headers }: Response, body: Uint8Array): boolean {
  const length = headers.get('content-length')
  return length === null || headers.has('content-encoding') || Number(length) === body.length
}

function sameOrigin(value: string | null, base: string): string | undefined {
  if (value === null || !URL.canParse(value, base)) return undefined
  const url = new URL(value, base)
  url.hash = ''
  return url.origin === new URL(base).origin ? url.href : undefined
}

/** A recipient that keeps or hands on an answer without a date adds one (RFC 9110 section 6.6.1). The tags are ours alone. */
function withDate(response: Response, { receivedAt }: Times): Response {
  const headers = new Headers(response.headers)
  if (!headers.has('date')) headers.set('date', new Date(receivedAt).toUTCString())
  if (tagsOf(headers).length > 0) headers.delete('cache-tag')
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers })
}

/**
 * Hands each chunk on, and at the end all of them together to `done`; `undefined` where that is more than `maxBytes`, or
 * not all of it came. It reads ahead of its reader by as much as may be kept, so that others need not wait for a slow one,
 * and to the end where he leaves.
 */
function collecting(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
  done: (bytes: Uint8Array | undefined) => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  let chunks: Uint8Array[] | undefined = []
  let length = 0
  /** None: that was all. */
  const read = async (): Promise<Uint8Array | undefined> => {
    try {
      const { value } = await reader.read()
      length += value?.length ?? 0
      if (length > maxBytes) chunks = undefined
      if (value) chunks?.push(value)
      else done(chunks && joined(chunks, length))
      return value
    } catch (error) {
      done(undefined)
      throw error
    }
  }
  const source: UnderlyingDefaultSource<Uint8Array> = {
    async pull(controller) {
      const chunk = await read()
      if (chunk) controller.enqueue(chunk)
      else controller.close()
    },
    async cancel(reason) {
      while (chunks && (await read()));
      if (chunks) return
      done(undefined)
      await reader.cancel(reason)
    },
  }
  return new ReadableStream(source, new ByteLengthQueuingStrategy({ highWaterMark: maxBytes }))
}

/** `lost` after its time: who leads may be held up by the origin, or ended by the runtime without a word. */
async function landingOf(
  flight: Flight,
  clock: Pick<Clock, 'now' | 'setTimer'>,
  signal: AbortSignal,
): Promise<Landing> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const leave = () => reject(signal.reason)
  const cancel = clock.setTimer(flight.until - clock.now(), () => flight.land('lost'))
  signal.addEventListener('abort', leave, { once: true })
  try {
    return await Promise.race([flight.landing, promise])
  } finally {
    cancel()
    signal.removeEventListener('abort', leave)
  }
}

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

/** The types of bodies know no bytes that threads may share. */
const bytesOf = (bytes: Uint8Array) => bytes as Uint8Array<ArrayBuffer>

const discard = async (response: Response) => response.body?.cancel()

/** To its end, so that it is stored. */
async function readThrough({ body }: Response): Promise<void> {
  const reader = body?.getReader()
  while (reader && !(await reader.read()).done);
}
