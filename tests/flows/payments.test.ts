/** Payments over HTTP, with the sandbox's Stripe on one side and a real PostgreSQL on the other. */
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createMemoryWriteMode } from '../../adapters/memory/write-mode.ts'
import { type ConnectedCluster, connectCluster } from '../../adapters/node/postgres/connect-cluster.ts'
import { createCredits } from '../../adapters/node/postgres/credits.ts'
import { migrate } from '../../adapters/node/postgres/migrations.ts'
import { createPaymentStore } from '../../adapters/node/postgres/payments.ts'
import type { Fault } from '../../adapters/sandbox/sandbox.ts'
import type { SandboxEvent } from '../../adapters/sandbox/stripe-webhooks.ts'
import { type Ports, StorageUnavailable } from '../../src/ports.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { eventually, startTestGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts'

const accountId = '00000000-0000-7000-8000-000000000001'
let server: TestPostgres
let cluster: ConnectedCluster
let gateway: TestGateway
let stripe: TestGateway['sandbox']['stripe']
let ports: Partial<Ports>

beforeAll(async () => {
  server = await startTestPostgres()
  cluster = await connectCluster({ ...server.connection, clock, max: 20, min: 0, acquireTimeoutMs: 10_000 })
  await migrate({ database: cluster.pools.general, log: { info() {}, warn() {} } })
  ports = { credits: createCredits({ cluster }), paymentStore: createPaymentStore({ cluster }) }
})
afterAll(async () => {
  await cluster.close({ timeoutS: 1 })
  await server.close()
})
const start = async (options: TestGatewayOptions = {}) => {
  const started = await startTestGateway({ ...options, ports: { ...ports, ...options.ports } })
  started.sandbox.stripe.webhooks.hold()
  return started
}
beforeEach(async () => {
  await cluster.pools.general.query('empty', undefined, (sql) => sql`truncate payments, balances, ledger_entries`)
  gateway = await start()
  stripe = gateway.sandbox.stripe
})
afterEach(() => gateway.close())

type Json = ReturnType<typeof JSON.parse>
async function pay(own: object = {}, key: string | undefined = randomUUID(), via = gateway) {
  const body = { amount: '25.00', currency: 'USD', payment_method: 'pm_card_visa', ...own }
  const headers = key === undefined ? {} : { 'idempotency-key': key }
  const response = await via.post('/api/v1/billing/payments', body, { headers })
  return { status: response.status, headers: response.headers, json: (await response.json()) as Json }
}
async function show(id: string) {
  const response = await gateway.get(`/api/v1/billing/payments/${id}`)
  return { status: response.status, json: (await response.json()) as Json }
}
async function balance(): Promise<number> {
  const rows = await cluster.pools.general.query(
    'balance',
    undefined,
    (sql) => sql<{ available: string }[]>`select available from balances where account_id = ${accountId}`,
  )
  return Number(rows[0]?.available ?? 0)
}
const events = (type: string) => stripe.webhooks.events.filter((event) => event.type === `payment_intent.${type}`)
const altered = (event: SandboxEvent, own: object): SandboxEvent => ({
  ...event,
  data: { object: { ...event.data.object, ...own } },
})
const errors = () => gateway.log.filter(({ level }) => level === 'error')

