import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createMemoryTier } from './memory-tier.ts'

it('gives back what was set, until it is replaced or deleted', () => {
  const tier = createMemoryTier({ maxBytes: 10_000 })
  tier.set('a', { value: 1, bytes: 100 })
  tier.set('a', { value: 2, bytes: 50 })
  expect(tier.get('a')?.value).toBe(2)
  expect(tier.bytes).toBe(250)
  tier.delete('a')
  tier.delete('a')
  expect(tier.get('a')).toBeUndefined()
  expect(tier.bytes).toBe(0)
})

it('keeps nothing that is too large for it, nor what stood there before', () => {
  const tier = createMemoryTier({ maxBytes: 1_000 })
  tier.set('a', { value: 1, bytes: 10 })
  tier.set('a', { value: 2, bytes: 801 })
  expect(tier.get('a')).toBeUndefined()
  tier.set('a', { value: 3, bytes: 800 })
  expect(tier.get('a')?.value).toBe(3)
  expect(tier.bytes).toBe(1_000)
})

it('never holds more than its bytes, knows exactly how many it holds, and always keeps the newest', () => {
  const step = fc.record({
    do: fc.constantFrom('set', 'set', 'set', 'get', 'delete'),
    key: fc.nat(40).map(String),
    bytes: fc.oneof(fc.nat(300), fc.nat(6_000)),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), fc.integer({ min: 200, max: 6_000 }), (steps, maxBytes) => {
      const tier = createMemoryTier({ maxBytes })
      const keys = new Set<string>()
      for (const { do: what, key, bytes } of steps) {
        keys.add(key)
        if (what === 'get') tier.get(key)
        else if (what === 'delete') tier.delete(key)
        else {
          tier.set(key, { value: bytes, bytes })
          if (bytes + 200 <= maxBytes) expect(tier.get(key)?.value).toBe(bytes)
        }
        expect(tier.bytes).toBeLessThanOrEqual(maxBytes)
      }
      let held = 0
      for (const key of keys) {
        const entry = tier.get(key)
        if (entry) held += entry.bytes + 200
      }
      expect(tier.bytes).toBe(held)
    }),
    { numRuns: 1_000 },
  )
})

it('keeps what is used again and again, however much else comes by', () => {
  const tier = createMemoryTier({ maxBytes: 300 * 100 })
  for (let i = 0; i < 20; i++) tier.set(`used ${i}`, { value: i, bytes: 100 })
  for (let i = 0; i < 5_000; i++) {
    tier.set(`seen once ${i}`, { value: i, bytes: 100 })
    expect(tier.get(`used ${i % 20}`)?.value, `after ${i} others`).toBe(i % 20)
  }
})

it('gives up the longest unused first', () => {
  const tier = createMemoryTier({ maxBytes: 300 * 100 })
  for (let i = 0; i < 100; i++) tier.set(`${i}`, { value: i, bytes: 100 })
  tier.set('one more', { value: 0, bytes: 100 })
  expect(tier.get('0')).toBeUndefined()
  expect(tier.get('50')).toBeDefined()
})

it('makes room where everything was used, too', () => {
  const tier = createMemoryTier({ maxBytes: 300 * 10 })
  for (let i = 0; i < 10; i++) tier.set(`${i}`, { value: i, bytes: 100 })
  for (let i = 0; i < 10; i++) tier.get(`${i}`)
  tier.set('large', { value: 0, bytes: 2_700 })
  expect(tier.get('large')).toBeDefined()
  expect(tier.bytes).toBeLessThanOrEqual(3_000)
})

it('refuses a size that is none by name', () => {
  expect(() => createMemoryTier({ maxBytes: 0 })).toThrow('maxBytes must be above 0, got 0')
})
