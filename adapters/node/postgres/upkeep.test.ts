import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Upkeep } from '../../../src/ports.ts'
import { systemClock } from '../../../src/resilience/clock.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { connectPostgres, type Database, type Sql } from './client.ts'
import { migrate } from './migrations.ts'
import { createUpkeepPort } from './upkeep.ts'

let server: TestPostgres
let database: Database
let upkeep: Upkeep
beforeAll(async () => {
  server = await startTestPostgres()
  database = await connectPostgres({ ...server.connection, clock: systemClock, max: 6 })
  await migrate({ database, log: { info() {}, warn() {} } })
  upkeep = createUpkeepPort({ database })
})
afterAll(async () => {
  await database.close({ timeoutS: 1 })
  await server.close()
})
beforeEach(async () => {
  for (const name of await partitions()) await run((sql) => sql`drop table ${sql(name)}`)
  await run((sql) => sql`delete from receipts_other`)
})

const run = <T extends object>(statement: (sql: Sql) => Promise<T>) => database.transaction('test', statement)
const partitions = async () => {
  const rows = await run(
    (sql) => sql<{ name: string }[]>`
      select tablename as name from pg_tables where tablename ~ '^receipts_[0-9]' order by 1`,
  )
  return rows.map(({ name }) => name)
}
const insert = (day: string) =>
  run(
    (sql) => sql`
  insert into receipts (account_id, request_id, day, receipt) values (${randomUUID()}, ${randomUUID()}, ${day}, '{}')`,
  )
const stored = async () => {
  const rows = await run(
    (sql) => sql<{ table: string; day: string }[]>`
      select tableoid::regclass::text as table, day::text as day from receipts order by day`,
  )
  return rows.map(({ table, day }) => `${day} in ${table}`)
}
const days = { from: '2026-11-25', to: '2026-11-27', dropBefore: '2026-10-26' }

test('each day gets a table of its own, once; rows find theirs', async () => {
  expect(await upkeep.keepReceiptDays(days)).toBe('done')
  expect(await upkeep.keepReceiptDays(days)).toBe('done')
  expect(await partitions()).toEqual(['receipts_20261125', 'receipts_20261126', 'receipts_20261127'])
  await insert('2026-11-26')
  await insert('2026-11-28')
  expect(await stored()).toEqual(['2026-11-26 in receipts_20261126', '2026-11-28 in receipts_other'])
})

test('what is older than thirty days goes, table by table, and so do the strays of those days', async () => {
  await upkeep.keepReceiptDays({ from: '2026-10-24', to: '2026-10-27', dropBefore: '2026-01-01' })
  for (const day of ['2026-10-20', '2026-10-25', '2026-10-26', '2026-10-30']) await insert(day)
  expect(await upkeep.keepReceiptDays(days)).toBe('done')
  expect(await stored()).toEqual(['2026-10-26 in receipts_20261026', '2026-10-30 in receipts_other'])
  expect(await partitions()).not.toContain('receipts_20261025')
})

test('a day that has rows in the default partition stays there, and keeps no other from being made', async () => {
  await insert('2026-11-26')
  expect(await upkeep.keepReceiptDays(days)).toBe('done')
  expect(await partitions()).toEqual(['receipts_20261125', 'receipts_20261127'])
  await insert('2026-11-26')
  expect(await stored()).toEqual(['2026-11-26 in receipts_other', '2026-11-26 in receipts_other'])
})

test('pods that do it at once make each table once, and none fails', async () => {
  const results = await Promise.all([1, 2, 3, 4].map(() => upkeep.keepReceiptDays(days)))
  expect(results).toContain('done')
  if (results.includes('busy')) expect(await upkeep.keepReceiptDays(days)).toBe('done')
  expect(await partitions()).toHaveLength(3)
})

test('a pod that listed the days before another made them makes none of them again', async () => {
  expect(await upkeep.keepReceiptDays(days)).toBe('done')
  const late = createUpkeepPort({ database: { ...database, query: async () => [] as never } })
  expect(await late.keepReceiptDays(days)).toBe('done')
  expect(await partitions()).toHaveLength(3)
})

test('it gives way to those who use the table, and finishes later', async () => {
  const { promise: held, resolve: isHeld } = Promise.withResolvers<void>()
  const { promise: letGo, resolve: release } = Promise.withResolvers<void>()
  const holder = run(async (sql) => {
    await sql`lock table receipts_other in access share mode`
    isHeld()
    await letGo
    return {}
  })
  await held
  expect(await upkeep.keepReceiptDays(days)).toBe('busy')
  release()
  await holder
  expect(await upkeep.keepReceiptDays(days)).toBe('done')
})

test('making a day does not wait for those who write receipts of another, nor they for it', async () => {
  await upkeep.keepReceiptDays({ ...days, to: '2026-11-25' })
  const { promise: written, resolve: isWritten } = Promise.withResolvers<void>()
  const { promise: letGo, resolve: release } = Promise.withResolvers<void>()
  const writer = run(async (sql) => {
    await sql`
      insert into receipts (account_id, request_id, day, receipt)
      values (${randomUUID()}, ${randomUUID()}, '2026-11-25', '{}')`
    isWritten()
    await letGo
    return {}
  })
  await written
  expect(await upkeep.keepReceiptDays(days)).toBe('done')
  release()
  await writer
})

test('old minutes of spending go in steps, the oldest first, and others stay', async () => {
  const account = randomUUID()
  await run(
    (sql) => sql`
    insert into spend_minutes (account_id, minute, spent) select ${account}, n, 1 from generate_series(1, 12) as n`,
  )
  const gone = []
  for (let i = 0; i < 4; i++) gone.push(await upkeep.forgetSpending({ beforeMinute: 11, max: 4 }))
  expect(gone).toEqual([4, 4, 2, 0])
  const left = await run((sql) => sql`select minute from spend_minutes where account_id = ${account} order by minute`)
  expect(left).toMatchObject([{ minute: 11 }, { minute: 12 }])
})