describe('a card that pays', () => {
  test('is credit at once; the same key is the same payment, and another amount under it is refused', async () => {
    const key = randomUUID()
    const paid = await pay({}, key)
    expect(paid.status).toBe(201)
    expect(paid.json).toEqual({
      id: expect.any(String),
      status: 'succeeded',
      amount: '25.00',
      currency: 'USD',
      created_at: expect.stringMatching(/Z$/),
      sandbox: true,
    })
    expect(paid.headers.get('location')).toBe(`/api/v1/billing/payments/${paid.json.id}`)
    expect(await balance()).toBe(25_000_000)
    expect(paid.headers.get('idempotent-replayed')).toBeNull()
    const again = await pay({}, key)
    expect(again).toMatchObject({ status: 201, json: paid.json })
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect(await pay({ amount: '26.00' }, key)).toMatchObject({ status: 422, json: { code: 'idempotency_mismatch' } })
    expect(await show(paid.json.id)).toEqual({ status: 200, json: paid.json })
    expect(stripe.intents.size).toBe(1)
    expect(await balance()).toBe(25_000_000)
    expect(await gateway.metric('payments_total', { state: 'succeeded' })).toBe(1)
  })

  test('is charged once by twenty who ask at once with one key', async () => {
    const key = randomUUID()
    const all = await Promise.all(Array.from({ length: 20 }, () => pay({}, key)))
    expect(new Set(all.map(({ json }) => json.id)).size).toBe(1)
    expect(all.every(({ status }) => status === 201 || status === 202)).toBe(true)
    expect(stripe.intents.size).toBe(1)
    expect(await balance()).toBe(25_000_000)
  })

  test.each<[string, Fault[]]>([
    ['an answer lost after the charge', [{ kind: 'swallow_reply', times: 1 }]],
    ['an answer cut', [{ kind: 'cut', afterTokens: 1, times: 1 }]],
    ['a 500', [{ kind: 'status', status: 500, times: 1 }]],
    ['a key in use', [{ kind: 'status', status: 409, times: 1 }]],
    ['a reset before it', [{ kind: 'reset', times: 1 }]],
  ])('is charged once after %s', async (_what, faults) => {
    stripe.setFaults(faults)
    expect((await pay()).status).toBe(201)
    expect(stripe.calls.length).toBe(2)
    expect(stripe.intents.size).toBe(1)
    expect(await balance()).toBe(25_000_000)
  })

  test('is processing while Stripe is silent about it, and credit by the webhook', async () => {
    stripe.setFaults([{ kind: 'swallow_reply' }])
    const { status, json } = await pay()
    expect({ status, state: json.status }).toEqual({ status: 202, state: 'processing' })
    expect(await balance()).toBe(0)
    expect(await stripe.webhooks.deliver(events('succeeded')[0]!)).toBe(200)
    expect((await show(json.id)).json.status).toBe('succeeded')
    expect(await balance()).toBe(25_000_000)
  })

  test('is a 503 while Stripe cannot be reached, and the same key then pays', async () => {
    const key = randomUUID()
    await stripe.goDown()
    expect(await pay({}, key)).toMatchObject({ status: 503, json: { code: 'upstream_unavailable' } })
    await stripe.comeBack()
    expect((await pay({}, key)).status).toBe(201)
    expect(await balance()).toBe(25_000_000)
  })
})

describe('a card that does not pay', () => {
  test('is a 402 with the reason by name alone, the same under the same key', async () => {
    const key = randomUUID()
    for (const replayed of [null, 'true']) {
      const declined = { payment_method: 'pm_card_chargeDeclinedInsufficientFunds' }
      const { status, headers, json } = await pay(declined, key)
      expect([status, headers.get('idempotent-replayed')]).toEqual([402, replayed])
      expect(json).toMatchObject({ code: 'payment_declined', decline_code: 'insufficient_funds' })
      expect(JSON.stringify(json)).not.toContain('Your card was declined')
      expect((await show(json.payment_id)).json).toMatchObject({ status: 'failed', decline_code: 'insufficient_funds' })
    }
    expect(stripe.intents.size).toBe(1)
    expect(await balance()).toBe(0)
  })

  test('does not tell a thief that it is known as stolen', async () => {
    const { json } = await pay({ payment_method: 'pm_card_chargeDeclinedStolenCard' })
    expect(json.decline_code).toBe('generic_decline')
    expect(JSON.stringify(json)).not.toContain('stolen')
  })

  test('that Stripe does not know is a 400 by field', async () => {
    expect(await pay({ payment_method: 'pm_nobody' })).toMatchObject({
      status: 400,
      json: { code: 'invalid_body', param: 'payment_method' },
    })
  })
})

