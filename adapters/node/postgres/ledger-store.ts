/**
 * The ledger's books. Whoever changes an account's money first locks its balance, so that all who do stand in one row,
 * and those of several accounts are locked in one order.
 */

import type { WindowLimits } from '../../../src/domain/guardrails.ts'
import type { LedgerEvent, Terms } from '../../../src/domain/ledger.ts'
import type { CreditSlice, LeaseAnswer, LeaseAsk, LedgerStore, OpenHold } from '../../../src/ports.ts'
import { type Database, QueryFailed, type Sql } from './client.ts'
import type { Cluster } from './cluster.ts'
import { enterEvents, lockBalances } from './ledger-entry.ts'
import type { PrimaryWatch } from './primary-watch.ts'
import { blockOf, booksIn, isLimited, type PurseRow, selectPurse } from './purse.ts'
import type { Transact } from './transactions.ts'

export interface LedgerStoreOptions {
  database: Database
  cluster: Pick<Cluster, 'read'>
  transact: Transact
  watch: Pick<PrimaryWatch, 'subscribe'>
  /** Of every account; its own may only be stricter. Undefined = guard rails are off. */
  windowLimits: WindowLimits | undefined
}

export function createLedgerStore(options: LedgerStoreOptions): LedgerStore {
  const { database, cluster, transact, watch, windowLimits } = options
  let timeline = ''
  watch.subscribe((look) => {
    if (look) timeline = look.timeline
  })

  /** Every one of them may be told again, so a commit without an answer is no more than a failure. */
  const transaction = <T>(label: string, run: (sql: Sql) => Promise<T>) => transact(database, label, run)

  const enterAll = (group: string, alone: boolean) =>
    transaction('enter ledger events', (sql) => enterEvents(sql, group, alone))

  /** Only what was not renewed for so long. */
  async function giveBack(slices: readonly CreditSlice[], notRenewedForMs: number) {
    if (slices.length === 0) return new Map<string, number>()
    const rows = await transaction('give credit back', async (sql) => {
      await lockBalances(
        sql,
        slices.map(({ accountId }) => accountId),
      )
      return shrinkLeases(sql, slices.map(toRow), notRenewedForMs)
    })
    return new Map(rows.map(({ purse_id, amount }) => [purse_id, Number(amount)]))
  }

  return {
    async enter(group) {
      try {
        return { refused: 0, spendable: await enterAll(group, false) }
      } catch (error) {
        if (!isAboutValues(error)) throw error
      }
      // One that cannot be entered must not keep the others waiting for ever.
      let refused = 0
      const spendable = new Map<string, number>()
      for (const event of JSON.parse(group) as LedgerEvent[]) {
        try {
          for (const [account, left] of await enterAll(JSON.stringify([event]), true)) spendable.set(account, left)
        } catch (error) {
          if (!isAboutValues(error)) throw error
          // A hold that no credit is left for: its end will be written off as far as it has to be.
          if (event.event !== 'hold') refused++
        }
      }
      return { refused, spendable }
    },

    lease: (ask) => transaction('lease credit', (sql) => lease(sql, ask, windowLimits)),

    async look(accountId) {
      const [row] = await cluster.read('look at credit', { reads: 'any' }, (sql) => selectBalance(sql, accountId))
      const { available, held, leased } = booksIn(row)
      return { spendable: available - leased, elsewhere: leased, held, limited: isLimited(row, windowLimits) }
    },

    giveBack: (slices) => giveBack(slices, 0),

    async renew(slices) {
      if (slices.length === 0) return []
      const rows = await database.query('renew leases', undefined, (sql) => renewLeases(sql, slices))
      const there = new Set(rows.map(({ purse_id }) => purse_id))
      return slices.map(({ purseId }) => purseId).filter((purseId) => !there.has(purseId))
    },

    async formerHolds(podId, processId, max) {
      const rows = await database.query('former holds', undefined, (sql) =>
        selectFormerHolds(sql, podId, processId, max),
      )
      return rows.map(toHold)
    },

    async endFormerLeases(podId, processId) {
      const rows = await database.query('former leases', undefined, (sql) => selectFormerLeases(sql, podId, processId))
      await giveBack(rows.map(toSlice), 0)
    },

    async abandoned({ holdsOlderThanMs, max }) {
      const rows = await database.query('abandoned holds', undefined, (sql) =>
        selectAbandonedHolds(sql, holdsOlderThanMs, max),
      )
      return rows.map(toHold)
    },

    async endAbandonedLeases(notRenewedForMs) {
      const rows = await database.query('abandoned leases', undefined, (sql) =>
        selectAbandonedLeases(sql, notRenewedForMs),
      )
      // Its pod may have come back since they were looked for, and have leased anew.
      await giveBack(rows.map(toSlice), notRenewedForMs)
      return rows.length
    },

    async stateOf(accountId, operationId) {
      const kinds = await database.query('state of operation', undefined, (sql) =>
        selectKinds(sql, accountId, operationId),
      )
      return (['settle', 'release', 'hold'] as const).find((kind) => kinds.some((row) => row.kind === kind))
    },

    primary: () => timeline,
  }
}

/** Data exceptions and broken constraints: the same statement will fail the same way. */
const isAboutValues = (error: unknown) => error instanceof QueryFailed && /^2[23]/.test(error.code)

