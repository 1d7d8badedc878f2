import { describe, expect, it } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { type CacheOptions, createCache } from './cache.ts'
import { credentialKey, publicKey } from './keys.ts'
import { createMemoryTier } from './memory-tier.ts'

function world(options: Partial<CacheOptions<string, 'public'>> = {}) {
  const clock = new FakeClock()
  const lookups: string[] = []
  const cache = createCache<string, 'public'>({
    name: 'test',
    scope: 'public',
    clock,
    random: () => 0.5,
    memory: createMemoryTier({ maxBytes: 1_000_000 }),
    freshMs: 1_000,
    staleWhileRevalidateMs: 2_000,
    staleIfErrorMs: 10_000,
    retryAfterErrorMs: 500,
    bytesOf: (value) => value.length,
    onLookup: (result) => lookups.push(result),
    ...options,
  })
  const source = {
    loads: 0,
    down: false,
    takesMs: 0,
    load: async () => {
      const value = `value ${++source.loads}`
      if (source.takesMs) await new Promise<void>((resolve) => void clock.setTimer(source.takesMs, resolve))
      if (source.down) throw new Error('source down')
      return value
    },
  }
  return { clock, cache, lookups, source, get: async (key = 'key') => cache.get(publicKey(key), source.load) }
}

describe('a cache', () => {
  it('loads what it does not have and answers it from memory while it is fresh', async () => {
    const { clock, get, lookups } = world()
    expect(await get()).toEqual({ value: 'value 1', result: 'miss', ageMs: 0 })
    await clock.advance(999)
    expect(await get()).toEqual({ value: 'value 1', result: 'memory', ageMs: 999 })
    expect(lookups).toEqual(['miss', 'memory'])
  })

  it('answers a fresh value without a promise', async () => {
    const { cache, source, get } = world()
    await get()
    expect(cache.get(publicKey('key'), source.load)).not.toBeInstanceOf(Promise)
  })

  it('answers a stale value at once and renews it in the background, once', async () => {
    const { clock, get, source } = world()
    await get()
    await clock.advance(1_000)
    source.takesMs = 100
    for (let i = 0; i < 50; i++) expect(await get()).toMatchObject({ value: 'value 1', result: 'stale' })
    expect(source.loads).toBe(2)
    await clock.advance(100)
    expect(await get()).toEqual({ value: 'value 2', result: 'memory', ageMs: 0 })
  })

  it('waits for a load where the value is older than that', async () => {
    const { clock, get } = world()
    await get()
    await clock.advance(3_000)
    expect(await get()).toMatchObject({ value: 'value 2', result: 'miss' })
  })

  it('covers a failed load with the last good value, for as long as allowed', async () => {
    const { clock, get, source, lookups } = world()
    await get()
    source.down = true
    await clock.advance(10_999)
    expect(await get()).toEqual({ value: 'value 1', result: 'stale', ageMs: 10_999 })
    await clock.advance(1)
    await expect(get()).rejects.toThrow('source down')
    expect(lookups).toEqual(['miss', 'stale', 'error'])
  })

  it('rests after a failed load and then tries again', async () => {
    const { clock, get, source } = world()
    await get()
    source.down = true
    await clock.advance(5_000)
    for (let i = 0; i < 20; i++) await get()
    expect(source.loads).toBe(2)
    await clock.advance(499)
    await get()
    expect(source.loads).toBe(2)
    await clock.advance(1)
    source.down = false
    expect(await get()).toMatchObject({ value: 'value 3', result: 'miss' })
  })

  it.each([10_000, 0])(
    'rests after a failed renewal in the background, with %i ms of cover',
    async (staleIfErrorMs) => {
      const { clock, get, source } = world({ staleIfErrorMs })
      await get()
      source.down = true
      await clock.advance(1_000)
      for (let i = 0; i < 20; i++) {
        expect(await get()).toMatchObject({ value: 'value 1', result: 'stale' })
        await settled()
      }
      expect(source.loads).toBe(2)
      await clock.advance(500)
      await get()
      expect(source.loads).toBe(3)
    },
  )

  it('loads once for 500 who ask together', async () => {
    const { clock, get, source } = world()
    source.takesMs = 100
    const answers = Promise.all(Array.from({ length: 500 }, () => get()))
    await clock.advance(100)
    for (const answer of await answers) expect(answer).toMatchObject({ value: 'value 1', result: 'miss' })
    expect(source.loads).toBe(1)
  })

  it('fails for all 500 after one failed load where nothing covers for it', async () => {
    const { clock, get, source } = world()
    source.takesMs = 100
    source.down = true
    const answers = Promise.allSettled(Array.from({ length: 500 }, () => get()))
    await clock.advance(100)
    expect((await answers).every(({ status }) => status === 'rejected')).toBe(true)
    expect(source.loads).toBe(1)
  })

  it('rests after a failed load also where nothing covers for it, and then loads again', async () => {
    const { clock, get, source } = world()
    source.down = true
    for (let i = 0; i < 5; i++) await expect(get()).rejects.toThrow('source down')
    expect(source.loads).toBe(1)
    source.down = false
    await clock.advance(500)
    expect(await get()).toMatchObject({ result: 'miss', value: 'value 2' })
  })

  it('keeps keys apart, and caches that share the memory', async () => {
    const clock = new FakeClock()
    const memory = createMemoryTier({ maxBytes: 10_000 })
    const shared = { scope: 'public', clock, random: () => 0.5, memory, freshMs: 1_000, bytesOf: () => 1 } as const
    const a = createCache<string, 'public'>({ ...shared, name: 'a' })
    const b = createCache<string, 'public'>({ ...shared, name: 'b' })
    await a.get(publicKey('key'), async () => 'a')
    await a.get(publicKey('other'), async () => 'other')
    expect(await b.get(publicKey('key'), async () => 'b')).toMatchObject({ value: 'b', result: 'miss' })
    expect(await a.get(publicKey('key'), async () => 'never')).toMatchObject({ value: 'a', result: 'memory' })
  })

  it('keeps nothing stale where nothing was said of staleness', async () => {
    const { clock, get, source } = world({ staleWhileRevalidateMs: 0, staleIfErrorMs: 0 })
    await get()
    await clock.advance(1_000)
    source.down = true
    await expect(get()).rejects.toThrow('source down')
  })

  it('is not misled by the wall clock', async () => {
    const { clock, get } = world()
    await get()
    clock.stepWall(3_600_000)
    expect(await get()).toMatchObject({ result: 'memory' })
    clock.stepWall(-7_200_000)
    await clock.advance(999)
    expect(await get()).toMatchObject({ result: 'memory', ageMs: 999 })
  })

  it('dates what stands behind a secret from when it was asked for, however slow the answer was', async () => {
    const clock = new FakeClock()
    const memory = createMemoryTier({ maxBytes: 10_000 })
    const cache = createCache<string, 'credential'>({
      name: 'test',
      scope: 'credential',
      clock,
      random: () => 0.5,
      memory,
      freshMs: 2_000,
      staleWhileRevalidateMs: 2_000,
      bytesOf: () => 1,
    })
    let isRevoked = false
    const load = async () => {
      const found = isRevoked ? 'revoked' : 'good'
      await new Promise<void>((resolve) => void clock.setTimer(3_000, resolve))
      return found
    }
    const get = async () => (await cache.get(credentialKey('digest'), load)).value
    const first = get()
    await clock.advance(1)
    isRevoked = true
    await clock.advance(2_999)
    expect(await first).toBe('good')
    await clock.advance(1_000)
    const later = get()
    await clock.advance(3_000)
    expect(await later).toBe('revoked')
  })

  it('answers also what is too large to keep', async () => {
    const { get, source } = world({ bytesOf: () => 10_000_000 })
    expect(await get()).toMatchObject({ value: 'value 1', result: 'miss' })
    expect(await get()).toMatchObject({ value: 'value 2', result: 'miss' })
    expect(source.loads).toBe(2)
  })
})
