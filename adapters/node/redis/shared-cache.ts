/**
 * The cache tier that all pods share, in Redis: one hash for each key, so that every step is one script in one slot,
 * and every time is Redis's own. Tokens come from its clock, in microseconds, and from the last token given: they grow
 * also where the hash was lost in between. A write needs the latest token, so a hash that was deleted refuses the
 * writes of all loads that began before.
 */
import type { SharedCache, SharedListener, SharedRead } from '../../../src/ports.ts'
import type { Clock } from '../../../src/resilience/clock.ts'
import type { Redis } from './client.ts'
import { type MissedMessages, watchForMissedMessages } from './missed-messages.ts'

export interface SharedCacheOptions {
  redis: Redis
  clock: Clock
  random: () => number
  /** What every key begins with. */
  prefix: string
}

/** Of the hash's fields: a pod of another version must not misread them. */
const layout = 'cache1'
/** How long a hash outlives its lease: a leader that is a little late may still write. */
const afterLeaseMs = 60_000

const time = `
  local t = redis.call('TIME')
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  local function keepFor(ms)
    if redis.call('PTTL', KEYS[1]) < ms then redis.call('PEXPIRE', KEYS[1], ms) end
  end`

/** Fields: v value, n its version, a loaded at, x held until, d took, f latest token, l leased until, w others wait, e failed at, r rests until. */
const read = `${time}
  local known, youngerThan, leaseMs = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
  local h = redis.call('HMGET', KEYS[1], 'n', 'a', 'x', 'd', 'f', 'l', 'r')
  local version = h[1]
  if version and now >= tonumber(h[3]) then version = false end
  local age = version and math.max(now - tonumber(h[2]), 0) or 0
  local isNews = version and version ~= known
  local value = isNews and redis.call('HGET', KEYS[1], 'v')
  local state, detail = 'none', ''
  if leaseMs > 0 and not (isNews and age < youngerThan) then
    local lease, rest = tonumber(h[6] or 0), tonumber(h[7] or 0)
    if now < rest then
      state, detail = 'resting', rest - now
    elseif now < lease then
      state, detail = 'held', lease - now
      redis.call('HSET', KEYS[1], 'w', 1)
    else
      local token = math.max(tonumber(h[5] or 0) + 1, t[1] * 1000000 + t[2])
      state, detail = 'granted', string.format('%.0f', token)
      redis.call('HSET', KEYS[1], 'f', detail, 'l', now + leaseMs)
      keepFor(leaseMs + ${afterLeaseMs})
    end
  end
  return { value, version or '', age, tonumber(h[4] or 0), state, tostring(detail) }`

const write = `${time}
  local token, age, ttl = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5])
  if token ~= '' and redis.call('HGET', KEYS[1], 'f') ~= token then return 0 end
  local waiting = redis.call('HGET', KEYS[1], 'w')
  local version = token
  if token == '' then version = string.format('%.0f', t[1] * 1000000 + t[2]) end
  -- First: a full server refuses a script at its first command that takes memory, and not after another has run.
  redis.call('HSET', KEYS[1], 'v', ARGV[1], 'n', version, 'a', now - age, 'd', ARGV[4], 'x', now - age + ttl)
  redis.call('HDEL', KEYS[1], 'l', 'w', 'e', 'r')
  redis.call('PEXPIRE', KEYS[1], ttl)
  if waiting then redis.call('PUBLISH', ARGV[6], ARGV[7]) end
  return 1`

const renew = `${time}
  if redis.call('HGET', KEYS[1], 'f') ~= ARGV[1] then return 0 end
  redis.call('HSET', KEYS[1], 'l', now + ARGV[2])
  keepFor(ARGV[2] + ${afterLeaseMs})
  return 1`