test('where the payer must act there is a secret to go on with, and credit once it was done', async () => {
  const key = randomUUID()
  const own = { payment_method: 'pm_card_authenticationRequired' }
  const { status, json } = await pay(own, key)
  expect(status).toBe(202)
  const [intent] = [...stripe.intents.values()]
  expect(json).toMatchObject({ status: 'requires_action', client_secret: intent!.client_secret })
  expect((await pay(own, key)).json).toEqual(json)
  expect((await show(json.id)).json).toEqual(json)
  stripe.settle(intent!.id, 'succeeded')
  expect(await balance()).toBe(0)
  expect((await show(json.id)).json, 'asked for, before any webhook').toMatchObject({ status: 'succeeded' })
  expect(await balance()).toBe(25_000_000)
  expect(await stripe.webhooks.deliver(events('succeeded')[0]!)).toBe(200)
  expect(await balance()).toBe(25_000_000)
  const logged = JSON.stringify(gateway.log)
  expect(logged).not.toContain(intent!.client_secret)
})

test('a payment by bank is credit when it has come in', async () => {
  const { status, json } = await pay({ payment_method: 'pm_usBankAccount_success' })
  expect({ status, state: json.status }).toEqual({ status: 202, state: 'processing' })
  const [id] = [...stripe.intents.keys()]
  stripe.settle(id!, 'succeeded')
  await stripe.webhooks.deliver(events('succeeded')[0]!)
  expect(await balance()).toBe(25_000_000)
})

describe('a request that is none', () => {
  test.each<[string, object, string]>([
    ['a fraction of a cent', { amount: '25.001' }, 'amount'],
    ['nothing', { amount: '0.00' }, 'amount'],
    ['less than nothing', { amount: '-1.00' }, 'amount'],
    ['a number', { amount: 25 }, 'amount'],
    ['more than Stripe takes', { amount: '1000000.00' }, 'amount'],
    ['another currency', { currency: 'EUR' }, 'currency'],
    ['the number of a card', { payment_method: '4242424242424242' }, 'payment_method'],
    ['a card', { card: { number: '4242424242424242' } }, 'card'],
  ])('%s', async (_what, own, param) => {
    const { status, json } = await pay(own)
    expect({ status, param: json.param }).toEqual({ status: 400, param })
    expect(JSON.stringify([json, gateway.log])).not.toContain('4242')
    expect(stripe.calls).toEqual([])
  })

  test('of more than Stripe takes hears how much that is', async () => {
    const { json } = await pay({ amount: '1000000.00' })
    expect(json.detail).toContain('at most "999999.99"')
  })

  test('has no Idempotency-Key', async () => {
    const response = await gateway.post('/api/v1/billing/payments', {
      amount: '25.00',
      currency: 'USD',
      payment_method: 'pm_card_visa',
    })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ code: 'idempotency_key_required' })
    expect(await pay({}, 'x'.repeat(256))).toMatchObject({ status: 400, json: { param: 'Idempotency-Key' } })
  })

  test('asks for what is not there', async () => {
    expect(await show(randomUUID())).toMatchObject({ status: 404, json: { code: 'payment_not_found' } })
    expect((await show('x')).status).toBe(404)
  })
})

