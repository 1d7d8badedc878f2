/** Money that comes in by card. */
import { Hono } from 'hono'
import * as z from 'zod'
import { formatUsd, parseUsd } from '../domain/money.ts'
import { currencies, isWholeCents } from '../domain/payment.ts'
import { principalOf } from '../middleware/authenticate.ts'
import { markReplayed, requiredKey } from '../middleware/idempotency.ts'
import type { ReadJson } from '../middleware/json-body.ts'
import { type AppContext, type AppEnv, respondJson, waitedFor } from '../middleware/request-context.ts'
import type { Payments, ShownPayment } from '../services/payments.ts'
import { parseOr400 } from './parse.ts'

export interface PaymentRouteOptions {
  payments: Payments
  readJson: ReadJson
}

/** What Stripe takes at most. */
const maxAmount = 999_999_990_000
const amount = z.string().transform((text, context) => {
  const micro = parseUsd(text)
  if (micro !== undefined && micro > 0 && micro <= maxAmount && isWholeCents(micro)) return micro
  context.addIssue({
    code: 'custom',
    message: `must be a whole number of cents as text, at most "${formatUsd(maxAmount)}", such as "25.00"`,
  })
  return z.NEVER
})
export const body = z.strictObject({
  amount,
  currency: z
    .string()
    .toUpperCase()
    .pipe(z.enum(currencies, `must be one of ${currencies.join(', ')}`)),
  payment_method: z.string().regex(/^pm_\w{1,200}$/, 'must be the id of a Stripe PaymentMethod, "pm_…"'),
})

export function paymentRoutes({ payments, readJson }: PaymentRouteOptions) {
  const app = new Hono<AppEnv>()

  app.post('/payments', async (c) => {
    const idempotencyKey = requiredKey(c)
    const { accountId } = principalOf(c)
    const order = parseOr400(body, (await readJson(c)).value)
    const { payment_method: paymentMethod, ...asked } = order
    const paid = payments.pay({ ...asked, accountId, idempotencyKey, paymentMethod }, () => markReplayed(c))
    const shown = await waitedFor(c, paid)
    return respondPayment(c, shown.payment.state === 'succeeded' ? 201 : 202, shown)
  })
  app.get('/payments/:id', async (c) => {
    const shown = payments.show(principalOf(c).accountId, c.req.param('id'))
    return respondPayment(c, 200, await waitedFor(c, shown))
  })
  return app
}

function respondPayment(c: AppContext, status: number, { payment, clientSecret }: ShownPayment): Response {
  const { id, state, amount, currency, createdAt, declineCode, sandbox } = payment
  const path = `/api/v1/billing/payments/${id}`
  // The secret is the payer's alone.
  Object.assign(c.get('request').headers, { 'cache-control': 'no-store', ...(status !== 200 && { location: path }) })
  return respondJson(c, status, {
    id,
    status: state,
    amount: formatUsd(amount),
    currency,
    created_at: createdAt.toISOString(),
    ...(declineCode !== undefined && { decline_code: declineCode }),
    ...(sandbox && { sandbox }),
    ...(clientSecret !== undefined && { client_secret: clientSecret }),
  })
}
