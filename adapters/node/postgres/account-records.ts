/** Accounts as those who run the gateway see them. */
import type { Principal } from '../../../src/domain/principal.ts'
import type { AccountChanges, AccountRecord, AccountRecords } from '../../../src/ports.ts'
import type { Sql } from './client.ts'
import type { Cluster } from './cluster.ts'

export const createAccountRecords = ({ cluster }: { cluster: Cluster }): AccountRecords => ({
  async find(accountId) {
    const [row] = await cluster.read('find account', { reads: 'primary' }, (sql) => selectRecord(sql, accountId))
    return row && toRecord(row)
  },
  async list({ limit, before = 'ffffffff-ffff-ffff-ffff-ffffffffffff' }) {
    const rows = await cluster.read('list accounts', { reads: 'primary' }, (sql) => selectRecords(sql, before, limit))
    return rows.map(toRecord)
  },
  async update(accountId, changes) {
    const run = (sql: Sql) => updateRecord(sql, accountId, changes)
    // It may be done again: where COMMIT got no answer it is.
    const lookup = () => cluster.write('change account again', { accountId }, run)
    const [row] = await cluster.write('change account', { accountId }, run, { lookup })
    return row && toRecord(row)
  },
})

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
  accountId: row.account_id,
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

const selectRecord = (sql: Sql, accountId: string) => sql<AccountRow[]>`
  select ${columns(sql)} from accounts where account_id = ${accountId}`

const selectRecords = (sql: Sql, before: string, limit: number) => sql<AccountRow[]>`
  select ${columns(sql)} from accounts where account_id < ${before} order by account_id desc limit ${limit}`

/** What is not named stays as it is. */
const updateRecord = (sql: Sql, accountId: string, { disabled, limits = {} }: AccountChanges) => {
  const limit = (column: string, value: number | null | undefined) =>
    value === undefined ? sql`${sql(column)}` : sql`${value}::bigint`
  const disabledAt =
    disabled === undefined ? sql`disabled_at` : disabled ? sql`coalesce(disabled_at, now())` : sql`null`
  return sql<AccountRow[]>`
    update accounts set disabled_at = ${disabledAt},
      requests_per_minute = ${limit('requests_per_minute', limits.requestsPerMinute)},
      tokens_per_minute = ${limit('tokens_per_minute', limits.tokensPerMinute)},
      max_concurrent = ${limit('max_concurrent', limits.maxConcurrent)}
    where account_id = ${accountId}
    returning ${columns(sql)}`
}
