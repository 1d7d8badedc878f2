/** What the network between a worker and an origin answers in the origin's place. */
import { NotAnswered, NotSent } from '../../src/edge/regions.ts'

/** No connection, or none that TLS could be spoken on: no request has left. */
const notSent = new Set([521, 523, 525, 526, 530])
/** A connection on which no answer came in the network's own time, as while a model thinks. */
const notAnswered = 524
/** A connection that broke, or of which nothing came. */
const broken = new Set([520, 522, 527])

/**
 * In Cloudflare's network a worker's `fetch` of an origin that is gone does not fail: it brings an answer with a status of
 * its own. The gateway has an id on each of its answers, and lets no machine's through.
 * https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/
 */
export function passOrThrow(response: Response): Response {
  const { status, headers } = response
  const isNetworks = notSent.has(status) || broken.has(status) || status === notAnswered
  if (headers.has('x-request-id') || !isNetworks) return response
  void response.body?.cancel()
  const Failure = notSent.has(status) ? NotSent : status === notAnswered ? NotAnswered : Error
  throw new Failure(`the network says ${status}`)
}
