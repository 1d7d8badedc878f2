import { describe, expect, test } from 'vitest'
import type { Scripted } from '../../tests/support/fake-http.ts'
import { restProvider } from '../../tests/support/rest-provider.ts'
import type { Payment } from '../domain/payment.ts'
import { HttpFailure } from '../ports.ts'
import { createStripe } from './stripe.ts'

function world(...script: Scripted[]) {
  const { options, ...rest } = restProvider('stripe', ...script)
  return { ...rest, stripe: createStripe(options) }
}

const payment: Payment = {
  id: '0198c0de-0000-7000-8000-000000000001',
  accountId: '0198c0de-0000-7000-8000-00000000000a',
  idempotencyKey: "the caller's",
  amount: 25_070_000,
  currency: 'USD',
  paymentMethod: 'pm_card_visa',
  state: 'processing',
  intentId: undefined,
  declineCode: undefined,
  createdAt: new Date(0),
}
const intent = (own: object = {}) => ({
  id: 'pi_1',
  object: 'payment_intent',
  status: 'succeeded',
  amount: 2507,
  amount_received: 2507,
  currency: 'usd',
  client_secret: 'pi_1_secret_2',
  metadata: { payment_id: payment.id },
  ...own,
})
const error = (status: number, own: object): Scripted => ({ status, body: { error: own } })

test.each([
  ['succeeded', 2507],
  ['processing', 0],
])('of one that is %s and does not say what came in, that is %i cents', async (status, cents) => {
  const { amount_received: _, ...rest } = intent({ status })
  const { stripe } = world({ body: rest })
  expect(await stripe.pay(payment)).toMatchObject({ intent: { receivedCents: cents } })
})

test('a payment goes out as a form, in cents, under its own id', async () => {
  const { http, stripe } = world({ body: intent() })
  expect(await stripe.pay(payment)).toEqual({
    outcome: 'intent',
    intent: {
      id: 'pi_1',
      state: 'succeeded',
      amountCents: 2507,
      receivedCents: 2507,
      currency: 'usd',
      declineCode: undefined,
      clientSecret: 'pi_1_secret_2',
      metadata: { payment_id: payment.id },
    },
  })
  const [call] = http.calls
  expect(call).toMatchObject({
    method: 'POST',
    path: '/v1/payment_intents',
    headers: {
      authorization: 'Bearer the key',
      'content-type': 'application/x-www-form-urlencoded',
      'idempotency-key': payment.id,
    },
  })
  expect(Object.fromEntries(new URLSearchParams(String(call!.body)))).toEqual({
    amount: '2507',
    currency: 'usd',
    payment_method: 'pm_card_visa',
    confirm: 'true',
    'automatic_payment_methods[enabled]': 'true',
    'automatic_payment_methods[allow_redirects]': 'never',
    'metadata[account_id]': payment.accountId,
    'metadata[payment_id]': payment.id,
  })
})

test.each([
  ['succeeded', 'succeeded'],
  ['processing', 'processing'],
  ['requires_action', 'requires_action'],
  ['requires_payment_method', 'failed'],
  ['canceled', 'canceled'],
  ['requires_capture', 'processing'],
  ['a status to come', 'processing'],
])('the status %s is the state %s', async (status, state) => {
  expect(await world({ body: intent({ status }) }).stripe.find('pi_1')).toMatchObject({ state })
})

describe('a card that is declined', () => {
  test.each([
    [{ code: 'card_declined', decline_code: 'insufficient_funds' }, 'insufficient_funds'],
    [{ code: 'expired_card' }, 'expired_card'],
    [{ code: 'card_declined', decline_code: 'stolen_card' }, 'generic_decline'],
    [{}, 'generic_decline'],
  ])('%j is told as %s, and not tried again', async (own, declineCode) => {
    const body = { type: 'card_error', message: 'words', payment_intent: { id: 'pi_2' }, ...own }
    const { http, stripe } = world(error(402, body))
    expect(await stripe.pay(payment)).toEqual({ outcome: 'declined', declineCode, intentId: 'pi_2' })
    expect(http.calls).toHaveLength(1)
  })
})

test('what Stripe does not understand is refused by name', async () => {
  const body = { type: 'invalid_request_error', code: 'resource_missing', param: 'payment_method', message: 'words' }
  const { http, stripe } = world(error(400, body))
  expect(await stripe.pay(payment)).toEqual({ outcome: 'refused', code: 'resource_missing', param: 'payment_method' })
  expect(http.calls).toHaveLength(1)
})

test.each<[string, Scripted]>([
  ['a 500', error(500, { type: 'api_error' })],
  ['a key in use', error(409, { type: 'idempotency_error', code: 'idempotency_key_in_use' })],
  ['an idempotency error', error(400, { type: 'idempotency_error' })],
  ['a 424', error(424, { type: 'api_error' })],
  ['a 429', error(429, { type: 'invalid_request_error', code: 'rate_limit' })],
  ['a reset', new HttpFailure('reset')],
  ['a refused connection', new HttpFailure('not_sent')],
  ['an answer that is none', { body: '<html>' }],
])('%s is followed by the same call under the same key', async (_what, first) => {
  const { http, clock, stripe } = world(first, { body: intent() })
  const answer = stripe.pay(payment)
  await clock.advance(5_000)
  expect(await answer).toMatchObject({ outcome: 'intent' })
  expect(http.calls[1]).toMatchObject({ body: http.calls[0]!.body, headers: http.calls[0]!.headers })
})

describe('what came of a call that failed', () => {
  async function failed(...script: Scripted[]) {
    const { clock, stripe } = world(...script)
    const answer = stripe.pay(payment).catch((thrown) => thrown)
    await clock.advance(60_000)
    return answer
  }

  test.each<[string, Scripted[]]>([
    ['silence', ['silence']],
    ['a 500', [error(500, {})]],
    ['a reset', [new HttpFailure('reset')]],
    ['a reset and then no connection', [new HttpFailure('reset'), new HttpFailure('not_sent')]],
    ['a key in use', [error(409, { type: 'idempotency_error' })]],
  ])('is not known after %s', async (_what, script) => {
    expect(await failed(...script)).toEqual({ outcome: 'unknown' })
  })

  test.each<[string, Scripted[], object]>([
    ['no connection', [new HttpFailure('not_sent')], { class: 'not_sent' }],
    ['a refused credential', [error(401, { type: 'invalid_request_error' })], { class: 'config' }],
    ['too many calls', [error(429, { type: 'invalid_request_error' })], { class: 'throttled' }],
  ])('is nothing after %s', async (_what, script, failure) => {
    expect(await failed(...script)).toMatchObject(failure)
  })

  test('is nothing where our own breaker let nothing out', async () => {
    const { upstream, http, stripe } = world({ body: intent() })
    upstream.force('stripe', 'open')
    await expect(stripe.pay(payment)).rejects.toMatchObject({ class: 'local' })
    expect(http.calls).toEqual([])
  })
})
