/** `Cache-Control` as RFC 9111 section 5.2 writes it, and `CDN-Cache-Control`, which takes its place where it is valid (RFC 9213). */

/** Of a directive without an argument `true`. Names in lower case; of one that is there twice the first. */
export type Directives = ReadonlyMap<string, string | true>

const token = /^[!#$%&'*+\-.^_`|~\w]+$/
const none: Directives = new Map()
/** Larger ones mean the same: for ever (RFC 9111 section 1.2.2). */
const maxSeconds = 2 ** 31

/** What is no directive is skipped, and ends nothing: the rest still counts. */
export function parseDirectives(value: string | null): Directives {
  if (!value) return none
  const found = new Map<string, string | true>()
  for (const part of splitList(value)) {
    const equals = part.indexOf('=')
    const name = (equals < 0 ? part : part.slice(0, equals)).trim().toLowerCase()
    if (!token.test(name) || found.has(name)) continue
    found.set(name, equals < 0 ? true : unquote(part.slice(equals + 1).trim()))
  }
  return found
}

/** In whole seconds; `undefined`: not there. One that is no number is 0: what nobody understands is stale at once. */
export function seconds(directives: Directives, name: string): number | undefined {
  const value = directives.get(name)
  if (value === undefined) return undefined
  return typeof value === 'string' && /^\d+$/.test(value) ? Math.min(Number(value), maxSeconds) : 0
}

/** The header names that a directive like `no-cache="a, b"` is about, in lower case; none where it is about the whole answer. */
export function fieldsOf(directives: Directives, name: string): string[] {
  const value = directives.get(name)
  if (typeof value !== 'string') return []
  return value
    .split(',')
    .map((field) => field.trim().toLowerCase())
    .filter((field) => field !== '')
}

/** Whether a directive is there and about the whole answer. */
export const isWhole = (directives: Directives, name: string): boolean =>
  directives.has(name) && fieldsOf(directives, name).length === 0

/** For a shared cache at the edge; `isTargeted`: then `Expires` and `Cache-Control` say nothing to it. */
export function directivesOf(headers: Headers): { directives: Directives; isTargeted: boolean } {
  const targeted = headers.get('cdn-cache-control')
  if (targeted !== null && isDictionary(targeted)) return { directives: parseDirectives(targeted), isTargeted: true }
  return { directives: parseDirectives(headers.get('cache-control')), isTargeted: false }
}

/** A structured field: one that does not parse is as if it were not there (RFC 9213 section 2.1). */
function isDictionary(value: string): boolean {
  const parts = splitList(value)
  return (
    parts.length > 0 &&
    parts.every((part) => /^[a-z*][a-z0-9_\-.*]*(=("[^"]*"|\??[\w.\-:/+*]+))?(;.*)?$/.test(part.trim()))
  )
}

/** At commas outside quotes. */
export function splitList(value: string): string[] {
  const parts: string[] = []
  let quoted = false
  let start = 0
  for (let i = 0; i < value.length; i++) {
    const sign = value[i]
    if (quoted && sign === '\\') i++
    else if (sign === '"') quoted = !quoted
    else if (sign === ',' && !quoted) {
      parts.push(value.slice(start, i))
      start = i + 1
    }
  }
  parts.push(value.slice(start))
  return parts.map((part) => part.trim()).filter((part) => part !== '')
}

const unquote = (value: string) =>
  value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value