async function lease(sql: Sql, ask: LeaseAsk, operator: WindowLimits | undefined): Promise<LeaseAnswer> {
  const { accountId, need, want } = ask
  const [row] = await selectPurse(sql, accountId)
  const { available, held, leased } = booksIn(row)
  const spendable = available - leased
  const answer: LeaseAnswer = {
    granted: 0,
    spendable,
    elsewhere: leased,
    held,
    limited: isLimited(row, operator),
    blocked: undefined,
    shadowed: undefined,
  }
  if (spendable < need || !row) return answer

  const block = await blockOf(sql, ask, row, operator)
  let amount = Math.min(want, spendable)
  const wanted = block(amount)
  if (wanted) amount = need
  const blocked = wanted && block(need)
  if (blocked && blocked.by === 'window' && row.shadow) answer.shadowed = blocked
  else if (blocked) return { ...answer, blocked }
  await takeLease(sql, ask, amount)
  return { ...answer, granted: amount, spendable: spendable - amount, elsewhere: leased }
}

async function takeLease(sql: Sql, { accountId, purseId, processId, podId }: LeaseAsk, amount: number) {
  await sql`update balances set leased = leased + ${amount} where account_id = ${accountId}`
  await sql`
    insert into credit_leases as leases (account_id, purse_id, process_id, pod_id, amount)
    values (${accountId}, ${purseId}, ${processId}, ${podId}, ${amount})
    on conflict (account_id, purse_id, process_id)
    do update set amount = leases.amount + excluded.amount, renewed_at = now()`
}

const selectBalance = (sql: Sql, accountId: string) => sql<PurseRow[]>`
  select balances.available, balances.held, balances.leased, guardrails.limits
  from balances left join guardrails on guardrails.account_id = balances.account_id
  where balances.account_id = ${accountId}`

interface SliceRow {
  account_id: string
  purse_id: string
  process_id: string
}

const toSlice = (row: SliceRow) => ({
  accountId: row.account_id,
  purseId: row.purse_id,
  processId: row.process_id,
  amount: 'all' as const,
})

/** `amount` null = all of it. */
const toRow = (slice: { accountId: string; purseId: string; processId: string; amount: number | 'all' }) => ({
  account_id: slice.accountId,
  purse_id: slice.purseId,
  process_id: slice.processId,
  amount: slice.amount === 'all' ? null : slice.amount,
})

/** Never more than there is: the books are right and the process may have counted less. */
const shrinkLeases = (sql: Sql, rows: readonly object[], notRenewedForMs: number) => sql<
  { purse_id: string; amount: string }[]
>`
  with slices as (
    select leases.account_id, leases.purse_id, leases.process_id,
      least(leases.amount, coalesce(slices.amount, leases.amount)) as amount, slices.amount is null as everything
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb)
      as slices (account_id uuid, purse_id uuid, process_id uuid, amount bigint)
    join credit_leases as leases on leases.account_id = slices.account_id
      and leases.purse_id = slices.purse_id and leases.process_id = slices.process_id
    where leases.renewed_at <= now() - ${notRenewedForMs} * interval '1 ms'
  ), emptied as (
    delete from credit_leases as leases using slices
    where slices.everything and leases.account_id = slices.account_id and leases.purse_id = slices.purse_id
      and leases.process_id = slices.process_id
  ), shrunk as (
    update credit_leases as leases set amount = leases.amount - slices.amount from slices
    where not slices.everything and leases.account_id = slices.account_id and leases.purse_id = slices.purse_id
      and leases.process_id = slices.process_id
  ), returned as (
    select account_id, sum(amount) as amount from slices group by account_id
  ), freed as (
    update balances set leased = balances.leased - returned.amount from returned
    where balances.account_id = returned.account_id
  )
  select purse_id, sum(amount) as amount from slices group by purse_id`

const renewLeases = (sql: Sql, slices: readonly { accountId: string; purseId: string; processId: string }[]) => sql<
  { purse_id: string }[]
>`
  update credit_leases as leases set renewed_at = now()
  from jsonb_to_recordset(${JSON.stringify(slices.map((slice) => toRow({ ...slice, amount: 0 })))}::text::jsonb)
    as slices (account_id uuid, purse_id uuid, process_id uuid)
  where leases.account_id = slices.account_id and leases.purse_id = slices.purse_id
    and leases.process_id = slices.process_id
  returning leases.purse_id`

interface HoldRow extends SliceRow {
  operation_id: string
  key_id: string
  amount: string
  terms: Terms
  output_tokens: string
}

const toHold = (row: HoldRow): OpenHold => ({
  accountId: row.account_id,
  operationId: row.operation_id,
  keyId: row.key_id,
  purseId: row.purse_id,
  processId: row.process_id,
  amount: Number(row.amount),
  terms: row.terms,
  outputTokens: Number(row.output_tokens),
})

const selectFormerHolds = (sql: Sql, podId: string, processId: string, max: number) => sql<HoldRow[]>`
  select account_id, operation_id, key_id, purse_id, process_id, amount, terms, output_tokens
  from holds where pod_id = ${podId} and process_id <> ${processId} limit ${max}`

const selectFormerLeases = (sql: Sql, podId: string, processId: string) => sql<SliceRow[]>`
  select account_id, purse_id, process_id from credit_leases
  where pod_id = ${podId} and process_id <> ${processId}`

const selectAbandonedHolds = (sql: Sql, olderThanMs: number, max: number) => sql<HoldRow[]>`
  select account_id, operation_id, key_id, purse_id, process_id, amount, terms, output_tokens
  from holds where at < now() - ${olderThanMs} * interval '1 ms' order by at limit ${max}`

const selectKinds = (sql: Sql, accountId: string, operationId: string) => sql<{ kind: string }[]>`
  select kind from ledger_entries where account_id = ${accountId} and operation_id = ${operationId}`

const selectAbandonedLeases = (sql: Sql, notRenewedForMs: number) => sql<SliceRow[]>`
  select account_id, purse_id, process_id from credit_leases
  where renewed_at < now() - ${notRenewedForMs} * interval '1 ms' limit 1000`
