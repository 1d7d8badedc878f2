import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createMemoryLimitStore, type MemoryLimitStore } from '../../adapters/memory/limit-store.ts'
import { limitsContract } from '../../tests/contracts/limits.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createLeasedLimits } from './leased-limits.ts'
import type { Claim, ClaimSet, Decision } from './limits.ts'
import { createLocalLimits } from './local-limits.ts'

/** All that was promised without waiting for time has happened. */
const settled = async () => {
  for (let i = 0; i < 50; i++) await Promise.resolve()
}

const fleet = (size: number) => {
  const clock = new FakeClock()
  const memory = createMemoryLimitStore({ clock })
  const calls = { lease: 0, giveBack: 0, renew: 0 }
  /** The shared object itself is what a test switches off. */
  const store: MemoryLimitStore = {
    get available() {
      return memory.available
    },
    set available(value) {
      memory.available = value
    },
    lease(...all) {
      calls.lease++
      return memory.lease(...all)
    },
    giveBack(...all) {
      calls.giveBack++
      return memory.giveBack(...all)
    },
    renew(...all) {
      calls.renew++
      return memory.renew(...all)
    },
  }
  const pods = Array.from({ length: size }, () =>
    createLeasedLimits({ clock, store, local: createLocalLimits({ clock }), pods: () => size }),
  )
  return { clock, store, calls, pods }
}
const claim = (unit: Claim['unit'], limit: number, key: string = unit): Claim => ({ scope: 'key', unit, limit, key })
const setOf = (...claims: Claim[]): ClaimSet => ({ group: 'g', claims })

limitsContract('limits leased from a store', () => {
  const { clock, pods } = fleet(1)
  return {
    limits: pods[0]!,
    now: () => clock.now(),
    async advance(ms) {
      clock.tick(ms)
      await settled()
    },
    async settle() {
      // Time for what is idle to go back; the counts refill by as much.
      clock.tick(1_500)
      await settled()
    },
  }
})

