/** Vast.ai's market as far as the gateway speaks it: https://docs.vast.ai/api-reference */
import type { Clock } from '../../src/ports.ts'
import type { MarketOptions } from './market-controls.ts'
import type { Answer } from './send.ts'
import { loadVastCatalogue } from './vast-catalogue.ts'
import type { VastControls } from './vast-controls.ts'
import { invalidRequest, tooFrequent, vastError } from './vast-errors.ts'
import { createVastRental } from './vast-rental.ts'
import { searchOffers } from './vast-search.ts'
import { findRoute, isRecord, jsonAnswer, type Route, type Vendor, type VendorCall } from './vendor.ts'

export interface VastVendor extends Vendor {
  controls: VastControls
}

export function createVast(options: MarketOptions): VastVendor {
  const { clock, key } = options
  const catalogue = loadVastCatalogue()
  const searches = createWindow(clock, 10, 60_000)
  const rental = createVastRental({ ...options, catalogue })

  function search(query: unknown): Answer {
    if (!searches.take()) return tooFrequent(6)
    if (!isRecord(query)) return invalidRequest('the query is not a JSON object')
    const free = catalogue.filter(({ id }) => rental.isFree(id))
    const found = searchOffers(free, query, clock.wallNow() / 1000)
    return Array.isArray(found) ? jsonAnswer(200, { offers: found }) : invalidRequest(found.wrong)
  }

  const routes: Route[] = [
    ['POST', /^\/api\/v0\/bundles\/$/, ({ body }) => search(body ?? {})],
    ['GET', /^\/api\/v0\/bundles\/$/, ({ query }) => search(parseQuery(query.get('q')))],
    ['GET', /^\/api\/v0\/users\/current\/$/, () => jsonAnswer(200, user)],
    ...rental.routes,
  ]

  return {
    answer(call) {
      const [, log] = /^\/instance_logs\/([\w-]+)\.log$/.exec(call.path) ?? []
      if (log !== undefined) return rental.download(log)
      const route = findRoute(routes, call)
      // Without its last slash a path does not exist, whoever asks.
      if (!route)
        return { status: 404, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: '404: Not Found' }
      return authorized(call, key) ? route() : vastError(401)
    },
    error: vastError,
    controls: rental.controls,
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
