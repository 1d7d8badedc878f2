/**
 * Turns of the fleet, by the server's own clock. Without Redis a pod takes its share of them, from a moment of its own on:
 * pods that lose Redis together must not ask together. That holds on average, and not in every minute.
 */
import type { Clock, Pace } from '../../../src/ports.ts'
import { type Redis, RedisUnavailable } from './client.ts'

export interface RedisPaceOptions {
  redis: Pick<Redis, 'script'>
  prefix: string
  clock: Pick<Clock, 'now'>
  /** Uniform in [0, 1). */
  random: () => number
  /** Live pods, this one included. */
  pods: () => number
}

/** So many pods at least: the count may be stale. */
const leastShares = 3
/** A pod that has just started has not heard yet how many there are, nor what they do. */
const startingMs = 5_000
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

export function createRedisPace({ redis, prefix, clock, random, pods }: RedisPaceOptions): Pace {
  const take = redis.script<number>(gcra)
  /** When this pod's next turn is, since Redis went away. */
  const ownTurns = new Map<string, number>()
  /** None of its own before: a Redis that answers now and then goes on giving turns. */
  const notBefore = new Map<string, number>()
  let knowsNothingUntil = clock.now() + startingMs

  return {
    async take(key, intervalMs, burst = 1) {
      const spacing = intervalMs * Math.max(pods(), leastShares)
      const barOwn = (ms: number) => notBefore.set(key, Math.max(notBefore.get(key) ?? 0, clock.now() + ms))
      try {
        const waitMs = await take([`${prefix}:pace:{${key}}`], [intervalMs, burst])
        ownTurns.delete(key)
        barOwn(waitMs === 0 ? spacing : intervalMs)
        knowsNothingUntil = 0
        return waitMs
      } catch (error) {
        if (!(error instanceof RedisUnavailable)) throw error
        const now = clock.now()
        if (now < knowsNothingUntil) return knowsNothingUntil - now
        // A few pods may begin together and keep within it; many may not.
        const spread = intervalMs * Math.max(pods() - leastShares, 0)
        const turn = ownTurns.get(key) ?? Math.max(now + Math.ceil(random() * spread), notBefore.get(key) ?? 0)
        const isMine = turn <= now
        if (isMine) barOwn(spacing)
        ownTurns.set(key, isMine ? now + spacing : turn)
        return isMine ? 0 : turn - now
      }
    },
  }
}
