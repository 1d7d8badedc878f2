/** What an operator does in an emergency and what rotates without one, to running processes (docs/emergency.md). */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectPostgres, type Database, type Sql } from '../../adapters/node/postgres/client.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { eventually } from '../support/gateway.ts'
import { caller, newPerson } from '../support/people.ts'
import { databaseEnv, startTestPostgres, type TestPostgres } from '../support/postgres.ts'
import {
  type GatewayProcess,
  isAlive,
  type ProcessOptions,
  processKey,
  removeDataDir,
  spawnGateway,
  startGatewayProcess,
} from '../support/process.ts'

let database: TestPostgres
let look: Database
const folder = mkdtempSync(join(tmpdir(), 'emergency-'))
const running: GatewayProcess[] = []

beforeAll(async () => {
  database = await startTestPostgres()
  look = await connectPostgres({ ...database.connection, clock, max: 1 })
}, 60_000)
afterAll(async () => {
  await Promise.all(running.filter(({ pid }) => isAlive(pid)).map((gateway) => gateway.end('SIGKILL')))
  for (const { dataDir } of running) removeDataDir(dataDir)
  await look.close({ timeoutS: 1 })
  await database.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Several of them share one server of a hundred. */
const few = { DB_MAX_CONNS: '10', DB_MIN_CONNS: '2' }

async function start(env: ProcessOptions['env'] = {}): Promise<GatewayProcess> {
  const gateway = await startGatewayProcess({
    env: { ...databaseEnv(database), RATE_LIMIT_PER_MINUTE: '1000000', DB_ACQUIRE_TIMEOUT: '10s', ...few, ...env },
  })
  running.push(gateway)
  return gateway
}

const chat = ({ url }: GatewayProcess) =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${processKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'hi' }], max_tokens: 3 }),
  }).then(async (response) => {
    await response.text()
    return response.status
  })

/** Of gateways, as the server counts them; the one that looks is not counted. */
async function connections(): Promise<number> {
  const [row] = await look.query(
    'connections',
    undefined,
    (sql: Sql) => sql<{ n: number }[]>`
      select count(*)::int as n from pg_stat_activity
      where application_name = 'aiserve-gpuproxy' and datname = current_database() and pid <> pg_backend_pid()`,
  )
  return row!.n
}

test('DB_MAX_CONNS is lowered by a restart, and the server sees no more than that', { timeout: 60_000 }, async () => {
  const many = await start({ DB_MAX_CONNS: '20', DB_MIN_CONNS: '12' })
  await eventually(async () => (await connections()) >= 12)
  const few = await start({ DB_MAX_CONNS: '5', DB_MIN_CONNS: '5' })
  expect(await many.end('SIGTERM')).toBe(0)
  await eventually(async () => (await connections()) <= 5)
  const answers = Array.from({ length: 60 }, () => chat(few))
  let most = 0
  let done = false
  const all = Promise.all(answers).finally(() => (done = true))
  while (!done) most = Math.max(most, await connections())
  expect(new Set(await all)).toEqual(new Set([200]))
  expect(most).toBeGreaterThan(0)
  expect(most).toBeLessThanOrEqual(5)
})

test('a pod with a bad variable ends before it listens, and the one that runs goes on', {
  timeout: 60_000,
}, async () => {
  const old = await start()
  const next = spawnGateway({ env: { ...databaseEnv(database), DB_MAX_CONNS: 'fifty' } })
  expect(await next.exited).toBe(1)
  removeDataDir(next.dataDir)
  expect(next.output()).toMatch(/^DB_MAX_CONNS=fifty is not allowed: it must be an integer/)
  expect(await chat(old)).toBe(200)
})

describe('JWT_SECRET', () => {
  const [former, latter] = ['a'.repeat(40), 'b'.repeat(40)]

  test('changes in three restarts, and no pod ever refuses a token of another', { timeout: 120_000 }, async () => {
    const me = ({ url }: GatewayProcess, token: string) =>
      caller(url)('GET', '/api/v1/billing/balance', undefined, { token })
    const signIn = async ({ url }: GatewayProcess) => (await newPerson(caller(url))).token
    const proxied = { TRUSTED_PROXY_HOPS: '1' }
    const before = await start({ ...proxied, JWT_SECRET: former })
    const first = await start({ ...proxied, JWT_SECRET: former, JWT_SECRET_PREVIOUS: latter })
    const [old, alsoOld] = [await signIn(before), await signIn(first)]
    for (const pod of [before, first])
      for (const token of [old, alsoOld]) expect((await me(pod, token)).status).toBe(200)

    const second = await start({ ...proxied, JWT_SECRET: latter, JWT_SECRET_PREVIOUS: former })
    const young = await signIn(second)
    for (const pod of [first, second]) for (const token of [old, young]) expect((await me(pod, token)).status).toBe(200)
    // Why the first one is needed: a pod from before it does not know the new secret.
    expect((await me(before, young)).status).toBe(401)

    const third = await start({ ...proxied, JWT_SECRET: latter })
    expect((await me(third, young)).status).toBe(200)
    expect((await me(second, young)).status).toBe(200)
    expect((await me(third, old)).status).toBe(401)
  })
})

describe('a routing file', () => {
  let provider: Server
  const seen: (string | undefined)[] = []
  const [keyFile, routingFile] = [join(folder, 'key'), join(folder, 'routing.yaml')]
  let gateway: GatewayProcess

  const routing = (model: string) => `providers:
  main: { kind: openai, base_url: "http://127.0.0.1:${(provider.address() as AddressInfo).port}/v1", api_keys: ["\${OPENAI_API_KEY}"] }
models:
  ${model}: { targets: [{ provider: main }] }
`
  const reloads = async (result: string) => {
    const text = await (await fetch(`${gateway.url}/metrics`)).text()
    return Number(new RegExp(`^routing_reloads_total\\{result="${result}"\\} (\\d+)`, 'm').exec(text)?.[1] ?? 0)
  }

  beforeAll(async () => {
    provider = createServer((request, response) => {
      seen.push(request.headers.authorization)
      request.resume().on('end', () =>
        response.setHeader('content-type', 'application/json').end(
          JSON.stringify({
            id: 'x',
            object: 'chat.completion',
            choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
            usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
          }),
        ),
      )
    }).listen(0, '127.0.0.1')
    await once(provider, 'listening')
    writeFileSync(keyFile, 'sk-the-first\n')
    writeFileSync(routingFile, routing('gpt-4o'))
    gateway = await start({ GATEWAY_CONFIG: routingFile, OPENAI_API_KEY_FILE: keyFile })
  }, 60_000)
  afterAll(() => void provider.close())

  test('takes a provider’s new key from its file while requests go on', { timeout: 60_000 }, async () => {
    expect(await chat(gateway)).toBe(200)
    expect(seen.at(-1)).toBe('Bearer sk-the-first')
    writeFileSync(keyFile, 'sk-the-second\n')
    await eventually(async () => {
      expect(await chat(gateway)).toBe(200)
      return seen.at(-1) === 'Bearer sk-the-second'
    })
    expect(gateway.child.exitCode).toBe(null)
  })

  test('that is bad is refused whole, and the one in use stays', { timeout: 60_000 }, async () => {
    writeFileSync(routingFile, 'providers: { main: { kind: openai } }\nmodels: [')
    await eventually(async () => (await reloads('refused')) >= 1)
    expect(await chat(gateway)).toBe(200)
    const taken = await reloads('ok')
    writeFileSync(routingFile, routing('"*"'))
    await eventually(async () => (await reloads('ok')) > taken)
    expect(await chat(gateway)).toBe(200)
  })
})
