/**
 * Receipts live in a table for each day, so that old ones are dropped and not deleted. Whatever changes the tables is a
 * short transaction of its own, which gives up where it would have to wait for others: they wait for whoever waits.
 */
import type { Upkeep } from '../../../src/ports.ts'
import { type Database, QueryFailed, type Sql } from './client.ts'
import { QueryStopped } from './failures.ts'

/** Any number, the same in every version of the gateway. */
const lockId = 7_120_318_448
const lockTimeoutMs = 250
/** Attaching a day looks through the default partition, which holds rows only after days without upkeep. */
const statementTimeoutMs = 10_000
const prefix = 'receipts_'
/** Rows of the default partition that one round deletes, at most. */
const maxStrays = 5_000

export function createUpkeepPort({ database }: { database: Database }): Upkeep {
  /** Undefined: another pod is at it. */
  const alone = <T>(label: string, run: (sql: Sql) => Promise<T>) =>
    database.transaction(label, async (sql) => {
      await setTimeouts(sql)
      const [lock] = await tryLock(sql)
      return lock?.taken ? { result: await run(sql) } : undefined
    })

  return {
    async keepReceiptDays({ from, to, dropBefore }) {
      const there = (await database.query('list receipt days', undefined, selectDays)).map(({ day }) => day)
      const missing = daysFrom(from, to).filter((day) => !there.includes(day))
      const old = there.filter((day) => day < dropBefore)
      const steps = [
        ...missing.map((day) => () => alone('make a receipt day', (sql) => makeDay(sql, day))),
        ...old.map((day) => () => alone('drop a receipt day', (sql) => dropDay(sql, day))),
        () =>
          alone('delete stray receipts', async (sql) => {
            const strays = await selectOldStrays(sql, dropBefore, maxStrays)
            if (strays.length > 0) await deleteStrays(sql, strays)
          }),
      ]
      for (const step of steps) {
        try {
          if (!(await step())) return 'busy'
        } catch (error) {
          if (!isInUse(error)) throw error
          return 'busy'
        }
      }
      return 'done'
    },
    async forgetSpending({ beforeMinute, max }) {
      const done = await alone('forget spending', async (sql) => {
        const minutes = await selectOldMinutes(sql, beforeMinute, max)
        if (minutes.length > 0) await deleteMinutes(sql, minutes)
        return minutes.length
      })
      return done?.result ?? 0
    },
  }
}

/** lock_not_available, deadlock_detected, and a row that came into the default partition meanwhile. */
const isInUse = (error: unknown) =>
  (error instanceof QueryFailed || error instanceof QueryStopped) && ['55P03', '40P01', '23514'].includes(error.code)

function daysFrom(from: string, to: string): string[] {
  const days: string[] = []
  for (let ms = Date.parse(from); ms <= Date.parse(to); ms += 86_400_000) {
    days.push(new Date(ms).toISOString().slice(0, 10))
  }
  return days
}

const setTimeouts = (sql: Sql) => sql`
  select set_config('lock_timeout', ${String(lockTimeoutMs)}, true),
         set_config('statement_timeout', ${String(statementTimeoutMs)}, true)`

/** Of the transaction, so that a process that dies cannot keep it, behind PgBouncer too. */
const tryLock = (sql: Sql) => sql<{ taken: boolean }[]>`select pg_try_advisory_xact_lock(${lockId}) as taken`

const selectDays = (sql: Sql) => sql<{ day: string }[]>`
  select to_char(to_date(right(child.relname, 8), 'YYYYMMDD'), 'YYYY-MM-DD') as day
  from pg_inherits
  join pg_class as child on child.oid = pg_inherits.inhrelid
  where pg_inherits.inhparent = 'receipts'::regclass and child.relname ~ '^receipts_[0-9]{8}$'
  order by day`

/** A day of which there are receipts already stays in the default partition: moving them would hold up all the others. */
async function makeDay(sql: Sql, day: string) {
  // Another pod may have made it since the days were listed.
  if ((await selectDays(sql)).some((made) => made.day === day)) return
  if ((await selectStray(sql, day)).length > 0) return
  const [name, next] = [nameOf(day), new Date(Date.parse(day) + 86_400_000).toISOString().slice(0, 10)]
  // Made apart and attached: nobody who reads or writes has to wait for that. No parameters are taken there.
  await sql.unsafe(`create table ${name} (like receipts including all)`)
  await sql.unsafe(`alter table receipts attach partition ${name} for values from ('${day}') to ('${next}')`)
}

const dropDay = (sql: Sql, day: string) => sql.unsafe(`drop table if exists ${nameOf(day)}`)

/** @throws TypeError where it is no day: what is put into a statement must not be anything else. */
function nameOf(day: string): string {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(day)) throw new TypeError(`no day: ${day}`)
  return prefix + day.replaceAll('-', '')
}

const selectStray = (sql: Sql, day: string) => sql<object[]>`
  select 1 from receipts_other where day = ${day}::text::date limit 1`

interface Stray {
  account: string
  request: string
  day: string
}

const selectOldStrays = (sql: Sql, before: string, max: number) => sql<Stray[]>`
  select account_id as account, request_id as request, to_char(day, 'YYYY-MM-DD') as day
  from receipts_other where day < ${before}::text::date limit ${max}`

/** By their keys, each of which lies in one shard. */
const deleteStrays = (sql: Sql, strays: readonly Stray[]) => sql`
  delete from receipts_other as receipts
  using jsonb_to_recordset(${JSON.stringify(strays)}::text::jsonb) as old (account uuid, request uuid, day date)
  where receipts.account_id = old.account and receipts.request_id = old.request and receipts.day = old.day`

interface SpentMinute {
  account: string
  minute: number
}

const selectOldMinutes = (sql: Sql, beforeMinute: number, max: number) => sql<SpentMinute[]>`
  select account_id as account, minute from spend_minutes
  where minute < ${beforeMinute} order by minute limit ${max}`

const deleteMinutes = (sql: Sql, minutes: readonly SpentMinute[]) => sql`
  delete from spend_minutes as spent
  using jsonb_to_recordset(${JSON.stringify(minutes)}::text::jsonb) as old (account uuid, minute integer)
  where spent.account_id = old.account and spent.minute = old.minute`
