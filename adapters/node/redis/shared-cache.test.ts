import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SharedCache } from '../../../src/ports.ts'
import { systemClock as clock } from '../../../src/resilience/clock.ts'
import { sharedCacheContract } from '../../../tests/contracts/shared-cache.ts'
import { eventually } from '../../../tests/support/gateway.ts'
import { startRedis, startRedisCluster, type TestRedis, type TestRedisNode } from '../../../tests/support/redis.ts'
import { createRedis, type Redis, type RedisOptions } from './client.ts'
import { createSharedCache, type RedisSharedCache } from './shared-cache.ts'

async function open(server: RedisOptions['server'], commandTimeoutMs = 1_000): Promise<Redis> {
  const redis = createRedis({ clock, random: Math.random, server, prefix: 'test', commandTimeoutMs })
  await eventually(() => redis.up)
  // A cluster's client connects to a node at the first command for it, and refuses others meanwhile.
  const greet = () =>
    redis.run(async (c) => void (await Promise.all('nodes' in c ? c.nodes('master').map((n) => n.ping()) : [c.ping()])))
  await eventually(() =>
    greet().then(
      () => true,
      () => false,
    ),
  )
  return redis
}

/** Until so much time has passed on the server's own clock. */
async function advance({ admin }: TestRedisNode, ms: number) {
  const now = async () => {
    const [s, us] = (await admin.time()) as unknown as [string, string]
    return Number(s) * 1_000 + Number(us) / 1_000
  }
  const end = (await now()) + ms
  await eventually(now, (at) => at >= end)
}

async function world(nodes: TestRedisNode[], server: RedisOptions['server'], closeServers: () => Promise<void>) {
  const pods = [await open(server), await open(server)]
  const [cache, other] = pods.map((redis) =>
    createSharedCache({ redis, clock, random: Math.random, prefix: 'test' }),
  ) as [RedisSharedCache, RedisSharedCache]
  return {
    cache,
    other,
    advance: (ms: number) => advance(nodes[0]!, ms),
    async close() {
      for (const each of [cache, other]) each.close()
      for (const redis of pods) redis.close()
      await closeServers()
    },
  }
}

sharedCacheContract('the cache in one Redis', async () => {
  const server = await startRedis()
  return world([server], { url: server.url }, () => server.close())
})

sharedCacheContract('the cache in a Redis Cluster', async () => {
  const servers = await startRedisCluster()
  const nodes = servers.nodes.map(({ port }) => ({ host: '127.0.0.1', port }))
  return world(servers.nodes, { nodes, password: undefined }, () => servers.close())
})

it('hangs on nothing when a master of the cluster is killed, and goes on with the others', async () => {
  const servers = await startRedisCluster()
  const nodes = servers.nodes.map(({ port }) => ({ host: '127.0.0.1', port }))
  const redis = await open({ nodes, password: undefined }, 100)
  const cache = createSharedCache({ redis, clock, random: Math.random, prefix: 'test' })
  const keys = Array.from({ length: 60 }, (_, i) => `key:${i}`)
  const entry = { value: 'x', token: undefined, ageMs: 0, tookMs: 0, ttlMs: 60_000 }
  for (const key of keys) await eventually(() => cache.write(key, entry))
  const readAll = () => Promise.all(keys.map((key) => cache.read(key, { youngerThanMs: 60_000, leaseMs: 1_000 })))
  try {
    await servers.nodes[1]!.signal('SIGKILL')
    const from = clock.now()
    expect(await readAll()).toHaveLength(keys.length)
    expect(clock.now() - from).toBeLessThan(2_000)
    await eventually(async () => (await readAll()).filter((read) => read?.entry?.value === 'x').length >= 20)
  } finally {
    redis.close()
    await servers.close()
  }
})

it('tells of what may have been missed when the node that a cluster’s client listens to is killed', async () => {
  const servers = await startRedisCluster()
  const nodes = servers.nodes.map(({ port }) => ({ host: '127.0.0.1', port }))
  const redis = await open({ nodes, password: undefined })
  const sender = await open({ nodes, password: undefined })
  const cache = createSharedCache({ redis, clock, random: Math.random, prefix: 'test' })
  const other = createSharedCache({ redis: sender, clock, random: Math.random, prefix: 'test' })
  const heard: string[] = []
  cache.listen({ onLoaded() {}, onInvalidated: (key) => void heard.push(key), onGap: () => void heard.push('gap') })
  try {
    await eventually(async () => {
      await other.invalidate('first')
      return heard.includes('first')
    })
    // The client listens to another node then, and says nothing of it.
    for (const { admin } of servers.nodes) await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    const missed = Array.from({ length: 5 }, (_, i) => `missed ${i}`)
    for (const key of missed) await other.invalidate(key)
    await eventually(() => heard.includes('gap') || missed.every((key) => heard.includes(key)))
  } finally {
    for (const each of [cache, other]) each.close()
    for (const each of [redis, sender]) each.close()
    await servers.close()
  }
})

describe('the cache in a Redis that fails', () => {
  let server: TestRedis
  let redis: Redis
  let cache: SharedCache
  beforeAll(async () => {
    server = await startRedis()
    redis = await open({ url: server.url }, 100)
    cache = createSharedCache({ redis, clock, random: Math.random, prefix: 'test' })
  })
  afterAll(async () => {
    redis.close()
    await server.close()
  })
  const ask = { youngerThanMs: 60_000, leaseMs: 1_000 }
  const entry = { value: 'x', token: undefined, ageMs: 0, tookMs: 0, ttlMs: 60_000 }

  it('hands out what it has while the server is full or takes no writes, and says of a write that it was not done', async () => {
    await cache.write('a', entry)
    await server.admin.config('SET', 'maxmemory', '1')
    expect((await cache.read('a', ask))?.entry?.value).toBe('x')
    expect(await cache.read('b', ask)).toBeUndefined()
    expect(await cache.write('b', entry)).toBeUndefined()
    await server.admin.config('SET', 'maxmemory', '0')
    await server.admin.call('REPLICAOF', '127.0.0.1', '1')
    await eventually(() => redis.up)
    expect((await cache.read('a', ask))?.entry?.value).toBe('x')
    expect(await cache.write('b', entry)).toBeUndefined()
    expect(await cache.invalidate('a')).toBe(false)
    await server.admin.call('REPLICAOF', 'NO', 'ONE')
    await eventually(() => redis.up)
  })

  it('is a miss, never an error and never late, while the server is stalled or gone', async () => {
    await server.signal('SIGSTOP')
    for (const from of [clock.now(), clock.now()]) {
      expect(await cache.read('a', ask)).toBeUndefined()
      expect(clock.now() - from).toBeLessThan(1_000)
    }
    await cache.fail('a', '1', 1_000)
    expect(await cache.renew('a', '1', 1_000)).toBeUndefined()
    await server.signal('SIGKILL')
    expect(await cache.read('a', ask)).toBeUndefined()
    expect(await cache.write('a', entry)).toBeUndefined()
    await server.restart()
    await eventually(async () => (await cache.write('a', entry)) === true)
  })

  it('keeps no key in a value’s place and no text in a key’s', async () => {
    await cache.write('offers:vastai', entry)
    const keys = await server.admin.keys('*')
    expect(keys).toContain('test:cache1:{offers:vastai}')
    expect(await server.admin.pttl('test:cache1:{offers:vastai}')).toBeGreaterThan(50_000)
  })
})
