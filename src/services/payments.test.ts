import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { createMemoryBooks } from '../../adapters/memory/books.ts'
import { createMemoryPaymentStore } from '../../adapters/memory/payments.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import type { NewPayment, Payment } from '../domain/payment.ts'
import { type Credits, type PaymentStore, StorageUnavailable } from '../ports.ts'
import type { Intent, StripeAnswer } from '../providers/stripe.ts'
import { instruments } from '../telemetry/instruments.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'
import { createPayments, type Payments } from './payments.ts'

const running: { clock: FakeClock; payments: Payments }[] = []
afterEach(async () => {
  for (const { clock, payments } of running.splice(0)) {
    await payments.stop({ timeoutMs: 0 })
    expect(clock.pendingTimers, 'no timer stays').toBe(0)
  }
})

const accountId = randomUUID()
const order = (own: Partial<NewPayment> = {}) => ({
  accountId,
  idempotencyKey: 'a key',
  amount: 25_000_000,
  currency: 'USD' as const,
  paymentMethod: 'pm_card_visa',
  ...own,
})

function world(wrap: (ports: { store: PaymentStore; credits: Credits }) => Partial<typeof ports> = () => ({})) {
  const clock = new FakeClock()
  const metrics = new FakeMetrics()
  const books = createMemoryBooks({ clock })
  const { credits } = books
  const store = createMemoryPaymentStore({ clock })
  const mode = { readOnly: false }
  const errors: string[] = []
  const log = { debug() {}, info() {}, warn() {}, error: (message: string) => void errors.push(message) }
  const asked: string[] = []
  const w = {
    clock,
    metrics,
    credits,
    books,
    store,
    mode,
    errors,
    asked,
    pay: async (payment: Payment): Promise<StripeAnswer> => ({ outcome: 'intent', intent: intentOf(payment) }),
    find: async (_intentId: string): Promise<Intent> => {
      throw new UpstreamFailure('server')
    },
  }
  const ports = { store, credits }
  const payments = createPayments({
    clock,
    random: () => 0.5,
    newId: randomUUID,
    ...ports,
    ...wrap(ports),
    stripe: {
      pay(payment) {
        asked.push(payment.id)
        return w.pay(payment)
      },
      find: (intentId) => w.find(intentId),
    },
    mode,
    metrics,
    log,
  })
  running.push({ clock, payments })
  return Object.assign(w, { payments })
}

const intentOf = (payment: Payment, own: Partial<Intent> = {}): Intent => ({
  id: `pi_${payment.id.replaceAll('-', '')}`,
  state: 'succeeded',
  amountCents: payment.amount / 10_000,
  receivedCents: payment.amount / 10_000,
  currency: 'usd',
  declineCode: undefined,
  clientSecret: 'secret',
  metadata: { account_id: payment.accountId, payment_id: payment.id },
  ...own,
})
const unknown = async (): Promise<StripeAnswer> => ({ outcome: 'unknown' })
const event = (intent: Intent) => ({ id: 'evt', type: 'payment_intent.succeeded', intent })

