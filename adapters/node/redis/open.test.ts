import { expect, it } from 'vitest'
import { loadConfig } from '../../../src/config.ts'
import { systemClock as clock } from '../../../src/resilience/clock.ts'
import { eventually } from '../../../tests/support/gateway.ts'
import { startRedis, startRedisCluster } from '../../../tests/support/redis.ts'
import { createMetrics } from '../metrics.ts'
import { openSharedState, serverOf } from './open.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }

it.each([
  [{ REDIS_URL: 'redis://[2001:db8::7]:6380' }, [{ host: '2001:db8::7', port: 6380 }]],
  [{ REDIS_URL: 'redis://[2001:db8::7]' }, [{ host: '2001:db8::7', port: 6379 }]],
  [{ REDIS_HOST: '2001:db8::7' }, [{ host: '2001:db8::7', port: 6379 }]],
  [{ REDIS_URL: 'redis://node.test' }, [{ host: 'node.test', port: 6379 }]],
  [
    { REDIS_NODES: 'a_b.test:6380,192.0.2.1' },
    [
      { host: 'a_b.test', port: 6380 },
      { host: '192.0.2.1', port: 6379 },
    ],
  ],
])('reads the nodes of a cluster in %o', (env, nodes) => {
  expect(serverOf(loadConfig({ REDIS_MODE: 'cluster', ...env }, () => ''))).toMatchObject({ nodes })
})

it('knocks at a cluster as the user that REDIS_URL names', async () => {
  const servers = await startRedisCluster()
  for (const { admin } of servers.nodes) {
    await admin.call('ACL', 'SETUSER', 'gateway', 'on', '>a:secret', '~*', '&*', '+@all')
    await admin.call('ACL', 'SETUSER', 'default', 'off')
  }
  const url = servers.nodes[0]!.url.replace('redis://', 'redis://gateway:a%3Asecret@')
  const config = loadConfig({ REDIS_MODE: 'cluster', REDIS_URL: url }, () => '')
  const shared = await openSharedState(config, { clock, random: Math.random, log, metrics: createMetrics(), pod: 'a' })
  // A node of the cluster may not be reached yet.
  const whoAmI = () => shared?.redis.run((client) => client.acl('WHOAMI')).catch(() => undefined)
  expect(await eventually(whoAmI)).toBe('gateway')
  await shared!.close()
  await servers.close()
})

it('knocks at the server of a REDIS_URL with the password that stands beside it', async () => {
  const server = await startRedis()
  await server.admin.config('SET', 'requirepass', 'a:%2F/secret')
  const config = loadConfig({ REDIS_URL: server.url, REDIS_PASSWORD: 'a:%2F/secret' }, () => '')
  const shared = await openSharedState(config, { clock, random: Math.random, log, metrics: createMetrics(), pod: 'a' })
  const answers = () => shared?.redis.run((client) => client.acl('WHOAMI')).catch((error: Error) => error.message)
  expect(await eventually(answers, (said) => said !== 'redis: disconnected')).toBe('default')
  await shared!.close()
  await server.close()
})
