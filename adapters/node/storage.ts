/** The database and what lives in it: the one that was given, or outside production the embedded one. */
import { type Config, ConfigError } from '../../src/config.ts'
import type { Accounts, Clock, Log, Metrics } from '../../src/ports.ts'
import { instruments } from '../../src/telemetry/instruments.ts'
import { newId } from './identity.ts'
import { createAccounts } from './postgres/accounts.ts'
import { connectPostgres, type Database, type DatabaseOptions } from './postgres/client.ts'
import { migrate } from './postgres/migrations.ts'
import { createOperatorAccounts } from './postgres/operator-accounts.ts'
import { loadPepper } from './postgres/pepper.ts'

export interface Storage {
  database: Database
  accounts: Accounts
  issueWelcomeKey(): Promise<string>
  close(): Promise<void>
}

export interface StorageOptions {
  clock: Clock
  random: () => number
  log: Log
  metrics: Metrics
}

const closeTimeoutS = 5

export async function openStorage(config: Config, { clock, random, log, metrics }: StorageOptions): Promise<Storage> {
  const { connection, stop } = await findServer(config, log)
  const database = await connect({
    ...connection,
    clock,
    random,
    max: config.DB_MAX_CONNS,
    acquireTimeoutMs: config.DB_ACQUIRE_TIMEOUT,
    statementTimeoutMs: config.DB_STATEMENT_TIMEOUT,
    maxLifetimeS: config.DB_MAX_CONN_LIFETIME / 1000,
    idleTimeoutS: config.DB_MAX_CONN_IDLE_TIME / 1000,
    pgbouncer: config.DB_PGBOUNCER,
    onQuery: (role, seconds) => metrics.observe(instruments.dbDuration, { role }, seconds),
  })
  await migrate({ database, log })
  const pepper = await loadPepper(database, config.API_KEY_PEPPER)
  const operator = createOperatorAccounts({ database, pepper, newId })
  if (config.BOOTSTRAP_API_KEY) await operator.ensureBootstrapAccount({ apiKey: config.BOOTSTRAP_API_KEY })

  return {
    database,
    accounts: createAccounts({ database, pepper }),
    issueWelcomeKey: async () => (await operator.issueWelcomeKey()).apiKey,
    async close() {
      await database.close({ timeoutS: closeTimeoutS })
      await stop()
    },
  }
}

async function connect(options: DatabaseOptions): Promise<Database> {
  try {
    return await connectPostgres(options)
  } catch (cause) {
    const reason = cause instanceof Error && cause.cause instanceof Error ? ` (${codeOf(cause.cause)})` : ''
    throw new ConfigError(`The database cannot be reached${reason}: check DATABASE_URL, or DB_HOST and the others`, {
      cause,
    })
  }
}

/** Its name only: a driver's words may hold addresses and user names. */
const codeOf = (error: Error & { code?: string }) => error.code ?? error.name

async function findServer(
  config: Config,
  log: Log,
): Promise<{ connection: Partial<DatabaseOptions>; stop(): Promise<void> }> {
  const ssl = config.DB_SSLMODE
  if (config.DATABASE_URL) return { connection: { url: config.DATABASE_URL }, stop: async () => {} }
  if (config.DB_HOST) {
    const { DB_HOST: host, DB_PORT: port, DB_NAME: database, DB_USER: user, DB_PASSWORD: password } = config
    return { connection: { host, port, database, user, ssl, ...(password && { password }) }, stop: async () => {} }
  }
  // Loaded only here: production is always given a database.
  const { startEmbeddedPostgres } = await import('../embedded/postgres.ts')
  const { connection, stop } = await startEmbeddedPostgres({ dataDir: config.DATA_DIR, log })
  return { connection: { ...connection, ssl: 'disable' }, stop }
}
