import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { connectPostgres, type Database, type Sql } from './client.ts'
import { type CheckedAccount, createLedgerCheck, ledgerRules } from './ledger-check.ts'
import { migrate } from './migrations.ts'

let server: TestPostgres
let database: Database
beforeAll(async () => {
  server = await startTestPostgres()
  database = await connectPostgres({ ...server.connection, clock: systemClock, max: 2 })
  await migrate({ database, log: { info() {}, warn() {} } })
})
afterAll(async () => {
  await database.close({ timeoutS: 1 })
  await server.close()
})

const run = (statement: (sql: Sql) => Promise<unknown>) => database.transaction('fill', statement)
const check = async () => {
  const found: CheckedAccount[] = []
  for await (const account of createLedgerCheck({ database })({ maxHoldS: 660 })) found.push(account)
  return found
}

const account = '00000000-0000-7000-8000-00000000000a'
const [settled, released, held] = [randomUUID(), randomUUID(), randomUUID()]

/** 100 granted; 10 held and 4 of it spent; 20 held and released; 30 held and open; 15 leased. */
beforeEach(async () => {
  for (const table of ['ledger_entries', 'balances', 'holds', 'credit_leases', 'rentals']) {
    await run((sql) => sql`delete from ${sql(table)}`)
  }
  await run((sql) => sql`drop index if exists ledger_ends`)
  await run((sql) => sql`alter table ledger_entries drop constraint if exists ledger_entries_check`)
  await run(
    (sql) => sql`
    insert into ledger_entries (account_id, operation_id, kind, at, available, held, revenue, funding) values
      (${account}, ${randomUUID()}, 'granted', now(), 100, 0, 0, -100),
      (${account}, ${settled}, 'hold', now(), -10, 10, 0, 0),
      (${account}, ${settled}, 'settle', now(), 6, -10, 4, 0),
      (${account}, ${released}, 'hold', now(), -20, 20, 0, 0),
      (${account}, ${released}, 'release', now(), 20, -20, 0, 0),
      (${account}, ${held}, 'hold', now(), -30, 30, 0, 0)`,
  )
  await run(
    (sql) => sql`
    insert into balances (account_id, available, held, leased) values (${account}, 66, 30, 15)`,
  )
  await run(
    (sql) => sql`
    insert into holds (account_id, operation_id, pod_id, process_id, purse_id, key_id, amount, at, terms)
    values (${account}, ${held}, ${account}, ${account}, ${account}, ${account}, 30, now(), '{}')`,
  )
  await run(
    (sql) => sql`
    insert into credit_leases (account_id, purse_id, process_id, pod_id, amount)
    values (${account}, ${account}, ${account}, ${account}, 15)`,
  )
})

test('a ledger that is right has no faults; every account of any table is looked at, once', async () => {
  const others = [randomUUID(), randomUUID()].sort()
  await run((sql) => sql`insert into balances (account_id) values (${others[0]!})`)
  await run(
    (sql) => sql`
    insert into credit_leases (account_id, purse_id, process_id, pod_id, amount)
    values (${others[1]!}, ${account}, ${account}, ${account}, 0)`,
  )
  expect(await check()).toEqual([
    { accountId: account, entries: 6, faults: [] },
    ...others.map((accountId) => ({ accountId, entries: 0, faults: [] })),
  ])
})

