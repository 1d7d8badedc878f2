/** The money of rentals: each statement is one entry and all that it moves. The balance is locked before. */
import { hourOperation, type Rental } from '../../../src/domain/rental.ts'
import type { Sql } from './client.ts'
import { summed } from './usage-entry.ts'

/** For its hour. */
export const holdHour = (sql: Sql, { accountId, id, hour, held }: Rental, at: Date) => sql`
  with entry as (
    insert into ledger_entries (account_id, operation_id, kind, at, available, held, instance_id)
    values (${accountId}, ${hourOperation(id, hour)}, 'hold', ${at}, ${-held}, ${held}, ${id})
  )
  update balances set available = available - ${held}::bigint, held = held + ${held}::bigint
  where account_id = ${accountId}`

/**
 * - What is more than was held is paid of what may be spent, and what is more than that is written off.
 * - A pod whose clock is ahead spends now: what is not in a window yet would not count in it.
 * - The row holds nothing from here on, so that a budget that is asked next does not count this hour twice.
 * - The first hour counts as the rental's one request.
 */
export const settleHour = (sql: Sql, rental: Rental, amount: number, at: Date) => {
  const { accountId, id, hour, held, keyId } = rental
  const operation = hourOperation(id, hour)
  return sql`
  with account as (
    select least(${amount}::bigint, ${held}::bigint + coalesce(balances.available - balances.leased, 0)) as paid
    from (select ${accountId}::uuid as id) as own left join balances on balances.account_id = own.id
  ), entry as (
    insert into ledger_entries (account_id, operation_id, kind, at, available, held, revenue, written_off, instance_id)
    select ${accountId}, ${operation}, ${amount > 0 ? 'settle' : 'release'}, ${at}, ${held}::bigint - paid,
      ${-held}, ${amount}, paid - ${amount}::bigint, ${id}
    from account
  ), freed as (
    update rentals set held = 0 where account_id = ${accountId} and rental_id = ${id}
  ), spent as (
    insert into spend_minutes (account_id, minute, spent)
    select ${accountId}, floor(extract(epoch from least(${at}::timestamptz, now())) / 60)::int, ${amount}
    where ${amount}::bigint > 0
    on conflict (account_id, minute) do update set spent = spend_minutes.spent + excluded.spent
  ), uses as (
    select ${accountId}::uuid as account_id, (${at}::timestamptz at time zone 'UTC')::date as day,
      ${keyId}::uuid as key_id, ${modelOf(rental)}::text as model, ${hour === 0 ? 1 : 0}::bigint as requests,
      0 as input_tokens, 0 as cached_input_tokens, 0 as output_tokens, ${amount}::bigint as cost
    where ${amount}::bigint > 0
  ), used as (
    insert into usage_days (
      account_id, day, key_id, model, requests, input_tokens, cached_input_tokens, output_tokens, cost
    )
    select * from uses
    on conflict (account_id, day, key_id, model) do update set
      requests = usage_days.requests + excluded.requests, cost = usage_days.cost + excluded.cost
  ), summed as (
    ${summed(sql)}
  ), outbound as (
    insert into billing_outbox (account_id, operation_id, at, amount)
    select ${accountId}, ${operation}, ${at}, ${amount} where ${amount}::bigint > 0
  )
  update balances set available = available + ${held}::bigint - paid, held = held - ${held}::bigint
  from account where account_id = ${accountId}`
}

/**
 * Of the hours before, the newest first: what they count in windows, budgets and usage goes down with what they came to.
 * Its operation is the first hour's, whose entry of this kind it is.
 */
export const refundHours = (sql: Sql, rental: Rental, amount: number, at: Date) => {
  const { accountId, id, keyId } = rental
  return sql`
  with hours as (
    select entries.at,
      least(revenue, greatest(0, ${amount}::bigint - sum(revenue) over (order by entries.at desc, operation_id desc) + revenue))
        as back
    from ledger_entries as entries where account_id = ${accountId} and instance_id = ${id} and kind = 'settle'
  ), entry as (
    insert into ledger_entries (account_id, operation_id, kind, at, available, revenue, instance_id)
    values (${accountId}, ${hourOperation(id, 0)}, 'refund', ${at}, ${amount}, ${-amount}, ${id})
  ), minutes as (
    select floor(extract(epoch from hours.at) / 60)::int as number, sum(back) as back from hours group by 1
  ), spent as (
    update spend_minutes set spent = greatest(0, spent - back) from minutes
    where account_id = ${accountId} and minute = minutes.number
  ), days as (
    select (hours.at at time zone 'UTC')::date as number, sum(back) as back from hours group by 1
  ), uses as (
    select ${accountId}::uuid as account_id, number as day, ${keyId}::uuid as key_id, ${modelOf(rental)}::text as model,
      0 as requests, 0 as input_tokens, 0 as cached_input_tokens, 0 as output_tokens, -back as cost
    from days where back > 0
  ), used as (
    update usage_days set cost = usage_days.cost + uses.cost from uses
    where usage_days.account_id = ${accountId} and usage_days.day = uses.day
      and usage_days.key_id = uses.key_id and usage_days.model = uses.model
  ), summed as (
    ${summed(sql)}
  )
  update balances set available = available + ${amount}::bigint where account_id = ${accountId}`
}

const modelOf = ({ offer }: Rental) => `gpu:${offer.gpuModel}`
