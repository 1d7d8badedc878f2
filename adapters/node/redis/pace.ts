/** Turns of the fleet, by the server's own clock. Without Redis a pod takes its share of them. */
import type { Clock, Pace } from '../../../src/ports.ts'
import { type Redis, RedisUnavailable } from './client.ts'

export interface RedisPaceOptions {
  redis: Pick<Redis, 'script'>
  prefix: string
  clock: Pick<Clock, 'now'>
  /** Live pods, this one included. */
  pods: () => number
}

/** So many pods at least, where they cannot be counted. */
const leastShares = 3
/** The key holds when all that was taken is earned again. Answers the wait; 0 = taken. */
const gcra = `
  local time = redis.call('time')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
  local earned = math.max(tonumber(redis.call('get', KEYS[1])) or 0, now)
  local wait = earned - now - (burst - 1) * interval
  if wait > 0 then return wait end
  redis.call('set', KEYS[1], earned + interval, 'PX', math.ceil(earned + interval - now))
  return 0`

export function createRedisPace({ redis, prefix, clock, pods }: RedisPaceOptions): Pace {
  const take = redis.script<number>(gcra)
  /** Also of those that Redis gave: what this pod took before it went away counts. */
  const lastTaken = new Map<string, number>()

  return {
    async take(key, intervalMs, burst = 1) {
      let waitMs: number
      try {
        waitMs = await take([`${prefix}:pace:{${key}}`], [intervalMs, burst])
      } catch (error) {
        if (!(error instanceof RedisUnavailable)) throw error
        const spacing = intervalMs * Math.max(pods(), leastShares)
        waitMs = (lastTaken.get(key) ?? Number.NEGATIVE_INFINITY) + spacing - clock.now()
      }
      if (waitMs > 0) return waitMs
      lastTaken.set(key, clock.now())
      return 0
    },
  }
}
