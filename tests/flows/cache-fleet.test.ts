/** Three real processes that share a Redis, in front of one market that counts. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '../../adapters/sandbox/sandbox.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { type Fleet, startFleet } from '../support/fleet.ts'
import { eventually } from '../support/gateway.ts'
import { startRedisCluster } from '../support/redis.ts'

const clients = 500
const path = '/api/v1/gpu/offers?provider=vastai'
const searchMs = 400

let fleet: Fleet
let sandbox: Sandbox & Required<Pick<Sandbox, 'vastai' | 'ionet'>>
const keyOf = (pod: number) => `vast-key-of-pod-${pod}`
const searches = () =>
  sandbox.vastai.calls
    .filter(({ path }) => path.includes('/bundles/'))
    .map(({ headers }) => String(headers.authorization).slice('Bearer '.length))

beforeAll(async () => {
  sandbox = (await startSandbox({ clock, random: Math.random, servers: ['vastai', 'ionet'] })) as typeof sandbox
  fleet = await startFleet(3, (pod) => ({
    // A pod that waits for Redis in vain goes on alone, which is not what is counted here.
    REDIS_COMMAND_TIMEOUT: '500ms',
    VASTAI_BASE_URL: sandbox.vastai.baseUrl,
    VASTAI_API_KEY: keyOf(pod),
    IONET_BASE_URL: sandbox.ionet.baseUrl,
  }))
})
afterAll(async () => {
  await fleet.close()
  await sandbox.close()
})

const forget = () => fleet.forget('offers:3:vastai')
const ask = async (nth: number, headers?: Record<string, string>) => {
  const response = await fleet.get(path, nth, headers)
  const { offers, providers } = (await response.json()) as { offers: unknown[]; providers: { status: string }[] }
  return { status: response.status, cache: response.headers.get('x-cache')!, offers, market: providers[0]?.status }
}
const herd = (pods = [0, 1, 2]) => Promise.all(Array.from({ length: clients }, (_, i) => ask(pods[i % pods.length]!)))

describe('500 clients of three pods on one expired key', () => {
  let before: number
  beforeEach(async () => {
    sandbox.vastai.setFaults([{ kind: 'slow_headers', ms: searchMs }])
    await forget()
    before = searches().length
  })

  test('cost one search, and all are answered', async () => {
    const answers = await herd()
    expect(searches().length - before).toBe(1)
    expect(answers.every(({ status, market, offers }) => status === 200 && market === 'ok' && offers.length > 0)).toBe(
      true,
    )
    expect(new Set(answers.map(({ cache }) => cache))).toEqual(new Set(['miss', 'redis']))
    for (let pod = 0; pod < 3; pod++) expect((await ask(pod)).cache).toBe('memory')
  })

  test('cost two where the market refuses, for the others try once more and then rest together', async () => {
    sandbox.vastai.setFaults([{ kind: 'status', status: 401 }])
    const answers = await herd()
    expect(answers.every(({ status, market }) => status === 200 && market === 'down')).toBe(true)
    expect(searches().length - before).toBe(2)
  })

  test('who will have nothing from a cache cannot make the pods search more often', async () => {
    await herd()
    const fresh = await Promise.all(Array.from({ length: 60 }, (_, i) => ask(i, { 'cache-control': 'no-cache' })))
    expect(fresh.every(({ cache }) => cache === 'memory')).toBe(true)
    expect(searches().length - before).toBe(1)
  })

  test('cost two where the pod that searches is killed', async () => {
    const answering = herd().catch(() => undefined)
    await eventually(() => searches().length > before)
    const leader = [0, 1, 2].find((pod) => keyOf(pod) === searches().at(-1))!
    const others = [0, 1, 2].filter((pod) => pod !== leader)
    await fleet.pods[leader]!.end('SIGKILL')
    await answering
    const answers = await herd(others)
    expect(answers.every(({ status, market, offers }) => status === 200 && market === 'ok' && offers.length > 0)).toBe(
      true,
    )
    expect(searches().length - before).toBe(2)
  })
})

test('with Redis stalled a pod loads for itself, and loses no more than a few command timeouts', async () => {
  const pod = [0, 1, 2].find((nth) => fleet.pods[nth]!.child.signalCode === null)!
  await fleet.redis.signal('SIGSTOP')
  const from = clock.now()
  const response = await fleet.get('/api/v1/gpu/offers?provider=ionet', pod)
  expect(response.headers.get('x-cache')).toBe('miss')
  expect(await response.json()).toMatchObject({ providers: [{ name: 'ionet', status: 'ok' }] })
  expect(clock.now() - from).toBeLessThan(10_000)
  await fleet.redis.signal('SIGCONT')
})

test('with Redis gone the pods answer from memory, and no secret was ever there', async () => {
  const { admin } = fleet.redis
  const kept = await Promise.all((await admin.keys('*')).map((key) => admin.dump(key)))
  const text = `${await admin.keys('*')} ${kept.join(' ')}`
  expect(text).toContain('offers')
  expect(text).not.toMatch(/ak_live|vast-key/)
  await fleet.redis.signal('SIGKILL')
  const alive = [0, 1, 2].filter((pod) => fleet.pods[pod]!.child.signalCode === null)
  for (const pod of alive) expect(await ask(pod)).toMatchObject({ status: 200, cache: 'memory', market: 'ok' })
})

test('500 clients cost one search over a Redis Cluster, too', async () => {
  const cluster = await startRedisCluster()
  const before = searches().length
  const own = await startFleet(3, () => ({
    REDIS_URL: '',
    REDIS_MODE: 'cluster',
    REDIS_NODES: cluster.nodes.map(({ port }) => `127.0.0.1:${port}`).join(','),
    VASTAI_BASE_URL: sandbox.vastai.baseUrl,
    IONET_BASE_URL: sandbox.ionet.baseUrl,
  }))
  try {
    const answers = await Promise.all(Array.from({ length: clients }, (_, i) => own.get(path, i)))
    expect(answers.every(({ status }) => status === 200)).toBe(true)
    expect(new Set(answers.map(({ headers }) => headers.get('x-cache')))).toEqual(new Set(['miss', 'redis']))
    expect(searches().length - before).toBe(1)
  } finally {
    await own.close()
    await cluster.close()
  }
}, 60_000)
