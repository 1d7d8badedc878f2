/** The database is lost: restored from a backup that was made under traffic, or replaced by a replica in another region. */
import { execFile } from 'node:child_process'
import { chown, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { expect, onTestFinished, test } from 'vitest'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../adapters/embedded/postgres.ts'
import { runAdmin } from '../support/admin-tool.ts'
import { eventually } from '../support/gateway.ts'
import { databaseEnv, makeDataDir } from '../support/postgres.ts'
import { type GatewayProcess, isAlive, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'
import { startReplicatedPostgres } from '../support/replicated-postgres.ts'

const exec = promisify(execFile)
const quiet = { info() {}, warn() {} }

async function start(env: Record<string, string>): Promise<GatewayProcess> {
  const gateway = await startGatewayProcess({ env: { RATE_LIMIT_PER_MINUTE: '1000000', LOG_LEVEL: 'warn', ...env } })
  onTestFinished(async () => {
    if (isAlive(gateway.pid)) await gateway.end('SIGKILL')
    removeDataDir(gateway.dataDir)
  })
  return gateway
}

const chat = ({ url }: GatewayProcess) =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${processKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'hi' }], max_tokens: 3 }),
  }).then(async (response) => {
    await response.text()
    return response.status
  })

/** Requests in the books. */
async function settled(sql: postgres.Sql): Promise<number> {
  const [row] = await sql<{ n: number }[]>`select count(*)::int as n from ledger_entries where kind = 'settle'`
  return row!.n
}

test('a base backup that was made under traffic is restored: the books check, and it serves', {
  timeout: 90_000,
}, async () => {
  const [dataDir, restoredDir] = [await makeDataDir(), await makeDataDir()]
  const servers: EmbeddedPostgres[] = []
  onTestFinished(async () => {
    await Promise.all(servers.map((server) => server.stop()))
    for (const folder of [dataDir, restoredDir]) await rm(folder, { recursive: true, force: true })
  })
  const original = await startEmbeddedPostgres({ dataDir, log: quiet, durable: false })
  servers.push(original)
  const sql = postgres({ ...original.connection, max: 1, onnotice: () => {} })
  const gateway = await start(databaseEnv({ connection: original.connection, close: async () => {} }))

  for (let i = 0; i < 5; i++) expect(await chat(gateway)).toBe(200)
  await eventually(async () => (await settled(sql)) === 5)
  let answered = 0
  let stop = false
  const traffic = (async () => {
    while (!stop) if ((await chat(gateway)) === 200) answered++
  })()
  await copyCluster(sql, join(dataDir, 'postgres'), join(restoredDir, 'postgres'))
  stop = true
  await traffic
  expect(answered).toBeGreaterThan(0)
  await sql.end()
  // The original is gone for good.
  await gateway.end('SIGKILL')
  await original.stop()

  const restored = await startEmbeddedPostgres({ dataDir: restoredDir, log: quiet, durable: false })
  servers.push(restored)
  const env = databaseEnv({ connection: restored.connection, close: async () => {} })
  const check = await runAdmin(env, 'ledger', 'check', '--json')
  expect({ code: check.code, error: check.error }).toEqual({ code: 0, error: '' })
  const there = postgres({ ...restored.connection, max: 1, onnotice: () => {} })
  onTestFinished(() => there.end())
  const kept = await settled(there)
  expect(kept).toBeGreaterThanOrEqual(5)
  const next = await start(env)
  expect(await chat(next)).toBe(200)
  await eventually(async () => (await settled(there)) > kept)
})

