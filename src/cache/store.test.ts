import { describe, expect, it } from 'vitest'
import { createMemorySharedCache } from '../../adapters/memory/shared-cache.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import type { SharedListener } from '../ports.ts'
import { accountKey } from './keys.ts'
import { createMemoryTier } from './memory-tier.ts'
import { createSharedTier } from './shared-tier.ts'
import { createStore } from './store.ts'

const key = accountKey({ accountId: 'a' }, 'question')

function world() {
  const clock = new FakeClock()
  const cache = createMemorySharedCache({ clock })
  const listeners: SharedListener[] = []
  const { listen } = cache
  cache.listen = (listener) => {
    listeners.push(listener)
    listen(listener)
  }
  const lookups: string[] = []
  const pod = () =>
    createStore<string, 'account'>({
      name: 'answers',
      scope: 'account',
      clock,
      memory: createMemoryTier({ maxBytes: 10_000 }),
      shared: { tier: createSharedTier({ cache, clock }), layout: 1 },
      localTtlMs: 5_000,
      ttlMs: 30_000,
      bytesOf: (value) => value.length,
      onLookup: (result) => lookups.push(result),
    })
  return { clock, cache, listeners, lookups, a: pod(), b: pod() }
}

describe('a store', () => {
  it('finds in every pod what one has put, with its age, as long as it is young enough for who asks', async () => {
    const { clock, a, b, lookups } = world()
    expect(await a.find(key, 60_000)).toBeUndefined()
    await a.put(key, 'answer', 60_000)
    await clock.advance(1_000)
    expect(await a.find(key, 1_001)).toEqual({ value: 'answer', result: 'memory', ageMs: 1_000 })
    expect(await b.find(key, 1_000)).toBeUndefined()
    expect(await b.find(key, 1_001)).toEqual({ value: 'answer', result: 'redis', ageMs: 1_000 })
    expect(await b.find(key, 60_000)).toMatchObject({ result: 'memory' })
    expect(await a.find(key, 1_000), 'too old').toBeUndefined()
    expect(lookups).toEqual(['miss', 'memory', 'miss', 'redis', 'memory', 'miss'])
  })

  it('asks the shared tier again after its own time, and keeps nothing past the longest', async () => {
    const { clock, a } = world()
    await a.put(key, 'answer', 60_000)
    await clock.advance(5_000)
    expect(await a.find(key, 60_000)).toMatchObject({ result: 'redis' })
    await clock.advance(24_999)
    expect(await a.find(key, 60_000)).toMatchObject({ result: 'redis' })
    await clock.advance(1)
    expect(await a.find(key, 60_000)).toBeUndefined()
  })

  it('keeps a value no longer than was said when it was put, in no pod', async () => {
    const { clock, a, b } = world()
    await a.put(key, 'answer', 2_000)
    await clock.advance(1_000)
    expect(await b.find(key, 60_000)).toMatchObject({ result: 'redis' })
    await clock.advance(1_000)
    expect(await a.find(key, 60_000)).toBeUndefined()
    expect(await b.find(key, 60_000)).toBeUndefined()
  })

  it('forgets what is invalidated, and takes what it cannot read for nothing', async () => {
    const { cache, a, b } = world()
    await a.put(key, 'answer', 60_000)
    await cache.invalidate(`answers:1:${key}`)
    expect(await a.find(key, 60_000)).toBeUndefined()
    await cache.write(`answers:1:${key}`, { value: '{', token: undefined, ageMs: 0, tookMs: 0, ttlMs: 60_000 })
    expect(await b.find(key, 60_000)).toBeUndefined()
  })

  it('asks the shared tier again after a gap, in which an invalidation may have been missed', async () => {
    const { listeners, a } = world()
    await a.put(key, 'answer', 60_000)
    expect(await a.find(key, 60_000)).toMatchObject({ result: 'memory' })
    for (const { onGap } of listeners) onGap()
    expect(await a.find(key, 60_000)).toMatchObject({ result: 'redis' })
    expect(await a.find(key, 60_000)).toMatchObject({ result: 'memory' })
  })

  it('is separate for each account', async () => {
    const { a, b } = world()
    await a.put(key, 'answer', 60_000)
    const other = accountKey({ accountId: 'b' }, 'question')
    expect([await a.find(other, 60_000), await b.find(other, 60_000)]).toEqual([undefined, undefined])
  })
})
