/**
 * What the pages ask the database for reads no more rows than they show, by PostgreSQL's own account: with 100,000
 * requests of four accounts, 500 keys of one, and far more that is over and not shown.
 */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createApiKeys } from '../../adapters/node/postgres/api-keys.ts'
import { connectPostgres, type Database } from '../../adapters/node/postgres/client.ts'
import type { Cluster } from '../../adapters/node/postgres/cluster.ts'
import { migrate } from '../../adapters/node/postgres/migrations.ts'
import { createRentals } from '../../adapters/node/postgres/rentals.ts'
import { createStatements } from '../../adapters/node/postgres/statements.ts'
import { createUsageSums } from '../../adapters/node/postgres/usage-sums.ts'
import { createUsers } from '../../adapters/node/postgres/users.ts'
import { systemClock } from '../../src/resilience/clock.ts'
import { fillHistory, type History } from '../support/long-history.ts'
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts'
import { explain, reads } from '../support/row-reads.ts'

let server: TestPostgres
let database: Database
let history: History
beforeAll(async () => {
  server = await startTestPostgres()
  database = await connectPostgres({
    ...{ ...server.connection, clock: systemClock, max: 2 },
    ...{ statementTimeoutMs: 120_000, transactionTimeoutMs: 130_000 },
  })
  await migrate({ database, log: { info() {}, warn() {} } })
  history = await fillHistory(database)
}, 180_000)
afterAll(async () => {
  await database.close({ timeoutS: 1 })
  await server.close()
})

interface Looked {
  read: number
  shown: number
}

describe.each(['force_custom_plan', 'force_generic_plan'] as const)('with a plan by %s,', (mode) => {
  /** Answers as the cluster does, and notes what that took. */
  function watched() {
    const looked: Looked[] = []
    const read: Cluster['read'] = async (label, _how, statement) => {
      const found = reads(await explain(database, statement, mode))
      expect(found.length, label).toBeGreaterThan(0)
      const rows = await database.query(label, undefined, statement)
      looked.push({ read: found.reduce((sum, { rows }) => sum + rows, 0), shown: rows.length })
      return rows
    }
    return { looked, cluster: { read } as Cluster }
  }
  const { looked, cluster } = watched()
  const statements = createStatements({ cluster })
  const keys = createApiKeys({ cluster, pepper: 'of a test', newId: randomUUID })
  const users = createUsers({ cluster, pepper: 'of a test', newId: randomUUID })
  const rentals = createRentals({ cluster, clock: systemClock, windowLimits: {} })
  const usageSums = createUsageSums({ database, cluster })

  const month = { from: '2026-10-01', to: '2026-10-31' }
  const pages: [name: string, rows: number, ask: () => Promise<unknown>][] = [
    ['the keys', 500, () => keys.listApiKeys(history.account)],
    [
      'usage by day',
      30,
      () => statements.usage(history.account, { groupBy: 'day', from: '2026-10-10', to: '2026-11-08' }),
    ],
    ['usage by model of a month', 3, () => statements.usage(history.account, { groupBy: 'model', ...month })],
    ['usage by key of a month', 500, () => statements.usage(history.account, { groupBy: 'key', ...month })],
    ['the balance', 1, () => statements.balance(history.account)],
    // One more than is shown tells whether there are more.
    ['transactions', 101, () => statements.transactions(history.account, { limit: 101 })],
    ['a receipt', 1, () => statements.receipt(history.account, history.requestId)],
    ['machines of an account', 40, () => rentals.list(history.account, { limit: 51 })],
    ['machines of all', 51, () => rentals.newest({ limit: 51 })],
    ['accounts', 51, () => users.list({ limit: 51 })],
    ['usage of all by day', 31, () => usageSums.read({ kind: 'day', month: month.from })],
    ['usage of all by account', 4, () => usageSums.read({ kind: 'account', month: month.from })],
    ['usage of all by model', 3, () => usageSums.read({ kind: 'model', month: month.from })],
    ['usage of all by key', 100, () => usageSums.read({ kind: 'key', month: month.from })],
  ]

  test.each(pages)('%s: %i rows are shown, and no others read', async (_name, rows, ask) => {
    looked.length = 0
    await ask()
    expect(looked).toEqual([{ read: rows, shown: rows }])
  })

  test('the measure tells a question that reads more', async () => {
    looked.length = 0
    await statements.usage(history.account, { groupBy: 'model', from: '2026-10-02', to: '2026-10-31' })
    expect(looked[0]!.read).toBeGreaterThanOrEqual(30 * 500)
  })
})
