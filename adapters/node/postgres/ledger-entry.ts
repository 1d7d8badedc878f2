/**
 * A group of events becomes entries, balances, leases, sums and receipts in one statement. The events go to the server
 * as the text that the journal holds: nothing is done for each of them here.
 */
import type { Sql } from './client.ts'
import { summed } from './usage-entry.ts'

/** In one order, so that two groups never wait for each other. */
export const lockBalances = (sql: Sql, accountIds: readonly string[]) => sql`
  select 1 from balances where account_id = any(${[...new Set(accountIds)]}::uuid[]) order by account_id for update`

/** Whose they are, by their text: parsing them or sending them twice would cost as much as entering them does here. */
const accountsOf = (group: string) => Array.from(group.matchAll(accountIn), ([, accountId]) => accountId!)
/** Within a JSON string every quote has a backslash before it, so this is a key and no text. */
const accountIn = /"accountId":"([0-9a-f-]{36})"/g

/** Answers what each account has left to lease. `alone`: a single event, which may cost more than there is. */
export async function enterEvents(sql: Sql, group: string, alone: boolean): Promise<ReadonlyMap<string, number>> {
  await lockBalances(sql, accountsOf(group))
  const rows = await enter(sql, group, alone)
  return new Map(rows.map(({ account_id, spendable }) => [account_id, Number(spendable)]))
}

/**
 * - An operation whose hold and end are in one group never has a hold entry. One that has ended before gets none either:
 *   after a crash its lines may come again, in other groups.
 * - What an entry does to `available` it does to the lease it was admitted from, as far as that still exists; so what
 *   may yet be leased changes by nothing that a pod did within its lease.
 * - `alone` and more than there is: what the account cannot pay is written off, since `available` is never negative.
 * - Of two ends of one operation in a group, the one that tells how it ended goes before one that was made up for a pod
 *   that was thought dead (status 0).
 * - A pod whose clock is ahead spends now: what is not in a window yet would not count in it.
 * - A request's id begins with its time in ms (UUID version 7), which gives the day of its receipt. That is kept as the
 *   part of the event that `receiptOf` goes by.
 */
