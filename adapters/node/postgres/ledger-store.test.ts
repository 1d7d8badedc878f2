import { randomUUID } from 'node:crypto'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EndEvent, HoldEvent, LedgerEvent } from '../../../src/domain/ledger.ts'
import type { LeaseAsk, LedgerStore } from '../../../src/ports.ts'
import { createBackoff } from '../../../src/resilience/backoff.ts'
import { systemClock } from '../../../src/resilience/clock.ts'
import { booksOf, faultsInBooks } from '../../../tests/support/ledger.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { newId } from '../identity.ts'
import { connectPostgres, type Database } from './client.ts'
import type { Cluster } from './cluster.ts'
import { createCredits } from './credits.ts'
import { createLedgerStore } from './ledger-store.ts'
import { migrate } from './migrations.ts'
import { createTransact } from './transactions.ts'

let server: TestPostgres
let database: Database
let store: LedgerStore
const podId = randomUUID()
const watch = { subscribe() {} }
const cluster: Pick<Cluster, 'read'> = { read: (label, _reads, run) => database.query(label, undefined, run) }
const transact = createTransact({
  clock: systemClock,
  backoff: createBackoff({ random: Math.random, initialMs: 5, maxMs: 50 }),
})
beforeAll(async () => {
  server = await startTestPostgres()
  database = await connectPostgres({ ...server.connection, clock: systemClock, max: 8 })
  await migrate({ database, log: { info() {}, warn() {} } })
  store = createLedgerStore({ database, cluster, transact, watch, windowLimits: {} })
})
afterAll(async () => {
  await database.close({ timeoutS: 1 })
  await server.close()
})

const credits = () =>
  createCredits({
    cluster: {
      ...cluster,
      write: (label, _account, run, options) => transact(database, label, run, options),
    },
  })

async function newAccount(amount: number) {
  const accountId = randomUUID()
  await credits().grant(accountId, { id: randomUUID(), kind: 'granted', amount })
  const processId = randomUUID()
  const keyId = randomUUID()
  const ask = (need: number, own: Partial<LeaseAsk> = {}): LeaseAsk => ({
    ...{ accountId, purseId: accountId, processId, podId, budgets: undefined, need, want: need, ...own },
  })
  const hold = (operationId: string, amount: number, own: Partial<HoldEvent> = {}): HoldEvent => ({
    ...{ event: 'hold', accountId, operationId, keyId, purseId: accountId, processId, podId, amount, at: Date.now() },
    terms: {
      ...{ endpoint: 'chat/completions', model: 'm', provider: 'p', streamed: true },
      ...{ base: 1, outputPerMillion: 1_000_000, inputTokens: 7 },
    },
    ...own,
  })
  const end = (operationId: string, amount: number, own: Partial<EndEvent> = {}): EndEvent => ({
    ...{ event: 'settle', accountId, operationId, keyId, purseId: accountId, processId, amount, at: Date.now() },
    ...{ model: 'm', inputTokens: 7, cachedInputTokens: 2, outputTokens: 3 },
    facts: { endpoint: 'chat/completions', price: {} } as EndEvent['facts'],
    ...own,
  })
  return { accountId, processId, keyId, ask, hold, end }
}
const enter = (...events: LedgerEvent[]) => store.enter(JSON.stringify(events))
const rows = async (table: string, accountId: string) =>
  (
    await database.query(
      'rows',
      undefined,
      (sql) => sql<Record<string, unknown>[]>`
      select * from ${sql(table)} where account_id = ${accountId}`,
    )
  ).slice()
const sound = async () => expect(await faultsInBooks(database)).toEqual([])

test('credit that is granted twice under one id is granted once', async () => {
  const { accountId } = await newAccount(500)
  const credit = { id: randomUUID(), kind: 'payment', amount: 7 } as const
  expect(await Promise.all([1, 2, 3].map(() => credits().grant(accountId, credit)))).toContain(true)
  expect(await credits().grant(accountId, credit)).toBe(false)
  expect(await booksOf(database, accountId)).toEqual({ available: 507, held: 0, leased: 0 })
})

