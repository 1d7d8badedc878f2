import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import { billingOutboxContract } from '../../../tests/contracts/billing-outbox.ts'
import { addOutboxRows } from '../../../tests/support/outbox-rows.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { createBillingOutbox } from './billing-outbox.ts'
import { connectPostgres, type Database } from './client.ts'
import { migrate } from './migrations.ts'

let server: TestPostgres
let database: Database
beforeAll(async () => {
  server = await startTestPostgres()
  database = await connectPostgres({ ...server.connection, clock: systemClock, max: 6 })
  await migrate({ database, log: { info() {}, warn() {} } })
})
afterAll(async () => {
  await database.close({ timeoutS: 1 })
  await server.close()
})

/** Instead of waiting: every turn ends so much earlier. */
const pass = (ms: number) =>
  database.query(
    'pass',
    undefined,
    (sql) => sql`update charge_turns set until = until - ${ms} * interval '1 ms'`,
  ) as Promise<unknown> as Promise<void>

async function empty() {
  await database.query('empty', undefined, (sql) => sql`truncate billing_outbox, charge_turns, charges`)
  return createBillingOutbox({ database })
}

billingOutboxContract('the outbox in PostgreSQL', async () => ({
  outbox: await empty(),
  add: (accountId, operations) => addOutboxRows(database, accountId, operations),
  pass,
}))

test('a delivered charge is remembered by its transaction, a parked one whole and with its reason', async () => {
  const outbox = await empty()
  const [accountId, holder, first, second] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()]
  await addOutboxRows(database, accountId, [
    { id: first, amount: 7 },
    { id: second, amount: 8 },
  ])
  const [turn] = await outbox.takeTurns({ holder, max: 1, forMs: 60_000 })
  const next = () => outbox.nextCharge(turn!, { maxOperations: 1, forMs: 60_000 })
  await outbox.finish((await next())!, { state: 'delivered', transactionId: 'tx_1' })
  const parked = (await next())!
  await outbox.finish(parked, { state: 'parked', reason: '422 unknown_account' })
  const rows = await database.query(
    'charges',
    undefined,
    (sql) => sql<object[]>`
      select charge_id, amount, operations, state, transaction_id, reason, content
      from charges where account_id = ${accountId} order by amount`,
  )
  expect(rows).toEqual([
    {
      charge_id: first,
      amount: '7',
      operations: 1,
      state: 'delivered',
      transaction_id: 'tx_1',
      reason: null,
      content: null,
    },
    {
      charge_id: second,
      amount: '8',
      operations: 1,
      state: 'parked',
      transaction_id: null,
      reason: '422 unknown_account',
      content: JSON.parse(JSON.stringify(parked)),
    },
  ])
})

test('accounts past the first look are found too', async () => {
  const outbox = await empty()
  const accounts = Array.from({ length: 600 }, () => randomUUID())
  await database.query(
    'many accounts',
    undefined,
    (sql) => sql`
      insert into billing_outbox (account_id, operation_id, at, amount)
      select id, gen_random_uuid(), now(), 1 from unnest(${accounts}::uuid[]) as ids (id)`,
  )
  const found = new Set<string>()
  for (let i = 0; i < 10; i++) {
    const turns = await outbox.takeTurns({ holder: randomUUID(), max: 100, forMs: 60_000 })
    for (const { accountId } of turns) found.add(accountId)
  }
  expect(found.size).toBe(600)
})
