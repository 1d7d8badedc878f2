/**
 * The primary and its replicas as one. Every read says what it must see, every write whose account it changes, and from
 * that follows which server is asked.
 */
import { type Database, DatabaseUnavailable, type Rows, type Sql, type Statement } from './client.ts'
import type { PrimaryRole } from './pools.ts'
import type { Replicas } from './replicas.ts'
import type { Transact, TransactionOptions } from './transactions.ts'
import type { WrittenAccounts } from './written-accounts.ts'

export type Reads =
  /** What is decided by it must be true now: keys, revocation, balances, idempotency. */
  | { reads: 'primary'; pool?: PrimaryRole }
  /** All that was written for this account through this pod; what others wrote, within a second. */
  | { reads: 'own'; accountId: string }
  /** What was true in the last ten seconds will do. */
  | { reads: 'any' }

export interface ReadOptions<T extends Rows> {
  signal?: AbortSignal | undefined
  /** A replica's "there is none" is checked once on the primary. @default no rows */
  isNegative?: (rows: T) => boolean
}

export interface Cluster {
  /** Runs one statement that changes nothing. */
  read<T extends Rows>(label: string, reads: Reads, run: Statement<T>, options?: ReadOptions<T>): Promise<T>
  /** Runs a transaction on the primary, again where that is safe. */
  write<T>(
    label: string,
    written: { accountId: string; pool?: 'ledger' | 'general' },
    run: (sql: Sql) => Promise<T>,
    options?: TransactionOptions<T>,
  ): Promise<T>
  /** Runs one statement on the primary that changes what no replica is asked for. */
  note<T extends Rows>(label: string, run: Statement<T>): Promise<T>
}

export function createCluster(options: {
  primary: Record<PrimaryRole, Database>
  replicas: Replicas
  written: WrittenAccounts
  transact: Transact
  /** Aborted while the primary does not answer: a read fails at once then, and one that waits need not wait on. */
  answering: () => AbortSignal
  /** A write found no primary. */
  onLost: () => void
}): Cluster {
  const { primary, replicas, written, transact, answering, onLost } = options
  const hasReplicas = replicas.list().length > 0

  return {
    async read<T extends Rows>(label: string, reads: Reads, run: Statement<T>, options: ReadOptions<T> = {}) {
      const { signal, isNegative = (rows: T) => rows.length === 0 } = options
      const onPrimary = () => {
        const either = signal ? AbortSignal.any([signal, answering()]) : answering()
        return primary[(reads.reads === 'primary' && reads.pool) || 'general'].query(label, either, run)
      }
      if (reads.reads === 'primary') return onPrimary()
      const replica = replicas.next(reads.reads === 'own' ? written.requiredLsn(reads.accountId) : 0)
      if (!replica?.database) return onPrimary()
      try {
        const either = signal ? AbortSignal.any([signal, replica.answering()]) : replica.answering()
        const rows = await replica.database.query(label, either, run)
        return isNegative(rows) ? await onPrimary() : rows
      } catch (error) {
        if (signal?.aborted) throw error
        // Lost, full, or stopped by its own recovery: the primary can do the same.
        if (error instanceof DatabaseUnavailable && error.reason === 'unreachable') replica.suspect()
        return onPrimary()
      }
    },
    note: (label, run) => primary.general.query(label, answering(), run),
    async write(label, { accountId, pool = 'general' }, run, transaction) {
      try {
        return await transact(
          primary[pool],
          label,
          async (sql) => {
            const result = await run(sql)
            if (hasReplicas) await noteWrite(sql, accountId)
            return result
          },
          transaction,
        )
      } catch (error) {
        if (error instanceof DatabaseUnavailable && error.reason === 'unreachable') onLost()
        throw error
      } finally {
        // Also where it failed: it may have been done.
        if (hasReplicas) written.mark(accountId)
      }
    },
  }
}

/** Last in its transaction: the row is locked until the commit. */
const noteWrite = (sql: Sql, accountId: string) => sql`
  insert into account_writes (account_id, written_at) values (${accountId}, clock_timestamp())
  on conflict (account_id) do update set written_at = excluded.written_at`
