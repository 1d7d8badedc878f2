import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { UsageRow } from '../../../src/domain/statement.ts'
import { systemClock } from '../../../src/resilience/clock.ts'
import { faultsInSums } from '../../../tests/support/ledger.ts'
import { ledgerRows } from '../../../tests/support/ledger-rows.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { type ConnectedCluster, connectCluster } from './connect-cluster.ts'
import { migrate } from './migrations.ts'
import { createUsageSums } from './usage-sums.ts'

let server: TestPostgres
let cluster: ConnectedCluster
beforeAll(async () => {
  server = await startTestPostgres()
  cluster = await connectCluster({ ...server.connection, clock: systemClock, max: 8, min: 0 })
  await migrate({ database: cluster.pools.general, log: { info() {}, warn() {} } })
}, 60_000)
afterAll(async () => {
  await cluster.close({ timeoutS: 1 })
  await server.close()
})

const used = (own: Partial<UsageRow>): UsageRow => ({
  ...{ day: '2026-11-25', keyId: randomUUID(), model: 'm', requests: 1, inputTokens: 1, cachedInputTokens: 0 },
  ...{ outputTokens: 1, cost: 5 },
  ...own,
})

test('what a pod of the version before has not summed is found and summed, of that account alone', async () => {
  const database = cluster.pools.general
  const sums = createUsageSums({ database, cluster })
  const [right, wrong] = [randomUUID(), randomUUID()]
  for (const account of [right, wrong])
    await ledgerRows(database).usage(account, [used({}), used({ day: '2026-11-02' })])
  expect(await sums.mend('2026-11-24')).toBe(0)
  await database.query(
    'as before',
    undefined,
    (sql) => sql`update usage_days set requests = requests + 1, cost = cost + 7 where account_id = ${wrong}`,
  )
  expect(await faultsInSums(database)).not.toEqual([])
  expect(await sums.mend('2026-11-24')).toBe(1)
  expect(await faultsInSums(database)).toEqual([])
  expect(await sums.mend('2026-11-24')).toBe(0)
})

test('all accounts are summed by day, model, key and account, and again, the dearest hundred of each', async () => {
  const database = cluster.pools.general
  const sums = createUsageSums({ database, cluster })
  const [one, other, key] = [randomUUID(), randomUUID(), randomUUID()]
  await ledgerRows(database).usage(one, [
    used({ day: '2026-03-01', keyId: key, cost: 1_000 }),
    used({ day: '2026-03-31', keyId: key, model: 'n' }),
    used({ day: '2026-04-01' }),
  ])
  const rows = Array.from({ length: 120 }, (_, i) => used({ day: '2026-03-31', model: `m${i}`, cost: i }))
  await ledgerRows(database).usage(other, rows)
  for (let i = 0; i < 2; i++) await sums.sum('2026-03-01')
  const read = async (kind: 'day' | 'model' | 'key' | 'account') =>
    (await sums.read({ kind, month: '2026-03-01' })).map(({ group, requests, cost }) => [group, requests, cost])
  const ofOther = (119 * 120) / 2
  expect(await read('day')).toEqual([
    ['2026-03-01', 1, 1_000],
    ['2026-03-31', 121, ofOther + 5],
  ])
  expect(await read('account')).toEqual([
    [other, 120, ofOther],
    [one, 2, 1_005],
  ])
  const models = await read('model')
  expect([models.length, models[0], models[1]]).toEqual([100, ['m', 1, 1_000], ['m119', 1, 119]])
  expect((await read('key'))[0]).toEqual([`${one}/${key}`, 2, 1_005])
  expect(await sums.read({ kind: 'account', month: '2026-04-01' })).toEqual([])
})
