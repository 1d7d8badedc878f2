/**
 * PostgreSQL with every wait bounded: for a connection, for the server's answer, and for a server that went silent. A
 * caller takes a permit first, and each permit stands for one connection of its own. So nothing ever queues behind
 * another caller's statement, a dead connection concerns one caller, and a transaction knows when it lost its own.
 */
import type { ConnectionOptions } from 'node:tls'
import type postgres from 'postgres'
import { type Bulkhead, createBulkhead } from '../../../src/resilience/bulkhead.ts'
import type { Clock } from '../../../src/resilience/clock.ts'
import { type Connections, createConnections } from './connections.ts'
import type { Client, Sql } from './driver.ts'
import { addressesOf, cancelQuery, inTransaction, limitTransaction } from './driver.ts'
import { DatabaseUnavailable, translate } from './failures.ts'
import { findPrimary } from './primary.ts'

export type { Sql } from './driver.ts'
export { DatabaseUnavailable, QueryFailed } from './failures.ts'

export type Rows = readonly (object | undefined)[]
export type Statement<T extends Rows> = (sql: Sql) => postgres.PendingQuery<T>
/** Whose permits a query takes. `watch` is the look at the primary itself, which must not wait for anybody. */
export type PoolRole = 'authentication' | 'ledger' | 'general' | 'watch' | 'replica'

export interface DatabaseOptions {
  clock: Clock
  /** Replaces `host` to `database`. */
  url?: string
  /** A name, the folder of a Unix socket, or `name:port,…`, of which the primary is found by asking. */
  host?: string
  port?: number
  user?: string
  password?: string
  database?: string
  ssl?: 'disable' | 'allow' | 'prefer' | 'require' | 'verify-full' | ConnectionOptions
  /** Most connections; never more than the server's own limit less 5. @default 100 */
  max?: number
  /** Less than `max` while this says so; asked each second. */
  share?: () => number
  /** Callers that wait for a connection; one more is refused. @default 4 × max */
  maxQueue?: number
  /** Longest wait for a connection. @default 250 */
  acquireTimeoutMs?: number
  /** @default 3_000 */
  statementTimeoutMs?: number
  /** Longest transaction, all its statements together. @default 15_000 */
  transactionTimeoutMs?: number
  /** @default 2 */
  connectTimeoutS?: number
  /** A connection is replaced after this, or up to a quarter earlier, so that they are not all replaced at once. @default 1_800 */
  maxLifetimeS?: number
  /** @default 600 */
  idleTimeoutS?: number
  /** A PgBouncer in transaction mode stands between: no prepared statements and no session settings. @default false */
  pgbouncer?: boolean
  /** @default 'general' */
  role?: PoolRole
  /** Uniform in [0, 1). @default Math.random */
  random?: () => number
  /** `label` is the statement's own name, of a small set. */
  onQuery?: (role: PoolRole, seconds: number, label: string) => void
}

export interface Database {
  readonly role: PoolRole
  /** Runs one statement. `label` names it in errors. An abort rejects at once and stops the statement at the server. */
  query<T extends Rows>(label: string, signal: AbortSignal | undefined, run: Statement<T>): Promise<T>
  /**
   * Commits when `run` resolves, rolls back when it rejects. `run` must use the `sql` it is given. An abort gives the
   * connection up, and the error tells whether COMMIT had been sent.
   */
  transaction<T>(
    label: string,
    run: (sql: Sql) => Promise<T>,
    options?: { timeoutMs?: number; signal?: AbortSignal },
  ): Promise<T>
  ping(signal: AbortSignal): Promise<void>
  pool(): { max: number; inUse: number; waiting: number }
  /** Refuses what is new and gives what runs this long to end. */
  close(options: { timeoutS: number }): Promise<void>
}

export const defaults = {
  max: 100,
  acquireTimeoutMs: 250,
  statementTimeoutMs: 3_000,
  transactionTimeoutMs: 15_000,
  connectTimeoutS: 2,
  maxLifetimeS: 1_800,
  idleTimeoutS: 600,
  pgbouncer: false,
  role: 'general' as PoolRole,
  random: Math.random,
}
/** Connections of the server that are left to others: operators, migrations, replication. */
const spareConnections = 5
/** The server's own timeout goes first; past this the statement is cancelled from here. */
const answerGraceMs = 500
/** A connection that does not answer a cancellation within this is given up. */
const cancelGraceMs = 1_000
const sweepMs = 1_000

interface Work<T> {
  result: Promise<T>
  cancel(): Promise<unknown>
  /** Instead of rejecting at an abort: the failure that this brings about tells more. */
  abandon?(): void
  /** A connection that is lost now leaves the outcome open. */
  began(): boolean
}

/** One pool, for whoever needs no more than one. Rejects with `DatabaseUnavailable` when there is no server. */
export async function connectPostgres(options: DatabaseOptions): Promise<Database> {
  const settings = { ...defaults, ...options }
  const { connections, limit } = await connectServer(settings)
  const allowed = () => Math.min(limit, settings.share?.() ?? limit)
  const permits = createBulkhead({ clock: settings.clock, limit: allowed(), maxQueue: settings.maxQueue ?? 4 * limit })
  const stopSweeping = sweepEachSecond(settings.clock, () => {
    if (permits.limit !== allowed()) permits.resize(allowed())
    connections.sweep({ min: 0, max: permits.limit })
  })
  return createDatabase(settings, { connections, permits: () => permits, onClose: stopSweeping })
}

