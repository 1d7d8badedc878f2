import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import { eventually } from '../../../tests/support/gateway.ts'
import type { TestPostgres } from '../../../tests/support/postgres.ts'
import { startTestPostgres } from '../../../tests/support/postgres.ts'
import type { Database } from './client.ts'
import { connectPostgres } from './client.ts'
import type { Migration } from './migrations.ts'
import { all, migrate } from './migrations.ts'

let server: TestPostgres
let pods: [Database, Database]

beforeAll(async () => {
  server = await startTestPostgres()
  const connect = () => connectPostgres({ ...server.connection, clock: systemClock, max: 3 })
  pods = [await connect(), await connect()]
})

afterAll(async () => {
  await Promise.all(pods.map((pod) => pod.close({ timeoutS: 1 })))
  await server.close()
})

const newLog = () => ({ info: vi.fn(), warn: vi.fn() })

test('two gateways that start at once migrate once, and both find it done', async () => {
  const logs = [newLog(), newLog()] as const
  await Promise.all([migrate({ database: pods[0], log: logs[0] }), migrate({ database: pods[1], log: logs[1] })])
  const told = [...logs[0].info.mock.calls, ...logs[1].info.mock.calls].sort((a, b) =>
    a[1].detail.localeCompare(b[1].detail, 'en', { numeric: true }),
  )
  expect(told).toEqual(all.map(({ version, name }) => ['database migrated', { detail: `${version} ${name}` }]))
  const history = await pods[0].query('history', undefined, (sql) => sql`select version, name from schema_migrations`)
  expect(history).toMatchObject(all.map(({ version, name }) => ({ version, name })))
  expect(new Set(all.map(({ version }) => version)).size).toBe(all.length)
})

test('running again changes nothing and says nothing', async () => {
  const log = newLog()
  await migrate({ database: pods[0], log })
  expect(log.info).not.toHaveBeenCalled()
  expect(log.warn).not.toHaveBeenCalled()
})

test('a migration that fails leaves nothing of itself, and those before it stay', async () => {
  const good: Migration = {
    version: 97,
    name: 'good',
    async up(sql) {
      await sql`create table good (id integer primary key)`
    },
  }
  const bad: Migration = {
    version: 98,
    name: 'bad',
    async up(sql) {
      await sql`create table bad (id integer primary key)`
      await sql`insert into bad (id) values (1), (1)`
    },
  }
  const migrations = [good, bad]
  await expect(migrate({ database: pods[0], log: newLog(), migrations })).rejects.toMatchObject({ code: '23505' })
  const tables = await pods[0].query(
    'tables',
    undefined,
    (sql) => sql`select to_regclass('good') is not null as good, to_regclass('bad') is not null as bad`,
  )
  expect(tables).toMatchObject([{ good: true, bad: false }])
})

test('a migration that finds its table in use waits for it, and nobody waits behind it for long', async () => {
  const [migrating, other] = pods
  const held = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  // As a dump does, or a long look at all of the ledger.
  const dump = other.transaction('dump', async (sql) => {
    await sql`lock table accounts in access share mode`
    held.resolve()
    await released.promise
  })
  await held.promise
  const widening: Migration = {
    version: 98,
    name: 'widening',
    async up(sql) {
      await sql`alter table accounts add column widened boolean`
    },
  }
  const log = newLog()
  const migrated = migrate({ database: migrating, log, migrations: [widening] })
  const isWaiting = () =>
    other.query(
      'waiting',
      undefined,
      (sql) => sql`select from pg_locks where not granted and relation = 'accounts'::regclass`,
    )
  await eventually(isWaiting, (rows) => rows.length > 0)
  const read = await other.query('read', undefined, (sql) => sql`select count(*)::int as n from accounts`)
  expect(read).toMatchObject([{ n: 0 }])
  released.resolve()
  await Promise.all([dump, migrated])
  const widened = await other.query('widened', undefined, (sql) => sql`select widened from accounts`)
  expect(widened).toHaveLength(0)
  expect(log.warn.mock.calls).toEqual([['what a migration needs is in use; it is tried again']])
})

test('a database that is newer than the program is served, with a warning', async () => {
  await pods[0].query(
    'jump',
    undefined,
    (sql) => sql`insert into schema_migrations (version, name) values (99, 'later')`,
  )
  const log = newLog()
  await migrate({ database: pods[0], log })
  const detail = `schema 99, program ${all.at(-1)?.version}`
  expect(log.warn.mock.calls).toEqual([['the database is newer than this program', { detail }]])
})
