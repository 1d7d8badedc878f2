/** What a caller of the database has to tell apart. Messages carry a label, never a statement or a value. */
import postgres from 'postgres'
import { StorageUnavailable } from '../../../src/ports.ts'
import { BulkheadFull } from '../../../src/resilience/bulkhead.ts'

/** The database did not answer: all its connections are in use, or it cannot be reached. */
export class DatabaseUnavailable extends StorageUnavailable {
  override name = 'DatabaseUnavailable'
  readonly reason: 'busy' | 'unreachable'
  constructor(label: string, reason: 'busy' | 'unreachable', options: { mayHaveRun?: boolean; cause?: unknown } = {}) {
    super(`database: ${label}: ${reason}`, options)
    this.reason = reason
  }
}

/** The database refused the statement. */
export class QueryFailed extends Error {
  override name = 'QueryFailed'
  /** https://www.postgresql.org/docs/18/errcodes-appendix.html */
  readonly code: string
  readonly constraint: string | undefined
  constructor(label: string, error: postgres.PostgresError) {
    super(`database: ${label}: ${error.severity} ${error.code}`, { cause: error })
    this.code = error.code
    this.constraint = error.constraint_name
  }
}

/** The statement took longer than it may, or waited so long for others, and the server stopped it: nothing of it happened. */
export class QueryStopped extends StorageUnavailable {
  override name = 'QueryStopped'
  readonly code: string
  constructor(label: string, code: string, options: { cause: unknown }) {
    super(`database: ${label}: stopped after its time`, options)
    this.code = code
  }
}

/** COMMIT was sent and no answer came: it is done, or it is not. To do it again could be to do it twice. */
export class OutcomeUnknown extends StorageUnavailable {
  override name = 'OutcomeUnknown'
  constructor(label: string, options: { cause: unknown }) {
    super(`database: ${label}: the outcome of its commit is unknown`, { ...options, mayHaveRun: true })
  }
}

const noConnection = new Set([
  ...['ECONNREFUSED', 'ENOENT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'],
  ...['CONNECT_TIMEOUT', 'CONNECTION_ENDED'],
  // read_only_sql_transaction: the server is a standby, as a former primary is after a failover.
  '25006',
  // cannot_connect_now: the server is starting, stopping or recovering.
  '57P03',
])
const connectionLost = new Set([
  ...['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'CONNECTION_CLOSED', 'CONNECTION_DESTROYED'],
  // admin_shutdown, crash_shutdown, database_dropped
  ...['57P01', '57P02', '57P04'],
])

const serialization = new Set(['40001', '40P01'])
// query_canceled: by the statement timeout, or from here past it. lock_not_available: by the lock timeout.
const stopped = new Set(['57014', '55P03'])

/** Others were in its way each time. */
export const isSerialization = (error: unknown) => error instanceof QueryFailed && serialization.has(error.code)

/** Nothing of it happened, and it may go better in a moment. Our own full pool is no such thing: it is full of others. */
export function mayBeRepeated(error: unknown): boolean {
  if (isSerialization(error)) return true
  return error instanceof DatabaseUnavailable && !error.mayHaveRun && !(error.cause instanceof BulkheadFull)
}

/** `began` tells whether a lost connection leaves the outcome open. What is not the database's error stays as it is. */
export function translate(label: string, error: unknown, began: boolean): unknown {
  if (error instanceof BulkheadFull) return new DatabaseUnavailable(label, 'busy', { cause: error })
  const code = String((error as { code?: unknown } | null)?.code ?? '')
  // insufficient_resources: connections, memory or disk
  if (code.startsWith('53')) return new DatabaseUnavailable(label, 'busy', { cause: error })
  if (noConnection.has(code)) return new DatabaseUnavailable(label, 'unreachable', { cause: error })
  if (connectionLost.has(code) || code.startsWith('08')) {
    return new DatabaseUnavailable(label, 'unreachable', { mayHaveRun: began, cause: error })
  }
  if (stopped.has(code)) return new QueryStopped(label, code, { cause: error })
  return error instanceof postgres.PostgresError ? new QueryFailed(label, error) : error
}
