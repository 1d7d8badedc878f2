/** What every store of payments promises, wherever it is kept. */
import { randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import type { NewPayment } from '../../src/domain/payment.ts'
import type { PaymentStore } from '../../src/ports.ts'

export interface PaymentWorld {
  store: PaymentStore
  /** Lets so much time pass. */
  pass(ms: number): Promise<void>
}

export function paymentStoreContract(name: string, create: () => Promise<PaymentWorld>): void {
  describe(`${name}, as every store of payments,`, () => {
    let world: PaymentWorld
    let store: PaymentStore
    beforeEach(async () => {
      world = await create()
      store = world.store
    })

    const order = (own: Partial<NewPayment> = {}): NewPayment => ({
      id: randomUUID(),
      accountId: randomUUID(),
      idempotencyKey: 'a key',
      amount: 25_000_000,
      currency: 'USD',
      paymentMethod: 'pm_card_visa',
      ...own,
    })

    it('begins one payment for each key of an account, however many ask at once', async () => {
      const first = order()
      const same = [1, 2, 3, 4].map(() => order({ accountId: first.accountId, amount: 1_000_000 }))
      const begun = await Promise.all([first, ...same].map((each) => store.begin(each)))
      expect(begun.filter(({ isNew }) => isNew)).toHaveLength(1)
      expect(new Set(begun.map(({ payment }) => payment.id)).size).toBe(1)
      const { accountId, id, amount } = begun[0]!.payment
      expect(await store.find(accountId, id)).toMatchObject({ state: 'processing', amount, intentId: undefined })
      expect(await store.find(randomUUID(), id), "another account's").toBeUndefined()
      const { isNew } = await store.begin(order())
      expect(isNew, 'the key is free for another account').toBe(true)
    })

    it('lists the payments of an account in pages, the newest first', async () => {
      const accountId = randomUUID()
      const ids = [1, 2, 3].map((n) => `0000000${n}-0000-7000-8000-000000000000`)
      for (const id of ids) await store.begin(order({ id, accountId, idempotencyKey: id }))
      const first = await store.list(accountId, { limit: 2 })
      const second = await store.list(accountId, { limit: 2, before: first.at(-1)?.id })
      expect([...first, ...second].map(({ id }) => id)).toEqual(ids.toReversed())
      expect(second).toMatchObject([{ accountId, state: 'processing', idempotencyKey: ids[0] }])
      expect(await store.list(randomUUID(), { limit: 2 })).toEqual([])
    })

    it('never leaves success, and keeps its intent', async () => {
      const { id, accountId } = (await store.begin(order())).payment
      const move = (state: 'failed' | 'succeeded' | 'canceled', intentId?: string, declineCode?: string) =>
        store.move(accountId, id, { state, intentId, declineCode })
      expect(await move('failed', 'pi_1', 'insufficient_funds')).toMatchObject({
        payment: { state: 'failed', intentId: 'pi_1', declineCode: 'insufficient_funds' },
        was: 'processing',
      })
      expect(await move('succeeded', 'pi_2')).toMatchObject({
        payment: { state: 'succeeded', intentId: 'pi_1', declineCode: undefined },
        was: 'failed',
      })
      expect(await move('failed')).toMatchObject({ payment: { state: 'succeeded' }, was: 'succeeded' })
      expect(await move('canceled')).toMatchObject({ payment: { state: 'succeeded' } })
      expect(await store.move(accountId, randomUUID(), { state: 'failed' })).toBeUndefined()
    })

    it('lets one alone resume what was not sent, and nobody what may have been', async () => {
      const { id, accountId } = (await store.begin(order())).payment
      expect(await store.resume(accountId, id)).toBe(false)
      await store.move(accountId, id, { state: 'created' })
      const resumed = await Promise.all([1, 2, 3].map(() => store.resume(accountId, id)))
      expect(resumed.filter(Boolean)).toHaveLength(1)
      await store.move(accountId, id, { state: 'requires_action', intentId: 'pi_3' })
      const taken = await store.move(accountId, id, { state: 'created' })
      expect(taken).toMatchObject({ payment: { state: 'requires_action' }, was: 'requires_action' })
    })

    it('lets one alone bring it to a state, however many tell of it at once', async () => {
      for (const state of ['failed', 'succeeded'] as const) {
        const { id, accountId } = (await store.begin(order())).payment
        const told = await Promise.all([1, 2, 3, 4].map(() => store.move(accountId, id, { state, intentId: 'pi_5' })))
        expect(told.map((each) => each?.payment.state)).toEqual([state, state, state, state])
        expect(told.filter((each) => each?.was !== state)).toHaveLength(1)
      }
    })

    it('begins one that is resumed anew, so that it is asked for as long as any other', async () => {
      const { id, accountId } = (await store.begin(order())).payment
      await store.move(accountId, id, { state: 'created' })
      await world.pass(25 * 3_600_000)
      const before = (await store.find(accountId, id))!.createdAt
      await store.resume(accountId, id)
      const after = (await store.find(accountId, id))!.createdAt
      expect(after.getTime() - before.getTime()).toBeGreaterThan(24 * 3_600_000)
    })

    it('hands out what is open, once and later again, but not what is parked or has ended', async () => {
      const open = (await store.begin(order())).payment
      const parked = (await store.begin(order())).payment
      const ended = (await store.begin(order())).payment
      await store.park(parked.accountId, parked.id, 'a problem')
      await store.move(ended.accountId, ended.id, { state: 'failed' })
      const due = async () => (await Promise.all([store.takeOpen(5), store.takeOpen(5)])).flat().map(({ id }) => id)
      expect(await due()).toEqual([])
      await world.pass(46_000)
      expect(await due()).toEqual([open.id])
      expect(await due()).toEqual([])
      await world.pass(47_000)
      expect(await due()).toEqual([open.id])
      await world.pass(60_000)
      expect(await due(), 'twice as old by then').toEqual([])
      await world.pass(40_000)
      expect(await due()).toEqual([open.id])
    })

    it('hands out one that failed and has an intent, ever less often', async () => {
      const { id, accountId } = (await store.begin(order())).payment
      await store.move(accountId, id, { state: 'failed', intentId: 'pi_4' })
      const isDue = async () => (await store.takeOpen(5)).length > 0
      await world.pass(10 * 3_600_000)
      expect(await isDue()).toBe(true)
      await world.pass(9 * 3_600_000)
      expect(await isDue(), 'more than an hour later, and not twice as old').toBe(false)
      await world.pass(2 * 3_600_000)
      expect(await isDue()).toBe(true)
      await world.pass(30 * 86_400_000)
      expect(await isDue(), 'too old').toBe(false)
    })
  })
}
