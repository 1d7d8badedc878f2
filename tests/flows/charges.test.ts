/** From the ledger's outbox to the billing system: real processes, a real PostgreSQL, and the sandbox's own record. */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type postgres from 'postgres'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createBillingOutbox } from '../../adapters/node/postgres/billing-outbox.ts'
import { connectPostgres, type Database } from '../../adapters/node/postgres/client.ts'
import { migrate } from '../../adapters/node/postgres/migrations.ts'
import { type Fault, type Sandbox, startSandbox } from '../../adapters/sandbox/sandbox.ts'
import type { ChargedOperation } from '../../src/domain/charge.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { eventually, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { addOutboxRows } from '../support/outbox-rows.ts'
import { databaseEnv, startTestPostgres, type TestPostgres } from '../support/postgres.ts'
import {
  type GatewayProcess,
  processKey,
  removeDataDir,
  spawnGateway,
  startGatewayProcess,
} from '../support/process.ts'

let server: TestPostgres
let database: Database
let sandbox: Sandbox
let billing: NonNullable<Sandbox['billing']>

beforeAll(async () => {
  server = await startTestPostgres()
  database = await connectPostgres({ ...server.connection, clock, max: 6, acquireTimeoutMs: 10_000 })
  await migrate({ database, log: { info() {}, warn() {} } })
})
afterAll(async () => {
  await database.close({ timeoutS: 1 })
  await server.close()
})
beforeEach(async () => {
  await database.query('empty', undefined, (sql) => sql`truncate billing_outbox, charge_turns, charges`)
  sandbox = await startSandbox({ clock, random: Math.random, servers: ['billing'] })
  billing = sandbox.billing!
})
const started: TestGateway[] = []
const processes: GatewayProcess[] = []
afterEach(async () => {
  await Promise.all(started.splice(0).map((gateway) => gateway.close()))
  for (const each of processes.splice(0)) {
    if (each.child.exitCode === null && each.child.signalCode === null) await each.end('SIGKILL')
    removeDataDir(each.dataDir)
  }
  await sandbox.close()
})

/** A pod in this process. */
async function startPod(env: Record<string, string> = {}) {
  const gateway = await startTestGateway({
    env,
    providers: { billing: { baseUrl: billing.baseUrl, apiKey: 'key' } },
    ports: { billingOutbox: createBillingOutbox({ database }) },
  })
  started.push(gateway)
  return gateway
}
async function startProcess(dataDir?: string) {
  const env = {
    ...databaseEnv(server),
    BILLING_BASE_URL: billing.baseUrl,
    OPENAI_BASE_URL: 'http://127.0.0.1:9/v1',
    VASTAI_BASE_URL: 'http://127.0.0.1:9',
    IONET_BASE_URL: 'http://127.0.0.1:9',
    STRIPE_BASE_URL: 'http://127.0.0.1:9',
    DB_MAX_CONNS: '20',
    DB_MIN_CONNS: '2',
  }
  const gateway = await startGatewayProcess({ env, ...(dataDir !== undefined && { dataDir }) })
  processes.push(gateway)
  return gateway
}

/** What was used, by account, in its order. */
type Used = Map<string, ChargedOperation[]>
async function use(used: Used, accountId: string, count: number) {
  const operations = Array.from({ length: count }, () => ({
    id: randomUUID(),
    amount: 1 + Math.floor(Math.random() * 1e6),
  }))
  used.set(accountId, [...(used.get(accountId) ?? []), ...operations])
  await addOutboxRows(database, accountId, operations)
}
const usedBy = (accounts: number): Used => new Map(Array.from({ length: accounts }, () => [randomUUID(), []]))
const pending = () => createBillingOutbox({ database }).pending()
const allDelivered = () => eventually(pending, (count) => count === 0)
/** Instead of waiting: every turn is over, and no account rests. */
const endTurns = () =>
  database.query(
    'end turns',
    undefined,
    (sql) => sql`
      update charge_turns set until = now()
      where account_id in (select account_id from charge_turns where until > now() for update skip locked)`,
  )

interface ChargeRow {
  charge_id: string
  amount: string
  operations: number
  state: string
  transaction_id: string | null
  reason: string | null
}
const rows = () =>
  database.query(
    'charges',
    undefined,
    (sql) => sql<ChargeRow[]>`
      select charge_id, amount, operations, state, transaction_id, reason from charges order by charge_id`,
  )

