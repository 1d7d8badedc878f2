/** What a caller asks of an answer that is stored: conditions (RFC 9110 section 13) and ranges (section 14). */
import { dateOf, type StoredResponse } from './stored.ts'

/** Of a 304, beside what tells its age (RFC 9110 section 15.4.5). */
const ofNotModified = new Set([
  'cache-control',
  'cdn-cache-control',
  'content-location',
  'date',
  'etag',
  'expires',
  'last-modified',
  'vary',
])

/** Whether the caller has it already. */
export function isNotModified(stored: StoredResponse, request: Request): boolean {
  if (stored.status !== 200) return false
  const headers = new Headers(stored.headers)
  const tags = request.headers.get('if-none-match')
  // With If-None-Match the date means nothing.
  if (tags !== null) return tags.trim() === '*' || hasTag(tags, headers.get('etag'))
  const since = dateOf(request.headers.get('if-modified-since'))
  const modified = dateOf(headers.get('last-modified')) ?? dateOf(headers.get('date'))
  return since !== undefined && modified !== undefined && modified <= since
}

/** By the weak comparison. */
function hasTag(list: string, tag: string | null): boolean {
  if (tag === null) return false
  return [...list.matchAll(/(?:W\/)?"[^"]*"/g)].some(([each]) => opaque(each) === opaque(tag))
}

export const opaque = (tag: string) => tag.trim().replace(/^W\//, '')
export const isWeak = (tag: string) => tag.trim().startsWith('W/')

export function notModified(headers: Headers): Headers {
  const kept = new Headers()
  for (const [name, value] of headers) if (ofNotModified.has(name) || name === 'age') kept.set(name, value)
  return kept
}

export type Part = { from: number; to: number } | 'unsatisfiable'

/** The part of `length` bytes that is asked for; none: all of it, which is right for what is not understood, too. */
export function partOf(stored: StoredResponse, request: Request): Part | undefined {
  if (request.method !== 'GET' || stored.status !== 200) return undefined
  const headers = new Headers(stored.headers)
  // Its bytes are the decoded ones, and the runtime encodes what it sends: that would be a part of another body.
  if (headers.has('content-encoding')) return undefined
  const condition = request.headers.get('if-range')
  if (condition !== null && !isSame(condition, headers)) return undefined
  // One only: several would need an answer of several parts, which nobody who reads JSON or pages asks for.
  const found = /^bytes=\s*(?:(\d+)-(\d*)|-(\d+))\s*$/i.exec(request.headers.get('range') ?? '')
  if (!found) return undefined
  const { length } = stored.body
  const [, first, last, suffix] = found
  if (suffix !== undefined) {
    const count = Math.min(Number(suffix), length)
    return count === 0 ? 'unsatisfiable' : { from: length - count, to: length - 1 }
  }
  const from = Number(first)
  const to = last ? Math.min(Number(last), length - 1) : length - 1
  if (last && Number(last) < from) return undefined
  return from >= length ? 'unsatisfiable' : { from, to }
}

/** By the strong comparison, and of dates to the second (RFC 9110 section 13.1.5). */
function isSame(condition: string, headers: Headers): boolean {
  const tag = headers.get('etag')
  if (/^(W\/)?"/.test(condition.trim())) return tag !== null && !isWeak(tag) && condition.trim() === tag.trim()
  const modified = headers.get('last-modified')
  return modified !== null && dateOf(condition) !== undefined && dateOf(condition) === dateOf(modified)
}
