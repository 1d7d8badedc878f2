/**
 * Whether the ledger is what it must be. Each account is one statement, so one snapshot of it, and may be looked at while
 * requests are served; what an account has is all that one step reads.
 */
import type { Database, Sql } from './client.ts'

export const ledgerRules = {
  entry_sums_to_zero: 'an entry moves what it moves: its books sum to zero',
  available_is_sum_of_entries: 'what is available is the sum of the entries',
  held_is_sum_of_entries: 'what is held is the sum of the entries',
  held_is_sum_of_holds: 'what is held is the sum of the open holds, those of rentals included',
  leased_is_sum_of_leases: 'what is leased is the sum of the leases',
  one_end: 'an operation that was held for ends once, or its hold is open',
  nothing_held_after_end: 'an operation that has ended holds nothing',
  no_old_hold: 'no hold is open for longer than a request may take',
} as const

export interface LedgerFault {
  rule: keyof typeof ledgerRules
  accountId: string
  operationId: string | undefined
  /** Amounts in micro-dollars. */
  found: string
  expected: string
}

/** What one account has; of each rule at most twenty faults are named. */
export interface CheckedAccount {
  accountId: string
  entries: number
  faults: LedgerFault[]
}

/** One account after the other. `maxHoldS`: how old an open hold may be. */
export type LedgerCheck = (options: { maxHoldS: number }) => AsyncIterable<CheckedAccount>

export const createLedgerCheck = ({ database }: { database: Database }): LedgerCheck =>
  async function* checkLedger({ maxHoldS }) {
    let accountId = '00000000-0000-0000-0000-000000000000'
    for (;;) {
      const [next] = await database.query('next account', undefined, (sql) => selectNextAccount(sql, accountId))
      if (!next?.id) return
      accountId = next.id
      const rows = await database.query('check account', undefined, (sql) => selectFaults(sql, next.id!, maxHoldS))
      const faults = rows.flatMap(({ rule, operation_id, found, expected }) =>
        rule === 'entries'
          ? []
          : [{ rule, accountId: next.id!, operationId: operation_id ?? undefined, found, expected }],
      )
      yield { accountId, entries: Number(rows.find(({ rule }) => rule === 'entries')?.found), faults }
    }
  }

/** Whoever has anything, in whatever table: a balance without entries is a fault, too. */
const selectNextAccount = (sql: Sql, after: string) => sql<{ id: string | null }[]>`
  select least(
    (select account_id from ledger_entries where account_id > ${after} order by account_id limit 1),
    (select account_id from balances where account_id > ${after} order by account_id limit 1),
    (select account_id from holds where account_id > ${after} order by account_id limit 1),
    (select account_id from rentals where account_id > ${after} order by account_id limit 1),
    (select account_id from credit_leases where account_id > ${after} order by account_id limit 1)
  ) as id`

interface FaultRow {
  rule: LedgerFault['rule'] | 'entries'
  operation_id: string | null
  found: string
  expected: string
}

/** As in src/domain/rental.ts. */
const hourOperation = (sql: Sql) => sql`
  (left(rental_id::text, 32)
    || lpad(to_hex((('x' || right(rental_id::text, 4))::bit(16)::int + hour) % 65536), 4, '0'))::uuid`

/** The hold of a rental's hour is as old as the hour; it is not in `holds`, and its operation is found by the rental. */
const selectFaults = (sql: Sql, accountId: string, maxHoldS: number) => sql<FaultRow[]>`
  with entries as materialized (
    select operation_id, kind, available, held, available + held + revenue + funding + written_off as sum
    from ledger_entries where account_id = ${accountId}
  ),
  open as materialized (
    select operation_id, amount, at from holds where account_id = ${accountId}
    union all
    select ${hourOperation(sql)}, held, null from rentals
    where account_id = ${accountId} and state not in ('gone', 'failed')
  ),
  operations as materialized (
    select operation_id, count(*) filter (where kind = 'hold') as begun,
      count(*) filter (where kind in ('settle', 'release')) as ended, sum(entries.held) as held
    from entries group by operation_id
  ),
  account as (
    select coalesce(balances.available, 0) as available, coalesce(balances.held, 0) as held,
      coalesce(balances.leased, 0) as leased,
      (select coalesce(sum(available), 0) from entries) as sum_available,
      (select coalesce(sum(held), 0) from entries) as sum_held,
      (select coalesce(sum(amount), 0) from open) as sum_open,
      (select coalesce(sum(amount), 0) from credit_leases where account_id = ${accountId}) as sum_leases
    from (select ${accountId}::uuid as id) as own left join balances on balances.account_id = own.id
  )
  select 'entries' as rule, null::uuid as operation_id, count(*)::text as found, '' as expected from entries
  union all
  (select 'entry_sums_to_zero', operation_id, sum::text, '0' from entries where sum <> 0 limit 20)
  union all
  select 'available_is_sum_of_entries', null, available::text, sum_available::text
    from account where available <> sum_available
  union all
  select 'held_is_sum_of_entries', null, held::text, sum_held::text from account where held <> sum_held
  union all
  select 'held_is_sum_of_holds', null, held::text, sum_open::text from account where held <> sum_open
  union all
  select 'leased_is_sum_of_leases', null, leased::text, sum_leases::text from account where leased <> sum_leases
  union all
  (select 'one_end', operation_id, ended || ' ends', case when open.amount is null then '1 end' else '0 ends' end
    from operations left join open using (operation_id)
    where ended <> case when open.amount is null and begun > 0 then 1 when open.amount is null then least(ended, 1)
      else 0 end
    limit 20)
  union all
  (select 'nothing_held_after_end', operation_id, operations.held::text, '0'
    from operations left join open using (operation_id)
    where open.amount is null and ended > 0 and operations.held <> 0 limit 20)
  union all
  (select 'no_old_hold', operation_id, extract(epoch from now() - at)::bigint || ' s', ${String(maxHoldS)} || ' s at most'
    from open where at < now() - make_interval(secs => ${maxHoldS}) limit 20)`
