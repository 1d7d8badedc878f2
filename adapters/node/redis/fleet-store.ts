/**
 * A fleet's board in Redis: two scripts and a channel, all keys in one slot, all times by Redis's clock. A beat costs one
 * script a second and pod, and answers with the board only to those who do not know its version.
 */
import { type FleetStore, type Push, type StoredWord, silentMs } from '../../../src/resilience/fleet-store.ts'
import type { Redis } from './client.ts'

export interface RedisFleetStoreOptions {
  redis: Redis
  /** What every key begins with. */
  prefix: string
}

/** `born` tells a Redis that has lost its memory; its versions begin at the date, so that they are higher than before. */
const preamble = `
  local t = redis.call('TIME')
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  local born = tonumber(redis.call('HGET', KEYS[1], 'born'))
  if not born or born > now then
    born = now
    redis.call('HSET', KEYS[1], 'born', now)
    redis.call('HSETNX', KEYS[1], 'version', string.format('%d', now))
  end
`

/** KEYS: state, pods, columns, words. ARGV: channel, pod, silentMs, seen, whether it says something, what; then words. */
const syncScript = `${preamble}
  local function changed() return redis.call('HINCRBY', KEYS[1], 'version', 1) end
  local function push(change) redis.call('PUBLISH', ARGV[1], cjson.encode(change)) end
  local pod = ARGV[2]
  if redis.call('ZADD', KEYS[2], now, pod) == 1 then changed() end
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[3])) do
    redis.call('ZREM', KEYS[2], gone)
    redis.call('HDEL', KEYS[3], gone)
    changed()
  end
  if ARGV[5] == '1' then
    if ARGV[6] == '' then redis.call('HDEL', KEYS[3], pod)
    else redis.call('HSET', KEYS[3], pod, string.format('%d', now) .. ' ' .. ARGV[6]) end
    push({ version = changed(), pod = pod, text = ARGV[6] })
  end
  local taken = {}
  for i = 7, #ARGV, 3 do
    local known = redis.call('HGET', KEYS[4], ARGV[i])
    local knownAt = known and tonumber(string.match(known, '^%d+')) or 0
    local at = tonumber(ARGV[i + 2])
    if at == 0 then at = math.max(now, knownAt + 1) end
    if not known or at > knownAt then
      redis.call('HSET', KEYS[4], ARGV[i], string.format('%d', at) .. ' ' .. ARGV[i + 1])
      table.insert(taken, { name = ARGV[i], word = ARGV[i + 1], at = at })
    end
  end
  if #taken > 0 then push({ version = changed(), words = taken }) end
  local version = redis.call('HGET', KEYS[1], 'version')
  local answer = { now, redis.call('ZCARD', KEYS[2]), version, redis.call('HEXISTS', KEYS[3], pod) }
  if version ~= ARGV[4] then
    answer[5] = redis.call('ZRANGE', KEYS[2], 0, -1)
    answer[6] = redis.call('HGETALL', KEYS[3])
    answer[7] = redis.call('HGETALL', KEYS[4])
  end
  return answer`

/** KEYS: state, the claim. ARGV: pod, ms. */
const claimScript = `${preamble}
  if now - born < tonumber(ARGV[2]) then return 0 end
  local holder = redis.call('GET', KEYS[2])
  if holder and holder ~= ARGV[1] then return 0 end
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  return 1`

const leaveScript = `
  redis.call('HDEL', KEYS[3], ARGV[1])
  if redis.call('ZREM', KEYS[2], ARGV[1]) == 1 then redis.call('HINCRBY', KEYS[1], 'version', 1) end
  return 1`

type Answer = [
  now: number,
  pods: number,
  version: string,
  hasColumn: number,
  page?: string[],
  said?: string[],
  words?: string[],
]

export function createRedisFleetStore({ redis, prefix }: RedisFleetStoreOptions): FleetStore {
  // The number is that of the format: pods of different versions meet during a rollout.
  const base = `${prefix}:{fleet}:1`
  const channel = `${base}:news`
  const keys = [`${base}:state`, `${base}:pods`, `${base}:said`, `${base}:words`]
  const sync = redis.script<Answer>(syncScript)
  const claim = redis.script<number>(claimScript)
  const leave = redis.script<number>(leaveScript)

  return {
    async sync({ pod, seen, said, words }) {
      const given = words.flatMap(({ name, word, at }) => [name, word, at])
      const column = said === undefined ? ['0', ''] : ['1', said]
      const [now, pods, version, hasColumn, names, columns, stored] = await sync(keys, [
        channel,
        pod,
        silentMs,
        seen,
        ...column,
        ...given,
      ])
      const page = names && {
        pods: names,
        said: pairsOf(columns!).map(([each, value]) => {
          const [at, text] = split(value)
          return { pod: each, text, agoMs: Math.max(now - Number(at), 0) }
        }),
        words: pairsOf(stored!).map(([name, value]): StoredWord => {
          const [at, word] = split(value)
          return { name, word: word as StoredWord['word'], at: Number(at) }
        }),
      }
      return { pods, version: Number(version), hasColumn: hasColumn === 1, page }
    },
    claim: async (what, pod, ms) => (await claim([keys[0]!, `${base}:claim:${what}`], [pod, ms])) === 1,
    async leave(pod) {
      await leave(keys, [pod])
    },
    subscribe({ onPush, onGap }) {
      redis.subscribe(channel, {
        onMessage(message) {
          const push = parsePush(message)
          if (push) onPush(push)
          else onGap()
        },
        onGap,
      })
    },
  }
}

/** Only the script above should write there; whatever somebody else does must not end the process. */
function parsePush(message: string): Push | undefined {
  try {
    const push = JSON.parse(message) as Partial<Record<'version' | 'pod' | 'text' | 'words', unknown>>
    const { words } = push
    const isOfWords = Array.isArray(words) && words.every(isWord)
    const known = (typeof push.pod === 'string' && typeof push.text === 'string') || isOfWords
    return typeof push.version === 'number' && known ? (push as Push) : undefined
  } catch {
    return undefined
  }
}

function isWord(each: Partial<Record<keyof StoredWord, unknown>> | null): boolean {
  const isKnown = each?.word === 'open' || each?.word === 'closed' || each?.word === 'auto'
  return isKnown && typeof each.name === 'string' && typeof each.at === 'number'
}

/** A date, a blank, and the rest. */
function split(value: string): [string, string] {
  const blank = value.indexOf(' ')
  return [value.slice(0, blank), value.slice(blank + 1)]
}

const pairsOf = (flat: readonly string[]) =>
  Array.from({ length: flat.length / 2 }, (_, i): [string, string] => [flat[2 * i]!, flat[2 * i + 1]!])
