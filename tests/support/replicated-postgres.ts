/**
 * A real primary and a real standby that follows it by streaming, each a process that can be killed, frozen and
 * promoted. Always of the PostgreSQL that comes as an npm package: what is done to them is not done to a server of
 * somebody else.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { chown, cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { findBinaries } from '../../adapters/embedded/binaries.ts'
import { database, prepareCluster, user } from '../../adapters/embedded/cluster.ts'
import { chooseIdentity, type Identity } from '../../adapters/embedded/identity.ts'
import { environment } from '../../adapters/embedded/run.ts'
import { freePort } from './free-port.ts'
import { makeDataDir } from './postgres.ts'

export interface PostgresNode {
  /** `host:port`. */
  name: string
  connection: { host: string; port: number; user: string; database: string }
  /** For the test itself, beside what it tests. */
  sql: postgres.Sql
  /** SIGKILL, as when the machine is gone; resolves when it is. */
  kill(): Promise<void>
  /** All its processes stand still (SIGSTOP) and go on (SIGCONT); sockets stay open. */
  freeze(): Promise<void>
  thaw(): Promise<void>
}

export interface ReplicatedPostgres {
  primary: PostgresNode
  /** The first of the standbys. */
  standby: PostgresNode
  standbys: PostgresNode[]
  /** Commits reach the standby at once and are shown there this much later. */
  delayStandby(ms: number): Promise<void>
  /** Resolves when the standby shows all that the primary had at the time of the call. */
  caughtUp(): Promise<void>
  /** Makes the standby a primary. */
  promote(): Promise<void>
  close(): Promise<void>
}

const startTimeoutMs = 30_000
const pollMs = 10

export async function startReplicatedPostgres({ standbys: count = 1 } = {}): Promise<ReplicatedPostgres> {
  const folder = await makeDataDir()
  const binaries = await findBinaries()
  const identity = await chooseIdentity(binaries.postgres, folder)
  const primaryData = join(folder, 'primary')
  const standbyData = Array.from({ length: count }, (_, i) => join(folder, `standby-${i + 1}`))
  await prepareCluster({ ...binaries, folder: primaryData, major: identity.major, identity, durable: false })
  // Copied before the first start, so nothing changes meanwhile; all the WAL since then is kept.
  for (const data of standbyData) {
    await cp(primaryData, data, { recursive: true, preserveTimestamps: true })
    await writeFile(join(data, 'standby.signal'), '')
    if (identity.owner !== undefined) await giveAll(data, identity.owner)
  }

  const nodes: PostgresNode[] = []
  const start = async (data: string, settings: Record<string, string> = {}) => {
    const node = await startNode({ data, folder, postgres: binaries.postgres, identity, settings })
    nodes.push(node)
    return node
  }
  try {
    const primary = await start(primaryData)
    const { host, port } = primary.connection
    const standbys: PostgresNode[] = []
    for (const data of standbyData)
      standbys.push(await start(data, { primary_conninfo: `host=${host} port=${port} user=${user}` }))
    const standby = standbys[0]!
    return {
      primary,
      standby,
      standbys,
      async delayStandby(ms) {
        await standby.sql`alter system set recovery_min_apply_delay = ${standby.sql.unsafe(`'${ms}ms'`)}`
        await standby.sql`select pg_reload_conf()`
        await until(async () => {
          const [row] = await standby.sql<{ ms: string }[]>`
            select setting as ms from pg_settings where name = 'recovery_min_apply_delay'`
          return Number(row?.ms) === ms
        })
      },
      async caughtUp() {
        const [at] = await primary.sql<{ lsn: string }[]>`select pg_current_wal_insert_lsn()::text as lsn`
        await until(async () => {
          const [row] = await standby.sql<{ there: boolean }[]>`
            select pg_last_wal_replay_lsn() >= ${at?.lsn ?? '0/0'}::pg_lsn as there`
          return row?.there === true
        })
      },
      async promote() {
        await standby.sql`select pg_promote(true, 20)`
      },
      async close() {
        await Promise.all(nodes.map((node) => node.kill()))
        await rm(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await Promise.all(nodes.map((node) => node.kill()))
    throw error
  }
}

async function startNode(options: {
  data: string
  folder: string
  postgres: string
  identity: Identity
  settings: Record<string, string>
}): Promise<PostgresNode> {
  const { data, folder, identity } = options
  const port = await freePort()
  const sockets = await mkdtemp('/tmp/gpuproxy-test-')
  if (identity.owner !== undefined) await chown(sockets, identity.owner, identity.owner)
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: sockets,
    max_connections: '100',
    shared_buffers: '16MB',
    max_wal_size: '256MB',
    wal_keep_size: '1GB',
    wal_receiver_status_interval: '100ms',
    jit: 'off',
    io_method: 'sync',
    autovacuum: 'off',
    fsync: 'off',
    full_page_writes: 'off',
    ...options.settings,
  }
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const [command = '', ...rest] = [...identity.prefix, options.postgres, '-D', data, ...args]
  const logFile = join(folder, `${port}.log`)
  const log = openSync(logFile, 'a')
  const child = spawn(command, rest, { ...identity.spawn, cwd: '/', env: environment, stdio: ['ignore', log, log] })
  closeSync(log)
  const connection = { host: '127.0.0.1', port, user, database }
  const sql = postgres({
    ...connection,
    max: 2,
    idle_timeout: 1,
    connect_timeout: 2,
    onnotice: () => {},
    backoff: () => 0.01,
  })
  const kill = async () => {
    await sql.end({ timeout: 0 })
    if (child.exitCode === null && child.signalCode === null) {
      const exit = once(child, 'exit')
      await signalAll(child, 'SIGKILL')
      await exit
    }
    await rm(sockets, { recursive: true, force: true })
  }
  try {
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`PostgreSQL ended: ${await readFile(logFile, 'utf8')}`)
      return sql`select 1`.then(
        () => true,
        () => false,
      )
    })
  } catch (error) {
    await kill()
    throw error
  }
  return {
    name: `127.0.0.1:${port}`,
    connection,
    sql,
    kill,
    freeze: () => signalAll(child, 'SIGSTOP'),
    thaw: () => signalAll(child, 'SIGCONT'),
  }
}

/**
 * The server and its children: a killed postmaster alone would leave backends to end their statements. It stands still
 * while they are looked for, so that none is made meanwhile.
 */
async function signalAll(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const parent = child.pid ?? 0
  send(parent, 'SIGSTOP')
  const all = [parent]
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    // After the name, which may hold anything, come the state and the parent.
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '')
    if (stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] === String(parent)) all.push(Number(entry))
  }
  for (const pid of all) send(pid, signal)
}

function send(pid: number, signal: NodeJS.Signals) {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended meanwhile.
  }
}

async function giveAll(folder: string, owner: number): Promise<void> {
  await chown(folder, owner, owner)
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    await chown(join(entry.parentPath, entry.name), owner, owner)
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + startTimeoutMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`PostgreSQL was not ready within ${startTimeoutMs / 1000} s`)
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}
