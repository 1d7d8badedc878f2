import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Position } from '../../../src/domain/statement.ts'
import { systemClock } from '../../../src/resilience/clock.ts'
import { fillLedger, positionOf } from '../../../tests/support/long-ledger.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { connectPostgres, type Database, type Sql } from './client.ts'
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

interface Plan {
  'Node Type': string
  'Index Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  'Rows Removed by Index Recheck'?: number
  Plans?: Plan[]
}

/** Those at the leaves, with the rows that each of them looked at. */
function reads(plan: Plan): { by: string; rows: number }[] {
  if (plan.Plans) return plan.Plans.flatMap(reads)
  const removed = (plan['Rows Removed by Filter'] ?? 0) + (plan['Rows Removed by Index Recheck'] ?? 0)
  const by = `${plan['Node Type']} ${plan['Index Name'] ?? ''}`.trim()
  return [{ by, rows: (plan['Actual Rows'] + removed) * plan['Actual Loops'] }]
}

const explain = (account: string, from: Position | typeof newestPosition, mode: string) =>
  database.transaction('explain', async (sql: Sql) => {
    await sql`select set_config('plan_cache_mode', ${mode}, true)`
    const [row] = await sql<{ 'QUERY PLAN': [{ Plan: Plan }] }[]>`
      explain (analyze, format json) ${selectTransactions(sql, account, from, limit)}`
    return row!['QUERY PLAN'][0].Plan
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
      ['force_custom_plan', 'force_generic_plan'].map((mode) => [page, mode, from] as const),
    ),
  )('the %s one reads its own rows and no others (%s)', async (_page, mode, from) => {
    const found = reads(await explain(large, from, mode))
    expect(found).toEqual([{ by: 'Index Scan ledger_statement', rows: expect.any(Number) }])
    expect(found[0]!.rows).toBeLessThanOrEqual(limit)
    expect(found[0]!.rows).toBeGreaterThanOrEqual(20)
  })
})

test('the measure tells a statement that reads more', async () => {
  const plan = await database.transaction('explain', async (sql) => {
    const [row] = await sql<{ 'QUERY PLAN': [{ Plan: Plan }] }[]>`
      explain (analyze, format json)
      select * from ledger_entries where account_id = ${accounts[1]!} and available > 0 order by revenue limit ${limit}`
    return row!['QUERY PLAN'][0].Plan
  })
  expect(reads(plan).reduce((sum, { rows }) => sum + rows, 0)).toBeGreaterThan(1_000)
})
