/** What all accounts together used, kept among the sums of each under an account that is nobody's. */
import type { SumKind } from '../../../src/domain/statement.ts'
import type { UsageSums } from '../../../src/ports.ts'
import type { Database, Sql } from './client.ts'
import type { Cluster } from './cluster.ts'
import { lockBalances } from './ledger-entry.ts'
import { type AmountsRow, toAmounts } from './usage-amounts.ts'
import { addSums } from './usage-entry.ts'

/** Under which the sums of all accounts are kept. */
const everyone = '00000000-0000-0000-0000-000000000000'
const maxShown = 100
const maxMended = 100
/** Over all accounts of a month. */
const timeoutMs = 30_000

export function createUsageSums(options: { database: Database; cluster: Pick<Cluster, 'read'> }): UsageSums {
  const { database, cluster } = options
  return {
    async read(question) {
      const rows = await cluster.read('read usage of all', { reads: 'any' }, (sql) => selectEveryones(sql, question))
      const groups = rows.map((row) => ({ group: row.group, ...toAmounts(row) }))
      return question.kind === 'day' ? groups.sort((a, b) => (a.group < b.group ? -1 : 1)) : groups
    },
    async sum(month) {
      await database.transaction(
        'sum usage of all',
        async (sql) => {
          await deleteEveryones(sql, month)
          await insertEveryones(sql, month)
        },
        { timeoutMs },
      )
    },
    async mend(from) {
      const wrong = await database.transaction('find wrong sums', (sql) => selectWrong(sql, from), { timeoutMs })
      for (const { account_id: accountId } of wrong) {
        await database.transaction('mend sums', async (sql) => {
          await lockBalances(sql, [accountId])
          await deleteSums(sql, accountId, from)
          await addSums(sql, usedSince(sql, accountId, from))
        })
      }
      return wrong.length
    },
  }
}

const usedSince = (sql: Sql, accountId: string, from: string) => sql`uses as (
  select * from usage_days
  where account_id = ${accountId} and day >= date_trunc('month', ${from}::text::timestamp)::date)`

const deleteSums = (sql: Sql, accountId: string, from: string) => sql`
  delete from usage_sums
  where account_id = ${accountId} and period >= date_trunc('month', ${from}::text::timestamp)::date`

const deleteEveryones = (sql: Sql, month: string) => sql`
  delete from usage_sums
  where account_id = ${everyone} and period >= ${month}::text::date
    and period < ${month}::text::date + interval '1 month'`

const selectWrong = (sql: Sql, from: string) => sql<{ account_id: string }[]>`
  with used as (
    select account_id, day, sum(requests) as requests, sum(cost) as cost from usage_days
    where day >= ${from}::text::date group by account_id, day
  )
  select distinct used.account_id from used
  left join usage_sums as sums on sums.account_id = used.account_id and sums.kind = 'day' and sums.period = used.day
    and sums.name = ''
  where (used.requests, used.cost) is distinct from (sums.requests, sums.cost)
  limit ${maxMended}`

export const selectEveryones = (sql: Sql, { kind, month }: { kind: SumKind; month: string }) => sql<
  (AmountsRow & { group: string })[]
>`
  select case kind when 'day' then to_char(period, 'YYYY-MM-DD') else name end as group, requests, input_tokens,
    cached_input_tokens, output_tokens, cost
  from usage_sums
  where account_id = ${everyone} and kind = ${kind} and period >= ${month}::text::date
    and period < ${month}::text::date + interval '1 month'
  order by cost desc, name`

/** The dearest hundred of each, so that whoever reads them reads no others. */
const insertEveryones = (sql: Sql, month: string) => sql`
  with sums as (
    select kind, period, case kind when 'key' then account_id || '/' || name else name end as name, requests,
      input_tokens, cached_input_tokens, output_tokens, cost
    from usage_sums
    where kind in ('day', 'model', 'key') and period >= ${month}::text::date
      and period < ${month}::text::date + interval '1 month' and account_id <> ${everyone}
    union all
    select 'account', ${month}::text::date, account_id::text, requests, input_tokens, cached_input_tokens,
      output_tokens, cost
    from usage_sums
    where kind = 'day' and period >= ${month}::text::date and period < ${month}::text::date + interval '1 month'
      and account_id <> ${everyone}
  ), ranked as (
    select kind, period, name, sum(requests) as requests, sum(input_tokens) as input_tokens,
      sum(cached_input_tokens) as cached_input_tokens, sum(output_tokens) as output_tokens, sum(cost) as cost,
      row_number() over (partition by kind, period order by sum(cost) desc, name) as rank
    from sums group by kind, period, name
  )
  insert into usage_sums (account_id, kind, period, name, requests, input_tokens, cached_input_tokens, output_tokens,
    cost)
  select ${everyone}, kind, period, name, requests, input_tokens, cached_input_tokens, output_tokens, cost
  from ranked where rank <= ${maxShown}
  on conflict do nothing`
