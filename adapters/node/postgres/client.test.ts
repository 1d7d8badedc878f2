import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { StorageUnavailable } from '../../../src/ports.ts'
import { systemClock } from '../../../src/resilience/clock.ts'
import { makeDataDir } from '../../../tests/support/postgres.ts'
import type { EmbeddedPostgres } from '../../embedded/postgres.ts'
import { startEmbeddedPostgres } from '../../embedded/postgres.ts'
import type { Database, DatabaseOptions } from './client.ts'
import { connectPostgres, DatabaseUnavailable } from './client.ts'

let dataDir: string
let server: EmbeddedPostgres
let network: Network
const open: Database[] = []

const startServer = () => startEmbeddedPostgres({ dataDir, log: { info() {}, warn() {} }, durable: false })

beforeAll(async () => {
  dataDir = await makeDataDir()
  server = await startServer()
  network = await createNetwork(() => `${server.connection.host}/.s.PGSQL.${server.connection.port}`)
})

afterEach(async () => {
  network.silent = false
  await Promise.all(open.splice(0).map((database) => database.close({ timeoutS: 1 })))
})

afterAll(async () => {
  network.close()
  await server.stop()
  await rm(dataDir, { recursive: true, force: true })
})

interface Network {
  port: number
  /** Connections are accepted and nothing gets through. */
  silent: boolean
  /** No new connections; those that there are go on. */
  refuse(): Promise<void>
  accept(): Promise<void>
  cut(): void
  close(): void
}

/** A TCP road to the server's socket: an address that stays when the server restarts, and that can be blocked. */
async function createNetwork(target: () => string): Promise<Network> {
  const ends = new Set<Socket>()
  let silent = false
  const waiting: (() => void)[] = []
  const road = createServer((near) => {
    const far = connect(target())
    for (const end of [near, far]) {
      ends.add(end)
      end.on('error', () => {})
      end.on('close', () => {
        ends.delete(end)
        near.destroy()
        far.destroy()
      })
    }
    const join = () => near.pipe(far).pipe(near)
    if (silent) waiting.push(join)
    else join()
  })
  const accept = async (port: number) => {
    road.listen(port, '127.0.0.1')
    await once(road, 'listening')
  }
  await accept(0)
  const { port } = road.address() as AddressInfo
  return {
    port,
    accept: () => accept(port),
    async refuse() {
      road.close()
      await expect.poll(() => road.listening).toBe(false)
    },
    get silent() {
      return silent
    },
    set silent(value) {
      silent = value
      if (silent) for (const end of ends) end.unpipe().pause()
      else for (const join of waiting.splice(0)) join()
    },
    cut() {
      for (const end of ends) end.destroy()
    },
    close() {
      road.close()
      for (const end of ends) end.destroy()
    },
  }
}

async function connectTo(options: Partial<DatabaseOptions> = {}) {
  const { user, database } = server.connection
  const target = { host: '127.0.0.1', port: network.port, user, database }
  const client = await connectPostgres({ ...target, clock: systemClock, max: 2, ...options })
  open.push(client)
  return client
}

const sleepAtServer = (database: Database, seconds: number, signal?: AbortSignal) =>
  database.query('sleep', signal, (sql) => sql`select pg_sleep(${seconds})`)

const sleepers = (database: Database) =>
  database.query(
    'sleepers',
    undefined,
    (sql) => sql`
      select pid from pg_stat_activity where query like '%pg_sleep%' and state = 'active' and pid <> pg_backend_pid()`,
  )

const patiently = { interval: 5, timeout: 5_000 }

const one = (database: Database) => database.query('one', undefined, (sql) => sql`select 1 as one`)

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable('should have failed'),
    (error: unknown) => error,
  )

test('takes the server as it is: never more connections than its limit less 5', async () => {
  expect((await connectTo({ max: 1_000 })).pool()).toEqual({ max: 55, inUse: 0, waiting: 0 })
  expect((await connectTo({ max: 7 })).pool().max).toBe(7)
})

