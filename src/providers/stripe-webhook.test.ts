import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createStripeWebhook } from './stripe-webhook.ts'

const secret = 'whsec_test'
const nowS = 1_800_000_000
const webhook = createStripeWebhook({ secret, wallNow: () => nowS * 1000 })
const object = { id: 'pi_1', status: 'succeeded', amount: 100, amount_received: 100, currency: 'usd', metadata: {} }
const payload = JSON.stringify({ id: 'evt_1', type: 'payment_intent.succeeded', data: { object } })
const hmac = (text: string, by = secret, atS: number | string = nowS) =>
  createHmac('sha256', by).update(`${atS}.${text}`).digest('hex')
const read = (signature: string, body = payload) => webhook.read(signature, new TextEncoder().encode(body))

test('a signed event is read', async () => {
  expect(await read(`t=${nowS},v1=${hmac(payload)}`)).toEqual({
    id: 'evt_1',
    type: 'payment_intent.succeeded',
    intent: expect.objectContaining({ id: 'pi_1', state: 'succeeded', amountCents: 100 }),
  })
})

test('of several signatures one that fits is enough, and other schemes say nothing', async () => {
  const header = `t=${nowS},v1=${hmac(payload, 'whsec_old')},v1=${hmac(payload)},v0=abc`
  expect(await read(header)).toMatchObject({ id: 'evt_1' })
  expect(await read(`t=${nowS},v0=${hmac(payload)}`)).toBeUndefined()
})

describe('is no event of Stripe', () => {
  const good = hmac(payload)
  test.each([
    ['another secret', `t=${nowS},v1=${hmac(payload, 'whsec_other')}`],
    ['another time than was signed', `t=${nowS - 1},v1=${good}`],
    ['a signature cut short', `t=${nowS},v1=${good.slice(0, -2)}`],
    ['a signature of another letter', `t=${nowS},v1=${good.slice(0, -1)}${good.endsWith('0') ? '1' : '0'}`],
    ['no time', `v1=${good}`],
    ['no signature', `t=${nowS}`],
    ['a time that is none', `t=soon,v1=${hmac(payload, secret, 'soon')}`],
    ['nothing', ''],
    ['301 s ago', `t=${nowS - 301},v1=${hmac(payload, secret, nowS - 301)}`],
    ['301 s ahead', `t=${nowS + 301},v1=${hmac(payload, secret, nowS + 301)}`],
    ['a ninth signature', `t=${nowS},${`v1=${'0'.repeat(64)},`.repeat(8)}v1=${good}`],
  ])('%s', async (_what, header) => {
    expect(await read(header)).toBeUndefined()
  })

  test('another body than was signed, by one byte', async () => {
    expect(await read(`t=${nowS},v1=${good}`, `${payload} `)).toBeUndefined()
  })
})

test('300 s are not too old', async () => {
  expect(await read(`t=${nowS - 300},v1=${hmac(payload, secret, nowS - 300)}`)).toMatchObject({ id: 'evt_1' })
})

test('whether a body is worth reading is known by the header alone', () => {
  expect(webhook.isPlausible(`t=${nowS},v1=${'0'.repeat(64)}`)).toBe(true)
  expect(webhook.isPlausible(`t=${nowS - 301},v1=${'0'.repeat(64)}`)).toBe(false)
  expect(webhook.isPlausible('t=,v1=')).toBe(false)
})

test.each([
  ['payment_intent.payment_failed', 'failed'],
  ['payment_intent.processing', 'processing'],
  ['payment_intent.requires_action', 'requires_action'],
  ['payment_intent.canceled', 'canceled'],
])('%s says %s', async (type, state) => {
  const body = JSON.stringify({ id: 'evt_1', type, data: { object } })
  expect(await read(`t=${nowS},v1=${hmac(body)}`, body)).toMatchObject({ intent: { state } })
})

test.each(['payment_intent.created', 'charge.refunded', 'constructor'])(
  '%s is about no payment of ours',
  async (type) => {
    const body = JSON.stringify({ id: 'evt_1', type, data: { object: { anything: true } } })
    expect(await read(`t=${nowS},v1=${hmac(body)}`, body)).toEqual({ id: 'evt_1', type, intent: undefined })
  },
)

test('what is signed and no event is an error', async () => {
  await expect(read(`t=${nowS},v1=${hmac('{}')}`, '{}')).rejects.toThrow()
})
