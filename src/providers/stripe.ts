/** Stripe's PaymentIntents (docs.stripe.com/api/payment_intents). Bodies are forms, amounts are cents. */
import * as z from 'zod'
import { type Payment, type PaymentState, toCents } from '../domain/payment.ts'
import { HttpFailure } from '../ports.ts'
import { checkStatus, UpstreamFailure } from '../upstream/outcome.ts'
import { type RestOptions, restCall } from './rest-call.ts'

export interface Stripe {
  /**
   * Makes the payment, once however often it is told: Stripe knows it again by its id for 24 hours. Throws
   * `UpstreamFailure` where this call certainly had no effect.
   */
  pay(payment: Payment): Promise<StripeAnswer>
  find(intentId: string): Promise<Intent>
}

export type StripeAnswer =
  | { outcome: 'intent'; intent: Intent }
  | { outcome: 'declined'; declineCode: string; intentId: string | undefined }
  /** What was asked for is not possible; nothing came of it. */
  | { outcome: 'refused'; code: string; param: string | undefined }
  /** It may have been made. */
  | { outcome: 'unknown' }

/** What Stripe says of a payment. */
export interface Intent {
  id: string
  state: Exclude<PaymentState, 'created'>
  amountCents: number
  /** What has come in. */
  receivedCents: number
  /** In lower case. */
  currency: string
  declineCode: string | undefined
  /** With this a browser goes on; it is nobody's but the payer's, and is kept nowhere. */
  clientSecret: string | undefined
  metadata: Record<string, string>
}

const limits = { tryTimeoutMs: 12_000, limitMs: 30_000 }
/** No request of a caller's is cut off where money may be moving: the deadline bounds it. */
const { signal } = new AbortController()
const prefix = '/v1/payment_intents'

export function createStripe(options: RestOptions): Stripe {
  const check = (status: number, headers: Parameters<typeof checkStatus>[0]['headers']) => {
    if (status === 404 || status === 405) throw new UpstreamFailure('config', { status })
    checkStatus({ status, headers, body: undefined }, options.clock.wallNow())
    // 409, 424: another call with this key is under way, or something Stripe needs has failed.
    if (status >= 400) throw new UpstreamFailure('throttled', { status })
  }

  return {
    async pay(payment) {
      let mayBeThere = false
      try {
        return await restCall<StripeAnswer>(options, {
          request: {
            method: 'POST',
            path: prefix,
            headers: { 'content-type': 'application/x-www-form-urlencoded', 'idempotency-key': payment.id },
            body: toForm(payment),
          },
          ...limits,
          signal,
          onFailure(error) {
            mayBeThere ||= !hadNoEffect(error)
          },
          read(status, json, headers) {
            if (status === 200) return { outcome: 'intent', intent: toIntent(json()) }
            const error = status === 400 || status === 402 ? failed.parse(json()).error : undefined
            if (error?.type === 'card_error') {
              const { decline_code, code, payment_intent } = error
              return { outcome: 'declined', declineCode: shown(decline_code ?? code), intentId: payment_intent?.id }
            }
            if (error?.type === 'invalid_request_error') {
              return { outcome: 'refused', code: error.code ?? 'invalid_request', param: error.param ?? undefined }
            }
            check(status, headers)
            throw new UpstreamFailure('poison', { status })
          },
        })
      } catch (error) {
        if (mayBeThere && error instanceof UpstreamFailure) return { outcome: 'unknown' }
        throw error
      }
    },

    find: (intentId) =>
      restCall(options, {
        request: { method: 'GET', path: `${prefix}/${encodeURIComponent(intentId)}`, headers: {} },
        ...limits,
        signal,
        read(status, json, headers) {
          if (status === 200) return toIntent(json())
          check(status, headers)
          throw new UpstreamFailure('poison', { status })
        },
      }),
  }
}

function toForm(payment: Payment): string {
  return new URLSearchParams({
    amount: String(toCents(payment.amount)),
    currency: payment.currency.toLowerCase(),
    payment_method: payment.paymentMethod,
    confirm: 'true',
    'automatic_payment_methods[enabled]': 'true',
    // Otherwise Stripe wants to know where to send the payer back to.
    'automatic_payment_methods[allow_redirects]': 'never',
    'metadata[account_id]': payment.accountId,
    'metadata[payment_id]': payment.id,
  }).toString()
}

/** Never sent, refused for its number, or refused for our credential. */
function hadNoEffect(error: unknown): boolean {
  if (error instanceof HttpFailure) return error.kind === 'not_sent' || error.kind === 'connect_timeout'
  return error instanceof UpstreamFailure && (error.class === 'config' || error.details.status === 429)
}

const code = z.string().regex(/^\w{1,64}$/)
const failed = z.object({
  error: z.object({
    type: z.string(),
    code: code.nullish(),
    decline_code: code.nullish(),
    param: z.string().nullish(),
    payment_intent: z.object({ id: z.string() }).nullish(),
  }),
})

const intent = z.object({
  id: z.string().regex(/^pi_\w{1,200}$/),
  status: z.string(),
  amount: z.int(),
  amount_received: z.int().optional(),
  currency: z.string(),
  client_secret: z.string().nullish(),
  metadata: z.record(z.string(), z.string()).default({}),
  last_payment_error: z.object({ decline_code: code.nullish(), code: code.nullish() }).nullish(),
})

const states: Record<string, Intent['state']> = {
  succeeded: 'succeeded',
  requires_action: 'requires_action',
  // A confirmed one gets there when it was declined.
  requires_payment_method: 'failed',
  canceled: 'canceled',
}

/** @throws where it is no PaymentIntent. */
export function toIntent(value: unknown): Intent {
  const found = intent.parse(value)
  const error = found.last_payment_error
  return {
    id: found.id,
    state: states[found.status] ?? 'processing',
    amountCents: found.amount,
    // Stripe says it; others that speak its API may leave it to the status.
    receivedCents: found.amount_received ?? (found.status === 'succeeded' ? found.amount : 0),
    currency: found.currency,
    declineCode: error ? shown(error.decline_code ?? error.code) : undefined,
    clientSecret: found.client_secret ?? undefined,
    metadata: found.metadata,
  }
}

/** Stripe asks not to tell the bearer of a card that it is thought stolen: docs.stripe.com/declines/codes */
const untold = new Set(['fraudulent', 'lost_card', 'merchant_blacklist', 'pickup_card', 'stolen_card'])
const shown = (declineCode: string | null | undefined) =>
  declineCode && !untold.has(declineCode) ? declineCode : 'generic_decline'