describe('each fault is named, with what was found and what should be', () => {
  const rules = new Set<string>()
  const faultsAfter = async (statement: (sql: Sql) => Promise<unknown>) => {
    await run(statement)
    const faults = (await check()).flatMap(({ faults }) => faults)
    for (const { rule } of faults) rules.add(rule)
    return faults.map(({ rule, operationId, found, expected }) => [rule, operationId, found, expected])
  }

  test('an entry that does not sum to zero', async () => {
    const faults = await faultsAfter(
      (sql) => sql`
      update ledger_entries set revenue = 3 where account_id = ${account} and operation_id = ${settled} and kind = 'settle'`,
    )
    expect(faults).toEqual([['entry_sums_to_zero', settled, '-1', '0']])
  })

  test('a balance that is not the sum of its entries', async () => {
    const faults = await faultsAfter((sql) => sql`update balances set available = 67 where account_id = ${account}`)
    expect(faults).toEqual([['available_is_sum_of_entries', undefined, '67', '66']])
  })

  test('a balance that is missing', async () => {
    const faults = await faultsAfter((sql) => sql`delete from balances where account_id = ${account}`)
    expect(faults).toEqual(
      expect.arrayContaining([
        ['available_is_sum_of_entries', undefined, '0', '66'],
        ['held_is_sum_of_entries', undefined, '0', '30'],
        ['held_is_sum_of_holds', undefined, '0', '30'],
        ['leased_is_sum_of_leases', undefined, '0', '15'],
      ]),
    )
  })

  test('an open hold of another amount', async () => {
    const faults = await faultsAfter((sql) => sql`update holds set amount = 29 where account_id = ${account}`)
    expect(faults).toEqual([['held_is_sum_of_holds', undefined, '30', '29']])
  })

  test('a lease that the balance does not know', async () => {
    const faults = await faultsAfter((sql) => sql`delete from credit_leases where account_id = ${account}`)
    expect(faults).toEqual([['leased_is_sum_of_leases', undefined, '15', '0']])
  })

  test('a rental that holds another amount, or whose hour is another', async () => {
    const rent = (sql: Sql) => sql`
      insert into rentals (account_id, rental_id, key_id, purse_id, market, offer, spec, search, state, version, change_id,
        created_at, due_at, hour, held)
      values (${account}, ${held}, ${account}, ${account}, 'vastai', '{}', '{}', '{}',
        'running', 1, ${account}, now() - interval '1 day', now(), 0, 29)`
    const faults = await faultsAfter(async (sql) => {
      await sql`delete from holds where account_id = ${account}`
      await rent(sql)
    })
    expect(faults).toEqual([['held_is_sum_of_holds', undefined, '30', '29']])
    expect(await faultsAfter((sql) => sql`update rentals set held = 30 where account_id = ${account}`)).toEqual([])
    expect(await faultsAfter((sql) => sql`update rentals set hour = 1 where account_id = ${account}`)).toEqual([
      ['one_end', held, '0 ends', '1 end'],
    ])
  })

  test('an operation that has ended twice', async () => {
    const faults = await faultsAfter(
      (sql) => sql`
      insert into ledger_entries (account_id, operation_id, kind, at) values (${account}, ${settled}, 'release', now())`,
    )
    expect(faults).toEqual([['one_end', settled, '2 ends', '1 end']])
  })

  test('an operation whose hold is lost', async () => {
    const faults = await faultsAfter((sql) => sql`delete from holds where account_id = ${account}`)
    expect(faults).toEqual([
      ['held_is_sum_of_holds', undefined, '30', '0'],
      ['one_end', held, '0 ends', '1 end'],
    ])
  })

  test('an operation that has ended and whose hold is open', async () => {
    const faults = await faultsAfter(
      (sql) => sql`
      insert into holds (account_id, operation_id, pod_id, process_id, purse_id, key_id, amount, at, terms)
      values (${account}, ${released}, ${account}, ${account}, ${account}, ${account}, 0, now(), '{}')`,
    )
    expect(faults).toEqual([['one_end', released, '1 ends', '0 ends']])
  })

  test('an end that gave back another amount than was held', async () => {
    const faults = await faultsAfter(
      (sql) => sql`
      update ledger_entries set held = -9, available = 5
      where account_id = ${account} and operation_id = ${settled} and kind = 'settle'`,
    )
    expect(faults).toEqual(
      expect.arrayContaining([
        ['nothing_held_after_end', settled, '1', '0'],
        ['held_is_sum_of_entries', undefined, '30', '31'],
      ]),
    )
  })

  test('a hold that is older than any request may be', async () => {
    const faults = await faultsAfter(
      (sql) => sql`
      update holds set at = now() - interval '700 seconds' where account_id = ${account}`,
    )
    expect(faults).toEqual([['no_old_hold', held, '700 s', '660 s at most']])
  })

  test('and no rule is without a test', () => {
    expect([...rules].sort()).toEqual(Object.keys(ledgerRules).sort())
  })
})