describe('an outcome that is not known', () => {
  test('is asked for again under the same id until it is, and credited once', async () => {
    const w = world()
    w.pay = unknown
    const { payment } = await w.payments.pay(order())
    expect(payment.state).toBe('processing')
    await w.clock.advance(10 * 60_000)
    const tries = w.asked.length
    expect(tries).toBeGreaterThan(3)
    expect(new Set(w.asked).size).toBe(1)
    w.pay = async (payment) => ({ outcome: 'intent', intent: intentOf(payment) })
    await w.clock.advance(30 * 60_000)
    expect(await w.payments.show(accountId, payment.id)).toMatchObject({ payment: { state: 'succeeded' } })
    expect(w.asked).toHaveLength(tries + 1)
    expect(w.books.of(accountId).available).toBe(25_000_000)
  })

  test('is known by its intent once there is one', async () => {
    const w = world()
    w.pay = async (payment) => ({ outcome: 'intent', intent: intentOf(payment, { state: 'processing' }) })
    const { payment } = await w.payments.pay(order())
    w.find = async (intentId) => intentOf(payment, { id: intentId, state: 'failed', declineCode: 'expired_card' })
    await w.clock.advance(2 * 60_000)
    expect(w.asked).toHaveLength(1)
    expect((await w.payments.show(accountId, payment.id)).payment).toMatchObject({
      state: 'failed',
      declineCode: 'expired_card',
    })
  })

  test('is left to a person before Stripe forgets the key: another call would be another payment', async () => {
    const w = world()
    w.pay = unknown
    await w.payments.pay(order())
    await w.clock.advance(25 * 3_600_000)
    const last = w.asked.length
    expect(w.store.problems()).toHaveLength(1)
    expect(w.errors).toEqual(['a payment needs a person'])
    await w.clock.advance(3 * 24 * 3_600_000)
    expect(w.asked).toHaveLength(last)
  })

  test('does not stand before that of another', async () => {
    const w = world()
    w.pay = unknown
    const { payment: stuck } = await w.payments.pay(order())
    const { payment } = await w.payments.pay(order({ idempotencyKey: 'another key' }))
    w.pay = async (asked) => {
      if (asked.id === stuck.id) throw new UpstreamFailure('server')
      return { outcome: 'intent', intent: intentOf(asked) }
    }
    await w.clock.advance(10 * 60_000)
    expect((await w.payments.show(accountId, payment.id)).payment.state).toBe('succeeded')
    expect((await w.payments.show(accountId, stuck.id)).payment.state).toBe('processing')
  })

  test('of one that Stripe was not told of for a day is asked for as long as any other', async () => {
    const w = world()
    w.pay = async () => {
      throw new UpstreamFailure('not_sent')
    }
    await expect(w.payments.pay(order())).rejects.toThrow()
    await w.clock.advance(25 * 3_600_000)
    w.pay = unknown
    const { payment } = await w.payments.pay(order())
    w.pay = async (asked) => ({ outcome: 'intent', intent: intentOf(asked) })
    await w.clock.advance(10 * 60_000)
    expect((await w.payments.show(accountId, payment.id)).payment.state).toBe('succeeded')
  })

  test('is not asked for while nothing may be written', async () => {
    const w = world()
    w.pay = unknown
    await w.payments.pay(order())
    w.mode.readOnly = true
    await w.clock.advance(3_600_000)
    expect(w.asked).toHaveLength(1)
  })
})

describe('a payment that failed and whose payer then pays it with another card', () => {
  async function failedOnce() {
    const w = world()
    let state: Intent['state'] = 'requires_action'
    w.pay = async (payment) => ({ outcome: 'intent', intent: intentOf(payment, { state }) })
    const { payment } = await w.payments.pay(order())
    w.find = async (id) => intentOf(payment, { id, state })
    state = 'failed'
    await w.clock.advance(2 * 60_000)
    expect((await w.store.find(accountId, payment.id))?.state).toBe('failed')
    state = 'succeeded'
    return { ...w, payment }
  }

  test('is found out about in the background', async () => {
    const { clock, books } = await failedOnce()
    await clock.advance(30 * 60_000)
    expect(books.of(accountId).available).toBe(25_000_000)
  })

  test('is found out about by whoever looks at it', async () => {
    const { payments, payment, books } = await failedOnce()
    expect((await payments.show(accountId, payment.id)).payment.state).toBe('succeeded')
    expect(books.of(accountId).available).toBe(25_000_000)
  })

  test('is shown as it was while nothing may be written', async () => {
    const { payments, payment, store, books, mode } = await failedOnce()
    mode.readOnly = true
    expect((await payments.show(accountId, payment.id)).payment.state).toBe('failed')
    expect((await store.find(accountId, payment.id))?.state).toBe('failed')
    expect(books.of(accountId).available).toBe(0)
  })

  test('is found out about under the same key', async () => {
    const { payments, books } = await failedOnce()
    expect((await payments.pay(order())).payment.state).toBe('succeeded')
    expect(books.of(accountId).available).toBe(25_000_000)
  })
})

test('a call that had no effect is no payment, and the same key tries anew', async () => {
  const w = world()
  w.pay = async () => {
    throw new UpstreamFailure('local', { reason: 'circuit_open', retryAfterMs: 1_000 })
  }
  await expect(w.payments.pay(order())).rejects.toMatchObject({ class: 'local' })
  await w.clock.advance(3_600_000)
  expect(w.asked, 'nobody asks for it in the background').toHaveLength(1)
  w.pay = async (payment) => ({ outcome: 'intent', intent: intentOf(payment) })
  const { payment } = await w.payments.pay(order())
  expect(payment).toMatchObject({ id: w.asked[0], state: 'succeeded' })
  expect(w.books.of(accountId).available).toBe(25_000_000)
})

