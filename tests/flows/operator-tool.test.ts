/** The operator's tool, as a real process on a real PostgreSQL, beside a gateway on the same. */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../adapters/node/identity.ts'
import { connectPostgres, type Database, type Sql } from '../../adapters/node/postgres/client.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { runAdmin, runAdminReading } from '../support/admin-tool.ts'
import { eventually } from '../support/gateway.ts'
import { ledgerRows } from '../support/ledger-rows.ts'
import { databaseEnv, startTestPostgres, type TestPostgres } from '../support/postgres.ts'
import { type GatewayProcess, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'

let server: TestPostgres
let database: Database
let gateway: GatewayProcess
let env: Record<string, string>

beforeAll(async () => {
  server = await startTestPostgres()
  env = databaseEnv(server)
  gateway = await startGatewayProcess({ env: { ...env, BOOTSTRAP_CREDIT_USD: '7.50' } })
  database = await connectPostgres({ ...server.connection, clock, max: 2 })
}, 60_000)
afterAll(async () => {
  await gateway.end('SIGTERM')
  removeDataDir(gateway.dataDir)
  await database.close({ timeoutS: 1 })
  await server.close()
})

const admin = (...args: string[]) => runAdmin(env, ...args)
const json = async (...args: string[]) => {
  const run = await admin(...args, '--json')
  expect(run.error).toBe('')
  return run.json()
}
const status = async (path: string, key: string) =>
  (await fetch(gateway.url + path, { headers: { authorization: `Bearer ${key}` } })).status
const bootstrap = '00000000-0000-7000-8000-000000000001'

async function newAccount() {
  const account = newId()
  const insert = (sql: Sql) => sql`insert into accounts (account_id, name, role) values (${account}, 'someone', 'user')`
  await database.query('new account', undefined, insert)
  return account
}

const signIn = async (email: string, password: string) => {
  const response = await fetch(`${gateway.url}/api/v1/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password }),
  })
  return { status: response.status, json: (await response.json()) as { tokens: { access_token: string } } }
}

test('an administrator is made who signs in over HTTP, with a password that is told once or was given on stdin', async () => {
  const made = await json('create-admin', '--email', ' Grace@Example.COM ')
  expect(made).toMatchObject({ email: 'grace@example.com', name: 'grace', role: 'administrator' })
  expect(made).not.toHaveProperty('api_key')
  const { json: signedIn } = await signIn('grace@example.com', made.password as string)
  expect(signedIn).toMatchObject({ user: { id: made.account, role: 'administrator' } })
  expect(await status('/api/v1/admin/accounts', signedIn.tokens.access_token)).toBe(200)

  const password = 'correct horse bättery staple'
  const ofStdin = ['create-admin', '--email', 'joan@example.com', '--name', 'Joan', '--password-stdin']
  const given = await runAdminReading(`${password}\r\nnext line`, env, ...ofStdin, '--json')
  expect(given).toMatchObject({ code: 0, error: '' })
  expect(given.out).not.toContain('password')
  expect((await signIn('joan@example.com', password)).status).toBe(200)
  expect((await signIn('joan@example.com', `${password}\n`)).status).toBe(401)

  expect(await admin(...ofStdin)).toMatchObject({ code: 2, error: expect.stringContaining('12 to 200') })
  const twice = await admin('create-admin', '--email', 'GRACE@example.com')
  expect(twice).toMatchObject({ code: 1, error: expect.stringContaining('there is an account') })
  const found = await json('accounts', 'list', '--email', 'Grace@')
  expect(found.accounts).toMatchObject([{ account: made.account, email: 'grace@example.com' }])
})

test('an administrator gets a key with every right, shown once, and is disabled and enabled', async () => {
  const made = await json('create-admin', '--email', 'ada@example.com', '--name', 'Ada', '--api-key')
  const [account, key] = [made.account as string, made.api_key as string]
  expect(await status('/api/v1/admin/breakers', key)).toBe(200)
  expect(await json('accounts', 'show', account)).toMatchObject({
    name: 'Ada',
    role: 'administrator',
    available: '0.00',
  })
  const keys = await admin('keys', 'list', account)
  expect(keys.out).toContain('inference,gpu,billing,admin')
  expect(keys.out).not.toContain(key.slice(8, 16))

  // Disabled, its keys stop working on a gateway that runs, and enabled they work again.
  expect((await json('accounts', 'disable', account)).disabled).toEqual(expect.any(String))
  await eventually(async () => (await status('/api/v1/admin/breakers', key)) === 401)
  expect((await json('accounts', 'enable', account)).disabled).toBeNull()
  await eventually(async () => (await status('/api/v1/admin/breakers', key)) === 200)
})

test('the bootstrap account has its credit, once, however often gateways start', async () => {
  const again = await startGatewayProcess({ env: { ...env, BOOTSTRAP_CREDIT_USD: '7.50' } })
  await again.end('SIGTERM')
  removeDataDir(again.dataDir)
  expect(await json('accounts', 'show', bootstrap)).toMatchObject({ available: '7.50', currency: 'USD' })
  const response = await fetch(`${gateway.url}/api/v1/billing/transactions`, {
    headers: { authorization: `Bearer ${processKey}` },
  })
  const { transactions } = (await response.json()) as { transactions: object[] }
  expect(transactions).toMatchObject([{ kind: 'bootstrap', amount: '7.50' }])
})

test('the schema is brought up to date alone, before any gateway, and again without harm', async () => {
  const empty = await startTestPostgres()
  try {
    for (const _ of ['first', 'again']) {
      const run = await runAdmin(databaseEnv(empty), 'migrate', '--json')
      expect(run).toMatchObject({ code: 0, error: '' })
      expect(run.json()).toMatchObject({ schema: expect.any(Number), newest: expect.any(String) })
    }
    const own = await connectPostgres({ ...empty.connection, clock, max: 1 })
    const select = (sql: Sql) => sql<{ newest: number }[]>`select max(version) as newest from schema_migrations`
    const [row] = await own.query('newest', undefined, select)
    expect(row!.newest).toBe((await json('migrate')).schema)
    await own.close({ timeoutS: 1 })
  } finally {
    await empty.close()
  }
})

test('a role that may not bring up the schema ends the tool with a word, at once', async () => {
  await database.query('new role', undefined, (sql: Sql) => sql`create role onlooker login`)
  const run = await runAdmin({ ...env, DB_USER: 'onlooker' }, 'migrate')
  expect(run).toEqual(
    expect.objectContaining({ code: 1, out: '', error: expect.stringContaining('may not make tables') }),
  )
  expect(run.error.trim().split('\n')).toHaveLength(1)
})

test('a gateway that listens has a table for the receipts of today and of each of the next seven days', async () => {
  const select = (sql: Sql) => sql<{ n: number }[]>`
    select count(*)::int as n from pg_tables where tablename ~ '^receipts_[0-9]{8}$'`
  const [tables] = await database.query('receipt tables', undefined, select)
  expect(tables!.n).toBe(8)
})

test('accounts are listed in pages, for people and for machines', async () => {
  for (let i = 0; i < 3; i++) await newAccount()
  const first = await json('accounts', 'list', '--limit', '2')
  const { account } = (first.accounts as { account: string }[])[1]!
  const rest = await json('accounts', 'list', '--before', account)
  const all = await json('accounts', 'list')
  expect([...(first.accounts as object[]), ...(rest.accounts as object[])]).toEqual(all.accounts)
  const table = await admin('accounts', 'list', '--limit', '2')
  expect(table.out).toMatch(/^account +email +name +role +created +disabled\n/)
  expect(table.out).toContain(`more: --before ${account}`)
})

test('keys are made with their own scopes and limits, and revoked', async () => {
  const account = await newAccount()
  const made = await json(
    ...['keys', 'create', account, '--name', 'ci', '--scopes', 'gpu,billing'],
    ...['--requests-per-minute', '7', '--expires', '2099-01-01'],
  )
  expect(made).toMatchObject({
    name: 'ci',
    scopes: ['gpu', 'billing'],
    requests_per_minute: 7,
    tokens_per_minute: null,
    expires: '2099-01-01T00:00:00.000Z',
    api_key: expect.stringMatching(/^ak_live_/),
  })
  expect(await status('/api/v1/billing/balance', made.api_key as string)).toBe(200)
  expect(await json('keys', 'revoke', account, made.key as string)).toMatchObject({ revoked: true })
  await eventually(async () => (await status('/api/v1/billing/balance', made.api_key as string)) === 401)
  const twice = await admin('keys', 'revoke', account, made.key as string)
  expect(twice).toMatchObject({ code: 1, error: expect.stringContaining('has no key') })
})

test('credit is given once for an id', async () => {
  const account = await newAccount()
  const give = (amount: string, id = 'order 7') =>
    admin('credit', account, amount, '--id', id, '--note', 'a gift', '--json')
  expect((await give('12.50')).json()).toMatchObject({ given: true, amount: '12.50', available: '12.50' })
  expect((await give('12.50')).json()).toMatchObject({ given: false, amount: '12.50', available: '12.50' })
  expect(await give('13')).toMatchObject({ code: 1, error: expect.stringContaining('gave 12.50 before') })
  // Over HTTP the same id is the same grant.
  const response = await fetch(`${gateway.url}/api/v1/admin/accounts/${account}/credits`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${processKey}`,
      'content-type': 'application/json',
      'idempotency-key': 'order 7',
    },
    body: JSON.stringify({ amount: '12.50', note: 'a gift' }),
  })
  expect([response.status, response.headers.get('idempotent-replayed')]).toEqual([201, 'true'])
})

