/** Which headers pass between a caller and the machine he rents: all but those of one connection, and the gateway's own. */
import type { AnswerHeaders, HttpReply } from '../ports.ts'

type Headers = HttpReply<unknown>['headers']

/** Of one connection each (RFC 9110, 7.6.1). */
const ofOneConnection = [
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te', 'trailer'],
  ...['transfer-encoding', 'upgrade'],
]
const notForMachines = new Set([
  ...ofOneConnection,
  ...['host', 'expect', 'authorization', 'x-api-key'],
  // Who the caller is, and what stands before the gateway, is no business of a stranger's machine.
  ...['forwarded', 'x-real-ip', 'x-original-forwarded-for', 'x-client-ip', 'true-client-ip', 'cf-connecting-ip', 'via'],
])
const notForCallers = new Set([
  ...ofOneConnection,
  // By these the gateway speaks of itself.
  ...['x-request-id', 'x-should-retry'],
  // They speak for everything under a host's name, and that name is the gateway's.
  ...['strict-transport-security', 'clear-site-data', 'alt-svc', 'nel', 'report-to', 'service-worker-allowed'],
  // For caches that others share (RFC 9213), which have no business with what is its owner's.
  ...['surrogate-control', 'cdn-cache-control'],
])
/** What is for the gateway alone, and what proxies before it say of the caller. */
const keptPrefix = /^x-(?:gpuproxy|forwarded)-/
/** Sent on as `authorization`, which is the gateway's: for machines that ask for a key of their own. */
const theirAuthorization = 'x-gpuproxy-authorization'
/** Cookies of such names are the gateway's (0074): a machine neither gets nor sets one. Browsers leave out an empty name's `=`. */
const ownCookie = /^[\s=]*(?:__host-|__secure-)?gpuproxy/i
/** What a stranger's machine answers is shown under the gateway's own name: in a browser it may do nothing there. */
const sandboxed = { 'content-security-policy': 'sandbox', 'x-content-type-options': 'nosniff' }

/** Of a request, names in lower case. */
export function headersForMachine(headers: Headers): Record<string, string> {
  const passed: Record<string, string> = {}
  for (const [name, value] of endToEnd(headers, notForMachines)) {
    if (keptPrefix.test(name)) continue
    const text = typeof value === 'string' ? value : value.join(', ')
    const kept = name === 'cookie' ? withoutOwn(text) : text
    if (kept !== '') passed[name] = kept
  }
  const authorization = headers[theirAuthorization]
  if (typeof authorization === 'string') passed.authorization = authorization
  return passed
}

/** Of an answer. `route`: what the machine's paths stand behind, as the caller sees them. */
export function headersForCaller(headers: Headers, route: string): AnswerHeaders {
  const passed: AnswerHeaders = {}
  for (const [name, value] of endToEnd(headers, notForCallers)) {
    const all = typeof value === 'string' ? [value] : value
    if (name === 'cache-control') passed[name] = ownersAlone(all.join(', '))
    else if (name.endsWith('-cdn-cache-control')) continue
    else if (name === 'set-cookie') passed[name] = all.filter((each) => !ownCookie.test(each)).map(cookieOf(route))
    else passed[name] = typeof value === 'string' ? value : [...value]
  }
  return { ...passed, ...sandboxed }
}

function* endToEnd(headers: Headers, keptBack: ReadonlySet<string>): Generator<[string, string | string[]]> {
  const named = new Set(
    String(headers.connection ?? '')
      .toLowerCase()
      .split(/[\s,]+/),
  )
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !keptBack.has(name) && !named.has(name)) yield [name, value]
  }
}

/** A machine that says `public` means whoever may see it, which is its owner: a shared cache would show it to all. */
const ownersAlone = (cacheControl: string) =>
  ['private', ...(cacheControl.toLowerCase().match(forBrowsers) ?? [])].join(', ')
const forBrowsers = /(?<![\w-])(?:max-age=\d{1,10}|no-store|no-cache|no-transform|immutable)(?![\w=-])/g

const withoutOwn = (cookies: string) =>
  cookies
    .split(';')
    .filter((each) => !ownCookie.test(each))
    .join(';')
    .trim()

/** Kept to the machine that set it: a client would send it to the gateway's other machines, which are other strangers'. */
const cookieOf = (route: string) => (cookie: string) => {
  const [pair, ...attributes] = cookie.split(';')
  const path = attributes.findLast((each) => /^\s*path\s*=/i.test(each))?.replace(/^\s*path\s*=\s*/i, '')
  const others = attributes.filter((each) => !/^\s*(?:path|domain)\s*(?:=|$)/i.test(each))
  return [pair, ...others, ` Path=${route}${path?.startsWith('/') ? path.trimEnd() : '/'}`].join(';')
}
