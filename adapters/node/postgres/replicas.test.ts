import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { Accounts } from '../../../src/ports.ts'
import { systemClock } from '../../../src/resilience/clock.ts'
import { type ReplicatedPostgres, startReplicatedPostgres } from '../../../tests/support/replicated-postgres.ts'
import { newId } from '../identity.ts'
import { createAccounts } from './accounts.ts'
import type { PoolRole } from './client.ts'
import { type ConnectedCluster, connectCluster } from './connect-cluster.ts'
import { migrate } from './migrations.ts'
import { createReplicas } from './replicas.ts'

let servers: ReplicatedPostgres
const opened: ConnectedCluster[] = []
const queries: PoolRole[] = []

beforeAll(async () => {
  servers = await startReplicatedPostgres()
})
afterEach(async () => {
  await Promise.all(opened.splice(0).map((cluster) => cluster.close({ timeoutS: 1 })))
  await servers.delayStandby(0)
})
afterAll(() => servers.close())

const patiently = { interval: 5, timeout: 15_000 }

async function connect({ readReplicas = [servers.standby.name] } = {}) {
  const cluster = await connectCluster({
    ...servers.primary.connection,
    clock: systemClock,
    max: 20,
    // What is tested is who answers, not how long a crowded machine takes.
    acquireTimeoutMs: 10_000,
    min: 0,
    readReplicas,
    onQuery: (role) => queries.push(role),
  })
  opened.push(cluster)
  await migrate({ database: cluster.pools.general, log: { info() {}, warn() {} } })
  cluster.start()
  return { cluster, accounts: createAccounts({ cluster, pepper: 'pepper of the test', newId }) }
}

/** Who answered: the standby is in recovery. */
const answeredBy = async (cluster: ConnectedCluster, reads: Parameters<ConnectedCluster['read']>[1]) => {
  const [row] = await cluster.read(
    'who answers',
    reads,
    (sql) => sql<{ standby: boolean }[]>`select pg_is_in_recovery() as standby`,
  )
  return row?.standby ? 'replica' : 'primary'
}
const served = (cluster: ConnectedCluster, by: 'replica' | 'primary', accountId: string = randomUUID()) =>
  vi.waitFor(async () => expect(await answeredBy(cluster, { reads: 'own', accountId })).toBe(by), patiently)

const newKey = { name: 'a key', scopes: ['inference' as const] }

/**
 * Writes through the accounts port and reads at once what was written, at least a thousand times and for so long. The
 * replica knows an older state of each account, so a read from it would not be empty but wrong.
 */
async function staleReads(accounts: Accounts, { lagMs, forMs }: { lagMs: number; forMs: number }) {
  const started = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const { accountId } = await accounts.createAccount({ name: 'someone' })
      return { accountId, first: (await accounts.createApiKey(accountId, newKey)).id }
    }),
  )
  await servers.caughtUp()
  await servers.delayStandby(lagMs)
  let [reads, wrong] = [0, 0]
  const end = performance.now() + forMs
  const work = async ({ accountId, first }: (typeof started)[number]) => {
    let previous = first
    for (let i = 0; i < 250 || performance.now() < end; i++) {
      const { id } = await accounts.createApiKey(accountId, newKey)
      await accounts.revokeApiKey(accountId, previous)
      const ids = (await accounts.listApiKeys(accountId)).map((key) => key.id)
      reads++
      if (ids.length !== 1 || ids[0] !== id) wrong++
      previous = id
    }
  }
  await Promise.all(started.map(work))
  return { reads, wrong }
}

test('a read that may be late is answered by a replica, what must be true now by the primary', async () => {
  const { cluster } = await connect()
  expect(await answeredBy(cluster, { reads: 'any' })).toBe('primary')
  await served(cluster, 'replica')
  expect(await answeredBy(cluster, { reads: 'any' })).toBe('replica')
  expect(await answeredBy(cluster, { reads: 'primary' })).toBe('primary')
  expect(await answeredBy(cluster, { reads: 'primary', pool: 'authentication' })).toBe('primary')
})

test('after a write its account reads from the primary until the replica shows it; others are not concerned', async () => {
  const { cluster, accounts } = await connect()
  const { accountId } = await accounts.createAccount({ name: 'someone' })
  await served(cluster, 'replica')
  await servers.delayStandby(2_000)
  await accounts.createApiKey(accountId, newKey)
  expect(await answeredBy(cluster, { reads: 'own', accountId })).toBe('primary')
  expect(await answeredBy(cluster, { reads: 'own', accountId: randomUUID() })).toBe('replica')
  await served(cluster, 'replica', accountId)
  expect(await accounts.listApiKeys(accountId)).toHaveLength(1)
})

test.each([
  { lagS: 2, forS: 4 },
  { lagS: 30, forS: 1 },
])('1,000 of 1,000 reads of own writes are right with a replica that is $lagS s late', async ({ lagS, forS }) => {
  const { cluster, accounts } = await connect()
  await served(cluster, 'replica')
  const { reads, wrong } = await staleReads(accounts, { lagMs: lagS * 1_000, forMs: forS * 1_000 })
  expect(reads).toBeGreaterThanOrEqual(1_000)
  expect(wrong).toBe(0)
})