test('a lease, a hold and its end move the money from book to book', async () => {
  const { accountId, ask, hold, end } = await newAccount(1_000)
  expect(await store.lease(ask(100, { want: 300 }))).toMatchObject({ granted: 300, spendable: 700 })
  expect(await booksOf(database, accountId)).toEqual({ available: 1_000, held: 0, leased: 300 })
  const id = newId()
  const { spendable } = await enter(hold(id, 100))
  expect(spendable.get(accountId)).toBe(700)
  expect(await booksOf(database, accountId)).toEqual({ available: 900, held: 100, leased: 200 })
  await enter(end(id, 40))
  expect(await booksOf(database, accountId)).toEqual({ available: 960, held: 0, leased: 260 })
  expect(await rows('holds', accountId)).toEqual([])
  expect(await rows('usage_days', accountId)).toMatchObject([
    { requests: '1', input_tokens: '7', cached_input_tokens: '2', output_tokens: '3', cost: '40', model: 'm' },
  ])
  expect(await rows('billing_outbox', accountId)).toMatchObject([{ operation_id: id, amount: '40' }])
  expect(await rows('spend_minutes', accountId)).toMatchObject([{ spent: '40' }])
  expect(await rows('receipts', accountId)).toMatchObject([
    { request_id: id, receipt: { operationId: id, amount: 40 } },
  ])
  await sound()
})

test('a hold and its end in one group are one entry', async () => {
  const { accountId, ask, hold, end } = await newAccount(1_000)
  await store.lease(ask(100))
  const id = newId()
  await enter(hold(id, 100), end(id, 40))
  expect((await rows('ledger_entries', accountId)).map(({ kind }) => kind).sort()).toEqual(['granted', 'settle'])
  expect(await booksOf(database, accountId)).toEqual({ available: 960, held: 0, leased: 60 })
  await sound()
})

test('what is released costs nothing and is not billed', async () => {
  const { accountId, ask, hold, end } = await newAccount(1_000)
  await store.lease(ask(100))
  const id = newId()
  await enter(hold(id, 100))
  await enter(end(id, 0, { event: 'release' }))
  expect(await booksOf(database, accountId)).toEqual({ available: 1_000, held: 0, leased: 100 })
  expect(await rows('billing_outbox', accountId)).toEqual([])
  expect(await rows('usage_days', accountId)).toEqual([])
})

test('an operation ends once, whoever says so and how often', async () => {
  const { accountId, ask, hold, end } = await newAccount(1_000)
  await store.lease(ask(100))
  const id = newId()
  await enter(hold(id, 100))
  const ends = [end(id, 40), end(id, 0, { event: 'release' }), end(id, 40), end(id, 99)]
  await Promise.all(ends.map((each) => enter(each)))
  await enter(hold(id, 100), ...ends)
  await enter(hold(id, 100))
  const kinds = (await rows('ledger_entries', accountId)).map(({ kind }) => kind)
  expect(kinds.filter((kind) => kind === 'settle' || kind === 'release')).toHaveLength(1)
  expect(await booksOf(database, accountId)).toMatchObject({ held: 0 })
  await sound()
})

test('nothing is leased beyond what there is, by however many at once', async () => {
  const { accountId, ask } = await newAccount(1_000)
  const answers = await Promise.all(
    Array.from({ length: 40 }, () => store.lease(ask(100, { processId: randomUUID() }))),
  )
  expect(answers.filter(({ granted }) => granted === 100)).toHaveLength(10)
  expect(answers.filter(({ granted }) => granted === 0)).toHaveLength(30)
  expect(await booksOf(database, accountId)).toEqual({ available: 1_000, held: 0, leased: 1_000 })
  await sound()
})

test('what costs more than there is takes what there is, and the rest is written off', async () => {
  const { accountId, ask, hold, end } = await newAccount(100)
  await store.lease(ask(60))
  const id = newId()
  await enter(hold(id, 60))
  expect(await enter(end(id, 250))).toMatchObject({ refused: 0 })
  expect(await booksOf(database, accountId)).toEqual({ available: 0, held: 0, leased: 0 })
  const settled = (await rows('ledger_entries', accountId)).find(({ kind }) => kind === 'settle')
  expect(settled).toMatchObject({ available: '-40', held: '-60', revenue: '250', written_off: '-150' })
  await sound()
})

test('an event that cannot be stored does not keep the others of its group waiting', async () => {
  const { accountId, ask, hold, end } = await newAccount(1_000)
  await store.lease(ask(100))
  const [good, bad] = [newId(), newId()]
  expect(await enter(hold(good, 10), end(bad, 10, { model: 'a\0b' }), end(good, 5))).toMatchObject({ refused: 1 })
  expect(await booksOf(database, accountId)).toMatchObject({ available: 995, held: 0 })
  await sound()
})

test('slices go back, in part or whole, and never more than there is', async () => {
  const { accountId, processId, ask } = await newAccount(1_000)
  await store.lease(ask(300))
  const slice = { accountId, purseId: accountId, processId }
  await store.giveBack([{ ...slice, amount: 100 }])
  expect(await booksOf(database, accountId)).toMatchObject({ leased: 200 })
  expect(await store.renew([slice])).toEqual([])
  await store.giveBack([{ ...slice, amount: 900 }])
  await store.giveBack([{ ...slice, amount: 'all' }])
  expect(await booksOf(database, accountId)).toMatchObject({ leased: 0 })
  expect(await store.renew([slice])).toEqual([accountId])
  await sound()
})

