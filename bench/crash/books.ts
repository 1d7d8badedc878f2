/** Reads the books once nothing is under way any more. */
import type { Database } from '../../adapters/node/postgres/client.ts'
import type { EndEvent } from '../../src/domain/ledger.ts'
import { faultsInBooks } from '../../tests/support/ledger.ts'
import type { BookedEnd } from './check.ts'

/** Waits until nothing is under way any more; what is left then is left for good. */
export async function drained(database: Database, timeoutMs: number, pendingEvents: () => Promise<number>) {
  const until = performance.now() + timeoutMs
  for (;;) {
    // First: what leaves the journals after it has been counted is in the tables that are looked at next.
    const pending = await pendingEvents()
    // Turns of the killed: they would be over in 90 s.
    await database.query(
      'end turns',
      undefined,
      (sql) => sql`update charge_turns set until = now() where until > now()`,
    )
    const [row] = await database.query(
      'left',
      undefined,
      (sql) => sql<{ outbox: number; holds: number }[]>`
        select (select count(*)::int from billing_outbox) as outbox, (select count(*)::int from holds) as holds`,
    )
    const { outbox, holds } = row!
    if ((outbox === 0 && holds === 0 && pending === 0) || performance.now() > until) {
      const faults = await faultsInBooks(database)
      return { outbox, holds, faults: pending === 0 ? faults : [...faults, `${pending} events wait in journals`] }
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000))
  }
}

/** @param since of operations that began then or later. */
export async function bookedEnds(database: Database, since = new Date(0)): Promise<BookedEnd[]> {
  const rows = await database.query(
    'ends',
    undefined,
    (sql) => sql<{ id: string; kind: BookedEnd['kind']; revenue: string; end: EndEvent }[]>`
      select entries.operation_id as id, kind, revenue, receipt as "end"
      from ledger_entries as entries
      join receipts on receipts.account_id = entries.account_id and receipts.request_id = entries.operation_id
      where kind in ('settle', 'release') and at >= ${since}`,
  )
  return rows.map(({ id, kind, revenue, end }) => ({
    operationId: id,
    kind,
    amount: Number(revenue),
    inputTokens: end.inputTokens,
    outputTokens: end.outputTokens,
    source: end.facts!.source,
  }))
}
