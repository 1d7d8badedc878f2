/** Money that comes in: one entry of the ledger and the balance that it changes, in one transaction. */
import type { Credit, Credits } from '../../../src/ports.ts'
import type { Sql } from './client.ts'
import type { Cluster } from './cluster.ts'

export const createCredits = ({ cluster }: { cluster: Pick<Cluster, 'write'> }): Credits => ({
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
})

const insertCredit = (sql: Sql, accountId: string, { id, kind, amount }: Credit) => sql<object[]>`
  insert into ledger_entries (account_id, operation_id, kind, at, available, funding)
  values (${accountId}, ${id}, ${kind}, now(), ${amount}, ${-amount})
  on conflict do nothing
  returning account_id`

const raiseBalance = (sql: Sql, accountId: string, amount: number) => sql`
  insert into balances (account_id, available) values (${accountId}, ${amount})
  on conflict (account_id) do update set available = balances.available + excluded.available`
