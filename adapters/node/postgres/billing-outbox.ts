/** The outbox for the billing system. Times are the database's: pods may disagree about them. */
import type { Charge, ChargeEnd } from '../../../src/domain/charge.ts'
import type { BillingOutbox, Turn } from '../../../src/ports.ts'
import type { Database, Sql } from './client.ts'

/** Accounts looked at for one call of `takeTurns`: those that rest are passed over. */
const maxScanned = 256
const maxCounted = 100_000
/** Before the first of all ids. */
const beginning = '00000000-0000-0000-0000-000000000000'

export function createBillingOutbox({ database }: { database: Database }): BillingOutbox {
  /** Where the next look begins, so that every account has its turn. */
  let after = beginning

  return {
    async takeTurns({ holder, max, forMs }) {
      const rows = await database.query('find charges', undefined, (sql) => scanAccounts(sql, after, maxScanned))
      const free = rows.filter(({ free }) => free).slice(0, max)
      const lastSeen = free.length === max ? free.at(-1) : rows.length === maxScanned ? rows.at(-1) : undefined
      after = lastSeen?.account_id ?? beginning
      if (free.length === 0) return []
      const accountIds = free.map(({ account_id }) => account_id)
      const taken = await database.query('take turns', undefined, (sql) => upsertTurns(sql, accountIds, holder, forMs))
      return taken.map(({ account_id: accountId, failures }) => ({ accountId, holder, failures }))
    },

    nextCharge: ({ accountId, holder }, { maxOperations, forMs }) =>
      database.transaction('next charge', async (sql) => {
        // Locks the turn: who lost it while it slept can settle no charge any more.
        const kept = await renewTurn(sql, accountId, holder, forMs)
        if (kept.length === 0) return undefined
        const begun = await selectBegun(sql, accountId)
        return toCharge(accountId, begun.length > 0 ? begun : await bindOldest(sql, accountId, maxOperations))
      }),

    async finish(charge, end) {
      await database.transaction('finish charge', async (sql) => {
        await deleteOperations(sql, charge.accountId, charge.id)
        await insertCharge(sql, charge, end)
      })
    },

    async endTurn(turn, { restMs, failures }) {
      await database.query('end turn', undefined, (sql) =>
        failures === 0 && restMs === 0 ? deleteTurn(sql, turn) : updateTurn(sql, turn, restMs, failures),
      )
    },

    async pending() {
      const [row] = await database.query('count outbox', undefined, (sql) => countPending(sql, maxCounted))
      return row?.pending ?? 0
    },
  }
}

interface OutboxRow {
  operation_id: string
  number: string
  at: Date
  amount: string
  charge_id: string
}

function toCharge(accountId: string, rows: readonly OutboxRow[]): Charge | undefined {
  const all = rows.toSorted((a, b) => (BigInt(a.number) < BigInt(b.number) ? -1 : 1))
  // Several may be begun where an operator has put a parked one back.
  const ordered = all.filter(({ charge_id }) => charge_id === all[0]?.charge_id)
  const last = ordered.at(-1)
  if (!last) return undefined
  const operations = ordered.map(({ operation_id, amount }) => ({ id: operation_id, amount: Number(amount) }))
  const amount = operations.reduce((sum, each) => sum + each.amount, 0)
  return { id: last.charge_id, accountId, amount, occurredAt: last.at, operations }
}

/** One probe of an index for each account, however many operations each has. */
const scanAccounts = (sql: Sql, after: string, max: number) => sql<{ account_id: string; free: boolean }[]>`
  with recursive waiting as (
    (select account_id from billing_outbox where account_id > ${after} order by account_id limit 1)
    union all
    select (
      select account_id from billing_outbox where account_id > waiting.account_id order by account_id limit 1
    )
    from waiting where waiting.account_id is not null
  )
  select seen.account_id, coalesce(turns.until <= now(), true) as free
  from (select account_id from waiting where account_id is not null limit ${max}) as seen
  left join charge_turns as turns on turns.account_id = seen.account_id
  order by seen.account_id`

/** On conflict the turn is another's, unless its time is over. In order, so that two who take some lock in turn. */
const upsertTurns = (sql: Sql, accountIds: string[], holder: string, forMs: number) => sql<
  { account_id: string; failures: number }[]
>`
  insert into charge_turns (account_id, holder, until)
  select account_id, ${holder}, now() + ${forMs} * interval '1 ms'
  from unnest(${accountIds}::uuid[]) as ids (account_id) order by account_id
  on conflict (account_id) do update set holder = excluded.holder, until = excluded.until
    where charge_turns.until <= now()
  returning account_id, failures`

const renewTurn = (sql: Sql, accountId: string, holder: string, forMs: number) => sql<object[]>`
  update charge_turns set until = now() + ${forMs} * interval '1 ms'
  where account_id = ${accountId} and holder = ${holder} and until > now()
  returning account_id`

const selectBegun = (sql: Sql, accountId: string) => sql<OutboxRow[]>`
  select operation_id, number, at, amount, charge_id from billing_outbox
  where account_id = ${accountId} and charge_id is not null`

const bindOldest = (sql: Sql, accountId: string, max: number) => sql<OutboxRow[]>`
  with oldest as (
    select operation_id, number from billing_outbox
    where account_id = ${accountId} and charge_id is null
    order by number limit ${max}
  )
  update billing_outbox as operations
  set charge_id = (select operation_id from oldest order by number limit 1)
  from oldest
  where operations.account_id = ${accountId} and operations.operation_id = oldest.operation_id
  returning operations.operation_id, operations.number, operations.at, operations.amount, operations.charge_id`

const deleteOperations = (sql: Sql, accountId: string, chargeId: string) => sql`
  delete from billing_outbox where account_id = ${accountId} and charge_id = ${chargeId}`

/** On conflict it was finished before. */
const insertCharge = (sql: Sql, charge: Charge, end: ChargeEnd) => sql`
  insert into charges (account_id, charge_id, amount, operations, state, transaction_id, reason, content)
  values (${charge.accountId}, ${charge.id}, ${charge.amount}, ${charge.operations.length}, ${end.state},
    ${end.state === 'delivered' ? end.transactionId : null}, ${end.state === 'parked' ? end.reason : null},
    ${end.state === 'parked' ? JSON.stringify(charge) : null}::text::jsonb)
  on conflict (account_id, charge_id) do nothing`

const deleteTurn = (sql: Sql, { accountId, holder }: Turn) => sql`
  delete from charge_turns where account_id = ${accountId} and holder = ${holder}`

const updateTurn = (sql: Sql, { accountId, holder }: Turn, restMs: number, failures: number) => sql`
  update charge_turns set until = now() + ${restMs} * interval '1 ms', failures = ${failures}
  where account_id = ${accountId} and holder = ${holder}`

const countPending = (sql: Sql, max: number) => sql<{ pending: number }[]>`
  select count(*)::int as pending from (select 1 from billing_outbox limit ${max}) as counted`
