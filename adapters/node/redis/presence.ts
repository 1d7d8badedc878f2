/**
 * Which pods there are: each tells Redis every second, by Redis's own clock, and is forgotten when it falls silent.
 * While Redis is away the last count stands, for it is what the pods' shares of every limit are reckoned by.
 */
import type { Clock } from '../../../src/resilience/clock.ts'
import type { Redis } from './client.ts'

export interface PresenceOptions {
  redis: Redis
  clock: Clock
  random: () => number
  /** What every key begins with. */
  prefix: string
  /** Unique among the pods. */
  pod: string
}

export interface Presence {
  /** Pods that were there at the last count, this one included. */
  pods(): number
  close(): Promise<void>
}

const beatMs = 1_000
const silentMs = 5_000

const beat = `
  local t = redis.call('TIME')
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  redis.call('ZADD', KEYS[1], now, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return redis.call('ZCARD', KEYS[1])`

export function startPresence({ redis, clock, random, prefix, pod }: PresenceOptions): Presence {
  const key = `${prefix}:{fleet}:pods`
  const tell = redis.script<number>(beat)
  let pods = 1
  let closed = false
  let stopTimer = () => {}

  const next = (ms: number) => {
    stopTimer = clock.setTimer(ms, async () => {
      try {
        pods = await tell([key], [pod, silentMs])
      } catch {
        // Redis is away: the client has counted it, and the next beat tells again.
      }
      if (!closed) next(beatMs * (0.8 + 0.4 * random()))
    })
  }
  next(0)

  return {
    pods: () => pods,
    async close() {
      closed = true
      stopTimer()
      // A pod that cannot say goodbye is missed a few seconds later.
      await redis.run((c) => c.zrem(key, pod)).catch(() => {})
    },
  }
}
