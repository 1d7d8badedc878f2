/**
 * Where a request comes from, as far as that can be trusted: the socket's other end, or what the operator's own proxies
 * say.
 */
import { placeOf } from '../domain/place.ts'
import { type AppContext, header } from './request-context.ts'

/** `trustedHops`: proxies in front, each of which adds the address that it saw to the right of `X-Forwarded-For`. */
export function clientAddress(c: AppContext, trustedHops: number): string {
  const socket = placeOf(c.env.remoteAddress ?? '') ?? 'unknown'
  if (trustedHops === 0) return socket
  const seen = (header(c, 'x-forwarded-for') ?? '').split(',')
  // Further left stands what the caller made up. A list that is too short did not pass through all of the proxies.
  return placeOf(seen[seen.length - trustedHops] ?? '') ?? socket
}