describe('limits leased from a store', () => {
  it('ask it seldom for a busy subject, and hold little of the limit', async () => {
    const { calls, pods, store } = fleet(1)
    const set = setOf(claim('requests', 100_000))
    let waited = 0
    for (let i = 0; i < 50_000; i++) {
      const taken = pods[0]!.take(set, `${i}`)
      if (taken instanceof Promise) waited++
      await taken
    }
    expect(waited).toBe(calls.lease)
    expect(calls.lease).toBeLessThan(70)
    const { granted } = await store.lease('g', [{ claim: claim('requests', 100_000), need: 1, want: 100_000, ids: [] }])
    expect(granted[0]!.amount).toBeGreaterThanOrEqual(49_000)
  })

  it('have again soon what another pod gives back, and say until then when it is there at the latest', async () => {
    const { clock, pods } = fleet(2)
    const [busy, other] = [pods[0]!, pods[1]!]
    const set = setOf(claim('tokens', 1_000))
    await busy.take(set, 'large', 1_000)
    expect(await other.take(set, 'early', 500)).toMatchObject({ refusedBy: set.claims[0], retryAfterMs: 30_000 })
    busy.end(set, 'large', { expected: 1_000, used: 100 })
    clock.tick(900)
    await settled()
    expect(await other.take(set, 'again', 500)).toMatchObject({ refusedBy: set.claims[0], retryAfterMs: 29_100 })
    clock.tick(1_000)
    await settled()
    expect((await other.take(set, 'late', 500)).refusedBy).toBeUndefined()
  })

  it('ask again at once where a request has used less than was expected', async () => {
    const { clock, pods } = fleet(1)
    const set = setOf(claim('tokens', 1_000))
    await pods[0]!.take(set, 'one', 600)
    await pods[0]!.take(set, 'two', 400)
    expect((await pods[0]!.take(set, 'early', 410)).refusedBy).toBeDefined()
    pods[0]!.end(set, 'one', { expected: 600, used: 200 })
    clock.tick(900)
    await settled()
    expect((await pods[0]!.take(set, 'late', 410)).refusedBy).toBeUndefined()
  })

  it('leave no timer once they are closed', async () => {
    const { clock, pods } = fleet(1)
    await pods[0]!.take(setOf(claim('places', 3)), 'one')
    await pods[0]!.close()
    expect(clock.pendingTimers).toBe(0)
  })

  it('do not ask for what was refused a moment ago', async () => {
    const { calls, pods } = fleet(1)
    const set = setOf(claim('requests', 6))
    for (let i = 0; i < 1_000; i++) await pods[0]!.take(set, `${i}`)
    expect(calls.lease).toBeLessThan(10)
  })

  it('give back what is idle', async () => {
    const { clock, pods, store } = fleet(1)
    const set = setOf(claim('requests', 10_000))
    for (let i = 0; i < 300; i++) await pods[0]!.take(set, `${i}`)
    clock.tick(2_000)
    await settled()
    const { granted } = await store.lease('g', [{ claim: claim('requests', 10_000), need: 1, want: 10_000, ids: [] }])
    expect(granted[0]!.amount).toBe(10_000 - 300 + Math.floor((10_000 * 2_000) / 60_000) - 33)
  })

  it('give back all when they are closed', async () => {
    const { pods, store } = fleet(1)
    for (let i = 0; i < 300; i++) await pods[0]!.take(setOf(claim('requests', 10_000)), `${i}`)
    await pods[0]!.take(setOf(claim('places', 3)), 'p')
    pods[0]!.end(setOf(claim('places', 3)), 'p')
    await pods[0]!.close()
    const { granted } = await store.lease('g', [
      { claim: claim('requests', 10_000), need: 1, want: 10_000, ids: [] },
      { claim: claim('places', 3), need: 3, want: 3, ids: ['a', 'b', 'c'] },
    ])
    expect(granted.map(({ amount }) => amount)).toEqual([9_700, 3])
  })

  it('renew the places of requests that last, and only those', async () => {
    const { clock, calls, pods } = fleet(2)
    const set = setOf(claim('places', 1))
    await pods[0]!.take(set, 'long')
    for (let i = 0; i < 40; i++) {
      clock.tick(1_000)
      await settled()
    }
    expect(calls.renew).toBeGreaterThanOrEqual(7)
    expect((await pods[1]!.take(set, 'other')).refusedBy?.unit).toBe('places')
    pods[0]!.end(set, 'long')
    clock.tick(1_000)
    await settled()
    const before = calls.renew
    expect((await pods[1]!.take(set, 'other')).refusedBy).toBeUndefined()
    pods[1]!.end(set, 'other')
    clock.tick(20_000)
    await settled()
    expect(calls.renew).toBe(before)
  })

  it('ask once for a crowd that comes at one moment', async () => {
    const { calls, pods } = fleet(1)
    const set = setOf(claim('requests', 1_000))
    await Promise.all(Array.from({ length: 300 }, (_, i) => pods[0]!.take(set, `${i}`)))
    expect(calls.lease).toBeLessThanOrEqual(2)
  })

  it('refuse one whom others leave behind at each asking, by the claim that is short', async () => {
    const { clock, calls, store } = fleet(1)
    const nothing = { amount: 0, remaining: 5, resetMs: 100 }
    const limits = createLeasedLimits({
      clock,
      store: {
        ...store,
        available: true,
        lease: async (_, demands) => {
          calls.lease++
          return {
            refused: undefined,
            granted: demands.map(({ claim, want }) => ({ ...nothing, amount: claim.key === 'enough' ? want : 0 })),
          }
        },
      },
      local: createLocalLimits({ clock }),
      pods: () => 1,
    })
    const decision = await limits.take(setOf(claim('requests', 100, 'enough'), claim('requests', 100, 'short')), 'a')
    expect(decision).toMatchObject({ refusedBy: { key: 'short' }, retryAfterMs: 1_000 })
    expect(decision.allowances).toHaveLength(2)
    expect(calls.lease).toBe(8)
  })

  it('tell how many places are left, which do not come back by themselves', async () => {
    const { pods } = fleet(1)
    const set = setOf(claim('places', 3))
    expect((await pods[0]!.take(set, 'a')).allowances).toEqual([{ remaining: 2, resetMs: 0 }])
    expect((await pods[0]!.take(set, 'b')).allowances).toEqual([{ remaining: 1, resetMs: 0 }])
  })

  it('let a smaller request in where a larger one was refused', async () => {
    const { pods } = fleet(1)
    const set = setOf(claim('tokens', 1_000))
    expect((await pods[0]!.take(set, 'a', 600)).refusedBy).toBeUndefined()
    expect((await pods[0]!.take(set, 'b', 600)).refusedBy).toBeDefined()
    expect((await pods[0]!.take(set, 'c', 300)).refusedBy).toBeUndefined()
    expect(pods[0]!.take(set, 'd', 600)).toMatchObject({ refusedBy: { unit: 'tokens' } })
  })

  it('keep a free place for a quarter of a second, and what is left of a rate for one', async () => {
    const { clock, calls, pods } = fleet(1)
    const place = setOf(claim('places', 3))
    await pods[0]!.take(place, 'a')
    pods[0]!.end(place, 'a')
    clock.tick(200)
    await settled()
    expect(calls.giveBack).toBe(0)
    expect(pods[0]!.take(place, 'b')).toMatchObject({ refusedBy: undefined })
    pods[0]!.end(place, 'b')
    clock.tick(550)
    await settled()
    expect(calls.giveBack).toBe(1)
    const rate = setOf(claim('requests', 10_000))
    for (let i = 0; i < 20; i++) await pods[0]!.take(rate, `${i}`)
    clock.tick(800)
    await settled()
    expect(calls.giveBack).toBe(1)
    clock.tick(700)
    await settled()
    expect(calls.giveBack).toBe(2)
    // Nothing is held any more: nothing goes back, and no timer is left.
    clock.tick(10_000)
    await settled()
    expect(calls.giveBack).toBe(2)
    expect(clock.pendingTimers).toBe(0)
  })

  it('give back what was leased of a limit that has changed', async () => {
    const { pods, store } = fleet(1)
    const before = claim('requests', 10_000)
    for (let i = 0; i < 40; i++) await pods[0]!.take(setOf(before), `${i}`)
    await pods[0]!.take(setOf({ ...before, limit: 20_000 }), 'changed')
    await settled()
    const { granted } = await store.lease('g', [{ claim: before, need: 1, want: 10_000, ids: [] }])
    // 40 of the one limit and one of the other.
    expect(granted[0]!.amount).toBe(10_000 - 41)
  })

  it('never forget a request that is in a place, however many subjects come after it', async () => {
    const { clock, pods } = fleet(2)
    const place = setOf(claim('places', 1))
    await pods[0]!.take(place, 'long')
    for (let i = 0; i < 100_100; i++) await pods[0]!.take(setOf(claim('requests', 60, `subject ${i}`)), `${i}`)
    pods[0]!.end(place, 'long')
    clock.tick(500)
    await settled()
    clock.tick(500)
    await settled()
    expect((await pods[1]!.take(place, 'other')).refusedBy).toBeUndefined()
  })

  it('count a request that was let in locally there until it ends, and only once', async () => {
    const { pods, store } = fleet(1)
    const set = setOf(claim('places', 6))
    store.available = false
    const ids = ['a', 'b']
    for (const id of ids) expect((await pods[0]!.take(set, id)).refusedBy).toBeUndefined()
    expect((await pods[0]!.take(set, 'c')).refusedBy).toBeDefined()
    for (let i = 0; i < 3; i++) pods[0]!.end(set, 'a')
    expect((await pods[0]!.take(set, 'c')).refusedBy).toBeUndefined()
    expect((await pods[0]!.take(set, 'd')).refusedBy).toBeDefined()
  })

  it('renew a place in time also where others are taken after it', async () => {
    const { clock, pods } = fleet(2)
    const set = setOf(claim('places', 4))
    await pods[0]!.take(set, 'first')
    for (let i = 0; i < 3; i++) {
      clock.tick(4_900)
      await settled()
      await pods[0]!.take(set, `later ${i}`)
    }
    clock.tick(500)
    await settled()
    expect((await pods[1]!.take(set, 'other')).refusedBy?.unit).toBe('places')
  })

  it('decide by a third of the limit at least while the store is away, and by less with more pods', async () => {
    for (const [size, admitted] of [
      [1, 20],
      [3, 20],
      [6, 10],
    ] as const) {
      const { pods, store } = fleet(size)
      store.available = false
      const decisions = await Promise.all(
        Array.from({ length: 100 }, (_, i) => pods[0]!.take(setOf(claim('requests', 60)), `${i}`)),
      )
      expect(decisions.filter(({ refusedBy }) => !refusedBy)).toHaveLength(admitted)
      expect(decisions.at(-1)!.refusedBy, 'the whole limit is named, not the share').toMatchObject({ limit: 60 })
    }
  })

  it('let one in where the share of a limit is less than one', async () => {
    const { pods, store } = fleet(50)
    store.available = false
    expect((await pods[0]!.take(setOf(claim('requests', 2), claim('places', 3)), 'a')).refusedBy).toBeUndefined()
    expect((await pods[0]!.take(setOf(claim('requests', 2), claim('places', 3)), 'b')).refusedBy).toBeDefined()
  })

  it('give local places back where they were taken, also when the store is back', async () => {
    const { pods, store } = fleet(1)
    const set = setOf(claim('places', 3))
    store.available = false
    expect((await pods[0]!.take(set, 'a')).refusedBy).toBeUndefined()
    store.available = true
    pods[0]!.end(set, 'a')
    store.available = false
    expect((await pods[0]!.take(set, 'b')).refusedBy).toBeUndefined()
  })

  it('decide locally where the store fails in the middle of an asking', async () => {
    const { pods, store } = fleet(1)
    const asked = pods[0]!.take(setOf(claim('requests', 60)), 'a')
    store.available = false
    expect((await asked).refusedBy).toBeUndefined()
    expect((await pods[0]!.take(setOf(claim('requests', 60)), 'b')).refusedBy).toBeUndefined()
  })

  it('admit over the fleet no more than the limit and what came back, and all of that while there is demand', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.record({ pod: fc.nat(4), calls: fc.integer({ min: 1, max: 60 }), ms: fc.nat(900) }), {
          minLength: 5,
          maxLength: 60,
        }),
        async (limit, size, steps) => {
          const { clock, pods } = fleet(size)
          const set = setOf(claim('requests', limit))
          const from = clock.now()
          let admitted = 0
          for (const { pod, calls, ms } of steps) {
            const asked = Array.from({ length: calls }, (_, i) => pods[pod % size]!.take(set, `${i}`))
            const decisions: Decision[] = await Promise.all(asked)
            admitted += decisions.filter(({ refusedBy }) => !refusedBy).length
            clock.tick(ms)
            await settled()
          }
          const most = limit + (limit * (clock.now() - from)) / 60_000
          expect(admitted).toBeLessThanOrEqual(most + 1e-6)
          // Now everyone wants all there is: only what others hold for a moment is missing.
          clock.tick(2_000)
          await settled()
          for (let i = 0; i < 2 * limit + 200; i++) {
            if (!(await pods[i % size]!.take(set, `last ${i}`)).refusedBy) admitted++
          }
          const possible = limit + (limit * (clock.now() - from)) / 60_000
          expect(admitted).toBeLessThanOrEqual(possible + 1e-6)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('never have more requests in places than there are, in whatever order they come and end', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.record({ pod: fc.nat(3), ends: fc.boolean(), calls: fc.nat(6), ms: fc.nat(4_000) }), {
          maxLength: 60,
        }),
        async (limit, size, steps) => {
          const { clock, pods } = fleet(size)
          const set = setOf(claim('places', limit))
          const running: { pod: number; id: string }[] = []
          let id = 0
          for (const { pod, ends, calls, ms } of steps) {
            const at = pod % size
            const ids = Array.from({ length: calls }, () => `request ${++id}`)
            const decisions = await Promise.all(ids.map((each) => pods[at]!.take(set, each)))
            for (const [i, { refusedBy }] of decisions.entries()) if (!refusedBy) running.push({ pod: at, id: ids[i]! })
            expect(running.length).toBeLessThanOrEqual(limit)
            if (ends) for (const one of running.splice(0, 2)) pods[one.pod]!.end(set, one.id)
            clock.tick(ms)
            await settled()
          }
          for (const one of running) pods[one.pod]!.end(set, one.id)
          for (let i = 0; i < 4; i++) {
            clock.tick(500)
            await settled()
          }
          const last = await Promise.all(Array.from({ length: limit }, (_, i) => pods[0]!.take(set, `last ${i}`)))
          expect(last.every(({ refusedBy }) => !refusedBy)).toBe(true)
        },
      ),
      { numRuns: 300 },
    )
  })
})