/** An online backup by PostgreSQL's low-level calls (documentation, "Making a Base Backup Using the Low Level API"). */
async function copyCluster(sql: postgres.Sql, from: string, to: string): Promise<void> {
  await sql`select pg_backup_start('test', true)`
  await mkdir(to, { recursive: true })
  // What vanishes while it is copied is made again from the log.
  await exec('cp', ['-a', `${from}/.`, to]).catch((error: { stderr: string }) => {
    if (!/No such file/.test(error.stderr)) throw error
  })
  const [label] = await sql<{ labelfile: string }[]>`select labelfile from pg_backup_stop(false)`
  // The log up to here, beside the files of before.
  await rm(join(to, 'pg_wal'), { recursive: true })
  await exec('cp', ['-a', join(from, 'pg_wal'), to])
  await writeFile(join(to, 'backup_label'), label!.labelfile)
  // Where the server is not whoever runs the test.
  const { uid, gid } = await stat(from)
  await chown(join(to, 'backup_label'), uid, gid)
  for (const name of ['postmaster.pid', 'postmaster.opts']) await rm(join(to, name), { force: true })
}

test('a primary that is lost with what its replica had not received: pods that live enter it again, once', {
  timeout: 90_000,
}, async () => {
  const servers = await startReplicatedPostgres()
  onTestFinished(() => servers.close())
  const { user, database } = servers.primary.connection
  const gateway = await start({
    DB_HOST: `${servers.primary.name},${servers.standby.name}`,
    DB_USER: user,
    DB_NAME: database,
    DB_MAX_CONNS: '20',
    DB_MIN_CONNS: '4',
  })
  for (let i = 0; i < 10; i++) expect(await chat(gateway)).toBe(200)
  await eventually(async () => (await settled(servers.primary.sql)) === 10)
  await servers.caughtUp()

  // The other region hears no more from here on: that is the lag.
  const [hba] = await servers.primary.sql<{ file: string }[]>`select current_setting('hba_file') as file`
  const entries = await readFile(hba!.file, 'utf8')
  await writeFile(hba!.file, `host replication all all reject\nlocal replication all reject\n${entries}`)
  const [loaded] = await servers.primary.sql<{ at: Date }[]>`select pg_conf_load_time() as at`
  await servers.primary.sql`select pg_reload_conf()`
  await eventually(async () => {
    const [row] = await servers.primary.sql<{ later: boolean }[]>`select pg_conf_load_time() > ${loaded!.at} as later`
    return row!.later
  })
  // The postmaster reads who may connect just after it has told its children: one that slipped in is ended, too.
  await eventually(async () => {
    await servers.primary.sql`select pg_terminate_backend(pid) from pg_stat_replication`
    const [{ n: senders }] = await servers.primary.sql<
      [{ n: number }]
    >`select count(*)::int as n from pg_stat_replication`
    const [{ n: receivers }] = await servers.standby.sql<[{ n: number }]>`
      select count(*)::int as n from pg_stat_wal_receiver`
    return senders + receivers === 0
  })
  for (let i = 0; i < 7; i++) expect(await chat(gateway)).toBe(200)
  await eventually(async () => (await settled(servers.primary.sql)) === 17)
  expect(await settled(servers.standby.sql)).toBe(10)
  await servers.primary.kill()
  await eventually(async () => {
    const response = await fetch(`${gateway.url}/api/v1/admin/mode`, {
      headers: { authorization: `Bearer ${processKey}` },
    })
    return response.ok && ((await response.json()) as { read_only: boolean }).read_only
  })
  for (let i = 0; i < 5; i++) expect(await chat(gateway)).toBe(200)
  await servers.promote()

  // The seven that only the lost primary had, and the five of the outage: a pod that lives enters both from its journal.
  await eventually(async () => (await settled(servers.standby.sql)) >= 22)
  expect(await chat(gateway)).toBe(200)
  await eventually(async () => (await settled(servers.standby.sql)) >= 23)
  expect(await settled(servers.standby.sql)).toBe(23)
  const env = { DB_HOST: servers.standby.name, DB_USER: user, DB_NAME: database }
  const check = await runAdmin(env, 'ledger', 'check', '--json')
  expect({ code: check.code, out: check.code === 0 ? '' : check.out }).toEqual({ code: 0, out: '' })
})
