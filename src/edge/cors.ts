/** For pages of other origins (https://fetch.spec.whatwg.org/#http-cors-protocol). Credentials are headers, never cookies. */

export interface Cors {
  /** The answer to a browser that asks what it may send; undefined: it does not ask. */
  preflight(request: Request): Response | undefined
  /** Says to a browser which page may read the answer. */
  allow(request: Request, headers: Headers): void
}

const methods = 'GET, HEAD, POST, PUT, PATCH, DELETE'
const allowedHeaders =
  'authorization, content-type, x-api-key, idempotency-key, x-request-timeout-ms, cache-control, traceparent, tracestate'
const exposed =
  'x-request-id, x-gpuproxy-provider, x-gpuproxy-model, x-gpuproxy-attempts, x-gpuproxy-cost-usd, x-cache, x-edge-cache, age, retry-after, ratelimit, ratelimit-policy, idempotent-replayed, location'
const maxAgeSeconds = 600

export function createCors(origins: readonly string[]): Cors {
  const known = new Set(origins)
  const isAllowed = (request: Request) => known.has(request.headers.get('origin') ?? '')
  return {
    preflight(request) {
      const isAsking = request.method === 'OPTIONS' && request.headers.has('access-control-request-method')
      if (!isAsking) return undefined
      const headers = new Headers({ vary: 'origin' })
      if (isAllowed(request)) {
        headers.set('access-control-allow-methods', methods)
        headers.set('access-control-allow-headers', allowedHeaders)
        headers.set('access-control-max-age', String(maxAgeSeconds))
      }
      return new Response(null, { status: 204, headers })
    },
    allow(request, headers) {
      if (known.size === 0) return
      headers.append('vary', 'origin')
      if (!isAllowed(request)) return
      headers.set('access-control-allow-origin', request.headers.get('origin') ?? '')
      headers.set('access-control-expose-headers', exposed)
    },
  }
}
