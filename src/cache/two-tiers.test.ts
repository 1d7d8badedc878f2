import { describe, expect, it } from 'vitest'
import { createMemorySharedCache } from '../../adapters/memory/shared-cache.ts'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import type { SharedCache, SharedListener } from '../ports.ts'
import { type CacheOptions, createCache, farthest, SourceResting } from './cache.ts'
import { publicKey } from './keys.ts'
import { createMemoryTier } from './memory-tier.ts'
import { createSharedTier } from './shared-tier.ts'

const key = publicKey('key')

/** Pods of one fleet, each with its own memory, and a source that counts. */
function fleet(pods = 2, options: Partial<CacheOptions<string, 'public'>> = {}) {
  const clock = new FakeClock()
  const real = createMemorySharedCache({ clock })
  const source = { loads: 0, down: false, takesMs: 0, by: [] as number[] }
  const state = { redisDown: false }
  const listeners: SharedListener[] = []
  const orNothing = <T>(call: () => Promise<T>) => (state.redisDown ? Promise.resolve(undefined as T) : call())
  const port: SharedCache = {
    read: (...args) => orNothing(() => real.read(...args)),
    write: (...args) => orNothing(() => real.write(...args)),
    renew: (...args) => orNothing(() => real.renew(...args)),
    fail: (...args) => orNothing(() => real.fail(...args)),
    invalidate: async (of) => (await orNothing(() => real.invalidate(of))) ?? false,
    listen(listener) {
      listeners.push(listener)
      real.listen(listener)
    },
  }
  const made = Array.from({ length: pods }, (_, pod) => {
    const lookups: string[] = []
    /** A dead pod's load never ends, and it tells nobody anything. */
    const self = { dead: false }
    const own: SharedCache = {
      ...port,
      renew: async (...args) => (self.dead ? undefined : port.renew(...args)),
      write: async (...args) => (self.dead ? undefined : port.write(...args)),
    }
    const cache = createCache<string, 'public'>({
      name: 'test',
      scope: 'public',
      clock,
      random: () => 0.5,
      memory: createMemoryTier({ maxBytes: 1_000_000 }),
      shared: { tier: createSharedTier({ cache: own, clock }), layout: 1, ttlMs: 30 * 60_000 },
      freshMs: 10_000,
      staleWhileRevalidateMs: 20_000,
      staleIfErrorMs: 60_000,
      retryAfterErrorMs: 5_000,
      bytesOf: (value) => value.length,
      onLookup: (result) => lookups.push(result),
      ...options,
    })
    const load = async () => {
      const value = `value ${++source.loads}`
      source.by.push(pod)
      if (source.takesMs) await new Promise<void>((resolve) => void clock.setTimer(source.takesMs, resolve))
      if (self.dead) await new Promise(() => {})
      if (source.down) throw new Error('source down')
      return value
    }
    return { self, cache, lookups, get: async (maxAgeMs?: number) => cache.get(key, load, maxAgeMs) }
  })
  return { clock, source, state, listeners, port, pods: made, a: made[0]!, b: made[made.length - 1]! }
}

