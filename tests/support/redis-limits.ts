/** Limits of one pod over a real Redis, whose counts a test can make older. */

import { createRedis, type RedisOptions } from '../../adapters/node/redis/client.ts'
import { createLimitStore } from '../../adapters/node/redis/limit-store.ts'
import { systemClock } from '../../src/resilience/clock.ts'
import { createLeasedLimits } from '../../src/resilience/leased-limits.ts'
import { createLocalLimits } from '../../src/resilience/local-limits.ts'
import { FakeClock } from './fake-clock.ts'
import { eventually } from './gateway.ts'
import type { TestRedisNode } from './redis.ts'

/** Moves every count into the past: what else would be a wait. */
const age = `
  for _, key in ipairs(redis.call('KEYS', '*:limit:*')) do
    if redis.call('TYPE', key).ok == 'string' then
      redis.call('SET', key, redis.call('GET', key) - ARGV[1], 'KEEPTTL')
    else
      for _, name in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -ARGV[1], name) end
    end
  end`

export async function openLimits(server: RedisOptions['server'], nodes: readonly TestRedisNode[], pods = () => 1) {
  const clock = new FakeClock()
  const redis = createRedis({
    clock: systemClock,
    random: Math.random,
    server,
    prefix: 'test',
    commandTimeoutMs: 2_000,
  })
  await eventually(() => redis.up)
  const store = createLimitStore({ redis, prefix: 'test' })
  const limits = createLeasedLimits({ clock, store, local: createLocalLimits({ clock }), pods })
  let aheadMs = 0
  const advance = async (ms: number) => {
    aheadMs += ms
    for (const { admin } of nodes) await admin.eval(age, 0, ms)
    clock.tick(ms)
  }
  return {
    redis,
    store,
    limits,
    clock,
    advance,
    now: () => performance.now() + aheadMs,
    async settle() {
      clock.tick(1_500)
      // Whatever the sweep has sent goes before this.
      for (const { admin } of nodes) await admin.ping()
      await redis.run((c) => c.ping())
    },
    async close() {
      await limits.close()
      redis.close()
    },
  }
}
