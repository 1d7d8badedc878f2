/** The database is lost, and restored from a backup that was made under traffic. */
import { execFile } from 'node:child_process'
import { chown, mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { expect, onTestFinished, test } from 'vitest'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../adapters/embedded/postgres.ts'
import { runAdmin } from '../support/admin-tool.ts'
import { eventually } from '../support/gateway.ts'
import { databaseEnv, makeDataDir } from '../support/postgres.ts'
import { type GatewayProcess, isAlive, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'

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
  timeout: 120_000,
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
