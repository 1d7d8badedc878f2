/** Looks into the books, and says what is wrong with them. */
import type { Database } from '../../adapters/node/postgres/client.ts'
import { createLedgerCheck, type LedgerFault } from '../../adapters/node/postgres/ledger-check.ts'

export interface Books {
  available: number
  held: number
  leased: number
}

export async function booksOf(database: Database, accountId: string): Promise<Books> {
  const [row] = await database.query(
    'books',
    undefined,
    (sql) => sql<Record<keyof Books, string>[]>`
      select available, held, leased from balances where account_id = ${accountId}`,
  )
  return { available: Number(row?.available ?? 0), held: Number(row?.held ?? 0), leased: Number(row?.leased ?? 0) }
}

/** Empty: every balance is the sum of its entries, of the open holds and of the leases. */
export async function faultsInBooks(database: Database): Promise<string[]> {
  const rows = await database.query(
    'check books',
    undefined,
    (sql) => sql<{ fault: string }[]>`
      with sums as (
        select account_id, sum(available) as available, sum(held) as held,
          sum(available + held + revenue + funding + written_off) as all_books
        from ledger_entries group by account_id
      ), open as (
        select account_id, sum(amount) as amount
        from (select account_id, amount from holds union all select account_id, held from rentals) as each
        group by account_id
      ),
      leases as (select account_id, sum(amount) as amount from credit_leases group by account_id)
      select format('%s: available %s, by its entries %s; held %s, by its entries %s, by its holds %s; leased %s, by its leases %s',
        balances.account_id, balances.available, sums.available, balances.held, sums.held, open.amount, balances.leased,
        leases.amount) as fault
      from balances left join sums using (account_id) left join open using (account_id) left join leases using (account_id)
      where balances.available <> coalesce(sums.available, 0) or balances.held <> coalesce(sums.held, 0)
        or balances.held <> coalesce(open.amount, 0) or balances.leased <> coalesce(leases.amount, 0)
        or coalesce(sums.all_books, 0) <> 0`,
  )
  return [...rows.map(({ fault }) => fault), ...(await faultsInSums(database))]
}

/** Sums of usage that are not what the usage of days says. */
export async function faultsInSums(database: Database): Promise<string[]> {
  const rows = await database.query(
    'check sums',
    undefined,
    (sql) => sql<{ fault: string }[]>`
      with used as (
        select account_id, sums.kind, sums.period, sums.name, sum(requests) as requests, sum(input_tokens) as input_tokens,
          sum(cached_input_tokens) as cached_input_tokens, sum(output_tokens) as output_tokens, sum(cost) as cost
        from usage_days as days cross join lateral (values
          ('day', day, ''), ('model', date_trunc('month', day::timestamp)::date, model),
          ('key', date_trunc('month', day::timestamp)::date, key_id::text)
        ) as sums (kind, period, name)
        group by 1, 2, 3, 4
      ), sums as (
        select * from usage_sums where account_id <> '00000000-0000-0000-0000-000000000000'
      )
      select format('%s: usage by %s of %s %s', account_id, kind, period, name) as fault
      from used full join sums using (account_id, kind, period, name)
      where (used.requests, used.input_tokens, used.cached_input_tokens, used.output_tokens, used.cost)
        is distinct from (sums.requests::numeric, sums.input_tokens::numeric, sums.cached_input_tokens::numeric,
          sums.output_tokens::numeric, sums.cost::numeric)`,
  )
  return rows.map(({ fault }) => fault)
}

/** As the ledger check has it. Empty: all is as it must be. */
export async function faultsInLedger(database: Database): Promise<LedgerFault[]> {
  const faults: LedgerFault[] = []
  for await (const account of createLedgerCheck({ database })({ maxHoldS: 660 })) faults.push(...account.faults)
  return faults
}
