/**
 * Whole transactions again, where the server said or the connection shows that nothing of them happened: serialization
 * failure and deadlock (40001, 40P01), a server that stops (57P01), a connection that is lost or not to be had (08xxx),
 * a server that lacks room (53xxx). Only before COMMIT was sent: after that the outcome may be looked up, and is never tried again blindly.
 */
import type { Backoff } from '../../../src/resilience/backoff.ts'
import { type Clock, sleep } from '../../../src/resilience/clock.ts'
import type { Database, Sql } from './client.ts'
import { DatabaseUnavailable, isSerialization, mayBeRepeated, OutcomeUnknown } from './failures.ts'

export interface TransactionOptions<T> {
  /**
   * Asked when COMMIT got no answer: the result if what was to be done is there, undefined if it is not (yet: the
   * server may still be at it). Without a result the caller gets `OutcomeUnknown`.
   */
  lookup?: (() => Promise<T | undefined>) | undefined
  timeoutMs?: number
  /** Ends the waits between tries. */
  signal?: AbortSignal | undefined
}

export type Transact = <T>(
  database: Database,
  label: string,
  run: (sql: Sql) => Promise<T>,
  options?: TransactionOptions<T>,
) => Promise<T>

const never = new AbortController().signal

export function createTransact({
  clock,
  backoff,
  answering = () => never,
  attempts = 3,
}: {
  clock: Clock
  backoff: Backoff
  /** Aborted while the primary does not answer: a try under way ends, and tells whether COMMIT was sent. */
  answering?: () => AbortSignal
  /** Tries in all, of the transaction and of the look-up. @default 3 */
  attempts?: number
}): Transact {
  async function again<T>(signal: AbortSignal | undefined, once: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await once()
      } catch (error) {
        if (attempt >= attempts || !mayBeRepeated(error)) throw error
        await sleep(clock, backoff.afterFailure(attempt), signal ?? never)
      }
    }
  }

  return async function transact<T>(
    database: Database,
    label: string,
    run: (sql: Sql) => Promise<T>,
    { lookup, signal, ...own }: TransactionOptions<T> = {},
  ): Promise<T> {
    try {
      return await again(signal, () => database.transaction(label, run, { ...own, signal: answering() }))
    } catch (error) {
      if (isSerialization(error)) throw new DatabaseUnavailable(label, 'busy', { cause: error })
      if (!(error instanceof DatabaseUnavailable && error.mayHaveRun)) throw error
      const unknown = new OutcomeUnknown(label, { cause: error })
      if (!lookup) throw unknown
      const found = await again(signal, lookup).catch(() => undefined)
      if (found === undefined) throw unknown
      return found
    }
  }
}
