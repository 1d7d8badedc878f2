import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock as clock } from '../../../src/resilience/clock.ts'
import { eventually } from '../../../tests/support/gateway.ts'
import { startRedis, startRedisCluster, type TestRedis, type TestRedisCluster } from '../../../tests/support/redis.ts'
import { createRedis, type Redis, type RedisOptions } from './client.ts'

const open = async (server: RedisOptions['server'], more: Partial<RedisOptions> = {}) => {
  const redis = createRedis({ clock, random: Math.random, server, prefix: 'test', ...more })
  await eventually(() => redis.up)
  return redis
}
const kindOf = (call: Promise<unknown>) =>
  call.then(
    () => 'ok',
    ({ kind }) => kind as string,
  )

/** As much of a Redis as a subscriber sees of one: what it answers to SUBSCRIBE, and when, is the test's. */
async function startSubscribable() {
  const sockets = new Set<Socket>()
  let delayMs = 0
  let subscriptions = 0
  const answer = (socket: Socket, [command = '', channel = '']: string[]) => {
    if (command === 'hello') return socket.write("-ERR unknown command 'HELLO'\r\n")
    if (command === 'info') return socket.write('$9\r\nloading:0\r\n')
    if (command !== 'subscribe') return socket.write('+OK\r\n')
    subscriptions++
    const reply = `*3\r\n$9\r\nsubscribe\r\n$${channel.length}\r\n${channel}\r\n:1\r\n`
    const message = `*3\r\n$7\r\nmessage\r\n$${channel.length}\r\n${channel}\r\n$2\r\nhi\r\n`
    return setTimeout(() => socket.write(reply + message), delayMs)
  }
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (data) => {
      for (const command of data
        .toString()
        .split(/^\*\d+\r\n/m)
        .slice(1)) {
        answer(
          socket,
          command
            .split('\r\n')
            .filter((_, i) => i % 2 === 1)
            .map((word, i) => (i === 0 ? word.toLowerCase() : word)),
        )
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    subscriptions: () => subscriptions,
    /** Every connection is lost, and from now on subscribing takes so long. */
    restart(ms: number) {
      delayMs = ms
      for (const socket of sockets) socket.destroy()
      sockets.clear()
    },
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

it('a Redis that takes longer to subscribe again than a command may is no end of the process', async () => {
  const server = await startSubscribable()
  const redis = await open({ url: server.url })
  const heard: string[] = []
  redis.subscribe('news', { onMessage: (message) => void heard.push(message), onGap() {} })
  await eventually(() => heard.length > 0)
  const before = server.subscriptions()
  // A rejection that nobody takes fails the run.
  server.restart(300)
  await eventually(() => server.subscriptions() >= before + 4)
  redis.close()
  server.close()
})

describe('a single Redis', () => {
  let server: TestRedis
  let redis: Redis
  beforeAll(async () => {
    server = await startRedis()
    redis = await open({ url: server.url })
  })
  afterAll(async () => {
    redis.close()
    await server.close()
  })

  it('runs commands and scripts', async () => {
    await redis.run((c) => c.set('a', '1'))
    const add = redis.script<number>('return redis.call("INCRBY", KEYS[1], ARGV[1])')
    expect(await add(['a'], [41])).toBe(42)
    // A server that was emptied of scripts is sent them again.
    await server.admin.script('FLUSH')
    expect(await add(['a'], [1])).toBe(43)
  })

  it('refuses at once while the server is gone, and works again when it is back', async () => {
    await server.signal('SIGKILL')
    await eventually(() => !redis.up)
    expect(await kindOf(redis.run((c) => c.get('a')))).toBe('disconnected')
    await server.restart()
    await eventually(() => redis.up)
    expect(await kindOf(redis.run((c) => c.get('a')))).toBe('ok')
  })

  it('stops waiting for a stalled server, and notices when it goes on', async () => {
    await server.signal('SIGSTOP')
    const first = await Promise.all(Array.from({ length: 20 }, () => kindOf(redis.run((c) => c.get('a')))))
    expect(new Set(first)).toEqual(new Set(['timeout']))
    await eventually(async () => (await kindOf(redis.run((c) => c.get('a')))) === 'refusing')
    expect(redis.up).toBe(false)
    await server.signal('SIGCONT')
    await eventually(async () => (await kindOf(redis.run((c) => c.get('a')))) === 'ok')
    expect(redis.up).toBe(true)
  })

  it('says that the server is full or takes no writes', async () => {
    await server.admin.config('SET', 'maxmemory', '1')
    expect(await kindOf(redis.run((c) => c.set('b', 'x')))).toBe('full')
    await server.admin.config('SET', 'maxmemory', '0')
    await server.admin.call('REPLICAOF', '127.0.0.1', '1')
    expect(await kindOf(redis.run((c) => c.set('b', 'x')))).toBe('read_only')
    await server.admin.call('REPLICAOF', 'NO', 'ONE')
    await eventually(async () => (await kindOf(redis.run((c) => c.set('b', 'x')))) === 'ok')
  })

  it('hands on what is published, and tells of gaps', async () => {
    const heard: string[] = []
    redis.subscribe('news', { onMessage: (message) => void heard.push(message), onGap: () => void heard.push('(gap)') })
    await eventually(async () => (await redis.run((c) => c.publish('news', 'one'))) > 0)
    await eventually(() => heard.includes('one'))
    await server.signal('SIGKILL')
    await server.restart()
    await eventually(() => heard.includes('(gap)'))
    await eventually(async () => (await kindOf(redis.run((c) => c.publish('news', 'two')))) === 'ok')
    await eventually(() => heard.includes('two'))
    // The connection that listens is there already.
    redis.subscribe('sport', { onMessage: (message) => void heard.push(message), onGap: () => {} })
    await eventually(async () => (await redis.run((c) => c.publish('sport', 'three'))) > 0)
    await eventually(() => heard.includes('three'))
  })
})

describe('a Redis with a password', () => {
  it('is out of reach with a wrong one, and says why without telling it', async () => {
    const server = await startRedis()
    await server.admin.config('SET', 'requirepass', 'right')
    const told: (string | undefined)[] = []
    const url = server.url.replace('redis://', 'redis://:wrong@')
    const wrong = createRedis({
      clock,
      random: Math.random,
      server: { url },
      prefix: 'test',
      onChange: (_, reason) => void told.push(reason),
    })
    await eventually(() => told.length > 0)
    expect(told[0]).toBe('WRONGPASS')
    expect(await kindOf(wrong.run((c) => c.get('a')))).toBe('disconnected')
    wrong.close()
    const right = await open({ url: server.url.replace('redis://', 'redis://:right@') })
    expect(await kindOf(right.run((c) => c.get('a')))).toBe('ok')
    right.close()
    await server.close()
  })
})

describe('a cluster', () => {
  let servers: TestRedisCluster
  let redis: Redis
  beforeAll(async () => {
    servers = await startRedisCluster()
    redis = await open({ nodes: servers.nodes.map(({ port }) => ({ host: '127.0.0.1', port })), password: undefined })
  })
  afterAll(async () => {
    redis.close()
    await servers.close()
  })

  it('finds each key on its master', async () => {
    for (let i = 0; i < 100; i++) await redis.run((c) => c.set(`{${i}}`, i))
    const sizes = await Promise.all(servers.nodes.map(({ admin }) => admin.dbsize()))
    expect(sizes.reduce((sum, size) => sum + size)).toBe(100)
    expect(Math.min(...sizes)).toBeGreaterThan(10)
    const get = redis.script<string>('return redis.call("GET", KEYS[1])')
    expect(await get(['{7}'], [])).toBe('7')
  })

  it('hangs on nothing when a master is killed, and the others go on', async () => {
    await servers.nodes[2]!.signal('SIGKILL')
    const results = new Map<string, number>()
    const count = async (i: number) => {
      const result = await kindOf(redis.run((c) => c.get(`{${i}}`)))
      results.set(result, (results.get(result) ?? 0) + 1)
    }
    await Promise.all(Array.from({ length: 100 }, (_, i) => count(i)))
    expect([...results.values()].reduce((sum, n) => sum + n)).toBe(100)
    const ofTheOthers = await servers.nodes[0]!.admin.keys('*')
    await eventually(async () => (await kindOf(redis.run((c) => c.get(ofTheOthers[0]!)))) === 'ok')
  })
})