test('a caller that finds no connection is refused as busy in time, and the queue is bounded', async () => {
  const database = await connectTo({ max: 1, maxQueue: 1, acquireTimeoutMs: 200 })
  const leave = new AbortController()
  const holder = failure(sleepAtServer(database, 5, leave.signal))
  const began = performance.now()
  const queued = failure(one(database))
  expect(await failure(one(database))).toMatchObject({ name: 'DatabaseUnavailable', reason: 'busy', mayHaveRun: false })
  expect(database.pool()).toEqual({ max: 1, inUse: 1, waiting: 1 })
  expect(await queued).toMatchObject({ name: 'DatabaseUnavailable', reason: 'busy' })
  expect(performance.now() - began).toBeLessThan(2_000)
  leave.abort()
  await holder
})

test('a hundred callers share two connections', async () => {
  const database = await connectTo({ maxQueue: 100, acquireTimeoutMs: 5_000 })
  const rows = await Promise.all(
    Array.from({ length: 100 }, () => database.query('pid', undefined, (sql) => sql`select pg_backend_pid() as pid`)),
  )
  expect(new Set(rows.map(([row]) => row?.pid)).size).toBeLessThanOrEqual(2)
  expect(database.pool()).toEqual({ max: 2, inUse: 0, waiting: 0 })
})

test('a statement that takes too long is stopped by the server, and its connection serves on', async () => {
  const database = await connectTo({ max: 1, statementTimeoutMs: 150 })
  const error = await failure(sleepAtServer(database, 5))
  expect(error).toMatchObject({ name: 'QueryStopped' })
  expect(error).toBeInstanceOf(StorageUnavailable)
  expect(await one(database)).toMatchObject([{ one: 1 }])
})

test('a statement that waits too long for a row of another is stopped, and nothing of it happened', async () => {
  const database = await connectTo({ max: 2 })
  await database.query('make', undefined, (sql) => sql`create table locked as select 1 as n`)
  const { promise: held, resolve: isHeld } = Promise.withResolvers<void>()
  const { promise: letGo, resolve: release } = Promise.withResolvers<void>()
  const holder = database.transaction('hold', async (sql) => {
    await sql`select from locked for update`
    isHeld()
    await letGo
  })
  await held
  const error = await failure(database.query('wait', undefined, (sql) => sql`update locked set n = 2`))
  release()
  await holder
  expect(error).toMatchObject({ name: 'QueryStopped', code: '55P03', mayHaveRun: false })
  expect(error).toBeInstanceOf(StorageUnavailable)
})

test('an abort rejects with its own reason, stops the statement at the server and gives the connection back', async () => {
  const database = await connectTo({ max: 1 })
  const watcher = await connectTo({ max: 1 })
  const leave = new AbortController()
  const reason = new Error('the client left')
  const running = failure(sleepAtServer(database, 20, leave.signal))
  await vi.waitFor(async () => expect(await sleepers(watcher)).toHaveLength(1), patiently)
  leave.abort(reason)
  expect(await running).toBe(reason)
  await vi.waitFor(async () => expect(await sleepers(watcher)).toHaveLength(0), patiently)
  await vi.waitFor(() => expect(database.pool().inUse).toBe(0), patiently)
  expect(await one(database)).toMatchObject([{ one: 1 }])
})

test('a cancellation that finds no server gives the connection up, and does no more', async () => {
  const database = await connectTo({ max: 1, acquireTimeoutMs: 5_000 })
  const watcher = await connectTo({ max: 1 })
  const leave = new AbortController()
  const reason = new Error('gone')
  const running = failure(sleepAtServer(database, 30, leave.signal))
  await vi.waitFor(async () => expect(await sleepers(watcher)).toHaveLength(1), patiently)
  await network.refuse()
  leave.abort(reason)
  expect(await running).toBe(reason)
  await vi.waitFor(() => expect(database.pool().inUse).toBe(0), patiently)
  await network.accept()
  expect(await one(database)).toMatchObject([{ one: 1 }])
})