/** The connections, and how many there may be. */
export async function connectServer(
  settings: DatabaseOptions & typeof defaults,
): Promise<{ connections: Connections; limit: number }> {
  const addresses = settings.role === 'replica' ? [] : addressesOf(settings)
  const found = addresses.length > 0 ? await findPrimary(settings, addresses) : undefined
  const address = found?.address
  if (addresses.length > 0 && !address) throw new DatabaseUnavailable('connect', 'unreachable')
  const connections = createConnections(settings, address)
  const first = connections.take()
  const serverMax = await serverLimit(first, settings)
  connections.putBack(first)
  // Behind PgBouncer a connection here is not one at the server.
  const limit = settings.pgbouncer ? settings.max : Math.max(1, Math.min(settings.max, serverMax - spareConnections))
  return { connections, limit }
}

/** Until it is called off. */
export function sweepEachSecond(clock: Clock, sweep: () => void): () => void {
  let cancel = () => {}
  const again = () => {
    cancel = clock.setTimer(sweepMs, () => {
      sweep()
      again()
    })
  }
  again()
  return () => cancel()
}

export function createDatabase(
  settings: DatabaseOptions & typeof defaults,
  { connections, permits, onClose }: { connections: Connections; permits: () => Bulkhead; onClose?: () => void },
): Database {
  const { clock, role, pgbouncer, statementTimeoutMs, onQuery } = settings

  async function perform<T>(
    label: string,
    signal: AbortSignal | undefined,
    limitMs: number,
    start: (client: Client) => Work<T>,
  ): Promise<T> {
    const release = await permit(label, signal)
    const startedAt = clock.now()
    const client = connections.take()
    const putBack = () => {
      connections.putBack(client)
      release()
    }
    /** One that a server which has fallen silent does not take is not waited for. */
    const putBackAfter = async (cancelled: Promise<unknown>) => {
      const { promise: late, resolve } = Promise.withResolvers<void>()
      const stopLate = clock.setTimer(cancelGraceMs, () => {
        client.giveUp()
        resolve()
      })
      await Promise.race([cancelled, late])
      stopLate()
      putBack()
    }
    let work: Work<T>
    try {
      work = start(client)
    } catch (error) {
      putBack()
      throw error
    }
    return new Promise<T>((resolve, reject) => {
      let cancelled: Promise<unknown> | undefined
      const stop = () => {
        stopTimer()
        stopTimer = clock.setTimer(cancelGraceMs, () => client.giveUp())
        cancelled ??= work.cancel().catch(() => {})
      }
      const onAbort = () => {
        if (work.abandon) return work.abandon()
        reject(signal?.reason)
        stop()
      }
      let stopTimer = clock.setTimer(limitMs, stop)
      signal?.addEventListener('abort', onAbort, { once: true })
      let finished = false
      const finish = () => {
        if (finished) return
        finished = true
        client.onLost = undefined
        stopTimer()
        signal?.removeEventListener('abort', onAbort)
        onQuery?.(role, (clock.now() - startedAt) / 1000, label)
        // A cancellation that is still under way would hit the next statement of this connection.
        if (cancelled && !client.isLost) void putBackAfter(cancelled)
        else putBack()
      }
      const fail = (error: unknown) => {
        const failure = translate(label, error, work.began())
        if (failure instanceof DatabaseUnavailable) {
          // The driver would reconnect, and hand what is left of the old connection's error to the next statement. A
          // server that turned out to be a standby is left for the one that is the primary now.
          client.onLost = undefined
          client.giveUp()
        }
        finish()
        reject(failure)
      }
      // What ran on a lost connection may never settle.
      client.onLost = fail
      work.result.then((value) => {
        finish()
        resolve(value)
      }, fail)
    })
  }

  async function permit(label: string, signal: AbortSignal | undefined) {
    try {
      const release = await permits().acquire({ maxWaitMs: settings.acquireTimeoutMs, signal })
      if (!connections.closed && !signal?.aborted) return release
      release()
    } catch (error) {
      throw translate(label, error, false)
    }
    signal?.throwIfAborted()
    throw new DatabaseUnavailable(label, 'unreachable')
  }

  const database: Database = {
    role,
    query: (label, signal, run) =>
      perform(label, signal, statementTimeoutMs + (pgbouncer ? 0 : answerGraceMs), ({ sql }) => {
        const result = run(sql)
        return { result, cancel: () => cancelQuery(sql, result), began: () => true }
      }),
    transaction: <T>(
      label: string,
      run: (sql: Sql) => Promise<T>,
      { timeoutMs = settings.transactionTimeoutMs, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
    ) =>
      perform<T>(label, signal, timeoutMs, (client) => {
        let committing = false
        const body = async (sql: Sql) => {
          if (pgbouncer) await limitTransaction(sql, statementTimeoutMs)
          const value = await run(sql)
          committing = true
          return value
        }
        const cancel = async () => client.giveUp()
        return { result: inTransaction(client, body), cancel, abandon: client.giveUp, began: () => committing }
      }),
    async ping(signal) {
      await database.query('ping', signal, (sql) => sql`select 1`)
    },
    pool() {
      const { limit, inUse, waiting } = permits()
      return { max: limit, inUse, waiting }
    },
    async close(options) {
      onClose?.()
      await connections.close(options)
    },
  }
  return database
}

/** The driver would try for ever at a server that accepts and closes, or that accepts and says nothing. */
async function serverLimit(
  client: Client,
  { clock, connectTimeoutS, statementTimeoutMs }: DatabaseOptions & typeof defaults,
): Promise<number> {
  const cancel = clock.setTimer(connectTimeoutS * 1000 + statementTimeoutMs, () => client.giveUp())
  try {
    const [row] = await client.sql<{ limit: number }[]>`select current_setting('max_connections')::int as limit`
    return row?.limit ?? 0
  } catch (error) {
    client.giveUp()
    throw translate('connect', error, false)
  } finally {
    cancel()
  }
}
