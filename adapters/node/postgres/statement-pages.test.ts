import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import { fillLedger, positionOf } from '../../../tests/support/long-ledger.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { explain, reads } from '../../../tests/support/row-reads.ts'
import { connectPostgres, type Database } from './client.ts'
import { migrate } from './migrations.ts'
import { newestPosition, selectTransactions } from './statements.ts'

const million = 1_000_000
const limit = 51
const large = randomUUID()
const accounts = [large, ...Array.from({ length: 10 }, () => randomUUID())]
let server: TestPostgres
let database: Database

beforeAll(async () => {
  server = await startTestPostgres()
  database = await connectPostgres({
    ...server.connection,
    clock: systemClock,
    max: 2,
    statementTimeoutMs: 120_000,
    transactionTimeoutMs: 130_000,
  })
  await migrate({ database, log: { info() {}, warn() {} } })
  for (const account of accounts) await fillLedger(database, account, account === large ? million : 1_000)
}, 180_000)
afterAll(async () => {
  await database.close({ timeoutS: 1 })
  await server.close()
})

const pages = {
  first: newestPosition,
  middle: positionOf(million / 2),
  last: positionOf(20),
}

describe.each(['with', 'without'])('a page of a million entries, %s statistics,', (statistics) => {
  beforeAll(async () => {
    if (statistics === 'with') await database.query('analyze', undefined, (sql) => sql`analyze ledger_entries`)
    else
      await database.query(
        'forget',
        undefined,
        (sql) => sql`select pg_clear_relation_stats('public', 'ledger_entries')`,
      )
  })

  test.each(
    Object.entries(pages).flatMap(([page, from]) =>
      (['force_custom_plan', 'force_generic_plan'] as const).map((mode) => [page, mode, from] as const),
    ),
  )('the %s one reads its own rows and no others (%s)', async (_page, mode, from) => {
    const found = reads(await explain(database, (sql) => selectTransactions(sql, large, from, limit), mode))
    expect(found).toEqual([{ by: 'Index Scan ledger_statement', rows: expect.any(Number) }])
    expect(found[0]!.rows).toBeLessThanOrEqual(limit)
    expect(found[0]!.rows).toBeGreaterThanOrEqual(20)
  })
})

test('the measure tells a statement that reads more', async () => {
  const plan = await explain(
    database,
    (sql) => sql`
      select * from ledger_entries where account_id = ${accounts[1]!} and available > 0 order by revenue limit ${limit}`,
  )
  expect(reads(plan).reduce((sum, { rows }) => sum + rows, 0)).toBeGreaterThan(1_000)
})
