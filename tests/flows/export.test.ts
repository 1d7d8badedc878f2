/** What an owner takes along: all of it, from a real PostgreSQL, however much it is, and no secret. */
import { createHmac, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newId } from '../../adapters/node/identity.ts'
import { createAccounts } from '../../adapters/node/postgres/accounts.ts'
import { type ConnectedCluster, connectCluster } from '../../adapters/node/postgres/connect-cluster.ts'
import { createCredits } from '../../adapters/node/postgres/credits.ts'
import { createDeployments } from '../../adapters/node/postgres/deployments.ts'
import { createGuardrails } from '../../adapters/node/postgres/guardrails.ts'
import { migrate } from '../../adapters/node/postgres/migrations.ts'
import { createPaymentStore } from '../../adapters/node/postgres/payments.ts'
import { createPreferences } from '../../adapters/node/postgres/preferences.ts'
import { createRentals } from '../../adapters/node/postgres/rentals.ts'
import { createSessions } from '../../adapters/node/postgres/sessions.ts'
import { createStatements } from '../../adapters/node/postgres/statements.ts'
import { createUsers } from '../../adapters/node/postgres/users.ts'
import type { Rental } from '../../src/domain/rental.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { newPreference } from '../contracts/preferences.ts'
import { newDeployment } from '../support/deployment.ts'
import { eventually, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { idAt, ledgerRows, receiptOf } from '../support/ledger-rows.ts'
import { newRental } from '../support/new-rental.ts'
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts'

const pepper = 'pepper of the export test'
let server: TestPostgres
let cluster: ConnectedCluster
let gateway: TestGateway
let accountId: string
let apiKey: string

beforeAll(async () => {
  server = await startTestPostgres()
  cluster = await connectCluster({ ...server.connection, clock, max: 8, min: 0 })
  await migrate({ database: cluster.pools.general, log: { info() {}, warn() {} } })
  const accounts = createAccounts({ cluster, pepper, newId })
  gateway = await startTestGateway({
    ports: {
      accounts,
      statements: createStatements({ cluster }),
      guardrails: createGuardrails({ cluster }),
      users: createUsers({ cluster, pepper, newId }),
      sessions: createSessions({ cluster, pepper, newId }),
      paymentStore: createPaymentStore({ cluster }),
      rentals: createRentals({ cluster, clock, windowLimits: {} }),
      credits: createCredits({ cluster }),
      deployments: createDeployments({ cluster }),
      preferences: createPreferences({ cluster }),
    },
  })
  const users = createUsers({ cluster, pepper, newId })
  const owner = { email: 'owner@example.test', name: 'an owner', passwordHash: 'a canary of a hash' }
  accountId = (await users.register(owner))!.accountId
  apiKey = (await accounts.createApiKey(accountId, { name: 'laptop', scopes: ['billing'] })).apiKey
})
afterAll(async () => {
  await gateway.close()
  await cluster.close({ timeoutS: 1 })
  await server.close()
})

const ask = () => fetch(`${gateway.url}/api/v1/user/export`, { headers: { authorization: `Bearer ${apiKey}` } })

test('all is in it, in its order, over as many pages as it takes; no other account, and no secret', async () => {
  const rows = ledgerRows(cluster.pools.general)
  const entries = Array.from({ length: 1_234 }, (_, n) => ({
    at: new Date(Date.UTC(2026, 10, 1) + n).toISOString().replace('Z', '000Z'),
    operationId: randomUUID(),
    kind: 'settle' as const,
    amount: -n,
  }))
  await rows.entries(accountId, entries)
  await rows.balance(accountId, { available: 5_000_000, held: 10 })
  const usage = Array.from({ length: 600 }, (_, n) => ({
    day: '2026-11-01',
    keyId: randomUUID(),
    model: `model ${n}`,
    requests: 1,
    inputTokens: 2,
    cachedInputTokens: 0,
    outputTokens: 3,
    cost: 4,
  }))
  await rows.usage(accountId, usage)
  const receipts = [1, 2, 3].map((n) => receiptOf(idAt(Date.UTC(2026, 10, n))))
  for (const receipt of receipts) await rows.receipt(accountId, receipt)
  const { refreshToken, sessionId } = (await createSessions({ cluster, pepper, newId }).start({
    accountId,
    passwordHash: 'a canary of a hash',
    place: '203.0.113.7',
    lifetimeMs: 60_000,
  }))!
  const paymentStore = createPaymentStore({ cluster })
  const payment = { accountId, amount: 5_000_000, currency: 'USD', paymentMethod: 'pm_card_visa' } as const
  // Of one millisecond, perhaps: then they are in no order of time.
  const paid = [newId(), newId()].sort()
  for (const id of paid) await paymentStore.begin({ ...payment, id, idempotencyKey: id })
  const deployed = newDeployment({ accountId, secrets: { apiKey: 'a canary of a secret' } })
  await createDeployments({ cluster }).create(deployed, new Date(), new Date())
  await createPreferences({ cluster }).save(accountId, newPreference())
  await createPreferences({ cluster }).save(randomUUID(), newPreference({ name: 'of another' }))
  const rentals = createRentals({ cluster, clock, windowLimits: {} })
  const terms = { accountId, purseId: accountId, budgets: undefined }
  const rented = newRental({ accountId, keyId: randomUUID() })
  const [begun] = (await rentals.begin([{ rental: rented, hold: 400_000 }], terms)) as Rental[]
  await rentals.end(begun!, { at: new Date(), state: 'gone', reason: 'owner', settle: 0, refund: 0 })
  const kept = newRental({ accountId, keyId: randomUUID() })
  await rentals.begin([{ rental: kept, hold: 400_000 }], terms)
  const other = randomUUID()
  await rows.entries(other, [{ ...entries[0]!, operationId: other }])

  const response = await ask()
  expect(response.status).toBe(200)
  expect(response.headers.get('cache-control')).toBe('no-store')
  const text = await response.text()
  const exported = JSON.parse(text)
  expect(Object.keys(exported)).toEqual([
    ...['exported_at', 'account', 'keys', 'sessions', 'guardrails', 'balance', 'transactions', 'payments'],
    ...['deployments', 'preferences', 'rentals', 'usage', 'receipts'],
  ])
  expect(exported.account).toMatchObject({
    id: accountId,
    email: 'owner@example.test',
    name: 'an owner',
    role: 'user',
    disabled_at: null,
  })
  expect(exported.keys).toMatchObject([{ name: 'laptop', prefix: apiKey.slice(8, 12), scopes: ['billing'] }])
  expect(exported.deployments).toMatchObject([{ id: deployed.id, name: 'mine', max_price: '0.80' }])
  expect(exported.preferences).toMatchObject([{ name: 'cheap-cards', max_price: '0.80', filters: { min_vram: 24 } }])
  expect(text).not.toContain('a canary of a secret')
  expect(exported.sessions).toMatchObject([{ id: sessionId, ended_at: null }])
  expect(exported.payments).toMatchObject(
    paid.toReversed().map((id) => ({ id, status: 'processing', amount: '5.00', payment_method: 'pm_card_visa' })),
  )
  expect(exported.rentals).toHaveLength(2)
  expect(exported.rentals).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ id: rented.id, state: 'gone', reason: 'owner', env_names: [], held: '0.00' }),
      expect.objectContaining({ id: kept.id, state: 'intended', env_names: ['HF_TOKEN'], arg_count: 4, held: '0.40' }),
    ]),
  )
  expect(exported.balance).toEqual({ available: '4.60', held: '0.40001', currency: 'USD' })
  expect(exported.transactions.map(({ request_id }: { request_id: string }) => request_id)).toEqual(
    entries.map(({ operationId }) => operationId).reverse(),
  )
  expect(exported.usage).toHaveLength(600)
  expect(new Set(exported.usage.map(({ model }: { model: string }) => model)).size).toBe(600)
  expect(exported.receipts).toEqual(receipts.reverse())

  expect(text).not.toContain(other)
  const hash = createHmac('sha256', pepper).update(apiKey).digest()
  for (const secret of [
    'canary',
    ...refreshToken.split('.').slice(-2),
    apiKey.slice(8, 16),
    pepper,
    hash.toString('hex'),
    hash.toString('base64'),
  ]) {
    expect(text).not.toContain(secret)
  }
})

test('one that is only asked about (HEAD), or left in the middle, holds no place and is under way no longer', async () => {
  const url = `${gateway.url}/api/v1/user/export`
  const headers = { authorization: `Bearer ${apiKey}` }
  for (let i = 0; i < 3; i++) {
    const leave = new AbortController()
    const left = await fetch(url, { headers, signal: leave.signal })
    leave.abort()
    await expect(left.text()).rejects.toThrow()
    const asked = await eventually(
      () => fetch(url, { method: 'HEAD', headers }),
      ({ status }) => status === 200,
    )
    expect(asked.headers.get('content-type')).toBe('application/json')
  }
  JSON.parse(await (await eventually(ask, ({ status }) => status === 200)).text())
  await eventually(async () => (await gateway.metric('http_requests_in_flight')) === 0)
})

test('a database that is away is a 503 with a word, not half a document', async () => {
  expect((await ask()).status).toBe(200)
  await cluster.close({ timeoutS: 1 })
  const response = await ask()
  expect(response.status).toBe(503)
  expect(await response.json()).toMatchObject({ code: 'database_unavailable' })
})
