/**
 * Rentals in PostgreSQL beside those in memory: whatever is done, in whatever order, both come to the same, and the
 * ledger's check finds nothing.
 */
import { randomUUID } from 'node:crypto'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { hourOperation, type Rental } from '../../../src/domain/rental.ts'
import type { Credits, Guardrails, HoldTerms, Rentals, Statements } from '../../../src/ports.ts'
import { createBackoff } from '../../../src/resilience/backoff.ts'
import { systemClock } from '../../../src/resilience/clock.ts'
import { faultsInLedger } from '../../../tests/support/ledger.ts'
import { newRental } from '../../../tests/support/new-rental.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { createMemoryBooks } from '../../memory/books.ts'
import { createMemoryRentals } from '../../memory/rentals.ts'
import type { Database } from './client.ts'
import { type ConnectedCluster, connectCluster } from './connect-cluster.ts'
import { createCredits } from './credits.ts'
import { DatabaseUnavailable, OutcomeUnknown } from './failures.ts'
import { createGuardrails } from './guardrails.ts'
import { migrate } from './migrations.ts'
import { createRentals } from './rentals.ts'
import { createStatements } from './statements.ts'
import { createTransact } from './transactions.ts'

let server: TestPostgres
let cluster: ConnectedCluster
beforeAll(async () => {
  server = await startTestPostgres()
  cluster = await connectCluster({ ...server.connection, clock: systemClock, max: 8, min: 0 })
  await migrate({ database: cluster.pools.general, log: { info() {}, warn() {} } })
})
afterAll(async () => {
  await cluster.close({ timeoutS: 1 })
  await server.close()
})

interface World {
  rentals: Rentals
  credits: Credits
  statements: Statements
  guardrails: Guardrails
}

/** One moment for both, so that what they note is the same. */
const at = new Date(Math.floor(Date.now() / 1_000) * 1_000)
const clock = { wallNow: () => at.getTime() }
const inMemory = (): World => {
  const books = createMemoryBooks({ clock })
  return { ...books, rentals: createMemoryRentals({ clock, books }) }
}
const inPostgres = (): World => ({
  rentals: createRentals({ cluster, clock, windowLimits: {} }),
  credits: createCredits({ cluster }),
  statements: createStatements({ cluster }),
  guardrails: createGuardrails({ cluster }),
})

const amount = fc.integer({ min: 0, max: 400 })
const pick = fc.nat({ max: 5 })
const step = fc.oneof(
  fc.record({ do: fc.constant('begin' as const), holds: fc.array(amount, { minLength: 1, maxLength: 3 }) }),
  fc.record({ do: fc.constant('run' as const), pick }),
  fc.record({ do: fc.constant('accrue' as const), pick, amount }),
  fc.record({ do: fc.constant('turn' as const), pick, settle: amount, next: amount }),
  fc.record({ do: fc.constant('end' as const), pick, settle: amount, refund: amount, isStale: fc.boolean() }),
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** All that can be seen of it, in the end and on the way. */
async function history(world: World, ids: { accountId: string; keyId: string; rentals: string[] }, steps: Step[]) {
  const { rentals, statements, guardrails, credits } = world
  const { accountId, keyId } = ids
  const terms: HoldTerms = { accountId, purseId: keyId, budgets: { keyId, perDay: 900, perMonth: undefined } }
  await credits.grant(accountId, { id: ids.rentals[0]!, kind: 'granted', amount: 1_000 })
  await guardrails.setLimits(accountId, { '60min': 800 })
  const answers: unknown[] = []
  const begun: string[] = []
  const nth = async (n: number) => {
    const id = begun[n % Math.max(begun.length, 1)]
    return id === undefined ? undefined : rentals.find(accountId, id)
  }
  const take = async (one: Step): Promise<unknown> => {
    if (one.do === 'begin') {
      const wanted = one.holds.map((hold) => {
        const id = ids.rentals[begun.length + 1]!
        begun.push(id)
        return { rental: newRental({ id, accountId, keyId, purseId: keyId }), hold }
      })
      const answer = await rentals.begin(wanted, terms)
      if (!Array.isArray(answer)) begun.splice(-wanted.length)
      return answer
    }
    const rental = await nth(one.pick)
    if (!rental) return 'none'
    switch (one.do) {
      case 'run':
        await rentals.change(rental, { state: 'creating', createSentAt: at }).catch(() => undefined)
        return rentals
          .change((await nth(one.pick))!, { state: 'running', startedAt: at, marketId: '7' })
          .catch((error: Error) => error.name)
      case 'accrue':
        return rentals.change(rental, { accrued: one.amount, accruedAt: at }).catch((error: Error) => error.name)
      case 'turn':
        return rentals.nextHour(rental, { at, settle: one.settle, next: one.next, dueAt: at }, terms)
      case 'end': {
        const state = rental.state === 'intended' || rental.state === 'creating' ? 'gone' : 'failed'
        const ending = state === 'failed' && (await rentals.change(rental, { state: 'ending' }).catch(() => undefined))
        const seen: Rental = one.isStale ? rental : ending || rental
        const end = { at, state, reason: 'owner', settle: one.settle, refund: one.refund } as const
        return rentals.end(seen, end).catch((error: Error) => error.name)
      }
    }
  }
  for (const one of steps) answers.push(await take(one))
  const rows = await rentals.list(accountId, { limit: 100, withGone: true })
  const { spent, outstanding } = await guardrails.state(accountId)
  const sum = [...spent.values()].reduce((a, b) => a + b, 0)
  const transactions = await statements.transactions(accountId, { limit: 200 })
  return {
    answers,
    rows,
    ...{ balance: await statements.balance(accountId), sum, outstanding },
    usage: await statements.usageRows(accountId, { limit: 100 }),
    transactions: transactions.filter(({ kind }) => kind !== 'granted'),
  }
}

test('any history comes to the same in both worlds, and to sound books', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const uuid = () => randomUUID()
      const ids = { accountId: uuid(), keyId: uuid(), rentals: Array.from({ length: 80 }, uuid) }
      const [expected, found] = [await history(inMemory(), ids, steps), await history(inPostgres(), ids, steps)]
      expect(withoutGaps(found)).toEqual(withoutGaps(expected))
      expect(found.rows.reduce((sum, { held }) => sum + held, 0)).toBe(found.balance.held)
    }),
    { numRuns: 60 },
  )
  expect(await faultsInLedger(cluster.pools.general)).toEqual([])
}, 120_000)

