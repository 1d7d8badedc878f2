import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock as clock } from '../../../src/resilience/clock.ts'
import { createSharedBoard } from '../../../src/resilience/shared-board.ts'
import { fleetBoardContract } from '../../../tests/contracts/fleet-board.ts'
import { eventually } from '../../../tests/support/gateway.ts'
import { startRedis, startRedisCluster, type TestRedis, type TestRedisCluster } from '../../../tests/support/redis.ts'
import { createRedis, type Redis, type RedisOptions } from './client.ts'
import { createRedisFleetStore } from './fleet-store.ts'

const prefix = 'test'

async function connect(server: RedisOptions['server'], open: Redis[]) {
  const redis = createRedis({ clock, random: Math.random, server, prefix: 'test', commandTimeoutMs: 1_000 })
  open.push(redis)
  await eventually(() => redis.up)
  return redis
}
const closeAll = (open: Redis[]) => open.splice(0).forEach((redis) => void redis.close())

describe('with one Redis', () => {
  let server: TestRedis
  const open: Redis[] = []
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())

  fleetBoardContract('the board in one Redis', async () => {
    await server.admin.flushall()
    return {
      connect: async () => createRedisFleetStore({ redis: await connect({ url: server.url }, open), prefix }),
      async forget() {
        await server.signal('SIGKILL')
        await server.restart()
      },
      close: async () => closeAll(open),
    }
  })

  it('keeps the last count of pods, and says that it is out of reach, while Redis is gone', async () => {
    await server.admin.flushall()
    const boards = await Promise.all(
      ['a', 'b'].map(async (pod) => {
        const store = createRedisFleetStore({ redis: await connect({ url: server.url }, open), prefix })
        return createSharedBoard({ clock, random: Math.random, pod, store })
      }),
    )
    await eventually(() => boards.every((board) => board.pods() === 2))
    await server.signal('SIGKILL')
    await eventually(() => boards.every((board) => !board.reachable()))
    expect(boards.map((board) => board.pods())).toEqual([2, 2])
    expect(await boards[0]!.claim('up/gpt', 100)).toBe('unknown')
    await server.restart()
    await eventually(() => boards.every((board) => board.reachable() && board.pods() === 2))
    await Promise.all(boards.map((board) => board.close()))
    closeAll(open)
  })

  it('takes what a stranger publishes for a reason to look, and goes on', async () => {
    await server.admin.flushall()
    const store = createRedisFleetStore({ redis: await connect({ url: server.url }, open), prefix })
    const heard: string[] = []
    store.subscribe({ onPush: ({ version }) => void heard.push(`${version}`), onGap: () => void heard.push('gap') })
    const channel = `${prefix}:{fleet}:1:news`
    await eventually(async () => (await server.admin.pubsub('NUMSUB', channel))[1] === 1)
    const strange = [
      ...['not json', 'null', '{}', '{"version":1}', '{"version":"1","words":[]}', '{"version":1,"pod":"a"}'],
      ...['{"version":1,"words":[null]}', '{"version":1,"words":[{"name":"up","word":"shut","at":1}]}'],
    ]
    for (const message of strange) await server.admin.publish(channel, message)
    await server.admin.publish(channel, '{"version":7,"words":[]}')
    await eventually(() => heard.includes('7'))
    expect(heard).toEqual([...strange.map(() => 'gap'), '7'])
    closeAll(open)
  })

  it('is not misled by keys that were lost one by one, nor by a clock that was set back', async () => {
    await server.admin.flushall()
    const redis = await connect({ url: server.url }, open)
    const store = createRedisFleetStore({ redis, prefix })
    const beat = { pod: 'a', seen: 0, said: 'x', words: [] }
    const first = await store.sync(beat)
    // Versions begin anew with the time: in the same millisecond it would be the same one.
    await eventually(async () => Date.now() > first.version)
    await server.admin.hdel(`${prefix}:{fleet}:1:state`, 'version')
    await server.admin.hset(`${prefix}:{fleet}:1:state`, 'born', Date.now() + 3_600_000)
    const second = await store.sync({ ...beat, said: undefined, seen: first.version })
    expect(second.version).not.toBe(first.version)
    expect(second.page?.said).toEqual([{ pod: 'a', text: 'x', agoMs: expect.any(Number) }])
    await eventually(async () => await store.claim('up', 'a', 50))
    await server.admin.del(`${prefix}:{fleet}:1:said`)
    expect(await store.sync({ ...beat, said: undefined })).toMatchObject({ hasColumn: false })
    closeAll(open)
  })
})

describe('with a cluster', () => {
  let servers: TestRedisCluster
  const open: Redis[] = []
  beforeAll(async () => {
    servers = await startRedisCluster()
  })
  afterAll(() => servers.close())

  fleetBoardContract('the board in a cluster', async () => {
    const flush = () => Promise.all(servers.nodes.map(({ admin }) => admin.flushall()))
    await flush()
    const nodes = servers.nodes.map(({ port }) => ({ host: '127.0.0.1', port }))
    return {
      connect: async () =>
        createRedisFleetStore({ redis: await connect({ nodes, password: undefined }, open), prefix }),
      async forget() {
        await flush()
      },
      close: async () => closeAll(open),
    }
  })
})