test('limits are shown and set, and only those that are named', async () => {
  const account = await newAccount()
  await json('limits', account, '--requests-per-minute', '70', '--max-concurrent', '5')
  await json('limits', account, '--max-concurrent', 'none', '--tokens-per-minute', '3000000000')
  expect(await json('limits', account)).toEqual({
    account,
    requests_per_minute: 70,
    tokens_per_minute: 3_000_000_000,
    max_concurrent: null,
  })
})

test('usage is summed as it is asked for', async () => {
  const account = await newAccount()
  const amounts = { requests: 2, inputTokens: 10, cachedInputTokens: 1, outputTokens: 5, cost: 1_500_000 }
  await ledgerRows(database).usage(account, [
    { day: '2026-03-01', keyId: randomUUID(), model: 'gpt-4o-mini', ...amounts },
    { day: '2026-03-02', keyId: randomUUID(), model: 'o3', ...amounts },
  ])
  const ask = ['usage', account, '--from', '2026-03-01', '--to', '2026-03-02']
  expect(await json(...ask, '--by', 'model')).toMatchObject({ usage: [{ model: 'gpt-4o-mini' }, { model: 'o3' }] })
  expect((await admin(...ask)).out).toContain('2026-03-01 to 2026-03-02: 3.00 USD')
  expect((await admin('usage', account)).out).toContain('no usage')
})