test('a revoked key is unknown at once, however late the replica is', async () => {
  const { cluster, accounts } = await connect()
  const { accountId } = await accounts.createAccount({ name: 'someone' })
  const keys = await Promise.all(Array.from({ length: 20 }, () => accounts.createApiKey(accountId, newKey)))
  await servers.caughtUp()
  await served(cluster, 'replica')
  await servers.delayStandby(30_000)
  for (const { id } of keys) await accounts.revokeApiKey(accountId, id)
  for (const { apiKey } of keys) expect(await accounts.findByApiKey(apiKey)).toBeUndefined()
})

test('a write by another pod is seen within a second', async () => {
  const [here, there] = [await connect(), await connect()]
  const { accountId } = await there.accounts.createAccount({ name: 'someone' })
  await served(here.cluster, 'replica')
  await served(there.cluster, 'replica', accountId)
  await servers.delayStandby(30_000)
  const since = performance.now()
  await there.accounts.createApiKey(accountId, newKey)
  await vi.waitFor(async () => expect(await here.accounts.listApiKeys(accountId)).toHaveLength(1), patiently)
  expect(performance.now() - since).toBeLessThan(2_000)
})

test('after a promotion a replica is asked again once it is seen to go on: its position may be of a log that has ended', async () => {
  const { user, database } = servers.primary.connection
  const replicas = createReplicas({
    clock: systemClock,
    names: [servers.standby.name],
    connection: { user, database },
  })
  const look = (timeline: string) =>
    replicas.seen({ startedAt: systemClock.now(), lsn: 1, timeline, settings: {}, writes: [] })
  replicas.start()
  await vi.waitFor(() => {
    look('00000001')
    expect(replicas.next(0)).toBeDefined()
  }, patiently)
  look('00000002')
  expect(replicas.next(0)).toBeUndefined()
  await vi.waitFor(async () => {
    await servers.primary.sql`select pg_logical_emit_message(true, 'test', 'something happens')`
    look('00000002')
    expect(replicas.next(0)).toBeDefined()
  }, patiently)
  await replicas.close({ timeoutS: 1 })
})

test("a replica's no is checked once on the primary", async () => {
  const { cluster } = await connect()
  await served(cluster, 'replica')
  const accountId = randomUUID()
  await servers.delayStandby(30_000)
  // Behind the back of this pod.
  await servers.primary.sql`insert into accounts (account_id, name, role) values (${accountId}, 'someone', 'user')`
  queries.length = 0
  const rows = await cluster.read(
    'find account',
    { reads: 'any' },
    (sql) => sql`select name from accounts where account_id = ${accountId}`,
  )
  expect(rows).toMatchObject([{ name: 'someone' }])
  expect(queries.filter((role) => role === 'general')).toHaveLength(1)
})

test('a replica that is too late leaves the rotation, tells its lag, and comes back', async () => {
  const { cluster } = await connect()
  await served(cluster, 'replica')
  await servers.delayStandby(60_000)
  const [replica] = cluster.replicas.list()
  await vi.waitFor(
    async () => {
      await servers.primary.sql`select pg_logical_emit_message(true, 'test', 'something happens')`
      expect(replica?.inRotation()).toBe(false)
    },
    { interval: 200, timeout: 15_000 },
  )
  expect(replica?.lagS()).toBeGreaterThan(10)
  expect(await answeredBy(cluster, { reads: 'any' })).toBe('primary')
  await servers.delayStandby(0)
  await served(cluster, 'replica')
  expect(replica?.lagS()).toBeLessThan(1)
}, 40_000)

test('a replica that stands still is passed by: who waits for it is answered by the primary within two seconds', async () => {
  const { cluster } = await connect()
  await served(cluster, 'replica')
  await servers.standby.freeze()
  try {
    const began = performance.now()
    await served(cluster, 'primary')
    expect(performance.now() - began).toBeLessThan(2_500)
    const since = performance.now()
    expect(await answeredBy(cluster, { reads: 'any' })).toBe('primary')
    expect(performance.now() - since).toBeLessThan(1_000)
    await vi.waitFor(() => expect(cluster.replicas.list()[0]?.lagS()).toBeGreaterThan(2), patiently)
    expect(cluster.replicas.list()[0]?.inRotation()).toBe(false)
  } finally {
    await servers.standby.thaw()
  }
  await served(cluster, 'replica')
})

test('a replica that is not there keeps nobody from starting, and is read from once it is', async () => {
  const { cluster } = await connect({ readReplicas: ['127.0.0.1:1', servers.standby.name] })
  await served(cluster, 'replica')
  const [absent, present] = cluster.replicas.list()
  expect(absent?.inRotation()).toBe(false)
  expect(present?.inRotation()).toBe(true)
})
