/** `/api/v1/billing`, `/api/v1/guardrails`, and Stripe's webhooks. */
import { transactionsQuery, usageQuery } from '../routes/billing.ts'
import { checkBody, limitsBody } from '../routes/guardrails.ts'
import { body as paymentBody } from '../routes/payments.ts'
import type { RouteDoc } from './route.ts'
import * as shapes from './shapes.ts'

const base = { section: 'Billing', access: 'billing' } as const

export const billingRoutes: RouteDoc[] = [
  {
    ...base,
    method: 'GET',
    path: '/api/v1/billing/balance',
    name: 'getBalance',
    summary: 'Look at the credit',
    answers: {
      200: { about: 'What may be spent, and what is set aside for what is under way.', json: shapes.balance },
    },
    examples: [{ title: 'My credit' }],
  },
  {
    ...base,
    method: 'GET',
    path: '/api/v1/billing/transactions',
    name: 'listTransactions',
    summary: 'List what moved the credit',
    query: transactionsQuery,
    answers: { 200: { about: 'The newest first.', json: shapes.transactionsAnswer } },
    examples: [{ title: 'The newest ten', query: { limit: '10' } }],
  },
  {
    ...base,
    method: 'GET',
    path: '/api/v1/billing/usage',
    name: 'getUsage',
    summary: 'Sum up the usage',
    query: usageQuery,
    answers: { 200: { about: 'One row for each group. Days are those of UTC.', json: shapes.usageAnswer } },
    examples: [{ title: 'Of the last thirty days, by model', query: { group_by: 'model' } }],
  },
  {
    ...base,
    method: 'POST',
    path: '/api/v1/billing/payments',
    name: 'createPayment',
    summary: 'Pay by card',
    about: 'The credit is there once Stripe says that the money came in.',
    body: { schema: paymentBody },
    idempotencyKey: 'required',
    writes: true,
    answers: {
      201: {
        about: 'Paid.',
        json: shapes.payment,
        headers: { 'Idempotent-Replayed': '`true`. Only there where it was made before.' },
      },
      202: {
        about: 'Under way, or the payer has to confirm it.',
        json: shapes.payment,
        headers: { Location: 'Where it is looked at.' },
      },
    },
    errors: ['payment_declined', 'provider_not_configured', 'upstream_invalid', 'upstream_unavailable', 'circuit_open'],
    examples: [
      {
        title: 'Twenty-five dollars',
        headers: { 'Idempotency-Key': 'top-up-1' },
        body: { amount: '25.00', currency: 'USD', payment_method: 'pm_card_visa' },
      },
    ],
  },
  {
    ...base,
    method: 'GET',
    path: '/api/v1/billing/payments/{id}',
    name: 'getPayment',
    summary: 'Look at a payment',
    answers: { 200: { about: 'The payment.', json: shapes.payment } },
    errors: ['payment_not_found'],
    examples: [{ title: 'One payment', params: { id: '$PAYMENT_ID' } }],
  },
  {
    ...base,
    method: 'GET',
    path: '/api/v1/guardrails',
    name: 'getGuardRails',
    summary: 'Look at the guard rails',
    about: 'Seventeen sliding windows over what the account spends.',
    answers: {
      200: {
        about: 'Each window, what is spent in it, and when the oldest of that leaves it.',
        json: shapes.guardrails,
      },
    },
    examples: [{ title: 'Mine' }],
  },
  {
    ...base,
    method: 'PUT',
    path: '/api/v1/guardrails',
    name: 'setGuardRails',
    summary: 'Set lower guard rails',
    about:
      'Only the windows that are named change. None may be above what the operator has set; null takes one’s own away.',
    body: { schema: limitsBody },
    writes: true,
    answers: { 200: { about: 'As they are now.', json: shapes.guardrails } },
    examples: [{ title: 'Fifty dollars an hour', body: { limits: { '60min': '50.00' } } }],
  },
  {
    ...base,
    method: 'POST',
    path: '/api/v1/guardrails/check',
    name: 'checkGuardRails',
    summary: 'Ask whether an amount would fit',
    body: { schema: checkBody },
    answers: { 200: { about: 'It would.', json: shapes.guardrailCheck } },
    errors: ['guardrail_exceeded'],
    examples: [{ title: 'Five dollars', body: { amount: '5.00' } }],
  },
  {
    ...base,
    method: 'POST',
    path: '/api/v1/webhooks/stripe',
    name: 'stripeWebhook',
    summary: 'Stripe’s events',
    about: 'A signature in `Stripe-Signature` stands for the credential. Events may come twice and in any order.',
    access: 'anyone',
    headers: { 'Stripe-Signature': 'Stripe’s, over the body as it came.' },
    writes: true,
    answers: { 200: { about: 'Heard.', json: shapes.received } },
    errors: ['invalid_signature', 'invalid_body', 'provider_not_configured', 'body_too_large', 'rate_limited'],
    examples: { none: 'Stripe alone calls this: it needs the secret that signs its events.' },
  },
]