describe('the check of the ledger', () => {
  test('ends with 0 where all is right', async () => {
    const run = await admin('ledger', 'check')
    expect(run).toMatchObject({ code: 0, error: '' })
    expect(run.out).toContain('all is as it must be')
  })

  test('ends with 1 and names what is wrong', async () => {
    const account = randomUUID()
    await ledgerRows(database).balance(account, { available: 5 })
    const run = await admin('ledger', 'check')
    expect(run.code).toBe(1)
    expect(run.out).toContain(account)
    const { faults } = (await admin('ledger', 'check', '--json')).json()
    expect(faults).toEqual([
      { rule: 'available_is_sum_of_entries', account, operation: null, found: '5', expected: '0' },
    ])
  })
})

describe('what cannot be done is one line and an exit code', () => {
  const nobody = '00000000-0000-7000-8000-00000000dead'
  test.each([
    [2, 'there is no command', ['explode']],
    [2, 'there is no command', ['accounts']],
    [2, 'ACCOUNT is missing', ['accounts', 'show']],
    [2, 'is no id', ['accounts', 'show', "' or true --"]],
    [1, 'there is no account', ['accounts', 'show', nobody]],
    [1, 'there is no account', ['keys', 'create', nobody, '--name', 'x']],
    [2, 'too much: surplus', ['accounts', 'list', 'surplus']],
    [2, '--what', ['accounts', 'list', '--what']],
    [2, '--limit=0', ['accounts', 'list', '--limit', '0']],
    [2, '--max-concurrent=3000000000', ['limits', bootstrap, '--max-concurrent', '3000000000']],
    [2, '--name must be 1 to 100', ['keys', 'create', bootstrap, '--name', 'two\nlines']],
    [2, '--email is missing', ['create-admin']],
    [2, 'is no address', ['create-admin', '--email', 'ada']],
    [2, '--id is missing', ['credit', bootstrap, '5']],
    [2, 'AMOUNT 0', ['credit', bootstrap, '0', '--id', 'x']],
    [2, '--scopes: root', ['keys', 'create', bootstrap, '--name', 'x', '--scopes', 'root']],
    [2, '--expires=1999', ['keys', 'create', bootstrap, '--name', 'x', '--expires', '1999']],
    [2, '--from=2026-02-30', ['usage', bootstrap, '--from', '2026-02-30']],
    [2, '--by=hour', ['usage', bootstrap, '--by', 'hour']],
  ])('%i: %s', async (code, says, args) => {
    const run = await admin(...args)
    expect(run).toMatchObject({ code, out: '', error: expect.stringContaining(says) })
    expect(run.error.trim().split('\n')).toHaveLength(1)
  })

  test('a database that is not there, without its password', async () => {
    const run = await runAdmin({ DATABASE_URL: 'postgres://someone:canary@127.0.0.1:1/none' }, 'accounts', 'list')
    expect(run).toMatchObject({ code: 1, error: expect.stringMatching(/^The database cannot be reached .*\n$/) })
    expect(run.error).not.toContain('canary')
  })
})

