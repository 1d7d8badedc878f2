/**
 * What an account's owner is shown of the ledger. Nothing here reads more rows than it answers, but for usage by model or
 * key of what is no whole month.
 */
import type { EndEvent } from '../../../src/domain/ledger.ts'
import { receiptOf, startOf } from '../../../src/domain/receipt.ts'
import {
  dayOf,
  daysAfter,
  maxUsageDays,
  type ShownKind,
  type SumKind,
  type UsagePlace,
  type UsageQuestion,
} from '../../../src/domain/statement.ts'
import type { Statements } from '../../../src/ports.ts'
import type { Sql } from './client.ts'
import type { Cluster } from './cluster.ts'
import { type AmountsRow, toAmounts } from './usage-amounts.ts'

export function createStatements({ cluster }: { cluster: Pick<Cluster, 'read'> }): Statements {
  return {
    async balance(accountId) {
      const [row] = await cluster.read('read balance', { reads: 'primary' }, (sql) => selectBalance(sql, accountId))
      return { available: Number(row?.available ?? 0), held: Number(row?.held ?? 0) }
    },
    async transactions(accountId, { limit, from = newestPosition }) {
      const rows = await cluster.read('list transactions', { reads: 'own', accountId }, (sql) =>
        selectTransactions(sql, accountId, from, limit),
      )
      return rows.map(({ at, operation_id, kind, amount, note, instance_id }) => ({
        at,
        operationId: operation_id,
        kind,
        amount: Number(amount),
        note: note ?? undefined,
        instanceId: instance_id ?? undefined,
      }))
    },
    async usage(accountId, question) {
      const rows = await cluster.read('sum usage', { reads: 'own', accountId }, (sql) =>
        selectUsage(sql, accountId, question),
      )
      return rows.map((row) => ({ group: row.group, ...toAmounts(row) }))
    },
    async usageRows(accountId, { limit, after = firstPlace }) {
      const rows = await cluster.read('list usage', { reads: 'own', accountId }, (sql) =>
        selectUsageRows(sql, accountId, after, limit),
      )
      return rows.map((row) => ({ day: row.day, keyId: row.key_id, model: row.model, ...toAmounts(row) }))
    },
    async receipt(accountId, requestId) {
      const startedAt = startOf(requestId)
      if (startedAt === undefined) return undefined
      const [row] = await cluster.read('find receipt', { reads: 'own', accountId }, (sql) =>
        selectReceipt(sql, accountId, requestId, dayOf(startedAt)),
      )
      return row && receiptOf(row.receipt)
    },
    async receipts(accountId, { limit, before = lastId }) {
      const rows = await cluster.read('list receipts', { reads: 'own', accountId }, (sql) =>
        selectReceipts(sql, accountId, before, limit),
      )
      return rows.flatMap(({ receipt }) => receiptOf(receipt) ?? [])
    },
  }
}

const lastId = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
/** Before every entry there is. */
export const newestPosition = { at: 'infinity', operationId: lastId, kind: '' }

const firstPlace: UsagePlace = { day: '-infinity', keyId: '00000000-0000-0000-0000-000000000000', model: '' }

const selectBalance = (sql: Sql, accountId: string) => sql<{ available: string; held: string }[]>`
  select available, held from balances where account_id = ${accountId}`

interface TransactionRow {
  at: string
  operation_id: string
  kind: ShownKind
  amount: string
  note: string | null
  instance_id: string | null
}

/**
 * The index `ledger_statement` is entered at the position and read as far as the page goes. Its last column is sorted
 * the other way, which one comparison of rows cannot say: hence two.
 */
export const selectTransactions = (sql: Sql, accountId: string, from: typeof newestPosition, limit: number) => sql<
  TransactionRow[]
>`
  select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at, operation_id, kind,
    available + held as amount, note, instance_id
  from ledger_entries
  where account_id = ${accountId} and kind not in ('hold', 'release')
    and (ledger_entries.at, operation_id) <= (${from.at}::text::timestamptz, ${from.operationId})
    and ((ledger_entries.at, operation_id) < (${from.at}::text::timestamptz, ${from.operationId}) or kind >= ${from.kind})
  order by ledger_entries.at desc, operation_id desc, kind
  limit ${limit}`

type GroupRow = AmountsRow & { group: string }

/** Whole months are summed already, as days are. Others are added up: pages do not ask for them. */
function selectUsage(sql: Sql, accountId: string, { groupBy, from, to }: UsageQuestion) {
  const isSummed = groupBy === 'day' || (from.endsWith('-01') && daysAfter(to, 1).endsWith('-01'))
  return isSummed
    ? selectSums(sql, accountId, { groupBy, from, to })
    : selectUsageOfDays(sql, accountId, { groupBy, from, to })
}

/** Of one month, a row for each group. */
export const selectSums = (
  sql: Sql,
  accountId: string,
  { groupBy, from, to }: { groupBy: SumKind; from: string; to: string },
) => sql<GroupRow[]>`
  select case kind when 'day' then to_char(period, 'YYYY-MM-DD') else name end as group, sum(requests) as requests,
    sum(input_tokens) as input_tokens, sum(cached_input_tokens) as cached_input_tokens,
    sum(output_tokens) as output_tokens, sum(cost) as cost
  from usage_sums
  where account_id = ${accountId} and kind = ${groupBy} and period between ${from}::text::date and ${to}::text::date
  group by 1
  ${groupBy === 'day' ? sql`order by 1 limit ${maxUsageDays}` : sql`order by sum(cost) desc, 1 limit 1000`}`

const selectUsageOfDays = (sql: Sql, accountId: string, { groupBy, from, to }: UsageQuestion) => sql<GroupRow[]>`
  select case ${groupBy}::text when 'key' then key_id::text else model end as group,
    sum(requests) as requests, sum(input_tokens) as input_tokens, sum(cached_input_tokens) as cached_input_tokens,
    sum(output_tokens) as output_tokens, sum(cost) as cost
  from usage_days
  where account_id = ${accountId} and day between ${from}::text::date and ${to}::text::date
  group by 1
  order by sum(cost) desc, 1
  limit 1000`

type UsageDayRow = AmountsRow & { day: string; key_id: string; model: string }

const selectUsageRows = (sql: Sql, accountId: string, after: UsagePlace, limit: number) => sql<UsageDayRow[]>`
  select to_char(usage_days.day, 'YYYY-MM-DD') as day, key_id, model, requests, input_tokens, cached_input_tokens,
    output_tokens, cost
  from usage_days
  where account_id = ${accountId}
    and (usage_days.day, key_id, model) > (${after.day}::text::date, ${after.keyId}, ${after.model})
  order by usage_days.day, key_id, model
  limit ${limit}`

/** The day leads to the one partition that may hold it. */
const selectReceipt = (sql: Sql, accountId: string, requestId: string, day: string) => sql<{ receipt: EndEvent }[]>`
  select receipt from receipts
  where account_id = ${accountId} and request_id = ${requestId} and day = ${day}::text::date`

const selectReceipts = (sql: Sql, accountId: string, before: string, limit: number) => sql<{ receipt: EndEvent }[]>`
  select receipt from receipts
  where account_id = ${accountId} and request_id < ${before}
  order by request_id desc
  limit ${limit}`
