/** What an account, or a key with a budget of its own, may still spend: asked in the transaction that then takes it. */
import { blockedBy, longestWindowMinutes, strictest, type WindowLimits } from '../../../src/domain/guardrails.ts'
import type { HoldTerms, LeaseBlock } from '../../../src/ports.ts'
import type { Sql } from './client.ts'

/** What forbids an amount. What is held and leased is as good as spent. */
export async function blockOf(
  sql: Sql,
  { accountId, purseId, budgets }: HoldTerms,
  row: PurseRow,
  operator: WindowLimits | undefined,
): Promise<(asked: number) => LeaseBlock | undefined> {
  const checks: ((asked: number) => LeaseBlock | undefined)[] = []
  // First: a window may be passed in shadow mode, and what is behind it would not be asked.
  if (budgets && (budgets.perDay !== undefined || budgets.perMonth !== undefined)) {
    const [sums] = await selectKeySpending(sql, accountId, purseId, budgets.keyId)
    const { day, month, open } = toNumbers(sums!)
    const over = (period: 'day' | 'month', limit: number | undefined, spent: number) => (asked: number) =>
      limit !== undefined && spent + open + asked > limit
        ? ({ by: 'budget', period, limit, spent: spent + open, asked } as const)
        : undefined
    checks.push(over('day', budgets.perDay, day), over('month', budgets.perMonth, month))
  }
  const limits = operator ? strictest(operator, row.limits ?? {}) : {}
  if (Object.keys(limits).length > 0) {
    const [clock] = await selectMinute(sql)
    const nowMinute = clock!.minute
    const since = Math.max(nowMinute - longestWindowMinutes + 1, row.reset_minute ?? 0)
    const { held, leased } = booksIn(row)
    const spent = new Map<number, number>()
    for (const { minute, spent: sum } of await selectSpent(sql, accountId, since)) spent.set(minute, Number(sum))
    spent.set(nowMinute, (spent.get(nowMinute) ?? 0) + held + leased)
    checks.push((asked) => {
      const blocked = blockedBy(spent, limits, nowMinute, asked)
      return blocked && { by: 'window', ...blocked }
    })
  }
  return (asked) => {
    for (const check of checks) {
      const blocked = check(asked)
      if (blocked) return blocked
    }
    return undefined
  }
}

export interface PurseRow {
  available: string | number
  held: string | number
  leased: string | number
  limits?: WindowLimits | null
  shadow?: boolean | null
  reset_minute?: number | null
}

export const booksIn = (row: PurseRow | undefined) =>
  row
    ? toNumbers({ available: row.available, held: row.held, leased: row.leased })
    : { available: 0, held: 0, leased: 0 }

export const isLimited = (row: PurseRow | undefined, operator: WindowLimits | undefined) =>
  operator !== undefined && (Object.keys(operator).length > 0 || Object.keys(row?.limits ?? {}).length > 0)

/** A bigint comes as text. */
const toNumbers = <K extends string>(row: Record<K, string | number>): Record<K, number> =>
  Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)])) as Record<K, number>

export const selectPurse = (sql: Sql, accountId: string) => sql<PurseRow[]>`
  select balances.available, balances.held, balances.leased, guardrails.limits, guardrails.shadow,
    guardrails.reset_minute
  from balances left join guardrails on guardrails.account_id = balances.account_id
  where balances.account_id = ${accountId}
  for update of balances`

const selectMinute = (sql: Sql) => sql<{ minute: number }[]>`
  select floor(extract(epoch from now()) / 60)::int as minute`

const selectSpent = (sql: Sql, accountId: string, sinceMinute: number) => sql<{ minute: number; spent: string }[]>`
  select minute, spent from spend_minutes where account_id = ${accountId} and minute >= ${sinceMinute}`

/** Days and months are UTC's. */
const selectKeySpending = (sql: Sql, accountId: string, purseId: string, keyId: string) => sql<
  Record<'day' | 'month' | 'open', string>[]
>`
  select
    coalesce(sum(cost) filter (where day = (now() at time zone 'UTC')::date), 0) as day,
    coalesce(sum(cost), 0) as month,
    (select coalesce(sum(amount), 0) from credit_leases where account_id = ${accountId} and purse_id = ${purseId})
      + (select coalesce(sum(amount), 0) from holds where account_id = ${accountId} and purse_id = ${purseId})
      + (select coalesce(sum(held), 0) from rentals
        where account_id = ${accountId} and purse_id = ${purseId} and state not in ('gone', 'failed')) as open
  from usage_days
  where account_id = ${accountId} and key_id = ${keyId}
    and day >= date_trunc('month', now() at time zone 'UTC')::date`
