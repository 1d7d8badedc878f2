import { expect, it } from 'vitest'
import { loadConfig } from '../../../src/config.ts'
import { systemClock as clock } from '../../../src/resilience/clock.ts'
import { eventually } from '../../../tests/support/gateway.ts'
import { startRedisCluster } from '../../../tests/support/redis.ts'
import { createMetrics } from '../metrics.ts'
import { openSharedState } from './open.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }

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
