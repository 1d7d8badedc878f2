/** A real, empty PostgreSQL database for a test file. */
import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { startEmbeddedPostgres } from '../../adapters/embedded/postgres.ts'

export interface TestPostgres {
  /** For `connectPostgres`. */
  connection: { url: string } | { host: string; port: number; user: string; database: string }
  close(): Promise<void>
}

/** For a gateway process. */
export function databaseEnv({ connection }: TestPostgres): Record<string, string> {
  if ('url' in connection) return { DATABASE_URL: connection.url }
  const { host, port, user, database } = connection
  return { DB_HOST: host, DB_PORT: String(port), DB_USER: user, DB_NAME: database, DB_SSLMODE: 'disable' }
}

/** TEST_DATABASE_URL with a database of its own in it, which needs the right to create one; else the embedded server. */
export async function startTestPostgres(): Promise<TestPostgres> {
  const url = process.env.TEST_DATABASE_URL
  return url ? createDatabase(url) : startServer()
}

async function createDatabase(url: string): Promise<TestPostgres> {
  const name = `gpuproxy_test_${randomUUID().replaceAll('-', '')}`
  const sql = postgres(url, { max: 1, connect_timeout: 5, onnotice: () => {} })
  await sql`create database ${sql(name)}`
  const own = new URL(url)
  own.pathname = name
  return {
    connection: { url: own.href },
    async close() {
      await sql`drop database if exists ${sql(name)} with (force)`
      await sql.end({ timeout: 5 })
    },
  }
}

async function startServer(): Promise<TestPostgres> {
  const dataDir = await makeDataDir()
  const server = await startEmbeddedPostgres({ dataDir, log: { info() {}, warn() {} }, durable: false })
  return {
    connection: server.connection,
    async close() {
      await server.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** A folder that may hold an embedded server's data. */
export async function makeDataDir(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-test-'))
  // Root's server runs as nobody, who has to get in.
  await chmod(folder, 0o755)
  return folder
}
