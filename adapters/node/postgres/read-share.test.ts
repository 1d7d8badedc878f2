/** How much of reading the replicas take off the primary, as the servers themselves count it. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import {
  type PostgresNode,
  type ReplicatedPostgres,
  startReplicatedPostgres,
} from '../../../tests/support/replicated-postgres.ts'
import { newId } from '../identity.ts'
import { createAccounts } from './accounts.ts'
import { type ConnectedCluster, connectCluster } from './connect-cluster.ts'
import { migrate } from './migrations.ts'

let servers: ReplicatedPostgres
let cluster: ConnectedCluster
beforeAll(async () => {
  servers = await startReplicatedPostgres({ standbys: 2 })
  cluster = await connectCluster({
    ...servers.primary.connection,
    clock: systemClock,
    max: 20,
    // What is tested is who answers, not how long a crowded machine takes.
    acquireTimeoutMs: 10_000,
    min: 0,
    readReplicas: servers.standbys.map(({ name }) => name),
  })
  await migrate({ database: cluster.pools.general, log: { info() {}, warn() {} } })
  cluster.start()
})
afterAll(async () => {
  await cluster.close({ timeoutS: 1 })
  await servers.close()
})

const patiently = { interval: 20, timeout: 25_000 }

/** Index scans of the table of keys: one for each read of an account's list, wherever it is answered. */
async function scans({ sql }: PostgresNode) {
  const [row] = await sql<{ n: number }[]>`
    select coalesce(idx_scan, 0)::int + coalesce(seq_scan, 0)::int as n from pg_stat_user_tables where relname = 'api_keys'`
  return row?.n ?? 0
}

test('with two replicas the primary answers at most a tenth of the reads, and each replica its part', async () => {
  const accounts = createAccounts({ cluster, pepper: 'pepper of the test', newId })
  const owners = await Promise.all(
    Array.from({ length: 200 }, async () => (await accounts.createAccount({ name: 'someone' })).accountId),
  )
  const key = { name: 'a key', scopes: ['inference' as const] }
  for (const accountId of owners) await accounts.createApiKey(accountId, key)
  await servers.caughtUp()
  // Making a key counts those of its account: these scans are told late, and must not be taken for reads.
  await vi.waitFor(async () => expect(await scans(servers.primary)).toBeGreaterThanOrEqual(owners.length), patiently)
  await vi.waitFor(() => expect(cluster.replicas.list().every((each) => each.inRotation())).toBe(true), patiently)
  // Until a look at the primary has told how far the replicas must be for those who have just written.
  await vi.waitFor(async () => {
    const [row] = await cluster.read(
      'who answers',
      { reads: 'own', accountId: owners.at(-1)! },
      (sql) => sql<{ standby: boolean }[]>`select pg_is_in_recovery() as standby`,
    )
    expect(row?.standby).toBe(true)
  }, patiently)

  const nodes = [servers.primary, ...servers.standbys]
  const reads = 2_000
  const before = await Promise.all(nodes.map(scans))
  const since = performance.now()
  for (let i = 0; i < reads; i += 20) {
    // Four hundred a second: who has written reads from the primary for a time, not for a number of reads.
    await vi.waitUntil(() => performance.now() - since > i * 2.5, { interval: 5, timeout: 10_000 })
    await Promise.all(Array.from({ length: 20 }, (_, n) => accounts.listApiKeys(owners[(i + n) % owners.length]!)))
    if (i % 100 > 0) continue
    // One write for a hundred reads.
    await accounts.createApiKey(owners[(i / 100) % owners.length]!, key)
  }
  let counts: number[] = []
  await vi.waitFor(async () => {
    counts = (await Promise.all(nodes.map(scans))).map((after, i) => after - before[i]!)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(reads)
  }, patiently)
  const [primary = Infinity, ...replicas] = counts
  expect(primary / reads).toBeLessThanOrEqual(0.1)
  for (const replica of replicas) expect(replica / reads).toBeGreaterThan(0.35)
}, 60_000)
