/**
 * The fleet's limits in Redis, by Redis's clock. A rate is one number, the time at which its allowance would be whole
 * again (GCRA); places are names in a sorted set by the time at which they run out. All keys of a group are in one slot.
 */
import type { Demand, Granted, LimitStore } from '../../../src/resilience/leased-limits.ts'
import { placeLeaseMs, refillMs } from '../../../src/resilience/leased-limits.ts'
import { type Claim, maxOwedMs, minuteMs } from '../../../src/resilience/limits.ts'
import type { Redis } from './client.ts'

const now = `
  local t = redis.call('TIME')
  local now = t[1] * 1000 + t[2] / 1000`

/**
 * KEYS: one a demand. ARGV: the lease of places in ms, then for each demand its unit, limit, need, want and the number of
 * names that follow. Answers the demand that refuses (from 1; 0 = none), when to ask again in ms, then for each demand
 * what it got, what is left and when that is whole, in ms. Nothing is written before all of them are known to fit.
 */
const leaseScript = `${now}
  local minute, rounding = 60000, 0.001
  local at, refused, retry = 2, 0, 0
  local plans, answer = {}, {}
  for i, key in ipairs(KEYS) do
    local unit, limit, need, want, names = ARGV[at], tonumber(ARGV[at+1]), tonumber(ARGV[at+2]), tonumber(ARGV[at+3]), tonumber(ARGV[at+4])
    local plan = { first = at + 5, want = want }
    if unit == 'places' then
      redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
      plan.places = true
      plan.left = limit - redis.call('ZCARD', key)
      if plan.left < need and refused == 0 then refused, retry = i, 1000 end
    else
      plan.interval = minute / limit
      plan.used = math.max(tonumber(redis.call('GET', key) or '0') - now, 0)
      plan.left = (minute + rounding - plan.used) / plan.interval
      if plan.left < need and refused == 0 then refused, retry = i, plan.used + need * plan.interval - minute end
    end
    plans[i] = plan
    at = at + 5 + names
  end
  for i, key in ipairs(KEYS) do
    local plan = plans[i]
    local amount = refused == 0 and math.max(math.floor(math.min(plan.want, plan.left)), 0) or 0
    local reset = 0
    if plan.places then
      for n = 0, amount - 1 do redis.call('ZADD', key, now + ARGV[1], ARGV[plan.first + n]) end
      if amount > 0 then redis.call('PEXPIRE', key, ARGV[1]) end
    else
      reset = plan.used + amount * plan.interval
      if amount > 0 then redis.call('SET', key, string.format('%.3f', now + reset), 'PX', math.ceil(reset) + 1000) end
    end
    answer[#answer + 1] = amount
    answer[#answer + 1] = math.max(math.floor(plan.left - amount), 0)
    answer[#answer + 1] = math.ceil(reset)
  end
  return { refused, math.ceil(retry), unpack(answer) }`

/**
 * KEYS: one a return. ARGV: the most ms that may be owed, then for each the ms of a rate's refill and how many names of
 * places follow.
 */
const giveBackScript = `${now}
  local at = 2
  for _, key in ipairs(KEYS) do
    local ms, names = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    if names > 0 then
      for n = 2, names + 1 do redis.call('ZREM', key, ARGV[at + n]) end
    else
      local whole = math.min(math.max(tonumber(redis.call('GET', key) or '0'), now) - ms, now + ARGV[1])
      if whole > now then redis.call('SET', key, string.format('%.3f', whole), 'PX', math.ceil(whole - now) + 1000)
      else redis.call('DEL', key) end
    end
    at = at + 2 + names
  end
  return 0`

/** KEYS: one a set of places. ARGV: the lease in ms, then for each how many names follow. */
const renewScript = `${now}
  local at = 2
  for _, key in ipairs(KEYS) do
    for n = 1, ARGV[at] do redis.call('ZADD', key, now + ARGV[1], ARGV[at + n]) end
    redis.call('PEXPIRE', key, ARGV[1])
    at = at + 1 + ARGV[at]
  end
  return 0`

export function createLimitStore({ redis, prefix }: { redis: Redis; prefix: string }): LimitStore {
  const lease = redis.script<number[]>(leaseScript)
  const giveBack = redis.script<number>(giveBackScript)
  const renew = redis.script<number>(renewScript)
  const keyOf = (group: string, key: string) => `${prefix}:{${group}}:limit:${key}`
  const argsOf = ({ claim, need, want, ids }: Demand) => [claim.unit, claim.limit, need, want, ids.length, ...ids]
  const isPlaces = ({ unit }: Claim) => unit === 'places'

  return {
    get available() {
      return redis.up
    },
    async lease(group, demands) {
      const keys = demands.map(({ claim }) => keyOf(group, claim.key))
      const [refused = 0, retryAfterMs = 0, ...numbers] = await lease(keys, [placeLeaseMs, ...demands.flatMap(argsOf)])
      const granted = demands.map((_, i): Granted => {
        const [amount = 0, remaining = 0, resetMs = 0] = numbers.slice(3 * i, 3 * i + 3)
        return { amount, remaining, resetMs }
      })
      return refused === 0 ? { refused: undefined, granted } : { refused: refused - 1, retryAfterMs, granted }
    },
    async giveBack(group, returned) {
      const keys = returned.map(({ claim }) => keyOf(group, claim.key))
      const args = returned.flatMap(({ claim, amount, ids }) =>
        isPlaces(claim) ? [0, ids.length, ...ids] : [refillMs(claim, amount), 0],
      )
      await giveBack(keys, [minuteMs + maxOwedMs, ...args])
    },
    async renew(group, places) {
      const keys = places.map(({ key }) => keyOf(group, key))
      await renew(keys, [placeLeaseMs, ...places.flatMap(({ ids }) => [ids.length, ...ids])])
    },
  }
}