/** By the record of the billing system: every operation once, in order, and every sum as it is remembered here. */
async function expectExact(used: Used) {
  for (const [accountId, operations] of used) {
    const own = billing.charges.filter(({ account }) => account === accountId)
    const told = own.flatMap((charge) => charge.operations)
    expect(told).toEqual(operations.map(({ id, amount }) => ({ id, amount_micro_usd: amount })))
  }
  const made = billing.charges.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  expect(await rows()).toEqual(
    made.map(({ id, amount_micro_usd, operations, transactionId }) => ({
      charge_id: id,
      amount: String(amount_micro_usd),
      operations: operations.length,
      state: 'delivered',
      transaction_id: transactionId,
      reason: null,
    })),
  )
}

test('a lone request is a charge with its own id; more are bound together', async () => {
  await startPod()
  const used = usedBy(1)
  const [accountId] = [...used.keys()] as [string]
  await use(used, accountId, 1)
  await allDelivered()
  expect(billing.charges).toMatchObject([{ id: used.get(accountId)![0]!.id, told: 1 }])
  await use(used, accountId, 1_200)
  await allDelivered()
  expect(billing.charges.slice(1).map(({ operations }) => operations.length)).toEqual([500, 500, 200])
  await expectExact(used)
})

test.each<[string, Fault[]]>([
  ['errors', [{ kind: 'status', status: 503, times: 5 }]],
  ['errors with a hint', [{ kind: 'status', status: 503, retryAfter: 1, times: 2 }]],
  ['pages of HTML', [{ kind: 'html_502', times: 5 }]],
  ['resets', [{ kind: 'reset', times: 5 }]],
  ['charges made and never confirmed', [{ kind: 'swallow_reply', times: 5 }]],
  ['answers cut', [{ kind: 'cut', afterTokens: 1, times: 5 }]],
  ['empty answers', [{ kind: 'empty_204', times: 5 }]],
])(
  'an outage of %s loses nothing and charges nothing twice',
  async (_what, faults) => {
    billing.setFaults(faults)
    await startPod({ CIRCUIT_BREAKER_MIN_REQUESTS: '1000' })
    const used = usedBy(3)
    const asked = Math.min(...faults.map(({ times = 0 }) => times))
    for (const accountId of used.keys()) await use(used, accountId, 3)
    await eventually(async () => {
      // An account that rests is woken, so that the outage is not waited out.
      await endTurns()
      return billing.calls.length >= asked
    })
    for (const accountId of used.keys()) await use(used, accountId, 2)
    await eventually(async () => {
      await endTurns()
      return (await pending()) === 0
    })
    await expectExact(used)
  },
  60_000,
)

test('while the breaker is open nothing is sent, and what waited is delivered when it closes', async () => {
  await billing.goDown()
  const gateway = await startPod({ CIRCUIT_BREAKER_MIN_REQUESTS: '4', CIRCUIT_BREAKER_TIMEOUT: '200ms' })
  const used = usedBy(8)
  for (const accountId of used.keys()) await use(used, accountId, 2)
  await eventually(async () => (await gateway.metric('circuit_breaker_state', { name: 'billing' })) === 2)
  expect(await rows()).toEqual([])
  await eventually(async () => (await gateway.metric('billing_outbox_pending')) === 16)
  const health = (await (await gateway.get('/health')).json()) as { checks: object }
  expect(health.checks).toMatchObject({ billing: { status: 'degraded' } })
  await billing.comeBack()
  await eventually(async () => {
    await endTurns()
    return (await pending()) === 0
  })
  await expectExact(used)
}, 60_000)

test('a refused charge is parked whole, is told to operators, and holds nothing up', async () => {
  billing.setFaults([{ kind: 'status', status: 422, code: 'unknown_account', times: 1 }])
  const gateway = await startPod()
  const used = usedBy(1)
  const [accountId] = [...used.keys()] as [string]
  await use(used, accountId, 3)
  await allDelivered()
  await use(used, accountId, 2)
  await allDelivered()
  const operations = used.get(accountId)!
  expect((await rows()).filter(({ state }) => state === 'parked')).toMatchObject([
    { charge_id: operations[0]!.id, operations: 3, reason: '422 unknown_account' },
  ])
  expect(billing.charges).toMatchObject([{ id: operations[3]!.id }])
  expect(gateway.log.filter(({ level }) => level === 'error')).toMatchObject([
    { message: 'the billing system refused a charge; it is parked', account_id: accountId },
  ])
  expect(await gateway.metric('billing_charges_total', { result: 'parked' })).toBe(1)
})

