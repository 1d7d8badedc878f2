/** What every outbox for the billing system promises, wherever it is kept. */
import { randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import type { ChargedOperation } from '../../src/domain/charge.ts'
import type { BillingOutbox } from '../../src/ports.ts'

export interface OutboxWorld {
  outbox: BillingOutbox
  add(accountId: string, operations: readonly ChargedOperation[]): Promise<void>
  /** Lets so much time pass. */
  pass(ms: number): Promise<void>
}

export function billingOutboxContract(name: string, create: () => Promise<OutboxWorld>): void {
  describe(`${name}, as every outbox,`, () => {
    let world: OutboxWorld
    let outbox: BillingOutbox
    const holder = randomUUID()
    const other = randomUUID()
    const take = (by = holder, forMs = 60_000) => outbox.takeTurns({ holder: by, max: 8, forMs })
    const keep = { maxOperations: 3, forMs: 60_000 }
    const operations = (count: number, amount = 5) =>
      Array.from({ length: count }, () => ({ id: randomUUID(), amount }))
    beforeEach(async () => {
      world = await create()
      outbox = world.outbox
    })

    it('binds the oldest operations into one charge that bears the id of the first', async () => {
      const accountId = randomUUID()
      const all = operations(4)
      await world.add(accountId, all)
      expect(await outbox.pending()).toBe(4)
      const [turn] = await take()
      expect(turn).toEqual({ accountId, holder, failures: 0 })
      const charge = await outbox.nextCharge(turn!, keep)
      expect(charge).toEqual({
        id: all[0]!.id,
        accountId,
        amount: 15,
        occurredAt: expect.any(Date),
        operations: all.slice(0, 3),
      })
      await world.add(accountId, operations(1))
      expect(await outbox.nextCharge(turn!, keep), 'until it is finished it is the same').toEqual(charge)
      await outbox.finish(charge!, { state: 'delivered', transactionId: 'tx' })
      await outbox.finish(charge!, { state: 'delivered', transactionId: 'tx' })
      expect(await outbox.pending()).toBe(2)
      const second = await outbox.nextCharge(turn!, keep)
      expect(second).toMatchObject({ id: all[3]!.id, amount: 10 })
      await outbox.finish(second!, { state: 'parked', reason: 'because' })
      expect(await outbox.nextCharge(turn!, keep)).toBeUndefined()
      expect(await outbox.pending()).toBe(0)
    })

    it('gives an account to one alone; the next one finds the charge that was begun', async () => {
      const accountId = randomUUID()
      await world.add(accountId, operations(2))
      const [turn] = await take(holder, 300)
      const begun = await outbox.nextCharge(turn!, { ...keep, forMs: 300 })
      expect(await take(other)).toEqual([])
      await world.add(accountId, operations(1))
      await world.pass(400)
      const [next] = await take(other)
      expect(next).toMatchObject({ accountId, holder: other })
      expect(await outbox.nextCharge(turn!, keep), 'whose turn is over gets nothing').toBeUndefined()
      expect(await outbox.nextCharge(next!, keep)).toEqual(begun)
      await outbox.endTurn(turn!, { restMs: 0, failures: 0 })
      expect(await outbox.nextCharge(next!, keep), 'nor ends what is not its own').toEqual(begun)
    })

    it('lets an account rest after a failure, and tells the next of it', async () => {
      const accountId = randomUUID()
      await world.add(accountId, operations(1))
      const [turn] = await take()
      await outbox.endTurn(turn!, { restMs: 300, failures: 1 })
      expect(await take(other)).toEqual([])
      await world.pass(400)
      expect(await take(other)).toEqual([{ accountId, holder: other, failures: 1 }])
    })

    it('gives each of two who ask at once other accounts, at most as many as asked for, and every account in the end', async () => {
      const accounts = Array.from({ length: 20 }, () => randomUUID())
      for (const accountId of accounts) await world.add(accountId, operations(1))
      const taken = [...(await Promise.all([take(), take(other)])).flat(), ...(await take()), ...(await take(other))]
      taken.push(...(await take()), ...(await take(other)))
      expect(taken.map(({ accountId }) => accountId).sort()).toEqual(accounts.sort())
      await outbox.endTurn(taken[0]!, { restMs: 0, failures: 0 })
      const again = [...(await take()), ...(await take())]
      expect(again.map(({ accountId }) => accountId)).toEqual([taken[0]!.accountId])
    })
  })
}
