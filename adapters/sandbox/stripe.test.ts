import { createHmac } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { eventually } from '../../tests/support/gateway.ts'
import { type Sandbox, startSandbox } from './sandbox.ts'

let sandbox: Sandbox
let stripe: NonNullable<Sandbox['stripe']>
beforeEach(async () => {
  const keys = { stripe: 'sk_test_right' }
  sandbox = await startSandbox({ clock, random: Math.random, servers: ['stripe'], keys, paymentProcessingMs: 0 })
  stripe = sandbox.stripe!
})
afterEach(() => sandbox.close())

const form = (own: Record<string, string> = {}) => ({
  amount: '2500',
  currency: 'usd',
  payment_method: 'pm_card_visa',
  confirm: 'true',
  'metadata[payment_id]': 'p1',
  ...own,
})
let keys = 0
async function create(fields: Record<string, string>, headers: Record<string, string> = {}) {
  const response = await fetch(`${stripe.baseUrl}/v1/payment_intents`, {
    method: 'POST',
    headers: { authorization: 'Bearer sk_test_right', 'idempotency-key': `key ${keys++}`, ...headers },
    body: headers['content-type'] ? JSON.stringify(fields) : new URLSearchParams(fields),
  })
  return { status: response.status, json: (await response.json()) as ReturnType<typeof JSON.parse> }
}

describe('Stripe', () => {
  it.each([
    ['pm_card_visa', 'succeeded', 2500],
    ['pm_card_authenticationRequired', 'requires_action', 0],
    ['pm_usBankAccount_success', 'processing', 0],
  ])('%s leads to %s', async (method, status, received) => {
    const { json, status: code } = await create(form({ payment_method: method }))
    expect(code).toBe(200)
    expect(json).toMatchObject({
      object: 'payment_intent',
      status,
      amount: 2500,
      amount_received: received,
      currency: 'usd',
      metadata: { payment_id: 'p1' },
      client_secret: expect.stringContaining(`${json.id}_secret_`),
    })
    expect(json.next_action !== null).toBe(status === 'requires_action')
    const found = await fetch(`${stripe.baseUrl}/v1/payment_intents/${json.id}`, {
      headers: { authorization: 'Bearer sk_test_right' },
    })
    expect(await found.json()).toEqual(json)
  })

  it('declines with a 402 that names the intent', async () => {
    const { status, json } = await create(form({ payment_method: 'pm_card_chargeDeclinedInsufficientFunds' }))
    expect(status).toBe(402)
    expect(json.error).toMatchObject({
      type: 'card_error',
      code: 'card_declined',
      decline_code: 'insufficient_funds',
      payment_intent: { status: 'requires_payment_method' },
    })
  })

  it('answers the same for the same key, a declined card too, and refuses another body under it', async () => {
    for (const method of ['pm_card_visa', 'pm_card_chargeDeclined']) {
      const key = { 'idempotency-key': `the key of ${method}` }
      const first = await create(form({ payment_method: method }), key)
      expect(await create(form({ payment_method: method }), key)).toEqual(first)
      const other = await create(form({ payment_method: method, amount: '2600' }), key)
      expect(other).toMatchObject({ status: 400, json: { error: { type: 'idempotency_error' } } })
    }
    expect(stripe.intents.size).toBe(2)
  })

  it('lets a call that was refused for its form be put right under the same key', async () => {
    const key = { 'idempotency-key': 'mistaken' }
    expect((await create(form({ amount: '1' }), key)).json.error).toMatchObject({ code: 'amount_too_small' })
    expect((await create(form(), key)).status).toBe(200)
  })

  it('takes forms only', async () => {
    const { status, json } = await create(form(), { 'content-type': 'application/json' })
    expect(status).toBe(400)
    expect(json.error.message).toContain('application/x-www-form-urlencoded')
  })

  it.each<[Record<string, string>, object]>([
    [{ payment_method: 'pm_nobody' }, { code: 'resource_missing', param: 'payment_method' }],
    [{ card: '4242' }, { code: 'parameter_unknown', param: 'card' }],
    [{ amount: '25.00' }, { code: 'parameter_invalid_integer', param: 'amount' }],
    [{ currency: 'USD' }, { param: 'currency' }],
  ])('refuses %j by name', async (own, error) => {
    expect(await create(form(own))).toMatchObject({ status: 400, json: { error } })
  })

  it('refuses another key than its own', async () => {
    expect((await create(form(), { authorization: 'Bearer sk_test_wrong' })).status).toBe(401)
  })
})

describe('webhooks', () => {
  let receiver: Server
  let received: { signature: string; body: string }[]
  let status: number
  beforeEach(async () => {
    received = []
    status = 200
    receiver = createServer(async (req, res) => {
      const chunks = await Array.fromAsync(req as AsyncIterable<Buffer>)
      received.push({ signature: String(req.headers['stripe-signature']), body: Buffer.concat(chunks).toString() })
      res.writeHead(status).end()
    })
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
    stripe.webhooks.sendTo(`http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`)
  })
  afterEach(() => {
    receiver.closeAllConnections()
    receiver.close()
  })
  const types = () => received.map(({ body }) => JSON.parse(body).type)
  const isSigned = ({ signature, body }: (typeof received)[number], secret = stripe.webhooks.secret) => {
    const [, t, v1] = /^t=(\d+),v1=([0-9a-f]+)$/.exec(signature) ?? []
    return createHmac('sha256', secret).update(`${t}.${body}`).digest('hex') === v1
  }

  it('tell, signed, of what became of an intent', async () => {
    await create(form({ payment_method: 'pm_card_authenticationRequired' }))
    const [id] = [...stripe.intents.keys()]
    await eventually(() => types().includes('payment_intent.requires_action'))
    stripe.settle(id!, 'succeeded')
    await eventually(() => types().includes('payment_intent.succeeded'))
    expect(received.every((each) => isSigned(each))).toBe(true)
    const last = JSON.parse(received.find(({ body }) => body.includes('payment_intent.succeeded'))!.body)
    expect(last.data.object).toMatchObject({ id, status: 'succeeded', amount_received: 2500 })
    stripe.settle(id!, 'canceled')
    expect(stripe.intents.get(id!)?.status).toBe('succeeded')
  })

  it('come again until they are taken', async () => {
    status = 503
    await create(form())
    await eventually(() => received.length >= 2)
    status = 200
    await eventually(() => types().filter((type) => type === 'payment_intent.succeeded').length >= 2)
  })

  it('are held for a test to deliver: stale, forged, altered, twice', async () => {
    stripe.webhooks.hold()
    await create(form())
    expect(received).toEqual([])
    const event = stripe.webhooks.events.at(-1)!
    await stripe.webhooks.deliver(event, { ageS: 400 })
    await stripe.webhooks.deliver(event, { secret: 'whsec_other' })
    await stripe.webhooks.deliver(event, { body: '{}' })
    await stripe.webhooks.deliver(event)
    await stripe.webhooks.deliver(event)
    expect(received.map((each) => isSigned(each))).toEqual([true, false, false, true, true])
    expect(received[4]!.body).toBe(received[3]!.body)
    expect(Number(/t=(\d+)/.exec(received[0]!.signature)![1])).toBeLessThan(Date.now() / 1000 - 399)
  })
})
