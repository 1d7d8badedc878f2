/**
 * Starts the PostgreSQL that comes as an npm package, for a gateway that was given no database. It listens on a private
 * Unix socket only, keeps its data in DATA_DIR and never outlives the gateway.
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, mkdtemp, open, readFile, realpath, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Log } from '../../src/ports.ts'
import { sleep, systemClock } from '../../src/resilience/clock.ts'
import { findBinaries } from './binaries.ts'
import { database, missing, prepareCluster, user } from './cluster.ts'
import type { Identity } from './identity.ts'
import { chooseIdentity } from './identity.ts'
import { readPidFile, serves } from './pid-file.ts'
import { environment } from './run.ts'
import { startWatchdog } from './watchdog.ts'

export interface EmbeddedPostgres {
  /** For postgres.js; `host` is the folder of the Unix socket. */
  connection: { host: string; port: number; user: string; database: string }
  pid: number
  /** Ends open connections, writes everything down and stops. Calling it again waits for the same end. */
  stop(): Promise<void>
}

export interface EmbeddedPostgresOptions {
  /** DATA_DIR; the cluster lives in its folder `postgres`. */
  dataDir: string
  log: Pick<Log, 'info' | 'warn'>
  signal?: AbortSignal
  /** Survive a power loss. Only tests have a reason to say no. @default true */
  durable?: boolean
  /** How long a server that still uses the data may take to go: a killed gateway's is being stopped. @default 5_000 */
  inUseWaitMs?: number
  /** Longest start, which includes recovery after a crash. @default 60_000 */
  startTimeoutMs?: number
}

const port = 5432
const pollMs = 10
const maxLogBytes = 5 * 1024 * 1024

export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { startTimeoutMs = 60_000 } = options
  const timeout = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, timeout.signal]) : timeout.signal
  const cancel = systemClock.setTimer(startTimeoutMs, () => {
    timeout.abort(new Error(`The embedded PostgreSQL did not start within ${startTimeoutMs / 1000} s`))
  })
  try {
    signal.throwIfAborted()
    return await start(options, signal)
  } finally {
    cancel()
  }
}

/** The server that another process of this DATA_DIR has brought up; undefined = there is none. It is not to be stopped. */
export async function findRunningPostgres(dataDir: string): Promise<EmbeddedPostgres['connection'] | undefined> {
  const folder = join(await realpath(dataDir).catch(() => dataDir), 'postgres')
  const file = await readPidFile(folder)
  if (!file?.ready || !(await serves(file.pid, folder))) return undefined
  return { host: file.socketDir, port, user, database }
}

async function start(options: EmbeddedPostgresOptions, signal: AbortSignal): Promise<EmbeddedPostgres> {
  const { log, durable = true, inUseWaitMs = 5_000 } = options
  const started = performance.now()
  await mkdir(options.dataDir, { recursive: true })
  const dataDir = await realpath(options.dataDir)
  const folder = join(dataDir, 'postgres')
  const logFile = join(dataDir, 'postgres.log')
  const { initdb, postgres } = await findBinaries()
  const identity = await chooseIdentity(postgres, dataDir, signal)

  const deadline = started + inUseWaitMs
  await waitUntilFree(folder, dataDir, deadline, signal)
  await prepareCluster({ folder, initdb, postgres, major: identity.major, identity, durable, signal })

  for (;;) {
    const stalePid = await waitUntilFree(folder, dataDir, deadline, signal)
    const launched = await launch({ folder, logFile, postgres, identity, durable, stalePid, signal })
    if (launched.server) {
      const duration = Math.round(performance.now() - started)
      log.info('embedded PostgreSQL is ready', { pid: launched.server.pid, duration_ms: duration })
      return attend(launched.server, logFile, log)
    }
    // Another gateway took the data first, or the last processes of a killed server still hold its shared memory.
    const { live } = await occupant(folder)
    const beingFreed = launched.output.includes('shared memory block') && performance.now() < deadline
    if (!live && !beingFreed) {
      throw new Error(`The embedded PostgreSQL did not start (see ${logFile}): ${launched.output.trim()}`)
    }
    await sleep(systemClock, pollMs, signal)
  }
}

function attend({ child, pid, socketDir }: Server, logFile: string, log: Pick<Log, 'warn'>): EmbeddedPostgres {
  let stopping: Promise<void> | undefined
  child.once('exit', () => {
    if (!stopping) log.warn('embedded PostgreSQL ended by itself', { pid, detail: `see ${logFile}` })
  })
  return {
    connection: { host: socketDir, port, user, database },
    pid,
    stop: () => (stopping ??= stop(child, log)),
  }
}

async function occupant(folder: string): Promise<{ pid: number | undefined; live: boolean }> {
  const pid = (await readPidFile(folder))?.pid
  return { pid, live: pid !== undefined && (await serves(pid, folder)) }
}

