import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import { type ReplicatedPostgres, startReplicatedPostgres } from '../../../tests/support/replicated-postgres.ts'
import { connectPostgres } from './client.ts'
import { type ConnectedCluster, connectCluster } from './connect-cluster.ts'
import { createIdempotency } from './idempotency.ts'
import { migrate } from './migrations.ts'

let servers: ReplicatedPostgres
let cluster: ConnectedCluster

beforeAll(async () => {
  servers = await startReplicatedPostgres()
  const database = await connectPostgres({ ...servers.primary.connection, clock: systemClock, max: 1 })
  await migrate({ database, log: { info() {}, warn() {} } })
  await database.close({ timeoutS: 1 })
  await servers.primary.sql`create table notes (account_id text, note text)`
})
beforeEach(async () => {
  const { user, database } = servers.primary.connection
  const host = `${servers.primary.name},${servers.standby.name}`
  cluster = await connectCluster({ host, user, database, clock: systemClock, max: 12, min: 4 })
  cluster.start()
})
afterEach(() => cluster.close({ timeoutS: 1 }))
afterAll(() => servers.close())

const patiently = { interval: 5, timeout: 15_000 }
const note = (
  text: string,
  options: Parameters<ConnectedCluster['write']>[3] = {},
  during = async (_pid: number) => {},
) =>
  cluster.write(
    'note',
    { accountId: 'a' },
    async (sql) => {
      const [row] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`
      await during(row!.pid)
      await sql`insert into notes (account_id, note) values ('a', ${text})`
      return 'written' as unknown
    },
    options,
  )
const notes = async (text: string, of: 'primary' | 'standby' = 'primary') =>
  Number((await servers[of].sql<{ n: number }[]>`select count(*)::int as n from notes where note = ${text}`)[0]?.n)
const read = () => cluster.read('one', { reads: 'primary' }, (sql) => sql`select 1 as one`)

test('a backend that is ended within a transaction: all of it runs again, and once', async () => {
  let tries = 0
  const written = await note('ended within', {}, async (pid) => {
    if (++tries < 3) await servers.primary.sql`select pg_terminate_backend(${pid})`
  })
  expect(written).toBe('written')
  expect(tries).toBe(3)
  expect(await notes('ended within')).toBe(1)
})

test('two transactions that lock each other out: one is tried again, both are done', async () => {
  await servers.primary.sql`create table counters (id int primary key, n int)`
  await servers.primary.sql`insert into counters values (1, 0), (2, 0)`
  const both = Promise.withResolvers<void>()
  let holding = 0
  const bump = (first: number, second: number) =>
    cluster.write('bump', { accountId: 'a' }, async (sql) => {
      await sql`update counters set n = n + 1 where id = ${first}`
      if (++holding === 2) both.resolve()
      await both.promise
      await sql`update counters set n = n + 1 where id = ${second}`
    })
  await Promise.all([bump(1, 2), bump(2, 1)])
  expect(await servers.primary.sql`select n from counters order by id`).toMatchObject([{ n: 2 }, { n: 2 }])
})

test('a connection that is lost while COMMIT is under way: the outcome is unknown, and nothing is repeated', async () => {
  await servers.primary.sql`
    create or replace function slow_commit() returns trigger language plpgsql as
    $$ begin if new.note = 'slow' then perform pg_sleep(10); end if; return null; end $$`
  await servers.primary.sql`
    create constraint trigger slow_commit after insert on notes deferrable initially deferred
    for each row execute function slow_commit()`
  let tries = 0
  let backend = 0
  const lookup = vi.fn(async () => undefined)
  const writing = note('slow', { lookup }, async (pid) => {
    tries++
    backend = pid
  })
  const failed = expect(writing).rejects.toMatchObject({ name: 'OutcomeUnknown' })
  await vi.waitFor(async () => {
    const rows = await servers.primary
      .sql`select 1 from pg_stat_activity where pid = ${backend} and query ilike 'commit%'`
    expect(rows).toHaveLength(1)
  }, patiently)
  await servers.primary.sql`select pg_terminate_backend(${backend})`
  await failed
  expect(tries).toBe(1)
  expect(lookup).toHaveBeenCalledOnce()
})

test('while the primary stands still, whoever waits is told within two seconds and whoever comes at once', async () => {
  await vi.waitFor(() => expect(cluster.pools.open()).toBeGreaterThanOrEqual(4), patiently)
  await read()
  const keys = createIdempotency({ cluster, pod: 'a', startedAt: new Date() })
  await servers.primary.freeze()
  try {
    const since = performance.now()
    const claimed = keys.claim({ accountId: randomUUID(), digest: 'a key', requestId: randomUUID() }, 'a body')
    const waiting = [read(), note('frozen'), claimed].map((each) => each.catch((error: Error) => error))
    for (const error of await Promise.all(waiting)) expect(error).toMatchObject({ reason: 'unreachable' })
    expect(performance.now() - since).toBeLessThan(3_000)
    const then = performance.now()
    await expect(read()).rejects.toMatchObject({ reason: 'unreachable' })
    expect(performance.now() - then).toBeLessThan(1_000)
  } finally {
    await servers.primary.thaw()
  }
  await vi.waitFor(async () => expect(await read()).toMatchObject([{ one: 1 }]), patiently)
  expect(await note('thawed')).toBe('written')
})

test('behind a list of hosts writing goes on at the promoted standby, and what was written is there once', async () => {
  await note('before')
  await servers.caughtUp()
  await servers.primary.freeze()
  await vi.waitFor(() => expect(note('waits')).rejects.toMatchObject({ reason: 'unreachable' }), patiently)
  const since = performance.now()
  await expect(note('without a primary')).rejects.toMatchObject({ reason: 'unreachable' })
  expect(performance.now() - since).toBeLessThan(1_000)
  await servers.promote()
  const promotedAt = performance.now()
  await vi.waitFor(async () => expect(await note('after')).toBe('written'), patiently)
  expect(performance.now() - promotedAt).toBeLessThan(5_000)
  expect([await notes('before', 'standby'), await notes('without a primary', 'standby')]).toEqual([1, 0])

  // The one that was lost comes back and thinks that it is the primary still: it is left alone, also while the other is busy.
  await servers.primary.thaw()
  await servers.standby.freeze()
  try {
    await vi.waitFor(() => expect(note('late')).rejects.toMatchObject({ reason: 'unreachable' }), patiently)
    // Looks at all of them have been made by then.
    for (let i = 0; i < 20; i++) {
      await note('to the old one').catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  } finally {
    await servers.standby.thaw()
  }
  await vi.waitFor(async () => expect(await note('back')).toBe('written'), patiently)
  expect([await notes('to the old one'), await notes('back')]).toEqual([0, 0])
  expect(await notes('back', 'standby')).toBe(1)
})