test('a parked charge that is put back as the documents say is sent again as it was', async () => {
  billing.setFaults([{ kind: 'status', status: 422, times: 1 }])
  const gateway = await startPod()
  const used = usedBy(1)
  const [accountId] = [...used.keys()] as [string]
  await use(used, accountId, 3)
  await eventually(() => gateway.log.some(({ level }) => level === 'error'))
  const refused = billing.calls.at(-1)!.body
  const page = readFileSync(join(import.meta.dirname, '../../docs/billing-api.md'), 'utf8')
  const [, statement = ''] = /```sql\n(with put_back[\s\S]*?)```/.exec(page) ?? []
  const chargeId = used.get(accountId)![0]!.id
  const named = statement.replaceAll(':account', `'${accountId}'`).replaceAll(':charge', `'${chargeId}'`)
  await database.transaction('put back', async (sql) => {
    await (sql as postgres.TransactionSql).unsafe(named)
  })
  await allDelivered()
  expect(billing.calls.at(-1)!.body).toEqual(refused)
  await expectExact(used)
})

test('a wrong credential parks nothing', async () => {
  billing.setFaults([{ kind: 'status', status: 401 }])
  const gateway = await startPod()
  const used = usedBy(3)
  for (const accountId of used.keys()) await use(used, accountId, 1)
  await eventually(() => gateway.log.some(({ message }) => message.includes('refuses our credential')))
  expect(await rows()).toEqual([])
  expect(await pending()).toBe(3)
  const health = (await (await gateway.get('/health')).json()) as { checks: object }
  expect(health.checks).toMatchObject({ billing: { status: 'ok' } })
})

test('two pods, one of them killed in the middle and started again: each charge once, in order, sums equal', async () => {
  billing.setFaults([{ kind: 'slow_headers', ms: 30, probability: 0.8 }])
  const [first] = [await startProcess(), await startProcess()]
  const used = usedBy(24)
  const useSome = async () => {
    for (const accountId of used.keys()) await use(used, accountId, 1 + Math.floor(Math.random() * 40))
  }
  await useSome()
  await eventually(() => billing.charges.length >= 8)
  // While charges are on their way, and some are made and not yet noted.
  await first.end('SIGKILL')
  const told = billing.calls.length
  await useSome()
  await startProcess(first.dataDir)
  await eventually(() => billing.calls.length > told)
  await useSome()
  await eventually(async () => {
    await endTurns()
    return (await pending()) === 0
  })
  await expectExact(used)
}, 60_000)

test('a gateway that is told to stop ends its charge, and leaves no turn behind', async () => {
  billing.setFaults([{ kind: 'slow_headers', ms: 300 }])
  const gateway = await startProcess()
  const used = usedBy(1)
  const [accountId] = [...used.keys()] as [string]
  await use(used, accountId, 2)
  await eventually(() => billing.calls.length === 1)
  expect(await gateway.end('SIGTERM')).toBe(0)
  await expectExact(used)
  expect(await database.query('turns', undefined, (sql) => sql`select account_id from charge_turns`)).toEqual([])
})

test('npm start plays the billing system and Stripe, and hears its own webhooks', async () => {
  const gateway = await startGatewayProcess({ env: databaseEnv(server) })
  processes.push(gateway)
  const headers = { authorization: `Bearer ${processKey}`, 'content-type': 'application/json' }
  const health = (await (await fetch(`${gateway.url}/health`)).json()) as { sandbox: string[]; checks: object }
  expect(health.sandbox).toEqual(expect.arrayContaining(['billing', 'stripe']))
  expect(health.checks).toMatchObject({ billing: { status: 'ok' } })
  const response = await fetch(`${gateway.url}/api/v1/billing/payments`, {
    method: 'POST',
    headers: { ...headers, 'idempotency-key': 'one' },
    body: JSON.stringify({ amount: '12.50', currency: 'USD', payment_method: 'pm_usBankAccount_success' }),
  })
  expect(response.status).toBe(202)
  const location = gateway.url + response.headers.get('location')
  await eventually(
    async () => (await (await fetch(location, { headers })).json()) as { status: string },
    ({ status }) => status === 'succeeded',
  )
})

test.each([
  [{ STRIPE_SECRET_KEY: 'sk_live_0123456789' }, /STRIPE_SECRET_KEY is a live key/],
  [{ STRIPE_SECRET_KEY: 'rk_live_0123456789' }, /STRIPE_SECRET_KEY is a live key/],
  [{ BILLING_API_KEY: 'a-key' }, /BILLING_BASE_URL must be set/],
])('refuses to start with %j', async (env, words) => {
  const { exited, output, dataDir } = spawnGateway({ env: { ...databaseEnv(server), ...env } })
  expect(await exited).toBe(1)
  expect(output()).toMatch(words)
  expect(output()).not.toContain('0123456789')
  removeDataDir(dataDir)
})
