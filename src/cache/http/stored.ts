/** An answer as the cache keeps it, its age and how long it is fresh: RFC 9111 sections 3 and 4.2. */
import { type Directives, directivesOf, fieldsOf, isWhole, parseDirectives, seconds } from './directives.ts'

export interface StoredResponse {
  status: number
  headers: [name: string, value: string][]
  body: Uint8Array
  /** When it was asked for and when it came, by the wall clock, in ms. */
  requestedAt: number
  receivedAt: number
  /** The request headers that it was chosen by, and what they were; null: absent. */
  vary: [name: string, value: string | null][]
  /** It can be purged by any of them. */
  tags: string[]
}

/** What this cache knows how to treat: for others `must-understand` means that they are not stored. */
const understood = new Set([200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 421, 451, 501])
/** May be fresh without a word about it (RFC 9110 section 15.1). */
const heuristic = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
const heuristicShare = 0.1
const maxHeuristicMs = 24 * 3_600_000
/** Not to be stored or handed on, with whatever `Connection` names (RFC 9110 section 7.6.1). */
const ofTheConnection = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]
/** Answers that are chosen by who asks are his own, whatever else they say. */
const personal = new Set(['*', 'authorization', 'cookie', 'x-api-key'])

/** Whether an answer to a GET may be kept for others. Stricter than the RFC with cookies, and with what is chosen by who asks. */
export const isStorable = (request: Request, { status, headers }: Response): boolean =>
  request.method === 'GET' && isKeepable(request, status, headers)

/** What a 304 or a HEAD adds to a stored answer can make it one that must not be kept. */
export const isStillKeepable = (request: Request, { status, headers }: StoredResponse): boolean =>
  isKeepable(request, status, new Headers(headers))

function isKeepable(request: Request, status: number, headers: Headers): boolean {
  if (!understood.has(status)) return false
  const { directives, isTargeted } = directivesOf(headers)
  const isNoStore = directives.has('no-store') && !directives.has('must-understand')
  if (isNoStore || parseDirectives(request.headers.get('cache-control')).has('no-store')) return false
  if (isWhole(directives, 'private') || headers.has('set-cookie') || headers.has('content-range')) return false
  if (varyNames(headers).some((name) => personal.has(name))) return false
  const hasCredential = ['authorization', 'x-api-key', 'cookie'].some((name) => request.headers.has(name))
  const isForAll = ['public', 's-maxage', 'must-revalidate'].some((name) => directives.has(name))
  if (hasCredential && !isForAll) return false
  return (
    directives.has('public') ||
    directives.has('max-age') ||
    directives.has('s-maxage') ||
    (!isTargeted && headers.has('expires')) ||
    heuristic.has(status)
  )
}

export function toStored(
  request: Request,
  response: Response,
  body: Uint8Array,
  { requestedAt, receivedAt }: { requestedAt: number; receivedAt: number },
): StoredResponse {
  return {
    status: response.status,
    headers: storedHeaders(response.headers, receivedAt),
    body,
    requestedAt,
    receivedAt,
    vary: varyOf(response.headers, request),
    tags: tagsOf(response.headers),
  }
}

/** Without what is of the connection, and without the fields that `private` and `no-cache` name. With a date. */
function storedHeaders(headers: Headers, receivedAt: number): [string, string][] {
  const { directives } = directivesOf(headers)
  const dropped = new Set([
    ...ofTheConnection,
    ...namesIn(headers.get('connection')),
    ...fieldsOf(directives, 'private'),
    ...fieldsOf(directives, 'no-cache'),
  ])
  const kept = [...headers].filter(([name]) => !dropped.has(name))
  if (!headers.has('date')) kept.push(['date', new Date(receivedAt).toUTCString()])
  return kept
}

const namesIn = (value: string | null) => (value ?? '').split(',').map((name) => name.trim().toLowerCase())
export const varyNames = (headers: Headers) => namesIn(headers.get('vary')).filter((name) => name !== '')
export const tagsOf = (headers: Headers) => namesIn(headers.get('cache-tag')).filter((tag) => tag !== '')

const varyOf = (headers: Headers, request: Request): StoredResponse['vary'] =>
  varyNames(headers).map((name) => [name, normal(request.headers.get(name))])

/** Optional whitespace means nothing (RFC 9111 section 4.1). */
const normal = (value: string | null) =>
  value
    ?.split(',')
    .map((each) => each.trim())
    .join(',')
    .replace(/\s+/g, ' ')
    .trim() ?? null

export const matches = ({ vary }: StoredResponse, request: Request) =>
  vary.every(([name, value]) => normal(request.headers.get(name)) === value)

/** Its headers with those of a 304 that validated it, which also begins its age anew (RFC 9111 sections 3.2 and 4.3.4). */
export function freshened(
  stored: StoredResponse,
  request: Request,
  update: Response,
  { requestedAt, receivedAt }: { requestedAt: number; receivedAt: number },
): StoredResponse {
  const headers = new Headers(stored.headers)
  headers.delete('age')
  headers.delete('date')
  for (const [name, value] of storedHeaders(update.headers, receivedAt)) {
    // About the bytes, which stay as they are.
    if (!['content-encoding', 'content-type', 'content-range', 'content-length'].includes(name))
      headers.set(name, value)
  }
  return {
    ...stored,
    headers: [...headers],
    requestedAt,
    receivedAt,
    vary: varyOf(headers, request),
    tags: tagsOf(headers),
  }
}

