/**
 * `npm run bench:timing`: whether the time that a refusal takes tells anything. Two kinds of attempt that must look the
 * same take turns at random, and Welch's t-test says whether they can be told apart; with |t| of 4.5 or more they can,
 * and the exit code is 1. `-- --samples 2000` takes fewer than 10,000.
 */

import { randomBytes, randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { createMemoryBooks } from '../adapters/memory/books.ts'
import { newId } from '../adapters/node/identity.ts'
import { createMetrics } from '../adapters/node/metrics.ts'
import { createPasswords } from '../adapters/node/passwords.ts'
import { createAccounts } from '../adapters/node/postgres/accounts.ts'
import { connectCluster } from '../adapters/node/postgres/connect-cluster.ts'
import { migrate } from '../adapters/node/postgres/migrations.ts'
import { createSessions } from '../adapters/node/postgres/sessions.ts'
import { createSignInAttempts } from '../adapters/node/postgres/sign-in-attempts.ts'
import { createUsers } from '../adapters/node/postgres/users.ts'
import type { SignInAttempts } from '../src/ports.ts'
import { systemClock as clock } from '../src/resilience/clock.ts'
import { createAccessTokens } from '../src/services/access-tokens.ts'
import { createSignIn } from '../src/services/sign-in.ts'
import { startTestPostgres } from '../tests/support/postgres.ts'
import { welchT } from './statistics.ts'

const { values } = parseArgs({ options: { samples: { type: 'string', default: '10000' } } })
const samples = Number(values.samples)
/** Beyond it the two are told apart with less than one chance in 100,000 of a mistake. */
const limit = 4.5
const warmUp = 200
/** The slowest are the machine's other business, and hide small differences. */
const kept = 0.9

const server = await startTestPostgres()
const cluster = await connectCluster({ ...server.connection, clock, max: 8, min: 2 })
const log = { debug() {}, info() {}, warn() {}, error() {} }
await migrate({ database: cluster.pools.general, log })
const pepper = randomBytes(32).toString('base64url')
const accounts = createAccounts({ cluster, pepper, newId })
const users = createUsers({ cluster, pepper, newId })
const counted = createSignInAttempts({ database: cluster.pools.general, transact: cluster.transact, pepper })
/** All the work of counting, of somebody else each time, so that nobody has to wait. */
const attempts: SignInAttempts = {
  take: (subjects) => counted.take(subjects.map(({ kind }) => ({ kind, value: newId() }))),
  giveBack: counted.giveBack,
}
const signIn = createSignIn({
  users,
  sessions: createSessions({ cluster, pepper, newId }),
  attempts,
  passwords: createPasswords({ clock }),
  tokens: createAccessTokens({ clock, newId, secret: pepper, lifetimeMs: 1_000 }),
  registration: 'open',
  credits: createMemoryBooks({ clock }).credits,
  signupCredit: 0,
  idempotency: { forget: async () => {} },
  endRentals: async () => {},
  sessionMs: 1_000,
  metrics: createMetrics(),
  log,
})

const { accountId } = await accounts.createAccount({ name: 'timing' })
const { apiKey } = await accounts.createApiKey(accountId, { name: 'timing', scopes: ['inference'] })
const password = 'correct horse battery staple 9'
const email = 'known@example.test'
await signIn.register({ email, name: 'Known', password })

const randomKey = () => `ak_live_${randomBytes(24).toString('base64url')}`
const wrongPassword = () => randomBytes(15).toString('base64url')
const unknownEmail = () =>
  `${randomBytes(3).toString('hex')}@example.test`.slice(-email.length).padStart(email.length, 'x')

interface Comparison {
  name: string
  /** Made before the time is taken. */
  attempts: readonly [() => string, () => string]
  run(made: string): Promise<unknown>
}

const comparisons: Comparison[] = [
  {
    name: 'API key: all but the last characters right / all wrong',
    attempts: [() => apiKey.slice(0, -6) + randomKey().slice(-6), randomKey],
    run: (key) => accounts.findByApiKey(key),
  },
  {
    name: 'API key: the first characters right / all wrong',
    attempts: [() => apiKey.slice(0, 12) + randomKey().slice(12), randomKey],
    run: (key) => accounts.findByApiKey(key),
  },
  {
    name: 'sign-in: wrong password / unknown email',
    attempts: [() => email, unknownEmail],
    run: (mailbox) => signIn.signIn({ email: mailbox, password: wrongPassword() }, '203.0.113.7').catch(() => {}),
  },
]

let worst = 0
for (const { name, attempts, run } of comparisons) {
  const times: [number[], number[]] = [[], []]
  for (let i = -warmUp; i < samples; i++) {
    const side = randomInt(2) as 0 | 1
    const made = attempts[side]()
    const from = performance.now()
    await run(made)
    if (i >= 0) times[side].push(performance.now() - from)
  }
  const t = welchT(...times)
  const cut = times.flat().sort((a, b) => a - b)[Math.floor(samples * kept)]!
  const cropped = welchT(
    times[0].filter((ms) => ms < cut),
    times[1].filter((ms) => ms < cut),
  )
  worst = Math.max(worst, Math.abs(t), Math.abs(cropped))
  const means = times.map((each) => (each.reduce((sum, ms) => sum + ms, 0) / each.length).toFixed(4))
  console.log(`${name}\n  ${samples} samples, means ${means.join(' and ')} ms`)
  console.log(`  t = ${t.toFixed(2)}, of the fastest nine tenths ${cropped.toFixed(2)} (limit ${limit})`)
}
await cluster.close({ timeoutS: 5 })
await server.close()
// Not a number is no proof either.
if (!(worst < limit)) process.exitCode = 1