test('what a former run of this pod left is found, and what a living one has is not', async () => {
  const { accountId, ask, hold, end } = await newAccount(1_000)
  const [former, own] = [randomUUID(), randomUUID()]
  const mine = randomUUID()
  const [left, open] = [newId(), newId()]
  await store.lease(ask(100, { processId: former, podId: mine }))
  await store.lease(ask(100, { processId: own, podId: mine }))
  await enter(hold(left, 50, { processId: former, podId: mine }), hold(open, 50, { processId: own, podId: mine }))
  await enter({ event: 'mark', accountId, operationId: left, outputTokens: 70 })
  await enter({ event: 'mark', accountId, operationId: left, outputTokens: 60 })
  const found = await store.formerHolds(mine, own, 10)
  expect(found).toMatchObject([{ operationId: left, amount: 50, outputTokens: 70, terms: { inputTokens: 7 } }])
  await enter(end(left, 30, { processId: former }))
  await store.endFormerLeases(mine, own)
  expect(await booksOf(database, accountId)).toEqual({ available: 920, held: 50, leased: 50 })
  expect(await store.formerHolds(mine, own, 10)).toEqual([])
  await sound()
})

test('a hold is as old as it is here, whatever the clock of its pod says', async () => {
  const { ask, hold, end } = await newAccount(1_000)
  await store.lease(ask(500))
  const [slow, fast] = [newId(), newId()]
  const hour = 3_600_000
  await enter(hold(slow, 1, { at: Date.now() - hour }), hold(fast, 1, { at: Date.now() + hour }))
  const found = async (holdsOlderThanMs: number) =>
    (await store.abandoned({ holdsOlderThanMs, max: 1_000 })).map(({ operationId }) => operationId)
  expect(await found(60_000)).not.toContain(slow)
  expect(await found(0)).toContain(slow)
  expect(await found(0)).not.toContain(fast)
  await enter(end(slow, 1), end(fast, 1))
  await sound()
})

describe('guard rails and budgets', () => {
  const withLimits = (limits: Parameters<typeof createLedgerStore>[0]['windowLimits']) =>
    createLedgerStore({ database, cluster, transact, watch, windowLimits: limits })

  test('a slice is never larger than a window allows, and what would pass it is refused with its name', async () => {
    const limited = withLimits({ '60min': 100 })
    const { accountId, ask, hold, end } = await newAccount(1_000)
    expect(await limited.lease(ask(40, { want: 400 }))).toMatchObject({ granted: 40 })
    const id = newId()
    await enter(hold(id, 40), end(id, 30))
    expect(await limited.lease(ask(61))).toMatchObject({
      granted: 0,
      blocked: { by: 'window', window: '60min', limit: 100, spent: 40, asked: 61 },
    })
    expect(await limited.lease(ask(60))).toMatchObject({ granted: 60 })
    expect(await booksOf(database, accountId)).toMatchObject({ leased: 70 })
  })

  test("an account's own limit is the stricter one; watched only, it refuses nothing; reset, it begins anew", async () => {
    const { accountId, keyId, ask, hold, end } = await newAccount(1_000)
    const set = (shadow: boolean, resetMinute: number) =>
      database.query(
        'set',
        undefined,
        (sql) => sql`
        insert into guardrails (account_id, limits, shadow, reset_minute)
        values (${accountId}, ${JSON.stringify({ '5min': 50 })}::text::jsonb, ${shadow}, ${resetMinute})
        on conflict (account_id) do update set shadow = excluded.shadow, reset_minute = excluded.reset_minute`,
      )
    await set(false, 0)
    await store.lease(ask(50))
    const id = newId()
    await enter(hold(id, 50), end(id, 50))
    expect(await store.lease(ask(1))).toMatchObject({ granted: 0, blocked: { window: '5min' } })
    await set(true, 0)
    expect(await store.lease(ask(1))).toMatchObject({ granted: 1, shadowed: { window: '5min' }, blocked: undefined })
    const own = { purseId: keyId, budgets: { keyId, perDay: 10, perMonth: undefined } }
    expect(await store.lease(ask(60, own))).toMatchObject({ granted: 0, blocked: { by: 'budget' } })
    await set(false, Math.floor(Date.now() / 60_000) + 1)
    expect(await store.lease(ask(1))).toMatchObject({ granted: 1, shadowed: undefined, blocked: undefined })
  })

  test("a key's budget counts what its key has spent and holds, and nothing of other keys", async () => {
    const { keyId, ask, hold, end } = await newAccount(1_000)
    const budgets = { keyId, perDay: 100, perMonth: undefined }
    const own = { purseId: keyId, budgets }
    await store.lease(ask(500))
    expect(await store.lease(ask(60, own))).toMatchObject({ granted: 60 })
    const id = newId()
    await enter(hold(id, 60, { purseId: keyId }), end(id, 50, { purseId: keyId }))
    expect(await store.lease(ask(41, own))).toMatchObject({
      blocked: { by: 'budget', period: 'day', limit: 100, spent: 60, asked: 41 },
    })
    expect(await store.lease(ask(40, own))).toMatchObject({ granted: 40 })
    const monthly = { ...own, budgets: { ...budgets, perDay: undefined, perMonth: 100 } }
    expect(await store.lease(ask(41, monthly))).toMatchObject({ blocked: { by: 'budget', period: 'month' } })
  })
})

