import { afterAll, beforeAll, expect, test } from 'vitest'
import { forgetAfterMs } from '../../../src/domain/sign-in-delay.ts'
import { createBackoff } from '../../../src/resilience/backoff.ts'
import { systemClock } from '../../../src/resilience/clock.ts'
import { signInAttemptsContract } from '../../../tests/contracts/sign-in-attempts.ts'
import { usersContract } from '../../../tests/contracts/users.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { newId } from '../identity.ts'
import { createAccounts } from './accounts.ts'
import { type Database, DatabaseUnavailable } from './client.ts'
import { type ConnectedCluster, connectCluster } from './connect-cluster.ts'
import { migrate } from './migrations.ts'
import { createSessions } from './sessions.ts'
import { createSignInAttempts } from './sign-in-attempts.ts'
import { createTransact } from './transactions.ts'
import { createUsers } from './users.ts'

const pepper = 'pepper of the test'
let server: TestPostgres
let cluster: ConnectedCluster
let database: Database

beforeAll(async () => {
  server = await startTestPostgres()
  cluster = await connectCluster({ ...server.connection, clock: systemClock, max: 16, min: 0 })
  database = cluster.pools.general
  await migrate({ database, log: { info() {}, warn() {} } })
})
afterAll(async () => {
  await cluster.close({ timeoutS: 1 })
  await server.close()
})

usersContract('the users in PostgreSQL', () => {
  const options = { cluster, pepper, newId }
  return {
    accounts: createAccounts(options),
    users: createUsers(options),
    sessions: createSessions(options),
    wallNow: Date.now,
    async pass(ms) {
      await database.query(
        'age sessions',
        undefined,
        (sql) => sql`
          update sessions set created_at = created_at - make_interval(secs => ${ms / 1000}),
            renewed_at = renewed_at - make_interval(secs => ${ms / 1000}),
            expires_at = expires_at - make_interval(secs => ${ms / 1000})`,
      )
    },
  }
})

const attempts = (transact = cluster.transact) => createSignInAttempts({ database, transact, pepper })
const ageAttempts = async (ms: number) => {
  await database.query(
    'age attempts',
    undefined,
    (sql) => sql`
      update sign_in_attempts set last_at = last_at - make_interval(secs => ${ms / 1000}),
        locked_until = locked_until - make_interval(secs => ${ms / 1000})`,
  )
}
signInAttemptsContract('the count in PostgreSQL', () => ({ attempts: attempts(), pass: ageAttempts }))

test('a count that waits while the primary does not answer ends with the look that found it silent', async () => {
  const silent = new AbortController()
  const backoff = createBackoff({ random: () => 0.5, initialMs: 20 })
  const { take } = attempts(createTransact({ clock: systemClock, backoff, answering: () => silent.signal }))
  await database.transaction('lock all', async (sql) => {
    await sql`lock table sign_in_attempts in access exclusive mode`
    const taking = take([{ kind: 'email', value: 'somebody who waits' }])
    silent.abort(new DatabaseUnavailable('wait for the primary', 'unreachable'))
    await expect(taking).rejects.toMatchObject({ name: 'DatabaseUnavailable', reason: 'unreachable' })
  })
})

test('attempts that are old enough to be forgotten are taken away by later ones', async () => {
  const count = async () => {
    const rows = await database.query(
      'count',
      undefined,
      (sql) => sql<{ n: number }[]>`select count(*)::int as n from sign_in_attempts`,
    )
    return rows[0]!.n
  }
  for (let i = 0; i < 30; i++) await attempts().take([{ kind: 'email', value: `passer-by ${i}` }])
  await ageAttempts(forgetAfterMs + 1_000)
  const before = await count()
  expect(before).toBeGreaterThanOrEqual(30)
  for (let i = 0; i * 20 < before; i++) await attempts().take([{ kind: 'email', value: 'somebody now' }])
  expect(await count()).toBe(1)
})

test('two who guess at the same accounts from the same place never lock each other out for good', async () => {
  const subjects = ['a', 'b', 'c'].map((value) => ({ kind: 'pair' as const, value }))
  const orders = [subjects, subjects.toReversed(), [subjects[1]!, subjects[0]!, subjects[2]!]]
  const waits = await Promise.all(Array.from({ length: 9 }, (_, i) => attempts().take(orders[i % 3]!)))
  expect(waits).toEqual(Array(9).fill(0))
})
