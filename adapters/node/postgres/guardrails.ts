/** What an account has spent by the minute, and what it may: read on the primary, since spending is decided by it. */
import type { WindowLimits } from '../../../src/domain/guardrails.ts'
import type { Guardrails } from '../../../src/ports.ts'
import type { Sql } from './client.ts'
import type { Cluster } from './cluster.ts'

export function createGuardrails({ cluster }: { cluster: Cluster }): Guardrails {
  /** Each of them may be done again: where COMMIT got no answer it is. */
  const write = async (label: string, accountId: string, run: (sql: Sql) => Promise<unknown>) => {
    const once = () => cluster.write(label, { accountId }, (sql) => run(sql).then(() => true))
    await cluster.write(label, { accountId }, (sql) => run(sql).then(() => true), { lookup: once })
  }
  return {
    async state(accountId) {
      const [row] = await cluster.read('read guard rails', { reads: 'primary', pool: 'ledger' }, (sql) =>
        selectState(sql, accountId),
      )
      const spent = Object.entries(row?.spent ?? {})
      return {
        limits: row?.limits ?? {},
        shadow: row?.shadow ?? false,
        spent: new Map(spent.map(([minute, amount]) => [Number(minute), amount])),
        outstanding: Number(row?.outstanding ?? 0),
      }
    },
    setLimits: (accountId, limits) =>
      write('set guard rails', accountId, (sql) => upsertLimits(sql, accountId, JSON.stringify(limits))),
    setShadow: (accountId, shadow) =>
      write('set shadow mode', accountId, (sql) => upsertShadow(sql, accountId, shadow)),
    reset: (accountId, minute) => write('reset guard rails', accountId, (sql) => upsertReset(sql, accountId, minute)),
  }
}

interface StateRow {
  limits: WindowLimits | null
  shadow: boolean | null
  spent: Record<string, number> | null
  outstanding: string | null
}

/** The purge of old minutes keeps this short: the longest window, and an hour. */
const selectState = (sql: Sql, accountId: string) => sql<StateRow[]>`
  select own.limits, own.shadow, balances.held + balances.leased as outstanding,
    (
      select json_object_agg(minute, spent) from spend_minutes
      where spend_minutes.account_id = account.id and minute >= coalesce(own.reset_minute, 0)
    ) as spent
  from (select ${accountId}::uuid as id) as account
  left join guardrails as own on own.account_id = account.id
  left join balances on balances.account_id = account.id`

const upsertLimits = (sql: Sql, accountId: string, limits: string) => sql`
  insert into guardrails (account_id, limits) values (${accountId}, jsonb_strip_nulls(${limits}::text::jsonb))
  on conflict (account_id) do update set limits = jsonb_strip_nulls(guardrails.limits || ${limits}::text::jsonb)`

const upsertShadow = (sql: Sql, accountId: string, shadow: boolean) => sql`
  insert into guardrails (account_id, shadow) values (${accountId}, ${shadow})
  on conflict (account_id) do update set shadow = excluded.shadow`

/** Never back: what an earlier reset forgave stays forgiven. */
const upsertReset = (sql: Sql, accountId: string, minute: number) => sql`
  insert into guardrails (account_id, reset_minute) values (${accountId}, ${minute})
  on conflict (account_id) do update set reset_minute = greatest(guardrails.reset_minute, excluded.reset_minute)`
