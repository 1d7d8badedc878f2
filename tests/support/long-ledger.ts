/** Ledgers of any length, made by the server itself: a million entries take seconds. */
import type { Database } from '../../adapters/node/postgres/client.ts'
import type { Position } from '../../src/domain/statement.ts'

/** Entry `n`, counted from the oldest, of every account: one a millisecond. */
export const positionOf = (n: number): Position => ({
  at: new Date(Date.UTC(2026, 0, 1) + n).toISOString().replace('Z', '000Z'),
  operationId: `00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`,
  kind: 'settle',
})

/** So many settled requests, and before every tenth the hold that is not shown. */
export async function fillLedger(database: Database, accountId: string, entries: number): Promise<void> {
  await database.transaction(
    'fill the ledger',
    (sql) => sql`
      insert into ledger_entries (account_id, operation_id, kind, at, available, held, revenue)
      select ${accountId}, ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, kind,
        timestamptz '2026-01-01Z' + n * interval '1 millisecond', case kind when 'hold' then -5 else 2 end,
        case kind when 'hold' then 5 else -5 end, case kind when 'hold' then 0 else 3 end
      from generate_series(1, ${entries}::int) as n
      cross join unnest(array['hold', 'settle']) as kind
      where kind = 'settle' or n % 10 = 0`,
    { timeoutMs: 120_000 },
  )
}