test('what Stripe says is impossible is a 400 by field, each time', async () => {
  const w = world()
  w.pay = async () => ({ outcome: 'refused', code: 'resource_missing', param: 'payment_method' })
  for (const _ of [1, 2]) {
    await expect(w.payments.pay(order())).rejects.toMatchObject({
      code: 'invalid_body',
      options: { param: 'payment_method' },
    })
  }
})

describe('a crash', () => {
  test('between the credit and the note of it is made good by whoever tells next, and credits nothing twice', async () => {
    let broken = true
    const w = world(({ store }) => ({
      store: {
        ...store,
        move: async (...args) => {
          if (broken) throw new StorageUnavailable('gone')
          return store.move(...args)
        },
      },
    }))
    await expect(w.payments.pay(order())).rejects.toThrow(StorageUnavailable)
    expect(w.books.of(accountId).available).toBe(25_000_000)
    broken = false
    await w.clock.advance(2 * 60_000)
    const [id] = w.asked
    expect((await w.payments.show(accountId, id!)).payment.state).toBe('succeeded')
    expect(w.books.of(accountId).available).toBe(25_000_000)
  })

  test('before the credit notes no success', async () => {
    let broken = true
    const w = world(({ credits }) => ({
      credits: {
        ...credits,
        grant: async (...args) => {
          if (broken) throw new StorageUnavailable('gone')
          return credits.grant(...args)
        },
      },
    }))
    await expect(w.payments.pay(order())).rejects.toThrow(StorageUnavailable)
    const [id] = w.asked
    expect((await w.payments.show(accountId, id!)).payment.state).toBe('processing')
    broken = false
    await w.clock.advance(2 * 60_000)
    expect(w.books.of(accountId).available).toBe(25_000_000)
  })
})

test.each(['succeeded', 'failed'] as const)('a payment that %s is counted once, whoever tells of it', async (state) => {
  const w = world()
  w.pay = async (payment) => {
    const intent = intentOf(payment, { state })
    // The webhook may overtake the answer.
    await w.payments.hear(event(intent))
    return { outcome: 'intent', intent }
  }
  await w.payments.pay(order()).catch(() => {})
  expect(w.metrics.counted(instruments.payments, { state })).toBe(1)
})

describe('what is not what was asked for', () => {
  test.each<[string, Partial<Intent>]>([
    ['another amount', { amountCents: 2_501 }],
    ['less than the amount', { receivedCents: 1 }],
    ['another currency', { currency: 'eur' }],
  ])('%s is no credit, and a person is called', async (_what, own) => {
    const w = world()
    w.pay = unknown
    const { payment } = await w.payments.pay(order())
    expect(await w.payments.hear(event(intentOf(payment, own)))).toBe(true)
    expect(w.books.of(accountId).available).toBe(0)
    expect(w.store.problems()).toHaveLength(1)
    expect(w.errors).toEqual(['a payment needs a person'])
    expect(w.metrics.counted(instruments.payments, { state: 'parked' })).toBe(1)
  })

  test('another intent than the payment has', async () => {
    const w = world()
    w.pay = async (payment) => ({ outcome: 'intent', intent: intentOf(payment, { state: 'processing' }) })
    const { payment } = await w.payments.pay(order())
    await w.payments.hear(event(intentOf(payment, { id: 'pi_other' })))
    expect(w.books.of(accountId).available).toBe(0)
    expect(w.store.problems()).toHaveLength(1)
  })

  test.each([
    ['no account', {}],
    ['names that are no ids', { account_id: 'x', payment_id: "' or true" }],
    ['a payment that there is not', { account_id: accountId, payment_id: randomUUID() }],
  ])('an intent of %s is nothing of ours', async (_what, metadata) => {
    const w = world()
    const { payment } = await w.payments.pay(order())
    expect(await w.payments.hear(event(intentOf(payment, { metadata: metadata as Record<string, string> })))).toBe(
      false,
    )
    expect(w.books.of(accountId).available).toBe(25_000_000)
  })
})

test("another account's payment is not there", async () => {
  const w = world()
  const { payment } = await w.payments.pay(order())
  await expect(w.payments.show(randomUUID(), payment.id)).rejects.toMatchObject({ code: 'payment_not_found' })
  await expect(w.payments.show(accountId, 'no id')).rejects.toMatchObject({ code: 'payment_not_found' })
})
