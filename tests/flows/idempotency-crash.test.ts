/** Real processes that are killed in each phase of a request with a key, and what the next one makes of it. */
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { eventually } from '../support/gateway.ts'
import { type HeldProvider, startHeldProvider } from '../support/held-provider.ts'
import { databaseEnv, startTestPostgres, type TestPostgres } from '../support/postgres.ts'
import {
  type GatewayProcess,
  isAlive,
  type ProcessOptions,
  processKey,
  removeDataDir,
  startGatewayProcess,
} from '../support/process.ts'

let server: TestPostgres
let provider: HeldProvider
let running: GatewayProcess[] = []
beforeAll(async () => {
  server = await startTestPostgres()
})
beforeEach(async () => {
  provider = await startHeldProvider()
})
afterEach(async () => {
  provider.go()
  provider.close()
  await Promise.all(running.filter(({ pid }) => isAlive(pid)).map((gateway) => gateway.end('SIGKILL')))
  for (const { dataDir } of running) removeDataDir(dataDir)
  running = []
})
afterAll(() => server.close())

const start = async ({ env, ...options }: ProcessOptions = {}) => {
  const settings = { OPENAI_BASE_URL: provider.baseUrl, OPENAI_API_KEY: 'sk-test', DB_MIN_CONNS: '1', ...env }
  const gateway = await startGatewayProcess({ ...options, env: { ...databaseEnv(server), ...settings } })
  running.push(gateway)
  return gateway
}
const send = (gateway: GatewayProcess, key: string, fields: object = {}) =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${processKey}`,
      'content-type': 'application/json',
      'idempotency-key': key,
    },
    body: JSON.stringify({ model: 'held', ...fields, messages: [{ role: 'user', content: 'hi' }] }),
  })
/** Once the next process has found what the former one left. */
const sendUntilKnown = (gateway: GatewayProcess, key: string, fields: object = {}) =>
  eventually(
    async () => {
      const response = await send(gateway, key, fields)
      return { response, code: await codeOf(response.clone()) }
    },
    ({ code }) => code !== 'idempotency_in_flight',
  )
const codeOf = async (response: Response) => ((await response.json()) as { error: { code: string } }).error.code

test('killed before the provider was called: the same pod executes it at its next start, once', async () => {
  const first = await start()
  await (await send(first, 'warm')).text()
  const sql = connect()
  let sent: Promise<unknown> = Promise.resolve()
  try {
    await sql.begin(async (tx) => {
      // No credit can be leased for it, so it goes no further.
      await tx`update balances set available = available`
      await tx`update credit_leases set amount = amount`
      sent = send(first, 'before', { max_tokens: 100_000 }).catch(() => undefined)
      // Of those that wait for the balance, the one that leases: credit of the request before may be given back meanwhile.
      await eventually(
        () => sql`
          select 1 from pg_stat_activity
          where wait_event_type = 'Lock' and query like '%for update of balances%' and pid <> pg_backend_pid()`,
        (rows) => rows.length > 0,
      )
      await first.end('SIGKILL')
    })
  } finally {
    await sql.end()
  }
  expect([await sent, provider.calls.length]).toEqual([undefined, 1])

  // Another pod cannot know that the first one is gone.
  const other = await start()
  expect(await codeOf(await send(other, 'before', { max_tokens: 100_000 }))).toBe('idempotency_in_flight')
  const second = await start({ dataDir: first.dataDir })
  const again = (gateway: GatewayProcess) => send(gateway, 'before', { max_tokens: 100_000 })
  const responses = await Promise.all([second, other, second, other].map(again))
  expect(responses.every(({ status }) => status === 200 || status === 409)).toBe(true)
  await eventually(
    () => again(other),
    (response) => response.headers.get('idempotent-replayed') === 'true',
  )
  expect(provider.calls).toHaveLength(2)
})

test('killed while the answer streams: it is never executed again, and the answer names the request', async () => {
  const first = await start()
  provider.hold()
  const streaming = await send(first, 'during', { stream: true })
  const requestId = streaming.headers.get('x-request-id')
  const broken = expect(streaming.text()).rejects.toThrow()
  await first.end('SIGKILL')
  await broken
  provider.go()

  const second = await start({ dataDir: first.dataDir })
  for (let i = 0; i < 2; i++) {
    const { response, code } = await sendUntilKnown(second, 'during', { stream: true })
    expect(response.headers.get('x-gpuproxy-original-request-id')).toBe(requestId)
    expect([response.status, code]).toEqual([409, 'idempotency_outcome_lost'])
  }
  expect(provider.calls).toHaveLength(1)
})

test('killed after the answer and before it is stored: the same', async () => {
  const first = await start()
  provider.hold()
  const sent = send(first, 'after').catch(() => undefined)
  await eventually(() => provider.calls.length === 1)
  const sql = connect()
  try {
    await sql.begin(async (tx) => {
      // The row is locked, so that it cannot be stored.
      await tx`select account_id from idempotency_keys where outcome is null for update`
      provider.go()
      const waiting = await eventually(
        () => sql<{ pid: number }[]>`select pid from pg_stat_activity where wait_event_type = 'Lock'`,
        (rows) => rows.length > 0,
      )
      await first.end('SIGKILL')
      // What it had sent already would be done once the row is free.
      for (const { pid } of waiting) await sql`select pg_terminate_backend(${pid}, 5000)`
    })
  } finally {
    await sql.end()
  }
  expect(await sent).toBeUndefined()

  const second = await start({ dataDir: first.dataDir })
  const { response, code } = await sendUntilKnown(second, 'after')
  expect([response.status, code]).toEqual([409, 'idempotency_outcome_lost'])
  expect(provider.calls).toHaveLength(1)
})

test('killed after the answer is stored: it is given again', async () => {
  const first = await start()
  const text = await (await send(first, 'stored', { stream: true })).text()
  await first.end('SIGKILL')
  const second = await start({ dataDir: first.dataDir })
  const again = await send(second, 'stored', { stream: true })
  expect([again.headers.get('idempotent-replayed'), await again.text()]).toEqual(['true', text])
  expect(provider.calls).toHaveLength(1)
})

function connect() {
  const { connection } = server
  const options = { max: 2, onnotice() {} }
  return 'url' in connection
    ? postgres(connection.url, options)
    : postgres({ ...connection, username: connection.user, ...options })
}
