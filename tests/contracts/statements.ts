/** What whoever reads a ledger is promised, wherever it is kept. */
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { daysAfter, type Position, shownKinds, type Transaction, type UsageRow } from '../../src/domain/statement.ts'
import type { Credits, Guardrails, Statements } from '../../src/ports.ts'
import { idAt, type LedgerRows, receiptOf } from '../support/ledger-rows.ts'

export interface LedgerUnderTest {
  statements: Statements
  credits: Credits
  guardrails: Guardrails
  rows: LedgerRows
  close?(): Promise<void>
}

export function statementsContract(name: string, create: () => Promise<LedgerUnderTest>): void {
  describe(`${name}, as every ledger,`, () => {
    let world: LedgerUnderTest
    beforeAll(async () => {
      world = await create()
    })
    afterAll(() => world.close?.())

    const at = (microseconds: number) => `2026-11-25T12:00:00.${String(microseconds).padStart(6, '0')}Z`

    it('tells what is there and what is held; nothing, of an account it has not heard of', async () => {
      const account = randomUUID()
      expect(await world.statements.balance(account)).toEqual({ available: 0, held: 0 })
      await world.rows.balance(account, { available: 9_007_199_254, held: 5, leased: 3 })
      expect(await world.statements.balance(account)).toEqual({ available: 9_007_199_254, held: 5 })
    })

    it('grants once for each id and kind, and shows it with its note', async () => {
      const account = randomUUID()
      const credit = {
        id: randomUUID(),
        kind: 'granted',
        amount: 12_500_000,
        note: 'sorry for the "outage" ✓',
      } as const
      expect(await world.credits.granted(account, credit)).toBeUndefined()
      expect(await world.credits.grant(account, credit)).toBe(true)
      expect(await world.credits.grant(account, { ...credit, amount: 1 })).toBe(false)
      expect(await world.credits.granted(account, credit)).toEqual({ amount: 12_500_000, note: credit.note })
      expect(await world.statements.balance(account)).toMatchObject({ available: 12_500_000 })
      const [entry, ...others] = await world.statements.transactions(account, { limit: 10 })
      expect(others).toEqual([])
      expect(entry).toMatchObject({ operationId: credit.id, kind: 'granted', amount: 12_500_000, note: credit.note })
      expect(entry?.at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
    })

    it('pages through entries, the newest first, each once, also where many are of one moment', async () => {
      const operation = fc.constantFrom(...Array.from({ length: 4 }, () => randomUUID()))
      const entry = fc.record({
        at: fc.integer({ min: 0, max: 3 }).map(at),
        operationId: operation,
        kind: fc.constantFrom(...shownKinds),
        amount: fc.integer({ min: -1_000, max: 1_000 }),
      })
      const unique = (e: { operationId: string; kind: string }) => `${e.operationId} ${e.kind}`
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(entry, { selector: unique, maxLength: 20 }),
          fc.integer({ min: 1, max: 7 }),
          async (entries, limit) => {
            const account = randomUUID()
            await world.rows.entries(account, entries)
            const read: Transaction[] = []
            let from: Position | undefined
            do {
              const page = await world.statements.transactions(account, { limit: limit + 1, from })
              read.push(...page.slice(0, limit))
              from = page[limit]
            } while (from)
            const order = (e: Position) => [e.at, e.operationId]
            const sorted = entries.toSorted((a, b) => {
              const [one, other] = [order(a), order(b)]
              for (let i = 0; i < 2; i++) if (one[i] !== other[i]) return one[i]! < other[i]! ? 1 : -1
              return a.kind < b.kind ? -1 : 1
            })
            expect(read).toEqual(sorted.map((e) => ({ ...e, note: undefined })))
          },
        ),
        { numRuns: 30 },
      )
    })

    it("shows nobody another account's entries, usage, receipts or spending", async () => {
      const [mine, other] = [randomUUID(), randomUUID()]
      const requestId = idAt(Date.parse('2026-11-25T12:00:00Z'))
      await world.rows.balance(other, { available: 7 })
      await world.rows.entries(other, [{ at: at(0), operationId: requestId, kind: 'settle', amount: -1 }])
      await world.rows.usage(other, [used()])
      await world.rows.receipt(other, receiptOf(requestId))
      await world.rows.spent(other, 100, 5)
      expect(await world.statements.balance(mine)).toEqual({ available: 0, held: 0 })
      expect(await world.statements.transactions(mine, { limit: 9 })).toEqual([])
      expect(await world.statements.usage(mine, { groupBy: 'day', from: '2026-01-01', to: '2026-12-31' })).toEqual([])
      expect(await world.statements.usageRows(mine, { limit: 9 })).toEqual([])
      expect(await world.statements.receipt(mine, requestId)).toBeUndefined()
      expect(await world.statements.receipts(mine, { limit: 9 })).toEqual([])
      expect((await world.guardrails.state(mine)).spent.size).toBe(0)
    })

    const key = randomUUID()
    const used = (own: Partial<UsageRow> = {}): UsageRow => ({
      day: '2026-11-25',
      keyId: key,
      model: 'gpt-4o-mini',
      requests: 2,
      inputTokens: 3_000_000_000,
      cachedInputTokens: 10,
      outputTokens: 5,
      cost: 100,
      ...own,
    })

    it('sums usage by model, key and day, of the days asked for, both included', async () => {
      const [account, otherKey] = [randomUUID(), randomUUID()]
      await world.rows.usage(account, [
        used({ day: '2026-11-23', cost: 1_000 }),
        used({ day: '2026-11-24', cost: 7 }),
        used({ day: '2026-11-24', model: 'o3', cost: 500 }),
        used({ day: '2026-11-25', keyId: otherKey }),
        used({ day: '2026-11-26', cost: 1_000 }),
      ])
      const ask = async (groupBy: 'model' | 'key' | 'day') => {
        const groups = await world.statements.usage(account, { groupBy, from: '2026-11-24', to: '2026-11-25' })
        return groups.map(({ group, requests, cost }) => [group, requests, cost])
      }
      expect(await ask('model')).toEqual([
        ['o3', 2, 500],
        ['gpt-4o-mini', 4, 107],
      ])
      expect(await ask('key')).toEqual([
        [key, 4, 507],
        [otherKey, 2, 100],
      ])
      expect(await ask('day')).toEqual([
        ['2026-11-24', 4, 507],
        ['2026-11-25', 2, 100],
      ])
      const [sum] = await world.statements.usage(account, { groupBy: 'model', from: '2026-11-25', to: '2026-11-25' })
      expect(sum).toEqual({
        group: 'gpt-4o-mini',
        requests: 2,
        inputTokens: 3_000_000_000,
        cachedInputTokens: 10,
        outputTokens: 5,
        cost: 100,
      })
    })

    it('sums each day of as many as may be asked for', async () => {
      const account = randomUUID()
      const days = Array.from({ length: 1_100 }, (_, n) => daysAfter('2023-01-01', n))
      // The latest cost least.
      await world.rows.usage(
        account,
        days.map((day, n) => used({ day, cost: 2_000 - n })),
      )
      const question = { groupBy: 'day', from: days[0]!, to: days.at(-1)! } as const
      expect((await world.statements.usage(account, question)).map(({ group }) => group)).toEqual(days)
    })

    it('pages through usage as it is kept, the oldest first', async () => {
      const account = randomUUID()
      const rows = ['2026-11-23', '2026-11-24'].flatMap((day) =>
        ['a', 'b', 'c'].map((model) => used({ day, model, cost: 3 })),
      )
      await world.rows.usage(account, rows.toReversed())
      const first = await world.statements.usageRows(account, { limit: 4 })
      const second = await world.statements.usageRows(account, { limit: 4, after: first.at(-1) })
      expect([...first, ...second]).toEqual(rows)
    })

    it('finds a receipt by its request, and lists them the newest first', async () => {
      const account = randomUUID()
      const ids = [0, 1, 2].map((days) => idAt(Date.parse('2026-11-25T12:00:00Z') + days * 86_400_000))
      for (const id of ids) await world.rows.receipt(account, receiptOf(id))
      expect(await world.statements.receipt(account, ids[1]!)).toEqual(receiptOf(ids[1]!))
      expect(await world.statements.receipt(account, idAt(Date.parse('2026-11-25T12:00:00Z')))).toBeUndefined()
      expect(await world.statements.receipt(account, "' or true --")).toBeUndefined()
      const first = await world.statements.receipts(account, { limit: 2 })
      const second = await world.statements.receipts(account, { limit: 2, before: first.at(-1)?.request_id })
      expect([...first, ...second].map(({ request_id }) => request_id)).toEqual(ids.toReversed())
    })

    it('knows the limits that an account has set, one by one', async () => {
      const account = randomUUID()
      expect(await world.guardrails.state(account)).toEqual({
        limits: {},
        shadow: false,
        spent: new Map(),
        outstanding: 0,
      })
      await world.guardrails.setLimits(account, { '5min': 1_000, '72h': 5_000_000_000, '60min': undefined })
      await world.guardrails.setLimits(account, { '5min': null, '48h': 7, '15min': null })
      expect((await world.guardrails.state(account)).limits).toEqual({ '72h': 5_000_000_000, '48h': 7 })
    })

    it('counts what was spent since the last reset, and what is held and leased', async () => {
      const account = randomUUID()
      await world.rows.balance(account, { available: 100, held: 20, leased: 3 })
      for (const minute of [10, 11, 12]) await world.rows.spent(account, minute, minute)
      expect(await world.guardrails.state(account)).toMatchObject({
        spent: new Map([10, 11, 12].map((minute) => [minute, minute])),
        outstanding: 23,
      })
      await world.guardrails.reset(account, 12)
      await world.guardrails.reset(account, 11)
      await world.guardrails.setShadow(account, true)
      expect(await world.guardrails.state(account)).toMatchObject({
        shadow: true,
        spent: new Map([[12, 12]]),
        outstanding: 23,
      })
    })
  })
}