test('an aborted caller takes no connection', async () => {
  const database = await connectTo()
  const reason = new Error('gone before')
  const run = vi.fn()
  expect(await failure(database.query('late', AbortSignal.abort(reason), run))).toBe(reason)
  expect(run).not.toHaveBeenCalled()
  expect(database.pool().inUse).toBe(0)
})

test('an abort while the connection is being made does not lose the connection', async () => {
  const database = await connectTo({ max: 1, acquireTimeoutMs: 2_000 })
  network.silent = true
  network.cut()
  await new Promise((resolve) => setImmediate(resolve))
  const leave = new AbortController()
  const running = failure(sleepAtServer(database, 0, leave.signal))
  await vi.waitFor(() => expect(database.pool().inUse).toBe(1), patiently)
  leave.abort()
  await running
  network.silent = false
  expect(await one(database)).toMatchObject([{ one: 1 }])
})

test('without a server it is unreachable, at once; with one again it serves by itself', async () => {
  const database = await connectTo()
  const running = failure(sleepAtServer(database, 5))
  await vi.waitFor(() => expect(database.pool().inUse).toBe(1), patiently)
  await server.stop()
  expect(await running).toMatchObject({ name: 'DatabaseUnavailable', reason: 'unreachable', mayHaveRun: true })
  const began = performance.now()
  expect(await failure(one(database))).toMatchObject({ name: 'DatabaseUnavailable', reason: 'unreachable' })
  expect(await failure(database.ping(AbortSignal.timeout(5_000)))).toBeInstanceOf(DatabaseUnavailable)
  expect(performance.now() - began).toBeLessThan(2_000)
  server = await startServer()
  expect(await one(database)).toMatchObject([{ one: 1 }])
  await database.ping(AbortSignal.timeout(5_000))
})

test('a server that accepts and closes, over and over, is unreachable in bounded time', async () => {
  const road = createServer((socket) => socket.end())
  road.listen(0, '127.0.0.1')
  await once(road, 'listening')
  const { port } = road.address() as AddressInfo
  const options = { host: '127.0.0.1', port, clock: systemClock, connectTimeoutS: 0.2, statementTimeoutMs: 100 }
  expect(await failure(connectPostgres(options))).toMatchObject({ reason: 'unreachable' })
  road.close()
})

test('there is no database object without a server', async () => {
  const options = { host: '127.0.0.1', port: 1, clock: systemClock }
  expect(await failure(connectPostgres(options))).toMatchObject({ reason: 'unreachable', mayHaveRun: false })
})

test('a server that falls silent is unreachable in bounded time, and its connections are not used again', async () => {
  const database = await connectTo({ max: 1, statementTimeoutMs: 150, acquireTimeoutMs: 3_000 })
  network.silent = true
  const began = performance.now()
  expect(await failure(one(database))).toMatchObject({ reason: 'unreachable', mayHaveRun: true })
  // 150 ms for the server, 500 until the cancellation, 1,000 for that.
  expect(performance.now() - began).toBeLessThan(4_000)
  network.silent = false
  expect(await one(database)).toMatchObject([{ one: 1 }])
})

test('a transaction commits as a whole or not at all, and the error of its own code stays as it is', async () => {
  const database = await connectTo({ max: 1 })
  await database.query('make', undefined, (sql) => sql`create table entries (note text)`)
  const mine = new Error('mine')
  const failing = database.transaction('half', async (sql) => {
    await sql`insert into entries (note) values ('half')`
    throw mine
  })
  expect(await failure(failing)).toBe(mine)
  const done = await database.transaction('whole', async (sql) => {
    await sql`insert into entries (note) values ('whole')`
    return 'done'
  })
  expect(done).toBe('done')
  const notes = await database.query('notes', undefined, (sql) => sql`select note from entries`)
  expect(notes).toMatchObject([{ note: 'whole' }])
})