const enter = (sql: Sql, events: string, alone: boolean) => sql<{ account_id: string; spendable: string }[]>`
  with events as materialized (
    select * from jsonb_to_recordset(${events}::text::jsonb) as events (
      event text, "accountId" uuid, "operationId" uuid, "keyId" uuid, "purseId" uuid, "processId" uuid, "podId" uuid,
      amount bigint, at bigint, terms jsonb, model text, "inputTokens" bigint, "cachedInputTokens" bigint,
      "outputTokens" bigint, facts jsonb
    )
  ), ends as (
    select distinct on ("accountId", "operationId") * from events where event in ('settle', 'release')
    order by "accountId", "operationId", coalesce(facts ->> 'status', '') = '0'
  ), marks as (
    select "accountId", "operationId", max("outputTokens") as output_tokens from events where event = 'mark'
    group by "accountId", "operationId"
  ), new_holds as (
    select distinct on ("accountId", "operationId") * from events where event = 'hold'
      and not exists (
        select 1 from ends where ends."accountId" = events."accountId" and ends."operationId" = events."operationId"
      )
      and not exists (
        select 1 from ledger_entries as entries where entries.account_id = events."accountId"
          and entries.operation_id = events."operationId" and entries.kind in ('settle', 'release')
      )
    order by "accountId", "operationId"
  ), hold_entries as (
    insert into ledger_entries (account_id, operation_id, kind, at, available, held)
    select "accountId", "operationId", 'hold', to_timestamp(at / 1000.0), -amount, amount from new_holds
    on conflict do nothing
    returning account_id, operation_id, available, held
  ), opened as (
    insert into holds (account_id, operation_id, pod_id, process_id, purse_id, key_id, amount, at, terms, output_tokens)
    -- Looked at later by this clock: a pod's own may be minutes behind, and its requests would be taken for abandoned.
    select entries.account_id, entries.operation_id, "podId", "processId", "purseId", "keyId", amount,
      greatest(to_timestamp(at / 1000.0), now()), terms, coalesce(marks.output_tokens, 0)
    from hold_entries as entries
    join new_holds on "accountId" = entries.account_id and "operationId" = entries.operation_id
    left join marks on marks."accountId" = entries.account_id and marks."operationId" = entries.operation_id
    on conflict do nothing
  ), paid as (
    select ends.*, coalesce(holds.amount, 0) as held,
      case when ${alone} then least(
        ends.amount,
        coalesce(holds.amount, 0) + coalesce(balances.available - balances.leased, 0) + coalesce(leases.amount, 0)
      ) else ends.amount end as paid
    from ends
    left join holds on holds.account_id = "accountId" and holds.operation_id = "operationId"
    left join balances on balances.account_id = "accountId"
    left join credit_leases as leases on leases.account_id = "accountId" and leases.purse_id = "purseId"
      and leases.process_id = "processId"
  ), end_entries as (
    insert into ledger_entries (account_id, operation_id, kind, at, available, held, revenue, written_off)
    select "accountId", "operationId", event, to_timestamp(at / 1000.0), held - paid, -held, amount, paid - amount
    from paid
    on conflict do nothing
    returning account_id, operation_id, available, held, revenue
  ), closed as (
    delete from holds using end_entries as entries
    where holds.account_id = entries.account_id and holds.operation_id = entries.operation_id
  ), marked as (
    update holds set output_tokens = greatest(holds.output_tokens, marks.output_tokens) from marks
    where holds.account_id = "accountId" and holds.operation_id = "operationId"
      and not exists (
        select 1 from ends where ends."accountId" = holds.account_id and ends."operationId" = holds.operation_id
      )
  ), moves as (
    select entries.account_id, "purseId" as purse_id, "processId" as process_id, entries.available, entries.held
    from hold_entries as entries
    join new_holds on "accountId" = entries.account_id and "operationId" = entries.operation_id
    union all
    select entries.account_id, "purseId", "processId", entries.available, entries.held
    from end_entries as entries
    join ends on "accountId" = entries.account_id and "operationId" = entries.operation_id
  ), lease_moves as (
    select leases.account_id, leases.purse_id, leases.process_id,
      greatest(0, min(leases.amount) + sum(moves.available)) as amount, min(leases.amount) as before
    from moves
    join credit_leases as leases on leases.account_id = moves.account_id and leases.purse_id = moves.purse_id
      and leases.process_id = moves.process_id
    group by leases.account_id, leases.purse_id, leases.process_id
  ), leased as (
    update credit_leases as leases set amount = lease_moves.amount, renewed_at = now() from lease_moves
    where leases.account_id = lease_moves.account_id and leases.purse_id = lease_moves.purse_id
      and leases.process_id = lease_moves.process_id
  ), spent as (
    insert into spend_minutes (account_id, minute, spent)
    select account_id, least(floor(at / 60000), floor(extract(epoch from now()) / 60))::int, sum(revenue)
    from end_entries
    join ends on "accountId" = account_id and "operationId" = operation_id
    where revenue > 0 group by 1, 2 order by 1, 2
    on conflict (account_id, minute) do update set spent = spend_minutes.spent + excluded.spent
  ), uses as materialized (
    select account_id, (to_timestamp(at / 1000.0) at time zone 'UTC')::date as day, "keyId" as key_id, model,
      count(*) as requests, sum("inputTokens")::bigint as input_tokens,
      sum("cachedInputTokens")::bigint as cached_input_tokens, sum("outputTokens")::bigint as output_tokens,
      sum(revenue)::bigint as cost
    from end_entries join ends on "accountId" = account_id and "operationId" = operation_id
    where event = 'settle' group by 1, 2, 3, 4
  ), used as (
    insert into usage_days (
      account_id, day, key_id, model, requests, input_tokens, cached_input_tokens, output_tokens, cost
    )
    select account_id, day, key_id, model, requests, input_tokens, cached_input_tokens, output_tokens, cost
    from uses order by 1, 2, 3, 4
    on conflict (account_id, day, key_id, model) do update set
      requests = usage_days.requests + excluded.requests,
      input_tokens = usage_days.input_tokens + excluded.input_tokens,
      cached_input_tokens = usage_days.cached_input_tokens + excluded.cached_input_tokens,
      output_tokens = usage_days.output_tokens + excluded.output_tokens,
      cost = usage_days.cost + excluded.cost
  ), summed as (
    ${summed(sql)}
  ), receipted as (
    insert into receipts (account_id, request_id, day, receipt)
    select account_id, operation_id, (
        to_timestamp(('x' || left(replace(operation_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)
        at time zone 'UTC'
      )::date, jsonb_build_object(
        'operationId', operation_id, 'keyId', "keyId", 'at', at, 'amount', revenue, 'model', model,
        'inputTokens', "inputTokens", 'cachedInputTokens', "cachedInputTokens", 'outputTokens', "outputTokens",
        'facts', facts
      )
    from end_entries join ends on "accountId" = account_id and "operationId" = operation_id
    where facts is not null
    on conflict do nothing
  ), outbound as (
    insert into billing_outbox (account_id, operation_id, at, amount)
    select account_id, operation_id, to_timestamp(at / 1000.0), revenue from end_entries
    join ends on "accountId" = account_id and "operationId" = operation_id
    where revenue > 0 order by account_id, at
    on conflict do nothing
  ), totals as (
    select account_id, sum(available) as available, sum(held) as held from moves group by account_id
  ), leases as (
    select account_id, sum(amount - before) as change from lease_moves group by account_id
  )
  update balances set
    available = balances.available + totals.available,
    held = balances.held + totals.held,
    leased = balances.leased + coalesce(leases.change, 0)
  from totals left join leases on leases.account_id = totals.account_id
  where balances.account_id = totals.account_id
  returning balances.account_id, balances.available - balances.leased as spendable`
