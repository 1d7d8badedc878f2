/** Turns of the fleet: a key that lives for as long as nobody else may. Without Redis a pod takes its share of them. */
import type { Clock, Pace } from '../../../src/ports.ts'
import { type Redis, RedisUnavailable } from './client.ts'

export interface RedisPaceOptions {
  redis: Redis
  prefix: string
  clock: Clock
  /** Live pods, this one included. */
  pods: () => number
}

/** So many pods at least, where they cannot be counted. */
const leastShares = 3

export function createRedisPace({ redis, prefix, clock, pods }: RedisPaceOptions): Pace {
  const take = redis.script<number>(`
    if redis.call('set', KEYS[1], '1', 'PX', ARGV[1], 'NX') then return 0 end
    return math.max(redis.call('pttl', KEYS[1]), 1)`)
  /** Also of those that Redis gave: what this pod took before it went away counts. */
  const lastTaken = new Map<string, number>()

  return {
    async take(key, intervalMs) {
      try {
        const waitMs = await take([`${prefix}:pace:{${key}}`], [intervalMs])
        if (waitMs === 0) lastTaken.set(key, clock.now())
        return waitMs
      } catch (error) {
        if (!(error instanceof RedisUnavailable)) throw error
        const spacing = intervalMs * Math.max(pods(), leastShares)
        const waitMs = (lastTaken.get(key) ?? Number.NEGATIVE_INFINITY) + spacing - clock.now()
        if (waitMs > 0) return waitMs
        lastTaken.set(key, clock.now())
        return 0
      }
    },
  }
}
