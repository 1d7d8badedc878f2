/** Vast.ai's market as far as the gateway speaks it: https://docs.vast.ai/api-reference */
import type { Clock } from '../../src/ports.ts'
import type { Answer } from './send.ts'
import { loadVastCatalogue } from './vast-catalogue.ts'
import { searchOffers } from './vast-search.ts'
import {
  findRoute,
  isRecord,
  jsonAnswer,
  type Route,
  type Vendor,
  type VendorCall,
  type WholeAnswer,
} from './vendor.ts'

interface VastOptions {
  clock: Clock
  key: string | undefined
}

export function createVast({ clock, key }: VastOptions): Vendor {
  const machines = loadVastCatalogue()
  const searches = createWindow(clock, 10, 60_000)

  function search(query: unknown): Answer {
    if (!searches.take()) return tooFrequent(6)
    if (!isRecord(query)) return invalidRequest('the query is not a JSON object')
    const found = searchOffers(machines, query, clock.wallNow() / 1000)
    return Array.isArray(found) ? jsonAnswer(200, { offers: found }) : invalidRequest(found.wrong)
  }

  const routes: Route[] = [
    ['POST', /^\/api\/v0\/bundles\/$/, ({ body }) => search(body ?? {})],
    ['GET', /^\/api\/v0\/bundles\/$/, ({ query }) => search(parseQuery(query.get('q')))],
    ['GET', /^\/api\/v0\/users\/current\/$/, () => jsonAnswer(200, user)],
  ]

  return {
    answer(call) {
      const route = findRoute(routes, call)
      // Without its last slash a path does not exist, whoever asks.
      if (!route)
        return { status: 404, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: '404: Not Found' }
      return authorized(call, key) ? route() : vastError(401)
    },
    error: vastError,
  }
}

const user = {
  id: 271_828,
  username: 'sandbox',
  email: 'sandbox@example.com',
  balance: 0,
  credit: 100,
  ssh_key: '',
  has_billing: true,
  balance_threshold: 0,
}

function authorized({ headers, query }: VendorCall, key: string | undefined): boolean {
  return key === undefined || headers.authorization === `Bearer ${key}` || query.get('api_key') === key
}

function parseQuery(q: string | null): unknown {
  try {
    return JSON.parse(q ?? '{}')
  } catch {
    return undefined
  }
}

/** At most `limit` calls within `spanMs`. Every caller is this machine, so one window is the limit per address. */
function createWindow(clock: Clock, limit: number, spanMs: number) {
  const taken: number[] = []
  return {
    take(): boolean {
      const now = clock.now()
      while (taken[0] !== undefined && taken[0] <= now - spanMs) taken.shift()
      if (taken.length >= limit) return false
      taken.push(now)
      return true
    },
  }
}

/** Plain text and no Retry-After: a client has to know the limits by heart. */
function tooFrequent(thresholdS: number): WholeAnswer {
  const body = `API requests too frequent: endpoint threshold=${thresholdS.toFixed(1)}`
  return { status: 429, headers: { 'content-type': 'text/plain; charset=utf-8' }, body }
}

function invalidRequest(msg: string): WholeAnswer {
  return jsonAnswer(400, { success: false, error: 'invalid_request', msg })
}

function vastError(status: number): WholeAnswer {
  if (status === 429) return tooFrequent(6)
  const [error, msg] = errors[status] ?? ['server_error', `Error ${status}`]
  return jsonAnswer(status, { success: false, error, msg })
}

const errors: Record<number, [error: string, msg: string]> = {
  400: ['invalid_args', 'error 400/3467: Invalid arguments.'],
  401: ['auth_error', 'Invalid user key'],
  403: ['forbidden', 'Your key does not permit this operation.'],
  404: ['no_such_ask', 'error 404/3603: no_such_ask Instance type by id 0 is not available.'],
  410: ['no_such_ask', 'error 410/3907: no_such_ask'],
  413: ['invalid_request', 'The request body is too large.'],
}
