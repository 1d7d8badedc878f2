import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { connectPostgres, type Database } from './client.ts'
import { connectPools, type Pools, type PoolsOptions, permitsOf, primaryRoles } from './pools.ts'

let server: TestPostgres
let watcher: Database
const opened: Pools[] = []

beforeAll(async () => {
  server = await startTestPostgres()
  watcher = await connectPostgres({ ...server.connection, clock: systemClock, max: 1 })
})
afterEach(() => Promise.all(opened.splice(0).map((pools) => pools.close({ timeoutS: 1 }))))
afterAll(async () => {
  await watcher.close({ timeoutS: 1 })
  await server.close()
})

const patiently = { interval: 5, timeout: 10_000 }

async function connect(options: Partial<PoolsOptions> = {}) {
  const pools = await connectPools({ ...server.connection, clock: systemClock, max: 12, min: 0, ...options })
  opened.push(pools)
  return pools
}

const maxima = (pools: Pools) => primaryRoles.map((role) => pools[role].pool().max)

/** As the server counts them. */
async function openAtServer() {
  const [row] = await watcher.query(
    'count',
    undefined,
    (sql) => sql<{ open: number }[]>`
      select count(*)::int as open from pg_stat_activity
      where backend_type = 'client backend' and datname = current_database() and pid <> pg_backend_pid()`,
  )
  return row?.open
}

test('all kinds of work together have as many permits as there may be connections', () => {
  for (let total = primaryRoles.length; total <= 200; total++) {
    const each = permitsOf(total)
    expect(primaryRoles.reduce((sum, role) => sum + each[role], 0)).toBe(total)
    for (const role of primaryRoles) expect(each[role]).toBeGreaterThanOrEqual(1)
  }
})

test('a key is looked up at once beside slow statements that fill their own pool', async () => {
  const pools = await connect({ min: 12, statementTimeoutMs: 60_000 })
  await vi.waitFor(() => expect(pools.open()).toBe(12), patiently)
  const leave = new AbortController()
  const slow = Array.from({ length: 8 }, () =>
    pools.general.query('slow', leave.signal, (sql) => sql`select pg_sleep(20)`).catch(() => 'stopped'),
  )
  await vi.waitFor(() => expect(pools.general.pool().inUse).toBe(pools.general.pool().max), patiently)
  for (let i = 0; i < 50; i++) await pools.authentication.query('fast', undefined, (sql) => sql`select 1`)
  await pools.ledger.query('fast', undefined, (sql) => sql`select 1`)
  await pools.watch.ping(AbortSignal.timeout(1_000))
  await expect(pools.general.query('one more', undefined, (sql) => sql`select 1`)).rejects.toMatchObject({
    reason: 'busy',
  })
  expect(pools.general.pool().inUse, 'none of the slow ones has ended').toBe(pools.general.pool().max)
  leave.abort()
  await Promise.all(slow)
})

test('the minimum is opened by itself, is never more than the maximum, and is opened again when it is lost', async () => {
  const pools = await connect({ max: 6, min: 25 })
  await vi.waitFor(async () => expect(await openAtServer()).toBe(6), patiently)
  await watcher.query(
    'end them',
    undefined,
    (sql) => sql`
      select pg_terminate_backend(pid) from pg_stat_activity
      where backend_type = 'client backend' and datname = current_database() and pid <> pg_backend_pid()`,
  )
  await vi.waitFor(() => expect(pools.open()).toBe(0), patiently)
  await vi.waitFor(async () => expect(await openAtServer()).toBe(6), patiently)
})

test('idle connections beyond the minimum are closed, those of the minimum stay', async () => {
  const pools = await connect({ max: 12, min: 2, idleTimeoutS: 0.2 })
  await Promise.all(
    Array.from({ length: 5 }, () => pools.general.query('several', undefined, (sql) => sql`select pg_sleep(0.1)`)),
  )
  expect(pools.open()).toBeGreaterThan(2)
  await vi.waitFor(async () => expect(await openAtServer()).toBe(2), patiently)
  expect(pools.open()).toBe(2)
})

test('with fewer connections than kinds of work, all share them', async () => {
  const pools = await connect({ max: 1 })
  expect(maxima(pools)).toEqual([1, 1, 1, 1])
  await Promise.all(primaryRoles.map((role) => pools[role].query('one', undefined, (sql) => sql`select 1`)))
  expect(await openAtServer()).toBe(1)
})

test('a budget of the fleet is divided by the live pods, and again when their number changes', async () => {
  let pods = 1
  const pools = await connect({ max: 40, min: 40, fleetMax: 24, pods: () => pods })
  const sum = () => maxima(pools).reduce((all, max) => all + max, 0)
  expect(sum()).toBe(24)
  await vi.waitFor(async () => expect(await openAtServer()).toBe(24), patiently)
  pods = 3
  await vi.waitFor(() => expect(sum()).toBe(8), patiently)
  await vi.waitFor(async () => expect(await openAtServer()).toBe(8), patiently)
  pods = 1
  await vi.waitFor(async () => expect(await openAtServer()).toBe(24), patiently)
})
