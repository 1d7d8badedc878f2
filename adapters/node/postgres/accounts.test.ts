import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { scopes } from '../../../src/domain/principal.ts'
import type { Accounts } from '../../../src/ports.ts'
import { systemClock } from '../../../src/resilience/clock.ts'
import { accountsContract } from '../../../tests/contracts/accounts.ts'
import type { TestPostgres } from '../../../tests/support/postgres.ts'
import { startTestPostgres } from '../../../tests/support/postgres.ts'
import { newId } from '../identity.ts'
import { createAccounts } from './accounts.ts'
import { generateApiKey, hashApiKey, prefixOf } from './api-key.ts'
import type { Database } from './client.ts'
import { type ConnectedCluster, connectCluster } from './connect-cluster.ts'
import { createCredits } from './credits.ts'
import { migrate } from './migrations.ts'
import type { OperatorAccounts } from './operator-accounts.ts'
import { createOperatorAccounts } from './operator-accounts.ts'
import { loadJwtSecret, loadPepper } from './pepper.ts'
import { createStatements } from './statements.ts'

const pepper = 'pepper of the test'
const usedKeys: string[] = []
let server: TestPostgres
let cluster: ConnectedCluster
let database: Database
let accounts: Accounts
let operator: OperatorAccounts

beforeAll(async () => {
  server = await startTestPostgres()
  cluster = await connectCluster({ ...server.connection, clock: systemClock, max: 12, min: 0 })
  database = cluster.pools.general
  await migrate({ database, log: { info() {}, warn() {} } })
  accounts = createAccounts({ cluster, pepper, newId })
  operator = createOperatorAccounts({ database, pepper })
})

afterAll(async () => {
  await cluster.close({ timeoutS: 1 })
  await server.close()
})

async function addKey(fields: { disabled?: Date; revoked?: Date; expires?: Date; limit?: number; scopes?: string[] }) {
  const apiKey = generateApiKey()
  usedKeys.push(apiKey)
  const [accountId, keyId, hash] = [randomUUID(), randomUUID(), hashApiKey(pepper, apiKey)]
  const { disabled = null, revoked = null, expires = null, limit = null } = fields
  await database.transaction('add key', async (sql) => {
    await sql`
      insert into accounts (account_id, name, role, disabled_at) values (${accountId}, 'someone', 'user', ${disabled})`
    await sql`
      insert into api_keys
        (account_id, key_id, key_hash, prefix, name, scopes, rate_limit_per_minute, expires_at, revoked_at)
      values (${accountId}, ${keyId}, ${hash}, ${prefixOf(apiKey)}, 'a key', ${fields.scopes ?? ['inference']},
        ${limit}, ${expires}, ${revoked})`
    await sql`insert into api_key_lookup (key_hash, account_id, key_id) values (${hash}, ${accountId}, ${keyId})`
  })
  return { apiKey, accountId, keyId }
}

accountsContract('the accounts in PostgreSQL', () => ({ accounts }))

const soon = () => new Date(Date.now() + 60_000)
const past = new Date(0)

test('a key stands for its account, with its own scopes and limit', async () => {
  const { apiKey, accountId, keyId } = await addKey({ limit: 7, expires: soon(), scopes: ['gpu', 'not yet invented'] })
  expect(await accounts.findByApiKey(apiKey)).toEqual({
    accountId,
    keyId,
    role: 'user',
    scopes: ['gpu'],
    limits: { key: { requestsPerMinute: 7 }, account: {} },
  })
})

test('a key without a limit of its own leaves it to the gateway', async () => {
  const { apiKey } = await addKey({})
  expect(await accounts.findByApiKey(apiKey)).toMatchObject({ limits: { key: {}, account: {} } })
})

test('unknown, revoked and expired keys and those of a disabled account stand for nobody', async () => {
  const keys = [await addKey({ revoked: past }), await addKey({ expires: past }), await addKey({ disabled: past })]
  for (const { apiKey } of keys) expect(await accounts.findByApiKey(apiKey)).toBeUndefined()
  for (const apiKey of ['', generateApiKey(), "' or true --"]) {
    expect(await accounts.findByApiKey(apiKey)).toBeUndefined()
  }
})

test('under another pepper no key is known', async () => {
  const { apiKey } = await addKey({})
  expect(await createAccounts({ cluster, pepper: 'other', newId }).findByApiKey(apiKey)).toBeUndefined()
})

test('the bootstrap account has exactly the key that was configured, however often and by how many it is set', async () => {
  const apiKey = 'the key that the operator chose'
  usedKeys.push(apiKey)
  const made = await Promise.all([1, 2, 3, 4].map(() => operator.ensureBootstrapAccount({ apiKey })))
  expect(new Set(made.map(({ keyId }) => keyId)).size).toBe(1)
  expect(await accounts.findByApiKey(apiKey)).toEqual({
    ...made[0],
    role: 'administrator',
    scopes: [...scopes],
    limits: { key: {}, account: {} },
  })
})

