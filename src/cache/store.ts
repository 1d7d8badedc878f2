/** Values that are put and found rather than loaded, over the same two tiers: of several that are put, any will do. */
import type { Clock } from '../resilience/clock.ts'
import type { Cached, CacheResult, SharedOptions } from './cache.ts'
import type { CacheKey, KeyScope } from './keys.ts'
import type { MemoryTier } from './memory-tier.ts'

export interface StoreOptions<T, S extends KeyScope> {
  /** Prefix of its keys and its name in metrics. */
  name: string
  /** Whose values it holds; it takes only their keys. */
  scope: S
  clock: Clock
  memory: MemoryTier
  /** @default memory only */
  shared?: (S extends 'credential' ? never : SharedOptions) | undefined
  /** Longest time in memory, in ms. */
  localTtlMs: number
  /** Longest time at all, in ms. */
  ttlMs: number
  /** Size of a value in memory. */
  bytesOf: (value: T) => number
  /** Told of each look-up. */
  onLookup?: (result: CacheResult) => void
}

export interface Store<T, S extends KeyScope> {
  /** Undefined: there is none, or it is as old as `maxAgeMs`. */
  find(key: CacheKey<S>, maxAgeMs: number): Promise<Cached<T> | undefined>
  put(key: CacheKey<S>, value: T, ttlMs: number): Promise<void>
}

interface Kept<T> {
  value: T
  loadedAt: number
  until: number
  epoch: number
}

/** As it lies in the shared tier: how long it may live is the putter's word in every pod. */
interface Sent<T> {
  value: T
  ttlMs: number
}

export function createStore<T, S extends KeyScope>(options: StoreOptions<T, S>): Store<T, S> {
  const { name, clock, memory, localTtlMs, ttlMs: longestMs, bytesOf, onLookup } = options
  const shared: SharedOptions | undefined = options.shared
  const tier = shared?.tier
  const sharedPrefix = `${name}:${shared?.layout}:`
  tier?.onInvalidated(sharedPrefix, (rawKey) => memory.delete(`${name}:${rawKey}`))

  const keep = (rawKey: string, value: T, loadedAt: number, until: number) => {
    const kept: Kept<T> = { value, loadedAt, until, epoch: tier?.epoch ?? 0 }
    memory.set(`${name}:${rawKey}`, { value: kept, bytes: bytesOf(value) })
  }

  async function findShared(rawKey: string, maxAgeMs: number): Promise<Cached<T> | undefined> {
    const askedAt = clock.now()
    const entry = (await tier?.read(sharedPrefix + rawKey, { youngerThanMs: maxAgeMs, leaseMs: 0 }))?.entry
    if (!entry) return undefined
    const now = clock.now()
    const loadedAt = askedAt - entry.ageMs
    if (now - loadedAt >= maxAgeMs) return undefined
    let read: Sent<T>
    try {
      read = JSON.parse(entry.value)
    } catch {
      return undefined // What cannot be read is a miss.
    }
    const { value, ttlMs } = read
    keep(rawKey, value, loadedAt, Math.min(loadedAt + ttlMs, now + localTtlMs))
    return { value, result: 'redis', ageMs: now - loadedAt }
  }

  return {
    async find(rawKey, maxAgeMs) {
      const now = clock.now()
      const kept = memory.get(`${name}:${rawKey}`)?.value as Kept<T> | undefined
      const isGood = kept && now < kept.until && now - kept.loadedAt < maxAgeMs && kept.epoch === (tier?.epoch ?? 0)
      const found: Cached<T> | undefined = isGood
        ? { value: kept.value, result: 'memory', ageMs: now - kept.loadedAt }
        : await findShared(rawKey, maxAgeMs)
      onLookup?.(found?.result ?? 'miss')
      return found
    },
    async put(rawKey, value, wishedMs) {
      const ttlMs = Math.min(wishedMs, longestMs)
      const now = clock.now()
      keep(rawKey, value, now, now + Math.min(ttlMs, localTtlMs))
      const sent: Sent<T> = { value, ttlMs }
      const entry = { value: JSON.stringify(sent), token: undefined, ageMs: 0, tookMs: 0, ttlMs }
      await tier?.write(sharedPrefix + rawKey, entry)
    },
  }
}