describe('the configuration', () => {
  const folder = mkdtempSync(join(tmpdir(), 'admin-'))
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  afterAll(() => removeDataDir(folder))

  test('is checked without a database, and a mistake is named', async () => {
    expect(await runAdmin({}, '--check-config')).toMatchObject({ code: 0, out: expect.stringContaining('valid') })
    const bad = await runAdmin({ PORT: 'eighty' }, '--check-config')
    expect(bad).toMatchObject({ code: 1, error: expect.stringMatching(/^PORT=eighty is not allowed/) })
  })

  test('the routing file is checked, too', async () => {
    const good = file(
      'good.yaml',
      'providers: { openai: { kind: openai } }\nmodels: { "*": { targets: [ { provider: openai } ] } }\n',
    )
    expect((await runAdmin({ GATEWAY_CONFIG: good }, '--check-config')).code).toBe(0)
    const bad = file(
      'bad.yaml',
      'providers: { openai: { kind: openai } }\nmodels: { "*": { targets: [ { provider: nobody } ] } }\n',
    )
    expect(await runAdmin({ GATEWAY_CONFIG: bad }, '--check-config')).toMatchObject({
      code: 1,
      error: expect.stringMatching(/bad\.yaml: models.*provider/),
    })
  })

  test('what a gateway would not start with is refused, too', async () => {
    const nowhere = file(
      'nowhere.yaml',
      'providers: { iointelligence: { kind: openai } }\nmodels: { "*": { targets: [ { provider: iointelligence } ] } }\n',
    )
    // The sandbox does not play it.
    expect(await runAdmin({ GATEWAY_CONFIG: nowhere }, '--check-config')).toMatchObject({
      code: 1,
      error: expect.stringContaining('providers.iointelligence.base_url is missing'),
    })
    expect((await runAdmin({ GATEWAY_CONFIG: nowhere, IOINTELLIGENCE_API_KEY: 'k' }, '--check-config')).code).toBe(0)
    expect(await runAdmin({ STRIPE_SECRET_KEY: 'sk_live_canary' }, '--check-config')).toMatchObject({
      code: 1,
      error: expect.stringMatching(/^STRIPE_SECRET_KEY is a live key/),
    })
  })

  test('is printed with what is in force and where it is from; no secret is in it', async () => {
    const canary = 'canary-canary-canary-canary-canary-0001'
    const run = await runAdmin(
      {
        DATABASE_URL: `postgres://u:${canary}@h/db`,
        OPENAI_API_KEY_FILE: file('key', canary),
        JWT_SECRET: canary,
        DRAIN_DELAY: '1500ms',
        GUARDRAILS_MAX_60MIN_RATE: '50',
      },
      ...['--print-config', '--json'],
    )
    expect(run.code).toBe(0)
    expect(run.out).not.toContain('canary')
    expect(run.json().configuration).toEqual(
      expect.arrayContaining([
        { variable: 'PORT', value: '8080', from: 'default' },
        { variable: 'DATABASE_URL', value: '(set, not shown)', from: 'environment' },
        { variable: 'OPENAI_API_KEY', value: '(set, not shown)', from: 'file' },
        { variable: 'JWT_SECRET', value: '(set, not shown)', from: 'environment' },
        { variable: 'REDIS_URL', value: null, from: 'unset' },
        { variable: 'DRAIN_DELAY', value: '1500ms', from: 'environment' },
        { variable: 'GUARDRAILS_MAX_60MIN_RATE', value: '50', from: 'environment' },
      ]),
    )
  })
})

test('with the embedded database it works beside a gateway that has it up, and alone', async () => {
  const own = await startGatewayProcess()
  const { dataDir } = own
  const beside = await runAdmin({ DATA_DIR: dataDir }, 'accounts', 'show', bootstrap, '--json')
  expect(beside.json()).toMatchObject({ name: 'bootstrap', available: '100.00' })
  expect(await own.end('SIGTERM')).toBe(0)
  const alone = await runAdmin({ DATA_DIR: dataDir }, 'ledger', 'check')
  expect(alone).toMatchObject({ code: 0, out: expect.stringContaining('1 accounts, 1 entries') })
  removeDataDir(dataDir)
})

test('of more accounts than one list holds it is said that there are more, whatever was asked for', async () => {
  const insert = (sql: Sql) => sql`
    insert into accounts (account_id, name, role)
    select gen_random_uuid(), 'one of many', 'user' from generate_series(1, 1001)`
  await database.query('many accounts', undefined, insert)
  const list = await admin('accounts', 'list', '--limit', '5000')
  expect(list.out.trim().split('\n').at(-1)).toMatch(/^more: --before [\da-f-]{36}$/)
})