test('the bootstrap and the welcome account have been given their credit, each once', async () => {
  const credits = createCredits({ cluster })
  const statements = createStatements({ cluster })
  const generous = createOperatorAccounts({ database, pepper, credits, credit: 7_500_000 })
  const apiKey = 'the key of an account with credit'
  usedKeys.push(apiKey)
  const makeBoth = () => Promise.all([generous.ensureBootstrapAccount({ apiKey }), generous.issueWelcomeKey()])
  const [bootstrap, welcome] = await makeBoth()
  usedKeys.push(welcome.apiKey, (await makeBoth())[1].apiKey)
  for (const { accountId } of [bootstrap, welcome]) {
    expect(await statements.balance(accountId)).toEqual({ available: 7_500_000, held: 0 })
    expect(await statements.transactions(accountId, { limit: 9 })).toMatchObject([{ kind: 'bootstrap' }])
  }
})

test('another bootstrap key revokes the one before, and going back restores it', async () => {
  const [first, second] = ['a first key of twenty letters', 'a second key of twenty letters']
  usedKeys.push(first, second)
  const { accountId } = await operator.ensureBootstrapAccount({ apiKey: first })
  await operator.ensureBootstrapAccount({ apiKey: second })
  expect(await accounts.findByApiKey(first)).toBeUndefined()
  expect(await accounts.findByApiKey(second)).toMatchObject({ accountId })
  await operator.ensureBootstrapAccount({ apiKey: first })
  expect(await accounts.findByApiKey(first)).toMatchObject({ accountId })
  expect(await accounts.findByApiKey(second)).toBeUndefined()
})

test('a welcome key is new each time, ends the one before and gives no administrator rights', async () => {
  const former = await operator.issueWelcomeKey()
  const current = await operator.issueWelcomeKey()
  usedKeys.push(former.apiKey, current.apiKey)
  expect(current.apiKey).toMatch(/^ak_live_[\w-]{32}$/)
  expect(current.accountId).toBe(former.accountId)
  expect(await accounts.findByApiKey(former.apiKey)).toBeUndefined()
  expect(await accounts.findByApiKey(current.apiKey)).toMatchObject({
    accountId: current.accountId,
    role: 'user',
    scopes: ['inference', 'gpu', 'billing'],
  })
})

test('gateways that issue a welcome key at once leave one that works', async () => {
  const issued = await Promise.all([1, 2, 3].map(() => operator.issueWelcomeKey()))
  usedKeys.push(...issued.map(({ apiKey }) => apiKey))
  const found = await Promise.all(issued.map(({ apiKey }) => accounts.findByApiKey(apiKey)))
  expect(found.filter(Boolean)).toHaveLength(1)
})

test('no key is stored in any table, only four characters of it', async () => {
  expect(usedKeys.length).toBeGreaterThan(5)
  const tables = await database.query(
    'tables',
    undefined,
    (sql) => sql<{ name: string }[]>`select tablename as name from pg_tables where schemaname = 'public'`,
  )
  expect(tables.length).toBeGreaterThan(3)
  for (const { name } of tables) {
    const rows = await database.query(
      'dump',
      undefined,
      (sql) => sql<{ text: string }[]>`select t::text as text from ${sql(name)} as t`,
    )
    const dump = rows.map(({ text }) => text).join('\n')
    for (const apiKey of usedKeys) {
      const secret = apiKey.replace('ak_live_', '').slice(0, 8)
      expect(dump).not.toContain(secret)
      expect(dump).not.toContain(Buffer.from(secret).toString('hex'))
    }
  }
  const prefixes = await database.query(
    'prefixes',
    undefined,
    (sql) => sql<{ prefix: string }[]>`select prefix from api_keys`,
  )
  for (const { prefix } of prefixes) expect(prefix).toHaveLength(4)
})

test('gateways that start at once agree on the pepper, and keep it', async () => {
  const loaded = await Promise.all([1, 2, 3, 4].map(() => loadPepper(database)))
  expect(new Set(loaded).size).toBe(1)
  expect(Buffer.from(loaded[0]!, 'base64url')).toHaveLength(32)
  expect(await loadPepper(database)).toBe(loaded[0])
})

test('a configured pepper wins over the stored one and is not stored', async () => {
  const stored = await loadPepper(database)
  expect(await loadPepper(database, 'configured')).toBe('configured')
  expect(await loadPepper(database)).toBe(stored)
})

test('the secret that signs tokens is made once as the pepper is, and is another', async () => {
  const loaded = await Promise.all([1, 2, 3, 4].map(() => loadJwtSecret(database)))
  expect(new Set(loaded).size).toBe(1)
  expect(loaded[0]!.length).toBeGreaterThanOrEqual(32)
  expect(loaded[0]).not.toBe(await loadPepper(database))
  expect(await loadJwtSecret(database, 'configured')).toBe('configured')
  expect(await loadJwtSecret(database)).toBe(loaded[0])
})