/** In ms: RFC 9111 section 4.2.3. */
export function ageMs(stored: StoredResponse, now: number): number {
  const headers = new Headers(stored.headers)
  const date = dateOf(headers.get('date')) ?? stored.receivedAt
  const told = /^\s*(\d+)\s*(?:,|$)/.exec(headers.get('age') ?? '')
  const apparent = Math.max(0, stored.receivedAt - date)
  const corrected = Number(told?.[1] ?? 0) * 1000 + (stored.receivedAt - stored.requestedAt)
  return Math.max(apparent, corrected) + Math.max(0, now - stored.receivedAt)
}

/** In ms, from when it was made: RFC 9111 section 4.2.1. */
export function lifetimeMs({ status, headers: list, receivedAt }: StoredResponse): number {
  const headers = new Headers(list)
  const { directives, isTargeted } = directivesOf(headers)
  const told = seconds(directives, 's-maxage') ?? seconds(directives, 'max-age')
  if (told !== undefined) return told * 1000
  const date = dateOf(headers.get('date')) ?? receivedAt
  const expires = headers.get('expires')
  // One that is no date is in the past.
  if (expires !== null && !isTargeted) return Math.max(0, (dateOf(expires) ?? 0) - date)
  const modified = dateOf(headers.get('last-modified'))
  if (modified === undefined || !(heuristic.has(status) || directives.has('public'))) return 0
  return Math.min(Math.max(0, date - modified) * heuristicShare, maxHeuristicMs)
}

/** As RFC 9110 section 5.6.7 has them; anything else is no date. */
export function dateOf(value: string | null): number | undefined {
  if (
    value === null ||
    !/^(\w{3}, \d{2} \w{3} \d{4}|\w{6,9}, \d{2}-\w{3}-\d{2}|\w{3} \w{3} [\d ]\d) ?.*\d{2}:\d{2}:\d{2}/.test(value)
  ) {
    return undefined
  }
  const ms = Date.parse(/GMT$/.test(value) ? value : `${value} GMT`)
  return Number.isNaN(ms) ? undefined : ms
}

/** What the request and the answer say together about an answer of this age. */
export interface Judgement {
  /** May be sent without asking the origin. */
  use: 'fresh' | 'stale' | 'no'
  /** Of a stale one: it may be sent while the origin is asked. */
  whileRevalidating: boolean
  /** May be sent where the origin fails, and where it cannot be reached. */
  ifError: boolean
  ifUnreachable: boolean
  /** Not even then: the origin said so. */
  neverStale: boolean
}

export function judge(
  stored: StoredResponse,
  request: Request,
  now: number,
  { maxDisconnectedMs }: { maxDisconnectedMs: number },
): Judgement {
  const { directives } = directivesOf(new Headers(stored.headers))
  const wanted: Directives = requestDirectives(request)
  const age = ageMs(stored, now)
  const staleMs = age - lifetimeMs(stored)
  const mustAsk = isWhole(directives, 'no-cache')
  // s-maxage has the meaning of proxy-revalidate for a shared cache (RFC 9111 section 5.2.2.10).
  const neverStale = mustAsk || ['must-revalidate', 'proxy-revalidate', 's-maxage'].some((name) => directives.has(name))
  const within = (name: string, from: Directives) => staleMs < (seconds(from, name) ?? 0) * 1000
  const maxAge = seconds(wanted, 'max-age')
  const minFresh = seconds(wanted, 'min-fresh')
  const isTooOld = maxAge !== undefined && age > maxAge * 1000
  const isTooShort = minFresh !== undefined && -staleMs < minFresh * 1000
  const asksOrigin = mustAsk || wanted.has('no-cache') || isTooOld || isTooShort
  const maxStale = wanted.get('max-stale')
  const takesStale = maxStale === true || (maxStale !== undefined && within('max-stale', wanted))
  return {
    use: asksOrigin ? 'no' : staleMs < 0 ? 'fresh' : takesStale && !neverStale ? 'stale' : 'no',
    whileRevalidating: !asksOrigin && !neverStale && staleMs >= 0 && within('stale-while-revalidate', directives),
    ifError: !neverStale && (within('stale-if-error', directives) || within('stale-if-error', wanted)),
    ifUnreachable: !neverStale && staleMs < maxDisconnectedMs,
    neverStale,
  }
}

/** `Pragma: no-cache` counts where there is no Cache-Control (RFC 9111 section 5.4). */
export function requestDirectives(request: Request): Directives {
  const value = request.headers.get('cache-control')
  if (value !== null) return parseDirectives(value)
  return parseDirectives(/(^|,)\s*no-cache\s*(,|$)/i.test(request.headers.get('pragma') ?? '') ? 'no-cache' : null)
}
