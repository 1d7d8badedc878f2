/**
 * A running instance, reached by its owner at the address that its market published. Where a connection may go is the
 * business of the client that is handed in (`instanceHttp`): it refuses whatever is not a public address.
 */
import type { Endpoint, Rental } from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import { type Clock, type HttpCall, type HttpClient, HttpFailure, type HttpReply, type Rentals } from '../ports.ts'

export interface InstanceProxyOptions {
  clock: Clock
  rentals: Pick<Rentals, 'find'>
  http: HttpClient
}

export interface ProxyRequest {
  method: HttpCall['method']
  /** Path and query at the instance; begins with `/`. */
  path: string
  headers: Record<string, string>
  body: Uint8Array | undefined
  /** Of the container; undefined = the first that is published. */
  port: number | undefined
  signal: AbortSignal
}

export interface InstanceProxy {
  /** @throws ApiError where it is not the account's, does not run, or cannot be reached */
  ask(accountId: string, rentalId: string, request: ProxyRequest): Promise<HttpReply<AsyncIterable<Uint8Array>>>
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const headersMs = 120_000
const idleMs = 120_000
/** So old may be what is known of an instance. A destroyed one is out of reach after that. */
const knownMs = 2_000
const maxKnown = 10_000

export function createInstanceProxy({ clock, rentals, http }: InstanceProxyOptions): InstanceProxy {
  const known = new Map<string, { at: number; rental: Rental | undefined }>()

  async function find(accountId: string, rentalId: string): Promise<Rental | undefined> {
    if (!uuid.test(rentalId)) return undefined
    const key = `${accountId} ${rentalId}`
    const cached = known.get(key)
    if (cached && clock.now() - cached.at < knownMs) return cached.rental
    // Dated before it is read: a slow answer is an old one.
    const at = clock.now()
    const rental = await rentals.find(accountId, rentalId)
    known.delete(key)
    if (known.size >= maxKnown) known.delete(known.keys().next().value!)
    known.set(key, { at, rental })
    return rental
  }

  return {
    async ask(accountId, rentalId, { port, body, ...request }) {
      const rental = await find(accountId, rentalId)
      if (!rental || rental.state === 'gone') throw new ApiError('instance_not_found')
      const endpoint = endpointOf(rental, port)
      if (rental.state !== 'running' || !endpoint) throw new ApiError('instance_not_running')
      const call: HttpCall = {
        ...request,
        origin: endpoint.origin,
        ...(body && { body }),
        headersTimeoutMs: headersMs,
        idleTimeoutMs: idleMs,
        maxBytes: Number.POSITIVE_INFINITY,
      }
      try {
        return await http.stream(call)
      } catch (cause) {
        if (!(cause instanceof HttpFailure)) throw cause
        throw new ApiError(cause.kind === 'headers_timeout' ? 'headers_timeout' : 'instance_unreachable', { cause })
      }
    },
  }
}

/** The port that is asked for; or of those its owner asked for the first that is published. */
function endpointOf({ endpoints, spec }: Rental, port: number | undefined): Endpoint | undefined {
  const wanted = port === undefined ? spec.ports : [port]
  for (const each of wanted) {
    const found = endpoints.find((endpoint) => endpoint.port === each)
    if (found) return found
  }
  const only = endpoints.find((endpoint) => endpoint.port === undefined)
  return only ?? (port === undefined ? endpoints[0] : undefined)
}
