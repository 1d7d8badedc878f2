/**
 * A running instance, reached by its owner at the address that its market published. Where a connection may go is the
 * business of the client and the tunnel that are handed in: they refuse whatever is not a public address.
 */
import type { Endpoint, Rental } from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import {
  type Clock,
  type HttpCall,
  type HttpClient,
  HttpFailure,
  type HttpReply,
  type OpenTunnel,
  type Rentals,
  type Tunnel,
} from '../ports.ts'
import type { OpenCalls, OpenKind } from './open-calls.ts'

export interface InstanceProxyOptions {
  clock: Clock
  rentals: Pick<Rentals, 'find'>
  http: HttpClient
  tunnel: Tunnel
  openCalls: OpenCalls
  /** Longest wait for the headers of an answer, in ms. @default 120_000 */
  headersTimeoutMs?: number
  /** Longest silence within a body or a tunnel, in ms. @default 120_000 */
  idleTimeoutMs?: number
}

export interface ProxyRequest extends Pick<HttpCall, 'method' | 'path' | 'headers' | 'signal'> {
  /** Of the container; undefined = the first that is published. */
  port: number | undefined
  /** When the answer has ended, in whatever way. */
  onEnd(fn: () => void): void
  /** Whether the caller's credential is good, asked while it is open. */
  stillGood: () => Promise<boolean>
}

type Body = AsyncIterable<Uint8Array>

export interface InstanceProxy {
  readonly idleTimeoutMs: number
  /** @throws ApiError where it is not the account's, does not run, or cannot be reached */
  ask(accountId: string, rentalId: string, request: ProxyRequest & { body: Body | undefined }): Promise<HttpReply<Body>>
  /** Asks it for a WebSocket. `bindings`: of the caller, as the tunnel takes them. Throws as `ask` does. */
  join(
    accountId: string,
    rentalId: string,
    request: ProxyRequest,
    bindings: unknown,
  ): Promise<HttpReply<Body> | OpenTunnel>
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** So old may be what is known of an instance. A destroyed one is out of reach after that. */
const knownMs = 2_000
const maxKnown = 10_000

export function createInstanceProxy(options: InstanceProxyOptions): InstanceProxy {
  const { clock, rentals, http, tunnel, openCalls, headersTimeoutMs = 120_000, idleTimeoutMs = 120_000 } = options
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

  /** What every call to a machine shares; it counts as open until the request has ended. */
  async function begin(kind: OpenKind, accountId: string, rentalId: string, request: ProxyRequest) {
    const { method, path, headers, port, signal, onEnd, stillGood } = request
    const rental = await find(accountId, rentalId)
    if (!rental || rental.state === 'gone') throw new ApiError('instance_not_found')
    const endpoint = endpointOf(rental, port)
    if (rental.state !== 'running') throw new ApiError('instance_not_running')
    if (!endpoint) throw unreached(rental, port)
    const open = openCalls.open(kind, rental, endpoint, stillGood)
    onEnd(open.end)
    const { origin } = endpoint
    const ends = AbortSignal.any([signal, open.signal])
    return { method, path, headers, origin, signal: ends, headersTimeoutMs, idleTimeoutMs, anyEncoding: true }
  }

  return {
    idleTimeoutMs,
    async ask(accountId, rentalId, { body, ...request }) {
      const call = await begin('calls', accountId, rentalId, request)
      const sent = { ...call, ...(body && { body }), maxBytes: Number.POSITIVE_INFINITY }
      return http.stream(sent).catch((cause) => fail(cause, request.signal))
    },
    async join(accountId, rentalId, request, bindings) {
      const call = await begin('tunnels', accountId, rentalId, request)
      return tunnel(bindings, call).catch((cause) => fail(cause, request.signal))
    },
  }
}

function fail(cause: unknown, caller: AbortSignal): never {
  if (caller.aborted) throw new ApiError('client_closed', { cause })
  if (!(cause instanceof HttpFailure)) throw cause
  // The body that was being sent is what failed, and says how.
  if (cause.cause instanceof ApiError) throw cause.cause
  throw new ApiError(cause.kind === 'headers_timeout' ? 'headers_timeout' : 'instance_unreachable', { cause })
}

function unreached({ spec: { ports } }: Rental, port: number | undefined): ApiError {
  // No waiting helps here.
  if (ports.length === 0) {
    const message =
      'The instance was rented without ports, so nothing leads to it. Rent one with the ports that you need.'
    return new ApiError('instance_not_running', { message })
  }
  if (port === undefined || ports.includes(port)) return new ApiError('instance_not_running')
  const message = `The instance publishes no port ${port}. Ask for one that it was rented with: ${ports.join(', ')}.`
  return new ApiError('instance_not_running', { message })
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
