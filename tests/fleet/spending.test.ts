/**
 * An account with little credit and far more requests than it pays for, over three gateways as real processes on one
 * PostgreSQL: no more is spent than there was, and what there was can be spent.
 */
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { connectPostgres, type Database } from '../../adapters/node/postgres/client.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { type CountingProvider, startCountingProvider } from '../support/counting-provider.ts'
import { eventually } from '../support/gateway.ts'
import { type Books, booksOf, faultsInBooks } from '../support/ledger.ts'
import { caller, newKey, newPerson } from '../support/people.ts'
import { databaseEnv, startTestPostgres, type TestPostgres } from '../support/postgres.ts'
import {
  type GatewayProcess,
  isAlive,
  newDataDir,
  processKey,
  removeDataDir,
  startGatewayProcess,
} from '../support/process.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

const price = 40_000
const payable = 10
/** Held for 100 tokens out, in dollars for a million; what comes is 10. */
const chatBody = { model: 'chat', messages: [{ role: 'user', content: 'hi' }], max_tokens: 100 }
const chatCost = 10 * 100
const imageBody = { model: 'image', prompt: 'a dot' }

let postgres: TestPostgres
let redis: TestRedis
let provider: CountingProvider
let database: Database
const configDir = newDataDir()
const pods: GatewayProcess[] = []

const start = (dataDir?: string) =>
  startGatewayProcess({
    env: {
      ...databaseEnv(postgres),
      ...{ REDIS_URL: redis.url, GATEWAY_CONFIG: join(configDir, 'routing.yaml'), TRUSTED_PROXY_HOPS: '1' },
      ...{ RATE_LIMIT_PER_MINUTE: '1000000', DB_MAX_CONNS: '8', DB_MIN_CONNS: '1' },
    },
    ...(dataDir !== undefined && { dataDir }),
  })

beforeAll(async () => {
  provider = await startCountingProvider({ prompt_tokens: 0, completion_tokens: 10, total_tokens: 10 })
  writeFileSync(
    join(configDir, 'routing.yaml'),
    `providers:
  counting: { kind: openai, base_url: "${provider.baseUrl}" }
models:
  image: { targets: [ { provider: counting } ], price: { per_image: ${price / 1e6} } }
  chat: { targets: [ { provider: counting } ], price: { input_per_million: 0, output_per_million: 100 } }
`,
  )
  ;[postgres, redis] = await Promise.all([startTestPostgres(), startRedis()])
  // One after the other: the first one migrates.
  for (let i = 0; i < 3; i++) pods.push(await start())
  database = await connectPostgres({ ...postgres.connection, clock, max: 2 })
}, 120_000)
afterEach(() => provider.gate.go())
afterAll(async () => {
  await Promise.all(pods.filter(({ pid }) => isAlive(pid)).map((pod) => pod.end('SIGKILL')))
  await database.close({ timeoutS: 1 })
  for (const { dataDir } of pods) removeDataDir(dataDir)
  removeDataDir(configDir)
  provider.close()
  await Promise.all([postgres.close(), redis.close()])
})

/** Somebody new who has been given so much, as an operator gives it. */
async function newAccount(amount: number) {
  const call = caller(pods[0]!.url)
  const { token } = await newPerson(call)
  const { api_key } = await newKey(call, token)
  const [row] = await database.query(
    'account',
    undefined,
    (sql) =>
      sql<{ account_id: string }[]>`select account_id from api_keys order by created_at desc, key_id desc limit 1`,
  )
  const accountId = row!.account_id
  const granted = await fetch(`${pods[0]!.url}/api/v1/admin/accounts/${accountId}/credits`, {
    method: 'POST',
    headers: {
      ...{ authorization: `Bearer ${processKey}`, 'content-type': 'application/json' },
      'idempotency-key': randomUUID(),
    },
    body: JSON.stringify({ amount: (amount / 1e6).toFixed(6) }),
  })
  expect(granted.status).toBe(201)
  return { accountId, key: api_key }
}

interface Said {
  status: number
  code?: string
}

