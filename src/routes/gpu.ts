/** The GPU market. */
import { Hono } from 'hono'
import * as z from 'zod'
import { microUsd, usd } from '../domain/money.ts'
import { marketNames, type OfferFilter, offerSorts } from '../domain/offer.ts'
import { type AppEnv, respond, respondJson, wantsFresh } from '../middleware/request-context.ts'
import type { OfferSearch, Offers } from '../services/offers.ts'
import { keptDays, type PriceLook, type Prices } from '../services/prices.ts'
import { parseOr400 } from './parse.ts'

const positive = z.coerce.number().positive().max(1e9)
export const query = z.strictObject({
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

export const priceQuery = z.strictObject({
  gpu_model: z.string().min(1).max(100).optional(),
  days: z.coerce.number().int().min(1).max(keptDays).default(30),
})

export function gpuRoutes({ offers, prices }: { offers: Offers; prices: Prices }) {
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
  app.get('/prices', async (c) => {
    const { gpu_model: gpuModel, days } = parseOr400(priceQuery, c.req.query(), 'invalid_query')
    const looks = await prices.look({ gpuModel, days })
    return respondJson(c, 200, { days, prices: looks.map((look) => priceJson(look, days)) })
  })
  return app
}

/** Dollars for one GPU and hour, the cheapest of all markets and regions. */
const priceJson = ({ gpuModel, current, asOf, percentile, hours, quantiles, history }: PriceLook, days: number) => ({
  gpu_model: gpuModel,
  price_per_gpu_hour: usd(current),
  as_of: asOf.toISOString(),
  percentile,
  summary: `today is p${percentile} of ${days} days, of which ${hours} ${hours === 1 ? 'hour is' : 'hours are'} known`,
  hours,
  quantiles: Object.fromEntries(Object.entries(quantiles).map(([name, price]) => [name, usd(price)])),
  history: history.map(({ hour, price }) => ({ hour: hour.toISOString(), price: usd(price) })),
})

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
