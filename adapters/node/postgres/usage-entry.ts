/** The sums of usage that pages show, each a row, so that nobody adds up thousands to show thirty. */
import type postgres from 'postgres'
import type { Sql } from './client.ts'

type Fragment = postgres.PendingQuery<postgres.Row[]>

/** Written with the usage itself, from the common table `uses` (rows as those of `usage_days`). */
export const summed = (sql: Sql) => sql`
  insert into usage_sums (account_id, kind, period, name, requests, input_tokens, cached_input_tokens, output_tokens,
    cost)
  select account_id, sums.kind, sums.period, sums.name, sum(requests), sum(input_tokens), sum(cached_input_tokens),
    sum(output_tokens), sum(cost)
  from uses cross join lateral (values
    ('day', uses.day, ''),
    ('model', date_trunc('month', uses.day::timestamp)::date, uses.model),
    ('key', date_trunc('month', uses.day::timestamp)::date, uses.key_id::text)
  ) as sums (kind, period, name)
  group by 1, 2, 3, 4 order by 1, 2, 3, 4
  on conflict (account_id, kind, period, name) do update set
    requests = usage_sums.requests + excluded.requests,
    input_tokens = usage_sums.input_tokens + excluded.input_tokens,
    cached_input_tokens = usage_sums.cached_input_tokens + excluded.cached_input_tokens,
    output_tokens = usage_sums.output_tokens + excluded.output_tokens,
    cost = usage_sums.cost + excluded.cost`

/** `uses`: the common table itself. */
export const addSums = (sql: Sql, uses: Fragment) => sql`with ${uses} ${summed(sql)}`