describe('webhooks', () => {
  test('before the answer, with it, after it, and again: one credit', async () => {
    stripe.setFaults([{ kind: 'slow_headers', ms: 300, times: 1 }])
    const paying = pay()
    await eventually(() => events('succeeded').length === 1)
    const [event] = events('succeeded')
    const told = await Promise.all([1, 2, 3].map(() => stripe.webhooks.deliver(event!)))
    expect(told).toEqual([200, 200, 200])
    expect(await balance()).toBe(25_000_000)
    expect((await paying).status).toBe(201)
    expect(await stripe.webhooks.deliver(event!)).toBe(200)
    expect(await balance()).toBe(25_000_000)
  })

  test('out of order take no credit away and give none twice', async () => {
    await pay({ payment_method: 'pm_card_authenticationRequired' })
    const [id] = [...stripe.intents.keys()]
    stripe.settle(id!, 'requires_payment_method')
    stripe.settle(id!, 'succeeded')
    const [succeeded, failed, acting] = ['succeeded', 'payment_failed', 'requires_action'].map(
      (type) => events(type)[0]!,
    )
    for (const event of [succeeded, failed, acting, succeeded, failed]) {
      expect(await stripe.webhooks.deliver(event!)).toBe(200)
      expect(await balance()).toBe(25_000_000)
    }
    const rows = await cluster.pools.general.query('rows', undefined, (sql) => sql`select state from payments`)
    expect(rows).toEqual([{ state: 'succeeded' }])
  })

  test('that are stale, forged, altered or unsigned are refused and change nothing', async () => {
    await pay({ payment_method: 'pm_card_authenticationRequired' })
    const [id] = [...stripe.intents.keys()]
    stripe.settle(id!, 'succeeded')
    const [event] = events('succeeded')
    const statuses = [
      await stripe.webhooks.deliver(event!, { ageS: 400 }),
      await stripe.webhooks.deliver(event!, { secret: 'whsec_forged' }),
      await stripe.webhooks.deliver(event!, { body: JSON.stringify(altered(event!, { amount: 1 })) }),
    ]
    const url = `${gateway.url}/api/v1/webhooks/stripe`
    const unsigned = await fetch(url, { method: 'POST', body: JSON.stringify(event) })
    expect([...statuses, unsigned.status]).toEqual([400, 400, 400, 400])
    expect(await unsigned.json()).toMatchObject({ code: 'invalid_signature' })
    expect(await balance()).toBe(0)
    expect(await gateway.metric('stripe_events_total', { result: 'forged' })).toBe(4)
    expect(await stripe.webhooks.deliver(event!)).toBe(200)
    expect(await balance()).toBe(25_000_000)
  })

  test('over another amount or currency credit nothing and call a person', async () => {
    await pay({ payment_method: 'pm_card_authenticationRequired' })
    const [id] = [...stripe.intents.keys()]
    stripe.settle(id!, 'succeeded')
    const [event] = events('succeeded')
    for (const own of [{ amount: 1, amount_received: 1 }, { currency: 'eur' }]) {
      expect(await stripe.webhooks.deliver(altered(event!, own))).toBe(200)
    }
    expect(await balance()).toBe(0)
    expect(errors().map(({ message }) => message)).toEqual(['a payment needs a person', 'a payment needs a person'])
  })

  test('of other events, and of intents that are not ours, are taken and come to nothing', async () => {
    await pay()
    const [event] = events('succeeded')
    const strange = altered(event!, { id: 'pi_strange', metadata: {} })
    const refund = { ...event!, type: 'charge.refunded' }
    const deleted = altered(event!, { metadata: { account_id: accountId, payment_id: randomUUID() } })
    for (const each of [strange, refund, deleted]) expect(await stripe.webhooks.deliver(each)).toBe(200)
    expect(await balance()).toBe(25_000_000)
    expect(gateway.log.filter(({ message }) => message.includes('not ours'))).toHaveLength(2)
  })

  test('are to come again while the database is away, and while nothing may be written', async () => {
    await pay({ payment_method: 'pm_card_authenticationRequired' })
    const [id] = [...stripe.intents.keys()]
    stripe.settle(id!, 'succeeded')
    const [event] = events('succeeded')
    const writeMode = createMemoryWriteMode({ clock })
    let away = true
    const paymentStore = {
      ...ports.paymentStore!,
      find: async (...args: [string, string]) => {
        if (away) throw new StorageUnavailable('gone')
        return ports.paymentStore!.find(...args)
      },
    }
    const settings = { baseUrl: stripe.baseUrl, apiKey: 'sk_test', webhookSecret: stripe.webhooks.secret }
    const other = await start({ ports: { writeMode, paymentStore }, providers: { stripe: settings } })
    stripe.webhooks.sendTo(`${other.url}/api/v1/webhooks/stripe`)
    expect(await stripe.webhooks.deliver(event!)).toBe(503)
    away = false
    await writeMode.set(true)
    expect(await stripe.webhooks.deliver(event!)).toBe(503)
    expect((await pay({}, randomUUID(), other)).status).toBe(503)
    await writeMode.set(false)
    expect(await stripe.webhooks.deliver(event!)).toBe(200)
    expect(await balance()).toBe(25_000_000)
    await other.close()
  })

  test('past 256 KiB are not read', async () => {
    await pay()
    const [event] = events('succeeded')
    expect(await stripe.webhooks.deliver(event!, { body: 'x'.repeat(256 * 1024 + 1) })).toBe(413)
  })
})