test('once a transaction has lost its connection, nothing more of it runs', async () => {
  const database = await connectTo({ max: 2 })
  await database.query('make', undefined, (sql) => sql`create table orphans (note text)`)
  const later = vi.fn()
  const lost = database.transaction('lost', async (sql) => {
    const [row] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`
    await database.query('end it', undefined, (other) => other`select pg_terminate_backend(${row!.pid})`)
    try {
      await sql`select pg_sleep(5)`
    } catch {
      // Code may go on after an error; its transaction does not.
    }
    try {
      await sql`insert into orphans (note) values ('on its own')`
    } finally {
      later()
    }
  })
  expect(await failure(lost)).toMatchObject({ reason: 'unreachable', mayHaveRun: false })
  await vi.waitFor(() => expect(later).toHaveBeenCalled(), patiently)
  const rows = await database.query('count', undefined, (sql) => sql`select count(*)::int as orphans from orphans`)
  expect(rows).toMatchObject([{ orphans: 0 }])
  expect(database.pool().inUse).toBe(0)
})

test('a transaction that does not end is given up, and rolled back', async () => {
  const database = await connectTo({ max: 1 })
  const stuck = database.transaction('stuck', () => new Promise(() => {}), { timeoutMs: 30 })
  expect(await failure(stuck)).toMatchObject({ reason: 'unreachable', mayHaveRun: false })
  expect(await one(database)).toMatchObject([{ one: 1 }])
})

test('behind PgBouncer sessions carry no settings, transactions do, and slow statements are cancelled from here', async () => {
  const database = await connectTo({ max: 1, pgbouncer: true, statementTimeoutMs: 300 })
  const read = sqlSetting
  expect(await database.query('setting', undefined, read)).toMatchObject([{ value: '0' }])
  expect(await database.transaction('setting', async (sql) => read(sql))).toMatchObject([{ value: '300ms' }])
  expect(await database.query('setting', undefined, read)).toMatchObject([{ value: '0' }])
  expect(await failure(sleepAtServer(database, 5))).toMatchObject({ name: 'QueryStopped' })
})

const sqlSetting: Parameters<Database['query']>[2] = (sql) => sql`select current_setting('statement_timeout') as value`

test('errors name the caller and the kind, never the statement or its values', async () => {
  const database = await connectTo()
  const running = database.query('look up', undefined, (sql) => sql`select ${'a secret'}::uuid as "column name"`)
  expect(String(await failure(running))).toBe('QueryFailed: database: look up: ERROR 22P02')
})

test('code that throws instead of making a statement gives its connection back', async () => {
  const database = await connectTo({ max: 1 })
  const mistake = new TypeError('mistake')
  const run = () => {
    throw mistake
  }
  expect(await failure(database.query('mistake', undefined, run))).toBe(mistake)
  expect(await one(database)).toMatchObject([{ one: 1 }])
})

test('every statement is timed, with the role of its server', async () => {
  const onQuery = vi.fn()
  const database = await connectTo({ onQuery, role: 'replica' })
  await one(database)
  await failure(database.query('wrong', undefined, (sql) => sql`select from nowhere`))
  expect(onQuery.mock.calls).toEqual([
    ['replica', expect.any(Number), expect.any(String)],
    ['replica', expect.any(Number), expect.any(String)],
  ])
})

test('closing lets what runs end, and refuses what is new', async () => {
  const database = await connectTo()
  const running = database.query('short', undefined, (sql) => sql`select pg_sleep(0.5), 1 as one`)
  await vi.waitFor(async () => expect(await sleepers(database)).toHaveLength(1), patiently)
  const closing = database.close({ timeoutS: 5 })
  expect(await failure(one(database))).toMatchObject({ reason: 'unreachable', mayHaveRun: false })
  expect(await running).toMatchObject([{ one: 1 }])
  await closing
})
