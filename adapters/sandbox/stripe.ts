/**
 * Stripe as far as the gateway speaks it: PaymentIntents that are confirmed at once, with Stripe's own test payment
 * methods (docs.stripe.com/testing). What happens to an intent later is told by signed webhooks.
 */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../../src/ports.ts'
import type { Answer } from './send.ts'
import { stripeError, stripeErrorFor } from './stripe-errors.ts'
import { findRoute, jsonAnswer, type Route, type Vendor, type VendorCall, type WholeAnswer } from './vendor.ts'

export interface SandboxIntent {
  id: string
  object: 'payment_intent'
  amount: number
  amount_received: number
  currency: string
  status: string
  client_secret: string
  metadata: Record<string, string>
  payment_method: string | null
  last_payment_error: object | null
  next_action: object | null
  created: number
  livemode: false
}

export interface StripeVendor extends Vendor {
  intents: ReadonlyMap<string, SandboxIntent>
  /** What a bank, or a payer who acts, brings about in the end. */
  settle(intentId: string, status: 'succeeded' | 'requires_payment_method' | 'canceled'): void
}

interface StripeOptions {
  clock: Clock
  key: string | undefined
  /** How long a `processing` intent takes to succeed by itself, in ms; 0 = it waits for `settle`. */
  processingMs: number
  onEvent: (type: string, intent: SandboxIntent) => void
}

/** Answers kept for a key: Stripe keeps them for 24 hours. */
const maxKeys = 10_000
const maxIntents = 10_000

export function createStripe({ clock, key, processingMs, onEvent }: StripeOptions): StripeVendor {
  const intents = new Map<string, SandboxIntent>()
  const answers = new Map<string, { form: string; answer: WholeAnswer }>()

  function settle(intentId: string, status: string) {
    const intent = intents.get(intentId)
    if (!intent || intent.status === 'succeeded' || intent.status === 'canceled') return
    intent.status = status
    intent.next_action = null
    if (status === 'succeeded') intent.amount_received = intent.amount
    if (status === 'requires_payment_method') intent.last_payment_error = cardError('card_declined', 'generic_decline')
    const type = eventTypes[status]
    if (type) onEvent(type, { ...intent })
  }

  function create({ headers, body }: VendorCall): Answer {
    const form = readForm(headers['content-type'], body)
    if ('status' in form) return form
    const given = headers['idempotency-key']
    const idempotencyKey = Array.isArray(given) ? given[0] : given
    const before = idempotencyKey === undefined ? undefined : answers.get(idempotencyKey)
    if (before) {
      if (before.form === form.fields.toString()) {
        return { ...before.answer, headers: { ...before.answer.headers, 'idempotent-replayed': 'true' } }
      }
      return stripeError(400, {
        type: 'idempotency_error',
        message: `Keys for idempotent requests can only be used with the same parameters they were first used with.`,
      })
    }
    const { answer, executed } = confirm(form.fields)
    // What was refused before anything was done may be sent again under the same key.
    if (executed && idempotencyKey !== undefined) {
      answers.set(idempotencyKey, { form: form.fields.toString(), answer })
      if (answers.size > maxKeys) answers.delete(answers.keys().next().value!)
    }
    return answer
  }

  function confirm(fields: URLSearchParams): { answer: WholeAnswer; executed: boolean } {
    const wrong = problemOf(fields)
    if (wrong) return { answer: wrong, executed: false }
    const method = fields.get('payment_method')
    const outcome = fields.get('confirm') === 'true' ? outcomes[method ?? ''] : { status: 'requires_confirmation' }
    if (!outcome) {
      const message = `No such PaymentMethod: '${method}'`
      const answer = stripeError(400, { code: 'resource_missing', param: 'payment_method', message })
      return { answer, executed: false }
    }
    const id = `pi_${randomBytes(12).toString('hex')}`
    const intent: SandboxIntent = {
      id,
      object: 'payment_intent',
      amount: Number(fields.get('amount')),
      amount_received: 0,
      currency: fields.get('currency')!,
      status: 'requires_confirmation',
      client_secret: `${id}_secret_${randomBytes(12).toString('hex')}`,
      metadata: metadataOf(fields),
      payment_method: method,
      last_payment_error: null,
      next_action: null,
      created: Math.floor(clock.wallNow() / 1000),
      livemode: false,
    }
    intents.set(id, intent)
    if (intents.size > maxIntents) intents.delete(intents.keys().next().value!)
    onEvent('payment_intent.created', { ...intent })
    if ('declined' in outcome) {
      const [code, declineCode] = outcome.declined
      settle(id, 'requires_payment_method')
      intent.last_payment_error = cardError(code, declineCode)
      return {
        answer: jsonAnswer(402, { error: { ...cardError(code, declineCode), payment_intent: intent } }),
        executed: true,
      }
    }
    if (outcome.status === 'requires_action') intent.next_action = { type: 'use_stripe_sdk', use_stripe_sdk: {} }
    if (outcome.status !== 'requires_confirmation') settleWithAction(intent, outcome.status)
    return { answer: jsonAnswer(200, intent), executed: true }
  }

  function settleWithAction(intent: SandboxIntent, status: string) {
    const action = intent.next_action
    settle(intent.id, status)
    intent.next_action = action
    if (status === 'processing' && processingMs > 0) clock.setTimer(processingMs, () => settle(intent.id, 'succeeded'))
  }

  const routes: Route[] = [
    ['POST', /^\/v1\/payment_intents$/, create],
    [
      'GET',
      /^\/v1\/payment_intents\/(pi_\w+)$/,
      (_call, id) => {
        const intent = intents.get(id)
        if (intent) return jsonAnswer(200, intent)
        return stripeError(404, {
          code: 'resource_missing',
          param: 'intent',
          message: `No such payment_intent: '${id}'`,
        })
      },
    ],
  ]

  return {
    intents,
    settle,
    answer(call) {
      if (key !== undefined && call.headers.authorization !== `Bearer ${key}`) return stripeErrorFor(401)
      const unknown = () => stripeError(404, { message: `Unrecognized request URL (${call.method}: ${call.path}).` })
      return (findRoute(routes, call) ?? unknown)()
    },
    error: stripeErrorFor,
  }
}

