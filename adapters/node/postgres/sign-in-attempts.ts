/** Attempts to sign in, counted in the database so that pods count together. Subjects are kept as keyed hashes only. */
import { createHmac } from 'node:crypto'
import { delayAfter, forgetAfterMs, type SignInSubject } from '../../../src/domain/sign-in-delay.ts'
import type { SignInAttempts } from '../../../src/ports.ts'
import type { Database, Sql } from './client.ts'
import type { Transact } from './transactions.ts'

export interface SignInAttemptsOptions {
  database: Database
  transact: Transact
  pepper: string
}

/** Old rows that each attempt takes away with it: more than it adds, so the table cannot grow without end. */
const sweptAtOnce = 20

export function createSignInAttempts({ database, transact, pepper }: SignInAttemptsOptions): SignInAttempts {
  const hashed = (subjects: readonly SignInSubject[]) =>
    subjects
      .map(({ kind, value }) => ({ kind, hash: createHmac('sha256', pepper).update(`${kind}\0${value}`).digest() }))
      // All who lock several rows lock them in one order.
      .sort((a, b) => a.hash.compare(b.hash))

  return {
    take: (subjects) =>
      transact(database, 'count sign-in attempt', async (sql) => {
        const counted: { kind: SignInSubject['kind']; hash: Buffer; attempts: number }[] = []
        let waitMs = 0
        for (const { kind, hash } of hashed(subjects)) {
          const [row] = await lockSubject(sql, hash)
          waitMs = Math.max(waitMs, Math.ceil(Number(row!.wait_ms)))
          counted.push({ kind, hash, attempts: row!.attempts + 1 })
        }
        if (waitMs > 0) return waitMs
        for (const { kind, hash, attempts } of counted) {
          await updateSubject(sql, hash, attempts, delayAfter(kind, attempts))
        }
        await deleteForgotten(sql)
        return 0
      }),

    async giveBack(subjects) {
      await transact(database, 'take sign-in attempt back', async (sql) => {
        for (const { hash } of hashed(subjects)) await updateGivenBack(sql, hash)
      })
    },
  }
}

/** On conflict the row is written all the same: that locks it, whoever else may be about to delete it. */
const lockSubject = (sql: Sql, hash: Buffer) => sql<{ attempts: number; wait_ms: string }[]>`
  insert into sign_in_attempts as known (subject, attempts, last_at) values (${hash}, 0, clock_timestamp())
  on conflict (subject) do update set attempts =
    case when known.last_at < clock_timestamp() - make_interval(secs => ${forgetAfterMs / 1000}) then 0
      else known.attempts end
  returning attempts,
    coalesce(greatest(extract(epoch from locked_until - clock_timestamp()) * 1000, 0), 0)::text as wait_ms`

const updateSubject = (sql: Sql, hash: Buffer, attempts: number, delayMs: number) => sql`
  update sign_in_attempts
  set attempts = ${attempts}, last_at = clock_timestamp(),
    locked_until = clock_timestamp() + make_interval(secs => ${delayMs / 1000})
  where subject = ${hash}`

/** Nobody else got past a lock, so it is this attempt's own. */
const updateGivenBack = (sql: Sql, hash: Buffer) => sql`
  update sign_in_attempts set attempts = greatest(attempts - 1, 0), locked_until = null
  where subject = ${hash}`

/** Those that another attempt is about to count are left to it. */
const deleteForgotten = (sql: Sql) => sql`
  delete from sign_in_attempts where subject in (
    select subject from sign_in_attempts
    where last_at < now() - make_interval(secs => ${forgetAfterMs / 1000})
    order by last_at limit ${sweptAtOnce}
    for update skip locked
  )`