describe('a cache of two tiers', () => {
  it('takes what another pod has loaded, with its age', async () => {
    const { clock, a, b, source } = fleet()
    expect(await a.get()).toMatchObject({ value: 'value 1', result: 'miss' })
    await settled()
    await clock.advance(4_000)
    expect(await b.get()).toEqual({ value: 'value 1', result: 'redis', ageMs: 4_000 })
    expect(await b.get()).toMatchObject({ result: 'memory' })
    await clock.advance(5_999)
    expect(await b.get()).toEqual({ value: 'value 1', result: 'memory', ageMs: 9_999 })
    expect(source.loads).toBe(1)
  })

  it('loads once for 500 who ask three pods at once', async () => {
    const { clock, pods, source } = fleet(3)
    source.takesMs = 700
    const answers = Promise.all(Array.from({ length: 500 }, (_, i) => pods[i % 3]!.get()))
    await clock.advance(700)
    const results = (await answers).map(({ value, result }) => `${value}, ${result}`)
    expect(new Set(results)).toEqual(new Set(['value 1, miss', 'value 1, redis']))
    expect(source.loads).toBe(1)
  })

  it('answers stale values at once in every pod while one pod renews them', async () => {
    const { clock, pods, a, source } = fleet(3)
    await a.get()
    await settled()
    for (const pod of pods) await pod.get()
    await clock.advance(10_000)
    source.takesMs = 700
    for (const pod of pods) expect(await pod.get()).toMatchObject({ value: 'value 1', result: 'stale' })
    await clock.advance(700)
    for (const pod of pods) expect(await pod.get()).toMatchObject({ value: 'value 2', result: 'memory' })
    expect(source.loads).toBe(2)
  })

  it('answers what is stale in the shared tier at once, too', async () => {
    const { clock, a, b, source } = fleet()
    await a.get()
    await settled()
    await clock.advance(15_000)
    source.takesMs = 700
    expect(await b.get()).toEqual({ value: 'value 1', result: 'stale', ageMs: 15_000 })
    await clock.advance(700)
    expect(await b.get()).toMatchObject({ value: 'value 2', result: 'memory' })
  })

  it('takes over from a leader that died, and loads no more than twice', async () => {
    const { clock, pods, a, source } = fleet(3)
    source.takesMs = 700
    a.self.dead = true
    void a.get().catch(() => {})
    await settled()
    const others = Promise.all(pods.slice(1).map((pod) => pod.get()))
    await clock.advance(5_000)
    expect((await others).map(({ value }) => value)).toEqual(['value 2', 'value 2'])
    expect(source.loads).toBe(2)
  })

  it('takes over from a leader whose load takes longer than any may', async () => {
    const { clock, a, b, source } = fleet()
    source.takesMs = 600_000
    void a.get()
    await settled()
    source.takesMs = 0
    const other = b.get()
    await clock.advance(29_000)
    expect(source.loads).toBe(1)
    await clock.advance(6_000)
    expect(source.loads).toBe(2)
    expect(await other).toMatchObject({ value: 'value 2' })
  })

  it('waits for a leader that is slow and alive', async () => {
    const { clock, a, b, source } = fleet()
    source.takesMs = 20_000
    const answers = Promise.all([a.get(), b.get()])
    await clock.advance(20_000)
    expect((await answers).map(({ value }) => value)).toEqual(['value 1', 'value 1'])
    expect(source.loads).toBe(1)
  })

  it('shares one retry among all followers of a leader that failed', async () => {
    const { clock, pods, source } = fleet(5)
    source.takesMs = 300
    source.down = true
    const answers = Promise.allSettled(Array.from({ length: 100 }, (_, i) => pods[i % 5]!.get()))
    await clock.advance(2_000)
    expect((await answers).every(({ status }) => status === 'rejected')).toBe(true)
    expect(source.loads).toBe(2)
    await expect(pods[3]!.get()).rejects.toThrow(SourceResting)
    await clock.advance(5_000)
    source.down = false
    const later = pods[3]!.get()
    await clock.advance(300)
    expect(await later).toMatchObject({ value: 'value 3' })
  })

  it('has a pod wait alone after an error that says nothing of the source', async () => {
    const { clock, pods, source } = fleet(5, { ownWaitMs: () => 2_000 })
    source.down = true
    for (const pod of pods) await expect(pod.get()).rejects.toThrow('source down')
    await expect(pods[0]!.get()).rejects.toThrow('source down')
    expect(source.by).toEqual([0, 1, 2, 3, 4])
    source.down = false
    await clock.advance(2_000)
    expect(await pods[0]!.get()).toMatchObject({ value: 'value 6' })
  })

  it('covers a failure with what another pod has loaded', async () => {
    const { clock, a, b, source } = fleet()
    await a.get()
    await settled()
    await clock.advance(40_000)
    source.down = true
    expect(await b.get()).toEqual({ value: 'value 1', result: 'stale', ageMs: 40_000 })
    expect(await b.get()).toMatchObject({ result: 'stale' })
    expect(source.loads).toBe(2)
  })

  it('goes on by itself while the shared tier does not answer, and comes back to it', async () => {
    const { clock, a, b, source, state } = fleet()
    state.redisDown = true
    expect([await a.get(), await b.get()]).toMatchObject([{ result: 'miss' }, { result: 'miss' }])
    expect(source.loads).toBe(2)
    state.redisDown = false
    await clock.advance(31_000)
    expect(await a.get()).toMatchObject({ value: 'value 3', result: 'miss' })
    await settled()
    expect(await b.get()).toMatchObject({ value: 'value 3', result: 'redis' })
  })

  it('forgets everywhere what one pod invalidates, also what is being loaded', async () => {
    const { clock, a, b, source } = fleet()
    await a.get()
    await settled()
    await b.get()
    expect(await a.cache.invalidate(key)).toBe(true)
    source.takesMs = 300
    const early = b.get()
    await settled()
    await a.cache.invalidate(key)
    const late = b.get()
    await clock.advance(300)
    expect(await early).toMatchObject({ value: 'value 2' })
    expect(await late).toMatchObject({ value: 'value 3', result: 'miss' })
    await settled()
    expect(await a.get()).toMatchObject({ value: 'value 3', result: 'redis' })
  })

  it('keeps no failure of a load that began before an invalidation', async () => {
    const { clock, a, source } = fleet(1)
    Object.assign(source, { down: true, takesMs: 300 })
    const early = expect(a.get()).rejects.toThrow('source down')
    await settled()
    await a.cache.invalidate(key)
    await clock.advance(300)
    await early
    Object.assign(source, { down: false, takesMs: 0 })
    expect(await a.get()).toMatchObject({ value: 'value 2', result: 'miss' })
  })

  it('after a gap nobody joins a load that began before it, which may be of before an invalidation', async () => {
    const { clock, a, source, listeners, state } = fleet()
    source.takesMs = 100
    state.redisDown = true
    const before = a.get()
    await clock.advance(1)
    state.redisDown = false
    for (const { onGap } of listeners) onGap()
    const after = [a.get(), a.get(1_000)]
    await clock.advance(200)
    expect(await before).toMatchObject({ value: 'value 1' })
    expect(await Promise.all(after)).toMatchObject([{ value: 'value 2' }, { value: 'value 2' }])
    expect(await a.get()).toMatchObject({ value: 'value 2', result: 'memory' })
  })

  it('after a gap sees again whether a value still stands, and loads nothing where it does', async () => {
    const { clock, a, b, source, listeners, port } = fleet()
    await a.get()
    await settled()
    await clock.advance(1_000)
    for (const { onGap } of listeners) onGap()
    expect(await a.get()).toMatchObject({ value: 'value 1', result: 'redis' })
    expect(await a.get()).toMatchObject({ value: 'value 1', result: 'memory' })
    expect(source.loads).toBe(1)
    // Invalidated while nobody heard of it.
    await b.get()
    const deaf = listeners.splice(0)
    await port.read('test:1:key', { youngerThanMs: 0, leaseMs: 0 })
    const before = deaf.map((listener) => listener.onInvalidated)
    for (const listener of deaf) listener.onInvalidated = () => {}
    await port.invalidate('test:1:key')
    for (const [i, listener] of deaf.entries()) {
      listener.onInvalidated = before[i]!
      listener.onGap()
    }
    expect(await b.get()).toMatchObject({ value: 'value 2', result: 'miss' })
  })

  it('renews a value early by chance, once in the fleet, where its load takes long', async () => {
    const { clock, a, b, source } = fleet(2, { random: () => 0.99 })
    source.takesMs = 2_000
    const first = a.get()
    await clock.advance(2_000)
    await first
    await b.get()
    await clock.advance(2_500)
    // 0.99: fresh for 10.98 s, and a draw of 4.6 load times.
    expect([await a.get(), await b.get()]).toMatchObject([{ result: 'memory' }, { result: 'memory' }])
    await settled()
    expect(source.loads).toBe(2)
    await clock.advance(2_000)
    expect([await a.get(), await b.get()]).toMatchObject([{ value: 'value 2' }, { value: 'value 2' }])
    expect(source.loads).toBe(2)
  })

  it('gives a caller who wants nothing old a new load, and those who want it soon after the same one', async () => {
    const { clock, a, b, source } = fleet()
    await a.get()
    await settled()
    await clock.advance(3_000)
    expect(await b.get(5_000)).toMatchObject({ value: 'value 1', result: 'redis' })
    await clock.advance(3_000)
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => (i % 2 ? a : b).get(5_000)))
    expect(answers.every(({ value }) => value === 'value 2')).toBe(true)
    expect(answers.some(({ result }) => result === 'bypass')).toBe(true)
    expect(source.loads).toBe(2)
  })

  it('lets a caller who wants nothing old wait for a load under way that others need not wait for', async () => {
    const { clock, a, b, source } = fleet()
    await a.get()
    await settled()
    await clock.advance(15_000)
    source.takesMs = 700
    expect(await b.get()).toMatchObject({ value: 'value 1', result: 'stale' })
    const wanted = b.get(5_000)
    await clock.advance(700)
    expect(await wanted).toMatchObject({ value: 'value 2' })
    expect(source.loads).toBe(2)
  })

  it('answers nothing from memory past the longest time there without asking again', async () => {
    const { clock, a, source, state } = fleet(1, { freshMs: 60_000, localTtlMs: 5_000 })
    await a.get()
    await settled()
    await clock.advance(4_999)
    expect(await a.get()).toMatchObject({ result: 'memory' })
    await clock.advance(1)
    expect(await a.get()).toEqual({ value: 'value 1', result: 'redis', ageMs: 5_000 })
    expect(source.loads).toBe(1)
    state.redisDown = true
    await clock.advance(5_000)
    expect(await a.get()).toMatchObject({ value: 'value 2', result: 'miss' })
  })

  it('does not take the end of its own time with a value for the end of the value', async () => {
    const { clock, a, source } = fleet(1, { freshMs: 60_000, localTtlMs: 5_000, random: () => 0.99 })
    source.takesMs = 2_000
    const first = a.get()
    await clock.advance(2_000)
    await first
    await clock.advance(4_000)
    expect(await a.get()).toMatchObject({ result: 'memory' })
    await clock.advance(2_000)
    expect(await a.get()).toMatchObject({ value: 'value 1', result: 'redis' })
    expect(source.loads).toBe(1)
  })

  it('is not misled by clocks: neither by their zero nor by a wall clock that is ten minutes off', async () => {
    const shared = new FakeClock()
    const real = createMemorySharedCache({ clock: shared })
    const clocks = [new FakeClock({ nowMs: 7 }), new FakeClock({ nowMs: 9e8, wallMs: 1_800_000_600_000 })]
    let loads = 0
    const [a, b] = clocks.map((clock) => {
      const cache = createCache<number, 'public'>({
        name: 'test',
        scope: 'public',
        clock,
        random: () => 0.5,
        memory: createMemoryTier({ maxBytes: 10_000 }),
        shared: { tier: createSharedTier({ cache: real, clock }), layout: 1 },
        freshMs: 10_000,
        bytesOf: () => 1,
      })
      return async () => cache.get(key, async () => ++loads)
    }) as [() => Promise<object>, () => Promise<object>]
    const pass = (ms: number) => Promise.all([shared, ...clocks].map((clock) => clock.advance(ms)))
    await a()
    await pass(9_999)
    clocks[0]!.stepWall(-600_000)
    expect(await b()).toEqual({ value: 1, result: 'redis', ageMs: 9_999 })
    await pass(1)
    expect(await b()).toMatchObject({ value: 2, result: 'miss' })
    await settled()
    expect(await a()).toMatchObject({ value: 2, result: 'redis' })
  })

  it('keeps what says that there is nothing for two seconds and never stale', async () => {
    const { clock, a, source } = fleet(1, { isNegative: () => true })
    await a.get()
    await clock.advance(1_999)
    expect(await a.get()).toMatchObject({ result: 'memory' })
    await clock.advance(1)
    source.down = true
    await expect(a.get()).rejects.toThrow('source down')
  })

  it('keeps what is too large for the shared tier to itself, and gives the lease back', async () => {
    const { a, b, source } = fleet()
    const large = 'x'.repeat(5_000_000)
    await a.cache.get(key, async () => large)
    await settled()
    expect(await b.get()).toMatchObject({ value: 'value 1', result: 'miss' })
    expect(source.loads).toBe(1)
  })
})

it('says of several values the one that came from farthest', () => {
  expect(farthest(['memory', 'redis'])).toBe('redis')
  expect(farthest(['stale', 'memory', 'miss'])).toBe('miss')
  expect(farthest([])).toBe('memory')
})
