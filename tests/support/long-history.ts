/** 100,000 requests of four accounts in sixty days, made by the server itself, and much beside them that is over. */
import { randomUUID } from 'node:crypto'
import type { Database } from '../../adapters/node/postgres/client.ts'
import { addSums } from '../../adapters/node/postgres/usage-entry.ts'
import { createUsageSums } from '../../adapters/node/postgres/usage-sums.ts'

export interface History {
  /** Of the 500 keys. */
  account: string
  /** One of its requests. */
  requestId: string
}

const requests = 100_000
const firstDay = '2026-09-15'
const days = 60

export async function fillHistory(database: Database): Promise<History> {
  const accounts = Array.from({ length: 4 }, () => randomUUID())
  const account = accounts[0]!
  const run = (statement: Parameters<Database['transaction']>[1]) =>
    database.transaction('fill', statement, { timeoutMs: 120_000 })

  await run(async (sql) => {
    // Closed ones stand among the others.
    await sql`
      insert into accounts (account_id, name, role, closed_at)
      select coalesce((${accounts}::uuid[])[n], gen_random_uuid()), 'of ' || n, 'user',
        case when n > 4 and n % 2 = 0 then now() end
      from generate_series(1, 2000) as n`
    await sql`insert into balances (account_id, available) select account_id, 5000000 from accounts`
    // Of the large account 500 are good and a thousand revoked; each other has ten, six of them revoked.
    await sql`
      insert into api_keys (account_id, key_id, key_hash, prefix, name, scopes, revoked_at)
      select account_id, gen_random_uuid(), int4send(n), 'abcd', 'key ' || n, '{inference}', case when n > case account_id when ${account} then 500 else 4 end then now() end
      from accounts cross join lateral generate_series(1, case account_id when ${account} then 1500 else 10 end) as n`
  })
  // Ids begin with their time, as those of requests do.
  await run(async (sql) => {
    await sql`
      create temp table requests on commit drop as
      select (${accounts}::uuid[])[1 + n % 4] as account_id, at,
        (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid as id
      from generate_series(1, ${requests}::int) as n
      cross join lateral (select ${firstDay}::text::timestamptz + n * (${days}::int * interval '1 day' / ${requests}::int) as at) as moment`
    await sql`
      insert into ledger_entries (account_id, operation_id, kind, at, available, held, revenue)
      select account_id, id, kind, at, case kind when 'hold' then -5 else 2 end, case kind when 'hold' then 5 else -5 end,
        case kind when 'hold' then 0 else 3 end
      from requests cross join unnest(array['hold', 'settle']) as kind`
    await sql`
      insert into receipts (account_id, request_id, day, receipt)
      select account_id, id, (at at time zone 'UTC')::date, '{}' from requests`
    await sql`
      insert into spend_minutes (account_id, minute, spent)
      select account_id, floor(extract(epoch from at) / 60)::int, sum(3) from requests group by 1, 2`
  })
  await run(async (sql) => {
    // Each of 500 keys of each account uses one of three models each day.
    await sql`
      insert into usage_days
        (account_id, day, key_id, model, requests, input_tokens, cached_input_tokens, output_tokens, cost)
      select (${accounts}::uuid[])[1 + (n - 1) / 500], ${firstDay}::text::date + day,
        ('00000000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, 'model-' || (n + day) % 3, 3, 100, 10, 20, n
      from generate_series(1, 2000) as n cross join generate_series(0, ${days - 1}::int) as day`
    await addSums(sql, sql`uses as (select * from usage_days)`)
  })
  // Two thousand machines, forty of them of the large account, and all those that are gone.
  await run(
    (sql) => sql`
      insert into rentals (account_id, rental_id, key_id, purse_id, market, offer, spec, search, state, version, change_id,
        created_at, due_at, held)
      select (${accounts}::uuid[])[1 + (n % 50 > 0)::int], gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'vastai',
        '{}', '{}', '{}', case when n <= 2000 then 'running' else 'gone' end, 1, gen_random_uuid(), now(), now(), 0
      from generate_series(1, 20000) as n`,
  )
  const sums = createUsageSums({ database, cluster: { read: () => Promise.reject(new Error('not read here')) } })
  for (const month of ['2026-09-01', '2026-10-01', '2026-11-01']) await sums.sum(month)
  await database.query('analyze', undefined, (sql) => sql`analyze`)
  const [{ id }] = await database.query(
    'one of them',
    undefined,
    (sql) => sql<[{ id: string }]>`
      select request_id as id from receipts where account_id = ${account} order by request_id limit 1`,
  )
  return { account, requestId: id }
}
