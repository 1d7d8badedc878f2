/** Money that comes in: one entry of the ledger and the balance that it changes, in one transaction. */
import type { Credit, Credits } from '../../../src/ports.ts'
import type { Sql } from './client.ts'
import type { Cluster } from './cluster.ts'

export const createCredits = ({ cluster }: { cluster: Pick<Cluster, 'read' | 'write'> }): Credits => ({
  async grant(accountId, credit) {
    const run = async (sql: Sql) => {
      const entries = await insertCredit(sql, accountId, credit)
      if (entries.length > 0) await raiseBalance(sql, accountId, credit.amount)
      return entries.length > 0
    }
    // Where COMMIT got no answer it is told again: once it is there, that changes nothing.
    const lookup = () => cluster.write('grant credit again', { accountId, pool: 'ledger' }, run)
    return cluster.write('grant credit', { accountId, pool: 'ledger' }, run, { lookup })
  },
  async granted(accountId, { id, kind }) {
    const [row] = await cluster.read('find credit', { reads: 'primary', pool: 'ledger' }, (sql) =>
      selectCredit(sql, accountId, id, kind),
    )
    return row && { amount: Number(row.available), note: row.note ?? undefined }
  },
})

const insertCredit = (sql: Sql, accountId: string, { id, kind, amount, note }: Credit) => sql<object[]>`
  insert into ledger_entries (account_id, operation_id, kind, at, available, funding, note)
  values (${accountId}, ${id}, ${kind}, now(), ${amount}, ${-amount}, ${note ?? null})
  on conflict do nothing
  returning account_id`

const raiseBalance = (sql: Sql, accountId: string, amount: number) => sql`
  insert into balances (account_id, available) values (${accountId}, ${amount})
  on conflict (account_id) do update set available = balances.available + excluded.available`

const selectCredit = (sql: Sql, accountId: string, id: string, kind: string) => sql<
  { available: string; note: string | null }[]
>`
  select available, note from ledger_entries where account_id = ${accountId} and operation_id = ${id} and kind = ${kind}`