/**
 * An absent field and an undefined one are the same, and JSON keeps neither. The minute in which a window frees is the
 * database's own, and a history may run into the next one.
 */
const withoutGaps = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (name, each) => (name === 'freesAtMinute' ? 'a minute' : each)))

test.each([0, 1, 255, 65_535, 65_536 + 7])('the ledger check finds the operation of hour %i', async (hour) => {
  const { rentals, credits } = inPostgres()
  const accountId = randomUUID()
  await credits.grant(accountId, { id: randomUUID(), kind: 'granted', amount: 100 })
  const id = `${randomUUID().slice(0, -4)}ff00`
  const terms = { accountId, purseId: accountId, budgets: undefined }
  await rentals.begin([{ rental: newRental({ id, accountId, keyId: randomUUID() }), hold: 40 }], terms)
  const operation = hourOperation(id, hour)
  await cluster.pools.general.transaction('later', async (sql) => {
    await sql`update rentals set hour = ${hour} where account_id = ${accountId}`
    await sql`
      update ledger_entries set operation_id = ${operation} where account_id = ${accountId} and instance_id = ${id}`
  })
  expect(await faultsInLedger(cluster.pools.general)).toEqual([])
})

/** COMMIT gets no answer; `done`: it was done all the same. */
const silent = (done: boolean, times = 1) => {
  let left = times
  const lost = (label: string) => new DatabaseUnavailable(label, 'unreachable', { mayHaveRun: true })
  const database: Pick<Database, 'transaction'> = {
    async transaction(label, run, options) {
      if (left-- <= 0) return cluster.pools.general.transaction(label, run, options)
      if (done) await cluster.pools.general.transaction(label, run, options)
      throw lost(label)
    },
  }
  const transact = createTransact({
    clock: systemClock,
    backoff: createBackoff({ random: Math.random, initialMs: 1, maxMs: 2 }),
  })
  return createRentals({
    cluster: {
      read: cluster.read,
      write: (label, _account, run, options) => transact(database as Database, label, run, options),
    },
    clock,
    windowLimits: {},
  })
}

test('where COMMIT got no answer, what was done is found, once, and what was not done is not taken for it', async () => {
  const accountId = randomUUID()
  const terms = { accountId, purseId: accountId, budgets: undefined }
  const { credits, statements, rentals } = inPostgres()
  await credits.grant(accountId, { id: randomUUID(), kind: 'granted', amount: 1_000 })
  for (const done of [true, false]) {
    const asked = [{ rental: newRental({ accountId, keyId: randomUUID() }), hold: 300 }]
    const [begun] = (await silent(done).begin(asked, terms)) as Rental[]
    expect(await rentals.find(accountId, begun!.id)).toEqual(begun)
    const hour = { at, settle: 100, next: 200, dueAt: at }
    if (!done) await expect(silent(false).nextHour(begun!, hour, terms)).rejects.toThrow(OutcomeUnknown)
    const turned = (await silent(true).nextHour(begun!, hour, terms)) as Rental
    expect(turned).toMatchObject({ hour: 1, held: 200, settled: 100 })
    expect(await rentals.find(accountId, begun!.id)).toEqual(turned)
    const end = { at, state: 'gone', reason: 'owner', settle: 50, refund: 0 } as const
    if (!done) await expect(silent(false).end(turned, end)).rejects.toThrow(OutcomeUnknown)
    expect(await silent(true).end(turned, end)).toMatchObject({ state: 'gone', settled: 150 })
  }
  expect(await statements.balance(accountId)).toEqual({ available: 700, held: 0 })
  expect(await faultsInLedger(cluster.pools.general)).toEqual([])
})

test("another's change of the same version is not taken for one's own", async () => {
  const accountId = randomUUID()
  const { credits, rentals } = inPostgres()
  await credits.grant(accountId, { id: randomUUID(), kind: 'granted', amount: 1_000 })
  const asked = [{ rental: newRental({ accountId, keyId: randomUUID() }), hold: 300 }]
  const terms = { accountId, purseId: accountId, budgets: undefined }
  const [begun] = (await rentals.begin(asked, terms)) as Rental[]
  const change = { state: 'creating', createSentAt: at } as const
  expect(await rentals.change(begun!, change)).toBeDefined()
  await expect(silent(false).change(begun!, change)).rejects.toThrow(OutcomeUnknown)
})
