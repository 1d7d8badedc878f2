/**
 * What payment providers tell us. A signature stands for a credential here, so a body of a stranger's is read: only after
 * the header's form and time were looked at, and within a small budget of its own.
 */
import { Hono } from 'hono'
import { ApiError } from '../errors.ts'
import type { BodyBudget } from '../middleware/body-budget.ts'
import { type AppEnv, header, respondJson } from '../middleware/request-context.ts'
import type { Metrics } from '../ports.ts'
import type { StripeEvent, StripeWebhook } from '../providers/stripe-webhook.ts'
import type { Payments } from '../services/payments.ts'
import { instruments } from '../telemetry/instruments.ts'

export interface WebhookRouteOptions {
  /** Undefined: no secret is configured. */
  stripe: StripeWebhook | undefined
  payments: Pick<Payments, 'hear'>
  bodies: BodyBudget
  metrics: Metrics
}

const maxBytes = 256 * 1024

export function webhookRoutes({ stripe, payments, bodies, metrics }: WebhookRouteOptions) {
  const app = new Hono<AppEnv>()

  app.post('/stripe', async (c) => {
    if (!stripe) throw new ApiError('provider_not_configured', { message: 'STRIPE_WEBHOOK_SECRET is not set here.' })
    const signature = header(c, 'stripe-signature') ?? ''
    let event: StripeEvent | undefined
    try {
      const body = stripe.isPlausible(signature) ? await bodies.read(c, maxBytes) : undefined
      event = body && (await stripe.read(signature, body))
    } catch (cause) {
      if (cause instanceof ApiError) throw cause
      throw new ApiError('invalid_body', { message: 'This is signed, and is no event of Stripe.', cause })
    }
    if (!event) {
      metrics.count(instruments.stripeEvents, { result: 'forged' })
      throw new ApiError('invalid_signature')
    }
    const applied = await payments.hear(event)
    metrics.count(instruments.stripeEvents, { result: applied ? 'applied' : 'ignored' })
    return respondJson(c, 200, { received: true })
  })
  return app
}