/** Resolves when no server uses the data, with the pid that a server which died left behind. */
async function waitUntilFree(folder: string, dataDir: string, deadline: number, signal: AbortSignal) {
  for (;;) {
    const { pid, live } = await occupant(folder)
    if (!live) return pid
    if (performance.now() > deadline) {
      const advice = 'stop it or set another DATA_DIR'
      throw new Error(`DATA_DIR ${dataDir} is in use by another gateway (postgres pid ${pid}): ${advice}`)
    }
    await sleep(systemClock, pollMs, signal)
  }
}

interface Server {
  child: ChildProcess
  pid: number
  socketDir: string
}

async function launch(options: {
  folder: string
  logFile: string
  postgres: string
  identity: Identity
  durable: boolean
  stalePid: number | undefined
  signal: AbortSignal
}): Promise<{ server: Server; output?: never } | { server?: never; output: string }> {
  const { folder, logFile, identity, signal } = options
  await keepSmall(logFile)
  const logStart = (await stat(logFile).catch(missing))?.size ?? 0
  const output = await open(logFile, 'a')
  const socketDir = await makeSocketDir(identity)
  const watchdog = startWatchdog(folder, socketDir)
  const args = ['-D', folder, ...settings(socketDir, options.durable)]
  const [command = '', ...rest] = [...identity.prefix, options.postgres, ...args]
  let failure: string | undefined
  const end = (note: string) => {
    failure = note
    watchdog.dismiss()
  }
  let child: ChildProcess
  try {
    child = spawn(command, rest, {
      ...identity.spawn,
      cwd: '/',
      // The name by which pg_ctl says that a process of this number, found in the pid file, is no server.
      env: options.stalePid ? { ...environment, PG_GRANDPARENT_PID: String(options.stalePid) } : environment,
      detached: true,
      stdio: ['ignore', output.fd, output.fd],
    })
    child.once('exit', () => end(''))
    child.once('error', (error) => end(error.message))
    child.unref()
  } catch (error) {
    watchdog.dismiss()
    throw error
  } finally {
    await output.close()
  }

  try {
    while (failure === undefined) {
      const file = await readPidFile(folder)
      if (file?.ready && file.pid === child.pid) return { server: { child, pid: file.pid, socketDir } }
      await sleep(systemClock, pollMs, signal)
    }
  } catch (error) {
    child.kill('SIGQUIT')
    throw error
  }
  return { output: failure + (await readFrom(logFile, logStart)) }
}

function settings(socketDir: string, durable: boolean): string[] {
  const values = {
    listen_addresses: '',
    port,
    unix_socket_directories: socketDir,
    unix_socket_permissions: '0700',
    max_connections: 60,
    shared_buffers: '16MB',
    maintenance_work_mem: '16MB',
    max_wal_size: '256MB',
    autovacuum_max_workers: 1,
    jit: 'off',
    // Without it, three more processes do nothing but read ahead.
    io_method: 'sync',
    log_checkpoints: 'off',
    fsync: durable ? 'on' : 'off',
    full_page_writes: durable ? 'on' : 'off',
    synchronous_commit: durable ? 'on' : 'off',
  }
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

/** A socket's path has at most 107 characters, and a TMPDIR may be deep or, for root, private. */
async function makeSocketDir(identity: Identity): Promise<string> {
  const base = identity.owner === undefined && tmpdir().length <= 70 ? tmpdir() : '/tmp'
  const folder = await mkdtemp(join(base, 'gpuproxy-'))
  if (identity.owner !== undefined) await chown(folder, identity.owner, identity.owner)
  return folder
}

async function keepSmall(logFile: string): Promise<void> {
  const size = (await stat(logFile).catch(missing))?.size ?? 0
  if (size > maxLogBytes) await truncate(logFile, 0)
}

async function readFrom(file: string, start: number): Promise<string> {
  const text = await readFile(file)
  return text.subarray(start).toString('utf8').slice(-2000)
}

async function stop(child: ChildProcess, log: Pick<Log, 'warn'>): Promise<void> {
  if (await endsAfter(child, 'SIGINT', 10_000)) return
  log.warn('embedded PostgreSQL does not stop, and is made to', { pid: child.pid })
  // The immediate shutdown: the next start recovers.
  if (!(await endsAfter(child, 'SIGQUIT', 5_000))) await endsAfter(child, 'SIGKILL', 5_000)
}

async function endsAfter(child: ChildProcess, signal: NodeJS.Signals, withinMs: number): Promise<boolean> {
  if (child.exitCode !== null || child.signalCode !== null) return true
  child.ref()
  const exit = once(child, 'exit', { signal: AbortSignal.timeout(withinMs) })
  child.kill(signal)
  return exit.then(
    () => true,
    () => false,
  )
}
