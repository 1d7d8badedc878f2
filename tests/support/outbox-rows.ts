/** Rows of the billing outbox, as the ledger puts them there. */
import type { Database } from '../../adapters/node/postgres/client.ts'
import type { ChargedOperation } from '../../src/domain/charge.ts'

export async function addOutboxRows(
  database: Database,
  accountId: string,
  operations: readonly ChargedOperation[],
): Promise<void> {
  await database.query(
    'add outbox rows',
    undefined,
    (sql) => sql`
      insert into billing_outbox (account_id, operation_id, at, amount)
      select ${accountId}, id, now(), amount
      from jsonb_to_recordset(${JSON.stringify(operations)}::text::jsonb) as rows (id uuid, amount bigint)`,
  )
}
