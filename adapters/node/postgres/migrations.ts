/**
 * Brings the schema up to date at start. Migrations only add, so a pod of the version before keeps working beside this
 * one, and after a rollback.
 */
import type { Clock, Log } from '../../../src/ports.ts'
import { sleep, systemClock } from '../../../src/resilience/clock.ts'
import type { Database, Sql } from './client.ts'
import { QueryStopped } from './failures.ts'
import { accounts } from './migrations/0001-accounts.ts'
import { usageAndReads } from './migrations/0002-usage-and-reads.ts'
import { limitsAndShards } from './migrations/0003-limits-and-shards.ts'
import { signIn } from './migrations/0004-sign-in.ts'
import { idempotency } from './migrations/0005-idempotency.ts'
import { ledger } from './migrations/0006-ledger.ts'
import { payments } from './migrations/0007-payments.ts'
import { reads } from './migrations/0008-reads.ts'
import { rentals } from './migrations/0009-rentals.ts'
import { deployments } from './migrations/0010-deployments.ts'
import { priceHours } from './migrations/0011-price-hours.ts'
import { bidsAndPreferences } from './migrations/0013-bids-and-preferences.ts'
import { usageSums } from './migrations/0014-usage-sums.ts'
import { sandbox } from './migrations/0015-sandbox.ts'
import { paidBefore } from './migrations/0016-paid-before.ts'
import { failedPayments } from './migrations/0017-failed-payments.ts'
import { takenUntil } from './migrations/0018-taken-until.ts'

export interface Migration {
  /** 1, 2, 3 … */
  version: number
  name: string
  up(sql: Sql): Promise<void>
}

export const all: readonly Migration[] = [
  accounts,
  usageAndReads,
  limitsAndShards,
  signIn,
  idempotency,
  ledger,
  payments,
  reads,
  rentals,
  deployments,
  priceHours,
  bidsAndPreferences,
  usageSums,
  sandbox,
  paidBefore,
  failedPayments,
  takenUntil,
]

/** Any number, the same in every version of the gateway. */
const lockId = 7_120_318_447
const waitForOthersMs = 60_000
/** A pod has two minutes to start. */
const usualStatementMs = 60_000
/**
 * Less than a request waits for a lock. Whoever wants a table that a migration waits for waits behind it, also those who
 * only read: what holds it for long, as a dump does, would have all of the fleet stand still.
 */
const tableWaitMs = 1_000
/** In which those who waited behind it go on. */
const betweenTriesMs = 2_000
const never = new AbortController().signal

export async function migrate(options: {
  database: Database
  log: Pick<Log, 'info' | 'warn'>
  migrations?: readonly Migration[]
  /** Longest time for one statement, and for a table that is in use. @default 60_000 */
  statementTimeoutMs?: number
  /** @default systemClock */
  clock?: Clock
}): Promise<void> {
  const { database, log, migrations = all, statementTimeoutMs = usualStatementMs, clock = systemClock } = options
  const newest = Math.max(0, ...migrations.map(({ version }) => version))
  const step = (sql: Sql) => applyNext(sql, migrations, statementTimeoutMs)
  const timeoutMs = waitForOthersMs + 2 * statementTimeoutMs
  const givesUpAt = clock.now() + statementTimeoutMs
  let told = false
  for (;;) {
    let done: Awaited<ReturnType<typeof step>>
    try {
      done = await database.transaction('migrate', step, { timeoutMs })
    } catch (error) {
      if (!isInUse(error) || clock.now() > givesUpAt) throw error
      if (!told) log.warn('what a migration needs is in use; it is tried again')
      told = true
      await sleep(clock, betweenTriesMs, never)
      continue
    }
    const { applied, version } = done
    if (applied) {
      log.info('database migrated', { detail: `${applied.version} ${applied.name}` })
    } else {
      const detail = `schema ${version}, program ${newest}`
      if (version > newest) log.warn('the database is newer than this program', { detail })
      return
    }
  }
}

/** Applies the first migration that is missing; the version is the database's before it. */
async function applyNext(
  sql: Sql,
  migrations: readonly Migration[],
  statementTimeoutMs: number,
): Promise<{ applied?: Migration; version: number }> {
  await setTimeouts(sql, statementTimeoutMs)
  await lock(sql)
  await createHistory(sql)
  const done = await readHistory(sql)
  const version = Math.max(0, ...done)
  const next = migrations.find((migration) => !done.has(migration.version))
  if (!next) return { version }
  await setLockTimeout(sql)
  await next.up(sql)
  await record(sql, next)
  return { applied: next, version }
}

async function setTimeouts(sql: Sql, statementTimeoutMs: number): Promise<void> {
  await sql`
    select set_config('lock_timeout', ${String(waitForOthersMs)}, true),
           set_config('statement_timeout', ${String(waitForOthersMs + statementTimeoutMs)}, true)`
}

const setLockTimeout = (sql: Sql) => sql`select set_config('lock_timeout', ${String(tableWaitMs)}, true)`

/** lock_not_available */
const isInUse = (error: unknown) => error instanceof QueryStopped && error.code === '55P03'

/**
 * One process migrates at a time; the others wait here and then find it done. The lock belongs to the transaction, not
 * to the session: it holds behind PgBouncer too, and a process that dies cannot keep it.
 */
async function lock(sql: Sql): Promise<void> {
  await sql`select pg_advisory_xact_lock(${lockId})`
}

async function createHistory(sql: Sql): Promise<void> {
  await sql`
    create table if not exists schema_migrations (
      version integer primary key,
      name text not null,
      applied_at timestamptz not null default now()
    )`
}

async function readHistory(sql: Sql): Promise<Set<number>> {
  const rows = await sql<{ version: number }[]>`select version from schema_migrations`
  return new Set(rows.map(({ version }) => version))
}

async function record(sql: Sql, { version, name }: Migration): Promise<void> {
  await sql`insert into schema_migrations (version, name) values (${version}, ${name})`
}