test('what a pod with a clock ahead spends counts at once', async () => {
  const limited = createLedgerStore({ database, cluster, transact, watch, windowLimits: { '5min': 50 } })
  const { ask, hold, end } = await newAccount(1_000)
  await limited.lease(ask(50))
  const id = newId()
  await enter(hold(id, 50), end(id, 50, { at: Date.now() + 600_000 }))
  expect(await limited.lease(ask(1))).toMatchObject({ granted: 0, blocked: { window: '5min', spent: 50 } })
})

test('whatever is told, in whatever order and groups, the books are sound', async () => {
  const { accountId, processId, ask, hold, end } = await newAccount(2_000)
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          operation: fc.nat({ max: 5 }),
          kind: fc.constantFrom('hold', 'settle', 'release', 'mark', 'lease', 'back'),
          amount: fc.nat({ max: 300 }),
        }),
        { minLength: 5, maxLength: 40 },
      ),
      fc.integer({ min: 1, max: 6 }),
      async (steps, groupSize) => {
        const ids = Array.from({ length: 6 }, newId)
        let group: LedgerEvent[] = []
        for (const { operation, kind, amount } of steps) {
          const id = ids[operation]!
          if (kind === 'hold') group.push(hold(id, amount))
          else if (kind === 'settle') group.push(end(id, amount))
          else if (kind === 'release') group.push(end(id, 0, { event: 'release' }))
          else if (kind === 'mark') group.push({ event: 'mark', accountId, operationId: id, outputTokens: amount })
          else if (kind === 'lease') await store.lease(ask(amount))
          else await store.giveBack([{ accountId, purseId: accountId, processId, amount }])
          if (group.length < groupSize) continue
          await Promise.all([enter(...group), enter(...group)])
          group = []
        }
        await enter(...group, ...ids.map((id) => end(id, 1)))
        const { available, held } = await booksOf(database, accountId)
        expect(held).toBe(0)
        expect(available).toBeGreaterThanOrEqual(0)
        await sound()
      },
    ),
    { numRuns: 30 },
  )
})

test('what another process has leased is not leased again', async () => {
  const { ask } = await newAccount(100)
  expect(await store.lease(ask(80))).toMatchObject({ granted: 80 })
  const other = ask(30, { processId: randomUUID(), want: 100 })
  expect(await store.lease(other)).toMatchObject({ granted: 0, spendable: 20, elsewhere: 80 })
  expect(await store.lease({ ...other, need: 20 })).toMatchObject({ granted: 20, spendable: 0 })
  await sound()
})

test('what a key has held counts to its budget as what it has spent does', async () => {
  const { keyId, ask, hold, end } = await newAccount(1_000)
  const own = { purseId: keyId, budgets: { keyId, perDay: 100, perMonth: undefined } }
  expect(await store.lease(ask(60, own))).toMatchObject({ granted: 60 })
  const id = newId()
  await enter(hold(id, 60, { purseId: keyId }))
  expect(await store.lease(ask(41, own))).toMatchObject({ granted: 0, blocked: { by: 'budget', spent: 60 } })
  await enter(end(id, 50, { purseId: keyId }))
  // What is left of its slice is outstanding, too.
  expect(await store.lease(ask(41, own))).toMatchObject({ granted: 0, blocked: { spent: 60 } })
  expect(await store.lease(ask(40, own))).toMatchObject({ granted: 40 })
  await sound()
})

test('the least cost counts to the guard rails, the usage and the bill', async () => {
  const { accountId, hold, end } = await newAccount(10)
  const id = newId()
  await enter(hold(id, 5))
  await enter(end(id, 1))
  expect(await rows('spend_minutes', accountId)).toMatchObject([{ spent: '1' }])
  expect(await rows('usage_days', accountId)).toMatchObject([{ cost: '1' }])
  expect(await rows('billing_outbox', accountId)).toMatchObject([{ operation_id: id, amount: '1' }])
  await sound()
})