const fail = `${time}
  local rest = tonumber(ARGV[2])
  if redis.call('HGET', KEYS[1], 'f') ~= ARGV[1] then return 0 end
  local before = redis.call('HGET', KEYS[1], 'e')
  if before and now - before < rest then
    redis.call('HSET', KEYS[1], 'r', now + rest)
    redis.call('HDEL', KEYS[1], 'e')
  else
    redis.call('HSET', KEYS[1], 'e', now)
  end
  local waiting = redis.call('HGET', KEYS[1], 'w')
  redis.call('HDEL', KEYS[1], 'l', 'w')
  keepFor(rest + ${afterLeaseMs})
  if waiting then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
  return 1`

const invalidate = `
  redis.call('DEL', KEYS[1])
  redis.call('PUBLISH', ARGV[1], ARGV[2])
  return 1`

type ReadReply = [value: string | null, version: string, ageMs: number, tookMs: number, state: string, detail: string]

export interface RedisSharedCache extends SharedCache {
  close(): void
}

export function createSharedCache({ redis, clock, random, prefix }: SharedCacheOptions): RedisSharedCache {
  const channel = `${prefix}:${layout}`
  /** How many invalidations there were. */
  const counter = `${channel}:invalidations`
  const watches: MissedMessages[] = []
  const at = (key: string) => [`${prefix}:${layout}:{${key}}`]
  const scripts = {
    read: redis.script<ReadReply>(read),
    write: redis.script<number>(write),
    renew: redis.script<number>(renew),
    fail: redis.script<number>(fail),
    invalidate: redis.script<number>(invalidate),
  }
  /** The client has counted the failure; a cache that cannot answer is a miss. */
  const orNothing = <T>(call: Promise<T>): Promise<T | undefined> => call.catch(() => undefined)

  return {
    async read(key, { known = '', youngerThanMs, leaseMs }) {
      const reply = await orNothing(scripts.read(at(key), [known, Math.floor(youngerThanMs), leaseMs]))
      return reply && toRead(reply)
    },
    async write(key, { value, token = '', ageMs, tookMs, ttlMs }) {
      const times = [Math.ceil(ageMs), Math.ceil(tookMs), Math.floor(ttlMs)] as const
      if (times[0] >= times[2]) return undefined
      const done = await orNothing(scripts.write(at(key), [value, token, ...times, channel, `loaded ${key}`]))
      return done === undefined ? undefined : done === 1
    },
    async renew(key, token, leaseMs) {
      const done = await orNothing(scripts.renew(at(key), [token, leaseMs]))
      return done === undefined ? undefined : done === 1
    },
    async fail(key, token, restMs) {
      await orNothing(scripts.fail(at(key), [token, Math.ceil(restMs), channel, `loaded ${key}`]))
    },
    async invalidate(key) {
      // Counted first: who misses the message finds it in the count.
      const counted = await orNothing(redis.run((c) => c.incr(counter)))
      const done = await orNothing(scripts.invalidate(at(key), [channel, `invalidated ${counted ?? 0} ${key}`]))
      return counted !== undefined && done === 1
    },
    listen({ onLoaded, onInvalidated, onGap }: SharedListener) {
      const watch = watchForMissedMessages({
        clock,
        random,
        count: () => orNothing(redis.run(async (c) => Number(await c.get(counter)))),
        onMissed: onGap,
      })
      watches.push(watch)
      redis.subscribe(channel, {
        onMessage(message) {
          if (message.startsWith('loaded ')) return onLoaded(message.slice('loaded '.length))
          const [, number, key] = /^invalidated (\d+) (.+)$/s.exec(message) ?? []
          if (key === undefined) return
          watch.heard(Number(number))
          onInvalidated(key)
        },
        onGap,
      })
    },
    close() {
      for (const watch of watches) watch.close()
    },
  }
}

function toRead([value, version, ageMs, tookMs, state, detail]: ReadReply): SharedRead {
  return {
    entry: value === null ? undefined : { value, version, ageMs, tookMs },
    lease:
      state === 'granted'
        ? { state, token: detail }
        : state === 'held' || state === 'resting'
          ? { state, forMs: Number(detail) }
          : { state: 'none' },
  }
}
