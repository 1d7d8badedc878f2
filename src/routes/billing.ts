/** What the caller's account has, what moved it, and what it was spent on. */
import { Hono } from 'hono'
import * as z from 'zod'
import {
  dayOf,
  daysAfter,
  daysWithin,
  maxUsageDays,
  type Position,
  shownKinds,
  usageGroupings,
} from '../domain/statement.ts'
import { ApiError } from '../errors.ts'
import { principalOf } from '../middleware/authenticate.ts'
import { type AppEnv, respondJson } from '../middleware/request-context.ts'
import type { Statements } from '../ports.ts'
import { balanceOut, currency, transactionOut, usageOut } from '../services/money-shapes.ts'
import { count, parseOr400 } from './parse.ts'

export interface BillingRouteOptions {
  statements: Statements
  /** Ms since 1970. */
  wallNow: () => number
}

const defaultDays = 30

export const transactionsQuery = z.strictObject({
  limit: count(200, 50),
  cursor: z.string().max(400).optional(),
})
/** A moment stands for its day. */
const day = z
  .union([z.iso.date(), z.iso.datetime({ offset: true }).transform((moment) => dayOf(Date.parse(moment)))])
  .refine((text) => text >= '1970', 'must be in 1970 or later')
export const usageQuery = z.strictObject({
  group_by: z.enum(usageGroupings).default('day'),
  from: day.optional(),
  to: day.optional(),
})

export function billingRoutes({ statements, wallNow }: BillingRouteOptions) {
  const app = new Hono<AppEnv>()

  app.get('/balance', async (c) => respondJson(c, 200, balanceOut(await statements.balance(principalOf(c).accountId))))

  app.get('/transactions', async (c) => {
    const { limit, cursor } = parseOr400(transactionsQuery, c.req.query(), 'invalid_query')
    const from = cursor === undefined ? undefined : fromCursor(cursor)
    // One more than is shown tells whether there are more, and is where the next page begins.
    const found = await statements.transactions(principalOf(c).accountId, { limit: limit + 1, from })
    const next = found[limit]
    const transactions = found.slice(0, limit).map(transactionOut)
    return respondJson(c, 200, { transactions, ...(next && { next_cursor: toCursor(next) }) })
  })

  app.get('/usage', async (c) => {
    const { group_by: groupBy, ...asked } = parseOr400(usageQuery, c.req.query(), 'invalid_query')
    const to = asked.to ?? dayOf(wallNow())
    const from = asked.from ?? daysAfter(to, 1 - defaultDays)
    const days = daysWithin(from, to)
    if (days < 1 || days > maxUsageDays) {
      const message = `from: must be at most ${maxUsageDays} days before "to" (${to}), and not after it.`
      throw new ApiError('invalid_query', { message, param: 'from' })
    }
    const usage = await statements.usage(principalOf(c).accountId, { groupBy, from, to })
    return respondJson(c, 200, { group_by: groupBy, from, to, currency, usage: usage.map(usageOut) })
  })
  return app
}

const since1970 = (text: string) => text >= '1970'
const position = z.tuple([z.iso.datetime({ precision: 6 }).refine(since1970), z.guid(), z.enum(shownKinds)])

/** Base64 with the alphabet that needs no escape in a URL. */
const toCursor = ({ at, operationId, kind }: Position) =>
  btoa(JSON.stringify([at, operationId, kind]))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')

function fromCursor(cursor: string): Position {
  try {
    const [at, operationId, kind] = position.parse(JSON.parse(atob(cursor.replaceAll('-', '+').replaceAll('_', '/'))))
    return { at, operationId, kind }
  } catch (cause) {
    const message = 'cursor: must be a next_cursor of this list, as it was given.'
    throw new ApiError('invalid_query', { message, param: 'cursor', cause })
  }
}
