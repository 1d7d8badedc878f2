/** One guarded call of a JSON API that is somebody's money: bounded in time and size, and read by its status. */
import type { Clock, HttpCall, HttpClient } from '../ports.ts'
import { createDeadline } from '../resilience/deadline.ts'
import type { GuardedCall, Target } from '../upstream/guarded-call.ts'
import type { Upstream } from '../upstream/upstream.ts'

export interface RestOptions {
  /** Host root. */
  baseUrl: string
  apiKey: string | undefined
  http: HttpClient
  clock: Clock
  upstream: Upstream
  guardedCall: GuardedCall
}

export interface RestRequest<T> {
  request: Pick<HttpCall, 'method' | 'path'> & { headers: Record<string, string>; body?: string }
  /** One try. */
  tryTimeoutMs: number
  /** All of them, with the waits between. */
  limitMs: number
  signal: AbortSignal
  /** What the answer means. Throws `UpstreamFailure` for what is none. */
  read(status: number, json: () => unknown, headers: Record<string, string | string[] | undefined>): T
  /** Told of each try that failed, before it is known whether there is another. */
  onFailure?(error: unknown): void
}

const slowMs = 5_000
const maxBytes = 1024 * 1024
const decoder = new TextDecoder()

/** Tried again on the circuit `call`: what is asked for must do no harm when it is done twice. */
export async function restCall<T>(options: RestOptions, { request, read, ...limits }: RestRequest<T>): Promise<T> {
  const { baseUrl, apiKey, http, clock, upstream, guardedCall } = options
  const { tryTimeoutMs, limitMs, signal, onFailure } = limits
  const { origin, pathname } = new URL(baseUrl)
  const target: Target<T> = {
    upstream,
    circuit: upstream.circuit('call'),
    tryTimeoutMs,
    slowMs,
    async send(signal) {
      try {
        const { status, headers, body } = await http.bytes({
          ...request,
          origin,
          path: (pathname === '/' ? '' : pathname) + request.path,
          headers: {
            'accept-encoding': 'identity',
            'user-agent': 'aiserve-gpuproxy',
            ...(apiKey && { authorization: `Bearer ${apiKey}` }),
            ...request.headers,
          },
          signal,
          headersTimeoutMs: tryTimeoutMs,
          idleTimeoutMs: tryTimeoutMs,
          maxBytes,
        })
        return read(status, () => JSON.parse(decoder.decode(body)), headers)
      } catch (error) {
        onFailure?.(error)
        throw error
      }
    },
  }
  const answer = await guardedCall([target], {
    deadline: createDeadline(clock, { limitMs }),
    signal,
    repeat: 'idempotent',
    trace: { attempts: 0, waitedMs: 0 },
  })
  return answer.value
}
