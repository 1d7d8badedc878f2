/** The GPU market. */
import { Hono } from 'hono'
import * as z from 'zod'
import { microUsd } from '../domain/money.ts'
import { marketNames, offerSorts } from '../domain/offer.ts'
import { type AppEnv, respond } from '../middleware/request-context.ts'
import type { Offers } from '../services/offers.ts'
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
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})

export function gpuRoutes({ offers }: { offers: Offers }) {
  const app = new Hono<AppEnv>()
  app.get('/offers', async (c) => {
    const asked = parseOr400(query, c.req.query(), 'invalid_query')
    const { json, result } = await offers.search({
      market: asked.provider,
      gpuModel: asked.gpu_model,
      minVramGb: asked.min_vram,
      maxPriceMicroUsd: asked.max_price === undefined ? undefined : microUsd(asked.max_price),
      location: asked.location,
      gpuCount: asked.gpu_count,
      sort: asked.sort,
      limit: asked.limit,
    })
    return respond(c, 200, { 'content-type': 'application/json', 'x-cache': result }, json)
  })
  return app
}