test('without Stripe payments and webhooks say so', async () => {
  const other = await start({ providers: {} })
  expect(await pay({}, randomUUID(), other)).toMatchObject({ status: 503, json: { code: 'provider_not_configured' } })
  const response = await fetch(`${other.url}/api/v1/webhooks/stripe`, { method: 'POST', body: '{}' })
  expect(response.status).toBe(503)
  await other.close()
})

test('after any storm the balance is the sum of what was paid', async () => {
  const methods = [
    'pm_card_visa',
    'pm_card_chargeDeclined',
    'pm_card_authenticationRequired',
    'pm_usBankAccount_success',
  ]
  const faults: Fault[][] = [
    [],
    [{ kind: 'swallow_reply', times: 1 }],
    [{ kind: 'swallow_reply' }],
    [{ kind: 'status', status: 500 }],
    [{ kind: 'reset', times: 2 }],
    [{ kind: 'html_502', times: 1 }],
  ]
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('pay' as const),
        method: fc.constantFrom(...methods),
        key: fc.nat(6),
        cents: fc.integer({ min: 50, max: 5_000 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('fault' as const), faults: fc.constantFrom(...faults) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('settle' as const),
        nth: fc.nat(20),
        to: fc.constantFrom('succeeded' as const, 'requires_payment_method' as const, 'canceled' as const),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('tell' as const),
        nth: fc.nat(60),
        how: fc.constantFrom({}, {}, { ageS: 400 }, { secret: 'whsec_forged' }),
        times: fc.integer({ min: 1, max: 3 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
      await cluster.pools.general.query('empty', undefined, (sql) => sql`truncate payments, balances, ledger_entries`)
      const first = await start({ env: { CIRCUIT_BREAKER_MIN_REQUESTS: '1000000' } })
      stripe = first.sandbox.stripe
      const settings = { baseUrl: stripe.baseUrl, apiKey: 'sk_test', webhookSecret: stripe.webhooks.secret }
      const started = [first]
      const pending: Promise<unknown>[] = []
      for (const each of steps) {
        const current = started.at(-1)!
        if (each.do === 'pay') {
          const own = { payment_method: each.method, amount: (each.cents / 100).toFixed(2) }
          pending.push(pay(own, `key ${each.key}`, current))
        } else if (each.do === 'fault') stripe.setFaults(each.faults)
        else if (each.do === 'settle') {
          const ids = [...stripe.intents.keys()]
          if (ids.length > 0) stripe.settle(ids[each.nth % ids.length]!, each.to)
        } else if (each.do === 'tell') {
          const all = stripe.webhooks.events
          const event = all[each.nth % Math.max(all.length, 1)]
          if (event) for (let i = 0; i < each.times; i++) pending.push(stripe.webhooks.deliver(event, each.how))
        } else {
          // Calls under way end with the one that took them.
          await Promise.all(pending.splice(0))
          await current.stop()
          const next = await start({
            providers: { stripe: settings },
            env: { CIRCUIT_BREAKER_MIN_REQUESTS: '1000000' },
          })
          started.push(next)
          stripe.webhooks.sendTo(`${next.url}/api/v1/webhooks/stripe`)
        }
      }
      await Promise.all(pending)
      // Stripe tells until it was heard.
      for (const event of stripe.webhooks.events) expect(await stripe.webhooks.deliver(event)).toBe(200)

      const paid = await cluster.pools.general.query(
        'paid',
        undefined,
        (sql) => sql<{ sum: string }[]>`
          select coalesce(sum(amount), 0)::text as sum from payments
          where account_id = ${accountId} and state = 'succeeded'`,
      )
      const received = [...stripe.intents.values()].reduce((sum, intent) => sum + intent.amount_received, 0)
      const result = { balance: await balance(), paid: Number(paid[0]!.sum) }
      expect(result).toEqual({ balance: received * 10_000, paid: received * 10_000 })
      for (const each of started) await each.close()
    }),
    { numRuns: 15 },
  )
}, 120_000)
