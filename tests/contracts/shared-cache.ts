/** What every cache tier that pods share promises, wherever it keeps its values. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { SharedCache, SharedLease } from '../../src/ports.ts'
import { eventually } from '../support/gateway.ts'

export interface SharedCacheUnderTest {
  cache: SharedCache
  /** As another pod sees it. */
  other: SharedCache
  /** Lets this much time pass for both. */
  advance(ms: number): Promise<void>
  close?(): Promise<void>
}

const leaseMs = 400
const never = 0

export function sharedCacheContract(name: string, create: () => Promise<SharedCacheUnderTest>): void {
  describe(`${name}, as every shared cache,`, () => {
    let world: SharedCacheUnderTest
    let key: string
    let keys = 0
    const heard: string[] = []
    beforeAll(async () => {
      world = await create()
      world.other.listen({
        onLoaded: (of) => void heard.push(`loaded ${of}`),
        onInvalidated: (of) => void heard.push(`invalidated ${of}`),
        onGap: () => void heard.push('gap'),
      })
      // Subscribed, once something comes through.
      await eventually(async () => {
        await world.cache.invalidate('listening')
        return heard.length > 0
      })
    })
    afterAll(() => world.close?.())
    beforeEach(() => {
      // Values may outlive a test where they are kept elsewhere.
      key = `contract:${process.pid}-${++keys}`
    })

    const ask = (of: SharedCache, youngerThanMs = 60_000, known?: string) =>
      of.read(key, { known, youngerThanMs, leaseMs })
    const look = async (of = world.other) =>
      (await of.read(key, { youngerThanMs: 60_000, leaseMs: never }))?.entry?.value
    const lead = async (of = world.cache, youngerThanMs = 60_000, known?: string) => {
      const read = await ask(of, youngerThanMs, known)
      return tokenOf(read?.lease)
    }
    const put = (of: SharedCache, token: string | undefined, value: string, more: object = {}) =>
      of.write(key, { value, token, ageMs: 0, tookMs: 7, ttlMs: 60_000, ...more })

    it('has nothing at first, and gives one of many the lease', async () => {
      const reads = await Promise.all(Array.from({ length: 20 }, (_, i) => ask(i % 2 ? world.cache : world.other)))
      expect(reads.every((read) => read?.entry === undefined)).toBe(true)
      expect(reads.filter((read) => read?.lease.state === 'granted')).toHaveLength(1)
      const others = reads.flatMap((read) => (read?.lease.state === 'held' ? [read.lease.forMs] : []))
      expect(others).toHaveLength(19)
      for (const forMs of others) expect(forMs > 0 && forMs <= leaseMs).toBe(true)
    })

    it('hands the value on as it was written, with its age and the time of its load', async () => {
      const text = '{"text":"ünïcode \u0000 \\n\n"}'
      expect(await put(world.cache, await lead(), text, { ageMs: 1_000 })).toBe(true)
      await world.advance(50)
      const read = await ask(world.other)
      expect(read?.entry).toMatchObject({ value: text, tookMs: 7 })
      expect(read!.entry!.ageMs).toBeGreaterThanOrEqual(1_050)
      expect(read!.entry!.ageMs).toBeLessThan(3_000)
      expect(read?.lease).toEqual({ state: 'none' })
    })

    it('sends no value that the asker holds, and gives the lease to renew it', async () => {
      await put(world.cache, await lead(), 'one')
      const { version } = (await ask(world.other))!.entry!
      const again = await ask(world.other, 60_000, version)
      expect(again).toMatchObject({ entry: undefined, lease: { state: 'granted' } })
    })

    it('sends a value that is too old along with the lease to renew it', async () => {
      await put(world.cache, await lead(), 'old', { ageMs: 10_000 })
      expect(await ask(world.other, 5_000)).toMatchObject({ entry: { value: 'old' }, lease: { state: 'granted' } })
      expect(await ask(world.cache, 5_000)).toMatchObject({ entry: { value: 'old' }, lease: { state: 'held' } })
    })

    it('forgets a value at its time to live, by its age', async () => {
      await put(world.cache, await lead(), 'short', { ageMs: 1_000, ttlMs: 1_200 })
      expect(await look()).toBe('short')
      await world.advance(250)
      expect(await look()).toBeUndefined()
      expect(await put(world.cache, undefined, 'never', { ageMs: 1_000, ttlMs: 1_000 })).toBeUndefined()
    })

    it('passes the lease on when its holder falls silent, and refuses what that one writes later', async () => {
      const late = await lead()
      expect((await ask(world.other))?.lease.state).toBe('held')
      await world.advance(leaseMs + 10)
      const next = await lead(world.other)
      expect(Number(next)).toBeGreaterThan(Number(late))
      expect(await put(world.cache, late, 'late')).toBe(false)
      expect(await world.cache.renew(key, late, leaseMs)).toBe(false)
      expect(await put(world.other, next, 'newer')).toBe(true)
      expect(await put(world.cache, late, 'late')).toBe(false)
      expect(await look(world.cache)).toBe('newer')
    })

    it('takes a late value as long as nobody else has begun', async () => {
      const token = await lead()
      await world.advance(leaseMs + 10)
      expect(await put(world.cache, token, 'late but alone')).toBe(true)
      expect(await look()).toBe('late but alone')
    })

    it('keeps the lease of a holder who says that the load goes on', async () => {
      const token = await lead()
      for (let i = 0; i < 3; i++) {
        await world.advance(leaseMs / 2)
        expect(await world.cache.renew(key, token, leaseMs)).toBe(true)
      }
      expect((await ask(world.other))?.lease.state).toBe('held')
    })

    it('lets one other try after a failure, and nobody for a while after the second', async () => {
      await world.cache.fail(key, await lead(), 500)
      await world.other.fail(key, await lead(world.other), 500)
      const resting = (await ask(world.cache))?.lease
      expect(resting).toMatchObject({ state: 'resting' })
      expect(resting?.state === 'resting' && resting.forMs <= 500 && resting.forMs > 0).toBe(true)
      await world.advance(510)
      await put(world.cache, await lead(), 'well again')
      expect(await look()).toBe('well again')
    })

    it('refuses the writes of all loads that began before it was invalidated', async () => {
      await put(world.cache, await lead(), 'one')
      const before = await lead(world.cache, 60_000, (await ask(world.cache))?.entry?.version)
      expect(await world.other.invalidate(key)).toBe(true)
      expect(await look()).toBeUndefined()
      expect(await put(world.cache, before, 'from before')).toBe(false)
      const after = await lead()
      expect(await put(world.cache, before, 'from before')).toBe(false)
      expect(await put(world.cache, after, 'from after')).toBe(true)
    })

    it('tells the other pods of invalidations, and of ended loads where they wait', async () => {
      const token = await lead()
      await ask(world.other)
      await put(world.cache, token, 'one')
      await eventually(() => heard.includes(`loaded ${key}`))
      await world.cache.invalidate(key)
      await eventually(() => heard.includes(`invalidated ${key}`))
      heard.length = 0
      const failing = await lead()
      await ask(world.other)
      await world.cache.fail(key, failing, 100)
      await eventually(() => heard.includes(`loaded ${key}`))
    })

    it('takes a value without a lease, too, and keeps keys apart', async () => {
      expect(await put(world.cache, undefined, 'first')).toBe(true)
      const first = (await ask(world.other))?.entry
      expect(await put(world.other, undefined, 'second')).toBe(true)
      const second = (await ask(world.cache))?.entry
      expect([first?.value, second?.value]).toEqual(['first', 'second'])
      expect(second?.version).not.toBe(first?.version)
      expect((await world.cache.read(`${key}x`, { youngerThanMs: 1_000, leaseMs: never }))?.entry).toBeUndefined()
    })
  })
}

function tokenOf(lease: SharedLease | undefined): string {
  if (lease?.state !== 'granted') throw new Error(`no lease: ${lease?.state}`)
  return lease.token
}
