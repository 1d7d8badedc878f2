/** Accounts as those who run the gateway see them. */
import type { LimitSettings, Principal } from '../../../src/domain/principal.ts'
import type { AccountRecord, AccountRecords } from '../../../src/ports.ts'
import type { Sql } from './client.ts'
import type { Cluster } from './cluster.ts'

export function createAccountRecords({ cluster }: { cluster: Cluster }): AccountRecords {
  /** Each of them may be done again: where COMMIT got no answer it is. */
  const write = async (label: string, accountId: string, run: (sql: Sql) => Promise<object[]>) => {
    const lookup = () => cluster.write(label, { accountId }, run)
    return (await cluster.write(label, { accountId }, run, { lookup })).length > 0
  }
  return {
    async find(accountId) {
      const [row] = await cluster.read('find account', { reads: 'own', accountId }, (sql) =>
        selectAccount(sql, accountId),
      )
      return row && toRecord(row)
    },
    async list({ limit, after = '00000000-0000-0000-0000-000000000000' }) {
      const rows = await cluster.read('list accounts', { reads: 'primary' }, (sql) => selectAccounts(sql, after, limit))
      return rows.map(toRecord)
    },
    setDisabled: (accountId, disabled) =>
      write('disable account', accountId, (sql) => updateDisabled(sql, accountId, disabled)),
    setLimits: (accountId, limits) => write('limit account', accountId, (sql) => updateLimits(sql, accountId, limits)),
  }
}

interface AccountRow {
  account_id: string
  name: string
  role: Principal['role']
  requests_per_minute: number | null
  tokens_per_minute: string | null
  max_concurrent: number | null
  created_at: Date
  disabled_at: Date | null
}

const toRecord = (row: AccountRow): AccountRecord => ({
  id: row.account_id,
  name: row.name,
  role: row.role,
  limits: {
    requestsPerMinute: row.requests_per_minute ?? undefined,
    tokensPerMinute: row.tokens_per_minute === null ? undefined : Number(row.tokens_per_minute),
    maxConcurrent: row.max_concurrent ?? undefined,
  },
  createdAt: row.created_at,
  disabledAt: row.disabled_at ?? undefined,
})

const columns = (sql: Sql) => sql`
  account_id, name, role, requests_per_minute, tokens_per_minute, max_concurrent, created_at, disabled_at`

const selectAccount = (sql: Sql, accountId: string) => sql<AccountRow[]>`
  select ${columns(sql)} from accounts where account_id = ${accountId}`

const selectAccounts = (sql: Sql, after: string, limit: number) => sql<AccountRow[]>`
  select ${columns(sql)} from accounts where account_id > ${after} order by account_id limit ${limit}`

const updateDisabled = (sql: Sql, accountId: string, disabled: boolean) => sql<object[]>`
  update accounts set disabled_at = case when ${disabled}::boolean then coalesce(disabled_at, now()) end
  where account_id = ${accountId}
  returning account_id`

const updateLimits = (sql: Sql, accountId: string, limits: LimitSettings) => sql<object[]>`
  update accounts set requests_per_minute = ${limits.requestsPerMinute ?? null},
    tokens_per_minute = ${limits.tokensPerMinute ?? null}, max_concurrent = ${limits.maxConcurrent ?? null}
  where account_id = ${accountId}
  returning account_id`
