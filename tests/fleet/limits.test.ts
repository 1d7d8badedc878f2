/** Three gateways as real processes that share a Redis and a PostgreSQL. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { eventually } from '../support/gateway.ts'
import { makeLimitedKey } from '../support/limited-key.ts'
import { databaseEnv, startTestPostgres, type TestPostgres } from '../support/postgres.ts'
import { type GatewayProcess, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

let redis: TestRedis
let postgres: TestPostgres
let gateways: GatewayProcess[]
let placesKey: string
const perMinute = 1_000
const places = 6

beforeAll(async () => {
  ;[redis, postgres] = await Promise.all([startRedis(), startTestPostgres()])
  const env = {
    ...databaseEnv(postgres),
    REDIS_URL: redis.url,
    DB_MAX_CONNS: '10',
    // What is counted here is what Redis lets in: on a busy machine it answers late.
    REDIS_COMMAND_TIMEOUT: '3s',
    RATE_LIMIT_PER_MINUTE: String(perMinute),
  }
  // One after the other: the first one migrates.
  gateways = []
  for (let i = 0; i < 3; i++) gateways.push(await startGatewayProcess({ env }))
  placesKey = await makeLimitedKey(postgres, { requestsPerMinute: 10_000_000, maxConcurrent: places })
})
afterAll(async () => {
  const running = gateways.filter(({ child }) => child.exitCode === null && child.signalCode === null)
  await Promise.all(running.map(({ end }) => end('SIGKILL')))
  for (const { dataDir } of gateways) removeDataDir(dataDir)
  await Promise.all([redis.close(), postgres.close()])
})

const list = async (gateway: GatewayProcess) => {
  const response = await fetch(`${gateway.url}/v1/models`, { headers: { authorization: `Bearer ${processKey}` } })
  await response.arrayBuffer()
  return response
}
const chat = (gateway: GatewayProcess, more: object, signal?: AbortSignal) =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${placesKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hi' }], max_tokens: 3, ...more }),
    ...(signal && { signal }),
  })
const statusOf = async (gateway: GatewayProcess) => {
  const response = await chat(gateway, {})
  await response.arrayBuffer()
  return response.status
}
const longAnswer = { stream: true, max_tokens: 100_000, messages: [{ role: 'user', content: 'word '.repeat(100_000) }] }

it('admits of a burst over all of them what one limit allows, and tells each caller so', async () => {
  const from = performance.now()
  const counts = new Map<number, number>()
  const callers = Array.from({ length: 150 }, async (_, caller) => {
    for (let i = caller; i < 5_000; i += 150) {
      const { status, headers } = await list(gateways[i % 3]!)
      counts.set(status, (counts.get(status) ?? 0) + 1)
      if (status === 429) expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    }
  })
  await Promise.all(callers)
  const refilled = Math.ceil(((performance.now() - from) * perMinute) / 60_000)
  expect([...counts.keys()].sort()).toEqual([200, 429])
  expect(counts.get(200)).toBeGreaterThanOrEqual(perMinute * 0.99)
  expect(counts.get(200)).toBeLessThanOrEqual(perMinute * 1.01 + refilled)
})

it('leaves no place stuck after 10,000 callers who leave at any moment', { timeout: 180_000 }, async () => {
  let next = 0
  const one = async () => {
    for (let i = next++; i < 10_000; i = next++) {
      const leaving = new AbortController()
      const stay = Math.random() * 15
      const timer = setTimeout(() => leaving.abort(), stay)
      await chat(gateways[i % 3]!, { stream: i % 2 === 0 }, leaving.signal)
        .then((response) => response.arrayBuffer())
        .catch(() => {})
      clearTimeout(timer)
    }
  }
  await Promise.all(Array.from({ length: 60 }, one))
  await eventually(async () => (await redis.admin.keys('*:limit:places:*')).length === 0)
  // All of them at once, from any pod.
  const streams: Response[] = []
  for (let i = 0; i < places; i++) streams.push(await chat(gateways[i % 3]!, longAnswer))
  expect(streams.map(({ status }) => status)).toEqual(Array(places).fill(200))
  expect(await statusOf(gateways[0]!)).toBe(429)
  for (const stream of streams) await stream.body!.cancel()
  await eventually(
    () => statusOf(gateways[1]!),
    (status) => status === 200,
  )
})

it('gives the places of a killed process to the others when their lease is over', { timeout: 90_000 }, async () => {
  const [dying, other] = [gateways[2]!, gateways[0]!]
  const streams: Response[] = []
  await eventually(async () => {
    const stream = await chat(dying, longAnswer)
    if (stream.status === 200) streams.push(stream)
    else await stream.arrayBuffer()
    return streams.length === places
  })
  expect(await statusOf(other)).toBe(429)
  const killedAt = performance.now()
  await dying.end('SIGKILL')
  await Promise.all(streams.map((stream) => stream.text().catch(() => '')))
  expect(await statusOf(other), 'the lease outlives the process').toBe(429)
  await eventually(
    () => statusOf(other),
    (status) => status === 200,
  )
  expect(performance.now() - killedAt).toBeLessThan(30_000)
})