type Outcome = { status: string } | { declined: readonly [code: string, declineCode: string] }

const outcomes: Record<string, Outcome> = {
  pm_card_visa: { status: 'succeeded' },
  pm_card_mastercard: { status: 'succeeded' },
  pm_card_authenticationRequired: { status: 'requires_action' },
  pm_usBankAccount_success: { status: 'processing' },
  pm_card_chargeDeclined: { declined: ['card_declined', 'generic_decline'] },
  pm_card_chargeDeclinedInsufficientFunds: { declined: ['card_declined', 'insufficient_funds'] },
  pm_card_chargeDeclinedStolenCard: { declined: ['card_declined', 'stolen_card'] },
  pm_card_chargeDeclinedExpiredCard: { declined: ['expired_card', 'expired_card'] },
}

const eventTypes: Record<string, string> = {
  succeeded: 'payment_intent.succeeded',
  processing: 'payment_intent.processing',
  requires_action: 'payment_intent.requires_action',
  requires_payment_method: 'payment_intent.payment_failed',
  canceled: 'payment_intent.canceled',
}

const cardError = (code: string, decline_code: string) => ({
  type: 'card_error',
  code,
  decline_code,
  message: 'Your card was declined.',
})

/** Whatever is not a form is refused, as JSON is that new users send. */
function readForm(contentType: string | undefined, body: unknown): { fields: URLSearchParams } | WholeAnswer {
  if (!contentType?.startsWith('application/x-www-form-urlencoded') || typeof body === 'object') {
    const message = 'Invalid request: check that your POST content type is application/x-www-form-urlencoded.'
    return stripeError(400, { message })
  }
  return { fields: new URLSearchParams(String(body ?? '')) }
}

const known =
  /^(amount|currency|payment_method|confirm|capture_method|description|payment_method_types\[\d*\]|automatic_payment_methods\[(enabled|allow_redirects)\]|metadata\[\w{1,40}\])$/

function problemOf(fields: URLSearchParams): WholeAnswer | undefined {
  const invalid = (param: string, code: string, message: string) => stripeError(400, { code, param, message })
  for (const name of fields.keys()) {
    if (!known.test(name)) return invalid(name, 'parameter_unknown', `Received unknown parameter: ${name}`)
  }
  const amount = fields.get('amount')
  if (amount === null) return invalid('amount', 'parameter_missing', 'Missing required param: amount.')
  if (!/^\d+$/.test(amount)) return invalid('amount', 'parameter_invalid_integer', `Invalid integer: ${amount}`)
  if (Number(amount) > 99_999_999) {
    return invalid('amount', 'amount_too_large', 'Amount must be no more than $999,999.99')
  }
  if (Number(amount) < 50) return invalid('amount', 'amount_too_small', 'Amount must be at least $0.50 usd')
  const currency = fields.get('currency')
  if (currency === null) return invalid('currency', 'parameter_missing', 'Missing required param: currency.')
  if (!['usd', 'eur'].includes(currency)) {
    return invalid('currency', 'parameter_invalid_string', `Invalid currency: ${currency}.`)
  }
  return undefined
}

function metadataOf(fields: URLSearchParams): Record<string, string> {
  const entries = [...fields].flatMap(([name, value]) => {
    const [, key] = /^metadata\[(\w+)\]$/.exec(name) ?? []
    return key === undefined ? [] : [[key, value]]
  })
  return Object.fromEntries(entries)
}