async function ask(pod: GatewayProcess, key: string, path: string, body: object): Promise<Said> {
  try {
    const response = await fetch(`${pod.url}/v1/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    const text = await response.text()
    return response.ok ? { status: 200 } : { status: response.status, code: JSON.parse(text).error.code }
  } catch {
    return { status: 0 }
  }
}
const burst = (key: string, count: number, path: string, body: object) =>
  Array.from({ length: count }, (_, i) => ask(pods[i % pods.length]!, key, path, body))

/** Looks at the books, and at what their owner is told of them, until told to end. */
function watch(accountId: string, key: string) {
  const seen: Books[] = []
  let running = true
  const watching = (async () => {
    while (running) {
      seen.push(await booksOf(database, accountId))
      const pod = pods.findLast(({ pid }) => isAlive(pid))!
      const response = await fetch(`${pod.url}/api/v1/billing/balance`, { headers: { authorization: `Bearer ${key}` } })
      const { available, held } = (await response.json()) as { available: string; held: string }
      seen.push({ available: Number(available), held: Number(held), leased: 0 })
    }
  })()
  watching.catch(() => {}) // Told where it is waited for.
  return async () => {
    running = false
    await watching
    expect(seen.length).toBeGreaterThan(2)
    for (const each of seen) {
      for (const amount of Object.values(each)) expect(amount, JSON.stringify(each)).toBeGreaterThanOrEqual(0)
    }
  }
}

/** All is ended: nothing is held or leased. */
const atRest = (accountId: string) =>
  eventually(
    () => booksOf(database, accountId),
    ({ held, leased }) => held === 0 && leased === 0,
  )
async function ended(accountId: string) {
  const [row] = await database.query(
    'ended',
    undefined,
    (sql) => sql<{ settled: string; spent: string; written_off: string; receipts: string }[]>`
      select count(*) filter (where kind = 'settle') as settled, coalesce(sum(revenue), 0) as spent,
        coalesce(sum(written_off), 0) as written_off,
        (select count(*) from receipts where account_id = ${accountId}) as receipts
      from ledger_entries where account_id = ${accountId}`,
  )
  const { settled, spent, written_off: writtenOff, receipts } = row!
  return { settled: Number(settled), spent: Number(spent), writtenOff: Number(writtenOff), receipts: Number(receipts) }
}
const count = (all: Said[], status: number) => all.filter((said) => said.status === status).length

test('of 200 requests at once over three pods exactly the ten that are paid for are served', async () => {
  const { accountId, key } = await newAccount(payable * price)
  const before = provider.calls
  const look = watch(accountId, key)
  const said = await Promise.all(burst(key, 200, 'images/generations', imageBody))
  await look()
  expect([count(said, 200), count(said, 402)]).toEqual([payable, 200 - payable])
  expect(new Set(said.flatMap(({ code }) => code ?? []))).toEqual(new Set(['insufficient_credit']))
  expect(await atRest(accountId)).toEqual({ available: 0, held: 0, leased: 0 })
  expect(provider.calls - before).toBe(payable)
  expect(await ended(accountId)).toMatchObject({ settled: payable, spent: payable * price, writtenOff: 0 })
  expect(await faultsInBooks(database)).toEqual([])
}, 60_000)

test('credit that does not divide is not passed, and what is left stays', async () => {
  const { accountId, key } = await newAccount(payable * price + price - 1)
  const said = await Promise.all(burst(key, 60, 'images/generations', imageBody))
  expect(count(said, 200)).toBe(payable)
  expect(await atRest(accountId)).toEqual({ available: price - 1, held: 0, leased: 0 })
}, 60_000)

test('where ten times the cost is held, those who try again get all that the credit pays for, and no more', async () => {
  const { accountId, key } = await newAccount(40 * chatCost)
  const before = provider.calls
  const look = watch(accountId, key)
  let served = 0
  const others = new Set<string>()
  /** What is left would pay for a request that is let in: one whose hold it covers. */
  const isHoldable = async () => {
    const { available, held } = await booksOf(database, accountId)
    return held > 0 || available >= 10 * chatCost
  }
  let looking: Promise<boolean> | undefined
  const holdable = () => {
    looking ??= isHoldable().finally(() => {
      looking = undefined
    })
    return looking
  }
  await Promise.all(
    Array.from({ length: 60 }, async (_, caller) => {
      for (let nth = caller; ; nth++) {
        const { status, code } = await ask(pods[nth % 3]!, key, 'chat/completions', chatBody)
        if (status === 200) served++
        else others.add(`${status} ${code}`)
        if (status !== 200 && !(await holdable())) return
      }
    }),
  )
  await look()
  expect([...others]).toEqual(['402 insufficient_credit'])
  const books = await atRest(accountId)
  // The last hold that fits takes ten times what it costs; below that nothing is let in.
  expect(served).toBe(40 - 10 + 1)
  expect(books.available).toBe((40 - served) * chatCost)
  expect(provider.calls - before).toBe(served)
  expect(await ended(accountId)).toMatchObject({ settled: served, spent: served * chatCost, writtenOff: 0 })
  expect(await faultsInBooks(database)).toEqual([])
}, 120_000)

test('a pod that is killed in the middle: never more than the ten, and all is ended once it is back', async () => {
  const { accountId, key } = await newAccount(payable * price)
  const before = provider.calls
  provider.gate.hold()
  const look = watch(accountId, key)
  const asking = burst(key, 200, 'images/generations', imageBody)
  await eventually(() => provider.gate.size >= 5)
  const [victim] = pods as [GatewayProcess]
  await victim.end('SIGKILL')
  provider.gate.go()
  const said = await Promise.all(asking)
  await look()
  expect(count(said, 200)).toBeLessThanOrEqual(payable)
  expect(provider.calls - before).toBeLessThanOrEqual(payable)
  const lost = count(said, 0)
  expect(lost).toBeGreaterThan(0)
  expect(await faultsInBooks(database)).toEqual([])

  pods[0] = await start(victim.dataDir)
  const books = await atRest(accountId)
  const { settled, spent, writtenOff } = await ended(accountId)
  expect(writtenOff).toBe(0)
  expect(books.available).toBe(payable * price - spent)
  // What the dead pod had sent is ended by what is known of it: no image was delivered, so it costs nothing.
  expect(spent).toBe(count(said, 200) * price)
  expect(settled).toBeGreaterThanOrEqual(provider.calls - before)
  // Whatever the dead one did not spend can be spent.
  const left = books.available / price
  const again = await Promise.all(burst(key, 40, 'images/generations', imageBody))
  expect(count(again, 200)).toBe(left)
  expect(await atRest(accountId)).toEqual({ available: 0, held: 0, leased: 0 })
  expect(await faultsInBooks(database)).toEqual([])
}, 120_000)
