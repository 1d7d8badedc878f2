/** The GPU market. */
import { Hono } from 'hono'
import * as z from 'zod'
import { offerSorts } from '../domain/offer.ts'
import { principalOf } from '../middleware/authenticate.ts'
import { forAll } from '../middleware/for-all.ts'
import {
  type AppContext,
  type AppEnv,
  notInMemory,
  respond,
  waitedFor,
  wantsFresh,
} from '../middleware/request-context.ts'
import type { OfferSearch, Offers } from '../services/offers.ts'
import type { SavedPreferences } from '../services/preferences.ts'
import { filterOf, queryFields } from './offer-filters.ts'
import { count, parseOr400 } from './parse.ts'
import { preferenceName, withPreference } from './preference-filter.ts'

export const query = z.strictObject({
  ...queryFields,
  preference: preferenceName.optional(),
  sort: z.enum(offerSorts).optional(),
  limit: count(200, 50),
})

/** The lists are that old themselves. */
const forTheEdge = forAll('offers', 10)

/** Queries whose meaning is remembered; the markets' lists are searched with the same few over and over. */
const maxKnownQueries = 1_000

/** `isOwn`: the account's, by a name that is none to others. */
type OwnSearch = OfferSearch & { isOwn?: true }

export interface GpuRouteOptions {
  offers: Offers
  preferences: Pick<SavedPreferences, 'find'>
}

export function gpuRoutes({ offers, preferences }: GpuRouteOptions) {
  const app = new Hono<AppEnv>()
  const known = new Map<string, OwnSearch>()

  async function readSearch(c: AppContext, text: string): Promise<OwnSearch> {
    const { preference, sort, limit, ...asked } = parseOr400(query, c.req.query(), 'invalid_query')
    const filter = await withPreference(preferences, principalOf(c).accountId, preference, filterOf(asked))
    const search = { filter, sort, limit, key: JSON.stringify([filter, sort, limit]) }
    // What a name stands for is each account's own, and may be another thing tomorrow.
    if (preference !== undefined) return { ...search, isOwn: true }
    if (known.size >= maxKnownQueries) known.clear()
    known.set(text, search)
    return search
  }

  app.get('/offers', async (c) => {
    const { url } = c.req
    const text = url.includes('?') ? url.slice(url.indexOf('?')) : ''
    const search = known.get(text) ?? (await readSearch(c, text))
    const { body, result } = await waitedFor(c, offers.search(search, wantsFresh(c)), notInMemory)
    const shared = search.isOwn ? {} : forTheEdge
    return respond(c, 200, { 'content-type': 'application/json', 'x-cache': result, ...shared }, body)
  })
  return app
}
