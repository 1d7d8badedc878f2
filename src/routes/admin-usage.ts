/** What all accounts together used and rent, for administrators. */
import { Hono } from 'hono'
import * as z from 'zod'
import { usd } from '../domain/money.ts'
import { type Rental, shownStatus } from '../domain/rental.ts'
import { dayOf, monthOf, sumKinds } from '../domain/statement.ts'
import { type AppEnv, respondJson } from '../middleware/request-context.ts'
import type { Rentals, UsageSums } from '../ports.ts'
import type { Instances } from '../services/instances.ts'
import { currency, usageOut } from '../services/money-shapes.ts'
import { count, parseOr400 } from './parse.ts'

export interface AdminUsageRouteOptions {
  usageSums: Pick<UsageSums, 'read'>
  rentals: Pick<Rentals, 'newest'>
  instances: Pick<Instances, 'costOf'>
  /** Ms since 1970. */
  wallNow: () => number
}

export const sumsQuery = z.strictObject({
  group_by: z.enum(sumKinds).default('day'),
  month: z
    .string()
    .regex(/^20\d\d-(0[1-9]|1[0-2])$/, 'must be a month such as 2026-11')
    .optional(),
})
export const rentalsQuery = z.strictObject({
  limit: count(100, 50),
  cursor: z.uuid().optional(),
})

/** Under `/api/v1/admin`. */
export function adminUsageRoutes({ usageSums, rentals, instances, wallNow }: AdminUsageRouteOptions) {
  const app = new Hono<AppEnv>()

  app.get('/usage', async (c) => {
    const asked = parseOr400(sumsQuery, c.req.query(), 'invalid_query')
    const { group_by: kind, month = dayOf(wallNow()).slice(0, 7) } = asked
    const usage = await usageSums.read({ kind, month: monthOf(month) })
    return respondJson(c, 200, { group_by: kind, month, currency, usage: usage.map(usageOut) })
  })

  app.get('/instances', async (c) => {
    const { limit, cursor } = parseOr400(rentalsQuery, c.req.query(), 'invalid_query')
    const found = await rentals.newest({ limit: limit + 1, before: cursor })
    const shown = found.slice(0, limit)
    return respondJson(c, 200, {
      instances: shown.map((rental) => rentalOut(rental, usd(instances.costOf(rental)))),
      ...(found.length > limit && { next_cursor: shown.at(-1)!.id }),
    })
  })
  return app
}

/** Nothing of what runs on it: that is its owner's. */
const rentalOut = ({ id, accountId, state, offer, createdAt }: Rental, costSoFar: number) => ({
  id,
  account_id: accountId,
  provider: offer.market,
  status: shownStatus[state] ?? 'unknown',
  gpu_model: offer.gpuModel,
  gpu_count: offer.gpuCount,
  location: offer.location,
  price_per_hour: usd(offer.pricePerHour),
  cost_so_far: costSoFar,
  created_at: createdAt.toISOString(),
})
