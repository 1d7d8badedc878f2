/** Three gateways as real processes that share a Redis and a PostgreSQL. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { databaseEnv, startTestPostgres, type TestPostgres } from '../support/postgres.ts'
import { type GatewayProcess, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

let redis: TestRedis
let postgres: TestPostgres
let gateways: GatewayProcess[]
const limit = 1_000

beforeAll(async () => {
  ;[redis, postgres] = await Promise.all([startRedis(), startTestPostgres()])
  const env = {
    REDIS_URL: redis.url,
    ...databaseEnv(postgres),
    DB_MAX_CONNS: '10',
    RATE_LIMIT_PER_MINUTE: String(limit),
  }
  // One after the other: the first one migrates.
  gateways = []
  for (let i = 0; i < 3; i++) gateways.push(await startGatewayProcess({ env }))
})
afterAll(async () => {
  await Promise.all(gateways.map(({ end }) => end('SIGKILL')))
  for (const { dataDir } of gateways) removeDataDir(dataDir)
  await Promise.all([redis.close(), postgres.close()])
})

const ask = async (gateway: GatewayProcess) => {
  const response = await fetch(`${gateway.url}/v1/models`, { headers: { authorization: `Bearer ${processKey}` } })
  await response.arrayBuffer()
  return response
}

it('admits of a burst over all of them what one limit allows, and tells each caller so', async () => {
  const from = performance.now()
  const counts = new Map<number, number>()
  const callers = Array.from({ length: 150 }, async (_, caller) => {
    for (let i = caller; i < 5_000; i += 150) {
      const { status, headers } = await ask(gateways[i % 3]!)
      counts.set(status, (counts.get(status) ?? 0) + 1)
      if (status === 429) expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    }
  })
  await Promise.all(callers)
  const refilled = Math.ceil(((performance.now() - from) * limit) / 60_000)
  expect([...counts.keys()].sort()).toEqual([200, 429])
  expect(counts.get(200)).toBeGreaterThanOrEqual(limit * 0.99)
  expect(counts.get(200)).toBeLessThanOrEqual(limit * 1.01 + refilled)
})
