/** The tier that pods share, as the caches of one pod see it: one ear for all of them, and waits that it ends. */
import type { SharedCache } from '../ports.ts'
import type { Clock } from '../resilience/clock.ts'

export interface SharedTier extends Omit<SharedCache, 'listen'> {
  /** Grows when invalidations may have been missed: what was held before must be looked up anew. */
  readonly epoch: number
  /** Until a load of the key has ended somewhere, and no longer than `ms`. */
  wait(key: string, ms: number): Promise<void>
  /** `fn` is given the rest of each invalidated key that begins with `prefix`. */
  onInvalidated(prefix: string, fn: (rest: string) => void): void
}

export function createSharedTier({ cache, clock }: { cache: SharedCache; clock: Clock }): SharedTier {
  /** At most one for each load under way in this pod. */
  const waiting = new Map<string, Set<() => void>>()
  const invalidated: { prefix: string; fn: (rest: string) => void }[] = []
  let epoch = 0

  const wake = (key: string) => {
    for (const go of waiting.get(key) ?? []) go()
  }
  cache.listen({
    onLoaded: wake,
    onInvalidated(key) {
      for (const { prefix, fn } of invalidated) if (key.startsWith(prefix)) fn(key.slice(prefix.length))
      wake(key)
    },
    onGap() {
      epoch++
      for (const key of waiting.keys()) wake(key)
    },
  })

  return {
    read: cache.read,
    write: cache.write,
    renew: cache.renew,
    fail: cache.fail,
    invalidate: cache.invalidate,
    get epoch() {
      return epoch
    },
    wait(key, ms) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const cancel = clock.setTimer(ms, resolve)
      const waiters = waiting.get(key) ?? new Set()
      waiting.set(key, waiters.add(resolve))
      return promise.finally(() => {
        cancel()
        waiters.delete(resolve)
        if (waiters.size === 0 && waiting.get(key) === waiters) waiting.delete(key)
      })
    },
    onInvalidated: (prefix, fn) => void invalidated.push({ prefix, fn }),
  }
}
