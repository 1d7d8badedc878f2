import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock as clock } from '../../../src/resilience/clock.ts'
import { paceContract } from '../../../tests/contracts/pace.ts'
import { FakeClock } from '../../../tests/support/fake-clock.ts'
import { startRedis, type TestRedis } from '../../../tests/support/redis.ts'
import { seededRandom } from '../../../tests/support/seeded-random.ts'
import { createMemoryPace } from '../../memory/pace.ts'
import { createRedis, type Redis, RedisUnavailable } from './client.ts'
import { createRedisPace } from './pace.ts'

let server: TestRedis
const open: Redis[] = []
beforeAll(async () => {
  server = await startRedis()
})
afterAll(async () => {
  for (const redis of open) redis.close()
  await server.close()
})

let prefixes = 0
function connect(prefix: string) {
  const redis = createRedis({
    clock,
    random: Math.random,
    server: { url: server.url },
    prefix,
    commandTimeoutMs: 5_000,
  })
  open.push(redis)
  return createRedisPace({ redis, prefix, clock, random: Math.random, pods: () => 1 })
}
async function up() {
  while (!open.every((redis) => redis.up)) await new Promise((resolve) => setImmediate(resolve))
}

paceContract(async () => {
  const pace = connect(`pace${++prefixes}`)
  await up()
  // Redis goes by its own clock: what is told as a wait is waited for.
  return { pace, pass: (ms) => sleep(ms) }
})

test('fifty gateways that ask all the time have the turns of one', async () => {
  const paces = Array.from({ length: 50 }, () => connect('fifty'))
  await up()
  const from = performance.now()
  let given = 0
  for (let round = 0; round < 20; round++) {
    const waits = await Promise.all(paces.map((pace) => pace.take('vastai:search', 100, 2)))
    given += waits.filter((waitMs) => waitMs === 0).length
  }
  const elapsedMs = performance.now() - from
  expect(given).toBeGreaterThanOrEqual(2)
  // Redis counts in whole ms.
  expect(given).toBeLessThanOrEqual(2 + (elapsedMs + 1) / 100)
})

test('a pod that starts without Redis waits for a moment before it takes its share', async () => {
  const away = { script: () => async () => Promise.reject(new RedisUnavailable('disconnected')) } as never
  const fake = new FakeClock()
  const pace = createRedisPace({ redis: away, prefix: 'x', clock: fake, random: () => 0, pods: () => 1 })
  const waitMs = await pace.take('search', 7_500, 2)
  expect(waitMs).toBeGreaterThan(0)
  await fake.advance(waitMs)
  expect(await pace.take('search', 7_500, 2)).toBe(0)
})

test.each([1, 3, 10, 50])(
  'with a Redis that answers %i pods only now and then they take what it gives and no more',
  async (pods) => {
    const fake = new FakeClock()
    const random = seededRandom(pods)
    const fair = createMemoryPace({ clock: fake })
    const flaky = {
      script:
        () =>
        async (_: string[], [interval, burst]: number[]) => {
          if (random() < 0.5) throw new RedisUnavailable('timeout')
          return fair.take('search', interval!, burst)
        },
    } as never
    const paces = Array.from({ length: pods }, () =>
      createRedisPace({ redis: flaky, prefix: 'x', clock: fake, random, pods: () => pods }),
    )
    const given: number[] = []
    for (let second = 0; second < 1_200; second++) {
      for (const pace of paces) if ((await pace.take('search', 7_500, 2)) === 0) given.push(second)
      await fake.advance(1_000)
    }
    expect(given.length).toBeGreaterThan(20 * 6)
    for (const at of given) expect(given.filter((each) => each >= at && each < at + 60).length).toBeLessThanOrEqual(10)
  },
)

test.each([3, 10, 50])('without Redis %i pods keep to their share of the turns', async (pods) => {
  const away = { script: () => async () => Promise.reject(new RedisUnavailable('disconnected')) } as never
  const fake = new FakeClock()
  let pod = 0
  const paces = Array.from({ length: pods }, () => {
    const share = pod++ / pods
    return createRedisPace({ redis: away, prefix: 'x', clock: fake, random: () => share, pods: () => pods })
  })
  const given: number[] = []
  for (let second = 0; second < 800; second++) {
    for (const pace of paces) if ((await pace.take('search', 7_500, 2)) === 0) given.push(second)
    await fake.advance(1_000)
  }
  expect(given.length).toBeGreaterThan(90)
  for (const at of given) expect(given.filter((each) => each >= at && each < at + 60).length).toBeLessThanOrEqual(10)
})
