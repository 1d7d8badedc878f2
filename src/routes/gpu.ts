/** The GPU market. */
import { Hono } from 'hono'
import * as z from 'zod'
import { microUsd } from '../domain/money.ts'
import { marketNames, type OfferFilter, offerSorts } from '../domain/offer.ts'
import { type AppEnv, respond, wantsFresh } from '../middleware/request-context.ts'
import type { OfferSearch, Offers } from '../services/offers.ts'
import { parseOr400 } from './parse.ts'

const positive = z.coerce.number().positive().max(1e9)
const query = z.strictObject({
  provider: z
    .string()
    .transform((name) => name.toLowerCase().replace('.', ''))
    .pipe(z.enum(marketNames))
    .optional(),
  gpu_model: z.string().min(1).max(100).optional(),
  min_vram: positive.optional(),
  max_price: z.coerce.number().min(0).max(1e9).optional(),
  location: z.string().min(1).max(100).optional(),
  gpu_count: positive.int().optional(),
  sort: z.enum(offerSorts).default('price'),
  limit: z.coerce.number().int().min(1).max(200).default(50),
})

/** Queries whose meaning is remembered; the markets' lists are searched with the same few over and over. */
const maxKnownQueries = 1_000

export function gpuRoutes({ offers }: { offers: Offers }) {
  const app = new Hono<AppEnv>()
  const known = new Map<string, OfferSearch>()

  app.get('/offers', async (c) => {
    const { url } = c.req
    const text = url.includes('?') ? url.slice(url.indexOf('?')) : ''
    let search = known.get(text)
    if (!search) {
      search = toSearch(parseOr400(query, c.req.query(), 'invalid_query'))
      if (known.size >= maxKnownQueries) known.clear()
      known.set(text, search)
    }
    const { json, bytes, result } = await offers.search(search, wantsFresh(c))
    // The length is known: the server would count a long text's bytes again at each answer.
    const headers = { 'content-type': 'application/json', 'content-length': String(bytes), 'x-cache': result }
    return respond(c, 200, headers, json)
  })
  return app
}

function toSearch({ sort, limit, ...asked }: z.infer<typeof query>): OfferSearch {
  const filter: OfferFilter = {
    market: asked.provider,
    gpuModel: asked.gpu_model,
    minVramGb: asked.min_vram,
    maxPriceMicroUsd: asked.max_price === undefined ? undefined : microUsd(asked.max_price),
    location: asked.location,
    gpuCount: asked.gpu_count,
  }
  return { filter, sort, limit, key: JSON.stringify([filter, sort, limit]) }
}
