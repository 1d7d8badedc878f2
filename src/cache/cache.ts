/**
 * get-or-load over the memory tier. Fresh values are answered at once; stale ones at once too, while one load renews
 * them in the background; a failed load is covered by the last good value for a while. However many ask, one key has
 * one load under way, and after a failed one the next waits a moment.
 */
import type { Clock } from '../resilience/clock.ts'
import { createSingleFlight } from '../resilience/single-flight.ts'
import type { MemoryTier } from './memory-tier.ts'

export type CacheResult = 'memory' | 'stale' | 'miss'

export interface Cached<T> {
  value: T
  result: CacheResult
  /** Since the value was loaded. */
  ageMs: number
}

export interface CacheOptions<T> {
  /** Prefix of its keys and its name in metrics. */
  name: string
  clock: Clock
  memory: MemoryTier
  /** Answered without a thought for this long, in ms. */
  freshMs: number
  /** After that, answered at once and renewed in the background, for this long. @default 0 */
  staleWhileRevalidateMs?: number
  /** Answered when a load fails, until this long after the fresh time. @default 0 */
  staleIfErrorMs?: number
  /** After a failed load, how long its stale value is answered without another. @default 1_000 */
  retryAfterErrorMs?: number
  /** Size of a value in memory. */
  bytesOf: (value: T) => number
  /** Told of each look-up. */
  onLookup?: (result: CacheResult | 'error') => void
}

export interface Cache<T> {
  /** @throws what `load` throws, where there is no value to cover for it. `load` must bound itself. */
  get(key: string, load: () => Promise<T>): Cached<T> | Promise<Cached<T>>
}

interface Stored<T> {
  value: T
  loadedAt: number
  /** Not to be loaded again before this. */
  notBefore: number
}

/** A load that failed with nothing to cover for it. */
interface Failed {
  error: unknown
  until: number
}

/** What a remembered failure costs in memory, roughly. */
const failureBytes = 500

export function createCache<T>(options: CacheOptions<T>): Cache<T> {
  const { name, clock, memory, freshMs, bytesOf, onLookup } = options
  const { staleWhileRevalidateMs = 0, staleIfErrorMs = 0, retryAfterErrorMs = 1_000 } = options
  const flights = createSingleFlight<T>()

  const load = (key: string, loader: () => Promise<T>) =>
    flights.run(key, async () => {
      const value = await loader()
      const now = clock.now()
      memory.set(key, { value: { value, loadedAt: now, notBefore: now } satisfies Stored<T>, bytes: bytesOf(value) })
      return value
    })

  const answer = (stored: Stored<T>, result: CacheResult): Cached<T> => {
    onLookup?.(result)
    return { value: stored.value, result, ageMs: clock.now() - stored.loadedAt }
  }

  return {
    get(rawKey, loader) {
      const key = `${name}:${rawKey}`
      const held = memory.get(key)?.value as Stored<T> | Failed | undefined
      const now = clock.now()
      if (held && 'error' in held && now < held.until) {
        onLookup?.('error')
        return Promise.reject(held.error)
      }
      const stored = held && 'loadedAt' in held ? held : undefined
      const ageMs = stored ? now - stored.loadedAt : Infinity
      if (stored && ageMs < freshMs) return answer(stored, 'memory')
      const coverMs = Math.max(staleWhileRevalidateMs, staleIfErrorMs)
      const covered = stored && ageMs < freshMs + coverMs ? stored : undefined
      if (covered && now < covered.notBefore) return answer(covered, 'stale')

      const loading = load(key, loader)
      loading.catch((error) => {
        const until = clock.now() + retryAfterErrorMs
        if (covered) covered.notBefore = until
        else memory.set(key, { value: { error, until } satisfies Failed, bytes: failureBytes })
      })
      if (stored && ageMs < freshMs + staleWhileRevalidateMs) return answer(stored, 'stale')
      return loading.then(
        (value) => {
          onLookup?.('miss')
          return { value, result: 'miss', ageMs: 0 }
        },
        (error) => {
          if (covered) return answer(covered, 'stale')
          onLookup?.('error')
          throw error
        },
      )
    },
  }
}
