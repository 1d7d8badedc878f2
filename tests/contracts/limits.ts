/** What limits promise, wherever the counts are kept. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Claim, ClaimSet, Limits } from '../../src/resilience/limits.ts'

export interface LimitsUnderTest {
  limits: Limits
  /** The time by which the counts go, in ms. Where it is a server's it also passes by itself. */
  now(): number
  /** Lets this much more time pass. */
  advance(ms: number): void | Promise<void>
  /** What is held but not used has gone back. */
  settle(): Promise<void>
  close?(): void | Promise<void>
}

const minuteMs = 60_000

export function limitsContract(name: string, create: () => LimitsUnderTest | Promise<LimitsUnderTest>): void {
  describe(`${name}, as limits everywhere,`, () => {
    let world: LimitsUnderTest
    let group: string
    let groups = 0
    let requests = 0
    beforeAll(async () => {
      world = await create()
    })
    afterAll(() => world.close?.())
    beforeEach(() => {
      // Counts outlive a test where they are kept elsewhere.
      group = `contract-${process.pid}-${++groups}`
    })

    const claim = (unit: Claim['unit'], limit: number, scope: Claim['scope'] = 'key'): Claim => ({
      scope,
      unit,
      limit,
      key: `${unit}:${scope}:${group}`,
    })
    const setOf = (...claims: Claim[]): ClaimSet => ({ group, claims })
    const perMinute = (limit: number) => setOf(claim('requests', limit))
    const take = async (set: ClaimSet, tokens?: number, id = `request-${++requests}`) => ({
      id,
      ...(await world.limits.take(set, id, tokens)),
    })
    const takeAll = async (set: ClaimSet, most = 2_000) => {
      const ids: string[] = []
      while (ids.length < most) {
        const { id, refusedBy } = await take(set)
        if (refusedBy) break
        ids.push(id)
      }
      return ids
    }
    /** What comes back meanwhile. */
    const refill = (limit: number, ms: number) => Math.ceil((limit * ms) / minuteMs)

    it.each([1, 7, 60, 100, 600])(
      'let an idle subject spend its whole %i at once, and no more than comes back meanwhile',
      async (limit) => {
        const from = world.now()
        const taken = (await takeAll(perMinute(limit))).length
        expect(taken).toBeGreaterThanOrEqual(limit)
        expect(taken).toBeLessThanOrEqual(limit + refill(limit, world.now() - from))
      },
    )

    it('count down what remains', async () => {
      const from = world.now()
      for (let i = 1; i <= 100; i++) {
        const { remaining } = (await take(perMinute(100))).allowances[0]!
        expect(remaining).toBeGreaterThanOrEqual(100 - i)
        expect(remaining).toBeLessThanOrEqual(100 - i + refill(100, world.now() - from))
      }
    })

    it('then allow requests evenly over the minute', async () => {
      const set = perMinute(6)
      await takeAll(set)
      for (let i = 0; i < 5; i++) {
        await world.advance(8_000)
        expect((await take(set)).refusedBy, `too early for ${i}`).toBeDefined()
        await world.advance(2_001)
        expect((await take(set)).refusedBy).toBeUndefined()
      }
    })

    it('say when the next request would be allowed, and keep their word', async () => {
      const set = perMinute(7)
      await takeAll(set)
      const refused = await take(set)
      const { retryAfterMs } = refused as { retryAfterMs: number }
      expect(retryAfterMs).toBeGreaterThan(7_000)
      expect(retryAfterMs).toBeLessThanOrEqual(minuteMs / 7 + 1)
      await world.advance(retryAfterMs + 1)
      expect((await take(set)).refusedBy).toBeUndefined()
    })

    it('take nothing for what they refuse', async () => {
      const set = perMinute(6)
      await takeAll(set)
      for (let i = 0; i < 100; i++) expect((await take(set)).allowances[0]).toMatchObject({ remaining: 0 })
      await world.advance(10_001)
      expect((await take(set)).refusedBy).toBeUndefined()
    })

    it('say when the allowance is whole again', async () => {
      const set = perMinute(10)
      expect((await take(set)).allowances[0]?.resetMs).toBeCloseTo(6_000, -2)
      await takeAll(set)
      const resetMs = (await take(set)).allowances[0]?.resetMs ?? 0
      expect(resetMs).toBeGreaterThan(54_000)
      expect(resetMs).toBeLessThanOrEqual(minuteMs + 1)
      await world.advance(resetMs)
      expect(await takeAll(set)).toHaveLength(10)
    })

    it('save up no more than the limit, however long a subject is idle', async () => {
      const set = perMinute(10)
      await take(set)
      await world.advance(3_600_000)
      expect(await takeAll(set)).toHaveLength(10)
    })

    it('keep subjects apart', async () => {
      await takeAll(perMinute(5))
      const other = { group, claims: [{ ...claim('requests', 5), key: `other:${group}` }] }
      expect((await take(other)).allowances[0]?.remaining).toBe(4)
    })

    it('obey a limit that has changed', async () => {
      expect(await takeAll(perMinute(6))).toHaveLength(6)
      await world.advance(30_000)
      const taken = (await takeAll(perMinute(60))).length
      expect(taken).toBeGreaterThanOrEqual(30)
      expect(taken).toBeLessThanOrEqual(31)
    })

    it('take all claims or none, and say which one refuses', async () => {
      const key = claim('requests', 50)
      const account = claim('requests', 3, 'account')
      expect(await takeAll(setOf(key, account))).toHaveLength(3)
      const refused = await take(setOf(key, account))
      expect(refused.refusedBy).toMatchObject({ scope: 'account', unit: 'requests', limit: 3 })
      for (let i = 0; i < 20; i++) await take(setOf(key, account))
      await world.settle()
      expect((await takeAll(setOf(key))).length).toBeGreaterThanOrEqual(47)
    })

    it('reserve the tokens that are expected, and settle what was used', async () => {
      const set = setOf(claim('tokens', 1_000))
      const first = await take(set, 600)
      expect(first.refusedBy).toBeUndefined()
      expect((await take(set, 600)).refusedBy?.unit).toBe('tokens')
      world.limits.end(set, first.id, { expected: 600, used: 100 })
      await world.settle()
      const second = await take(set, 600)
      expect(second.refusedBy).toBeUndefined()
      world.limits.end(set, second.id, { expected: 600, used: 1_900 })
      await world.settle()
      // Owed: 1,000 over the limit, which take a minute to come back, and then some until there is one.
      await world.advance(50_000)
      expect((await take(set, 1)).refusedBy?.unit).toBe('tokens')
      await world.advance(15_000)
      expect((await take(set, 1)).refusedBy).toBeUndefined()
    })

    it('keep out for an hour at most whoever exceeded what there is', async () => {
      const set = setOf(claim('tokens', 1_000))
      const { id } = await take(set, 600)
      world.limits.end(set, id, { expected: 600, used: 10_000_000 })
      await world.settle()
      await world.advance(55 * 60_000)
      expect((await take(set, 1)).refusedBy?.unit).toBe('tokens')
      await world.advance(5 * 60_000 + 1_000)
      expect((await take(set, 1)).refusedBy).toBeUndefined()
    })

    it('let what is larger than the whole allowance have the whole', async () => {
      const set = setOf(claim('tokens', 100))
      expect((await take(set, 5_000)).refusedBy).toBeUndefined()
      expect((await take(set, 1)).refusedBy).toBeDefined()
    })

    it('give out so many places at once, and each again when its request has ended', async () => {
      const set = setOf(claim('places', 5))
      const ids = await takeAll(set)
      expect(ids).toHaveLength(5)
      for (let i = 0; i < 20; i++) {
        expect((await take(set)).refusedBy?.unit).toBe('places')
        world.limits.end(set, ids.shift()!)
        const { id, refusedBy } = await take(set)
        expect(refusedBy).toBeUndefined()
        ids.push(id)
      }
      for (const id of ids) world.limits.end(set, id)
      await world.settle()
      expect(await takeAll(set)).toHaveLength(5)
    })

    it('give a place back once, however often the end is told', async () => {
      const set = setOf(claim('places', 3))
      const ids = await takeAll(set)
      for (let i = 0; i < 5; i++) world.limits.end(set, ids[0]!)
      await world.settle()
      await world.advance(1_000)
      expect(await takeAll(set)).toHaveLength(1)
    })

    it('admit no more than the limit of a crowd that comes at one moment', async () => {
      const set = perMinute(100)
      const from = world.now()
      const all = await Promise.all(Array.from({ length: 500 }, () => take(set)))
      const admitted = all.filter(({ refusedBy }) => !refusedBy).length
      expect(admitted).toBeGreaterThanOrEqual(100)
      expect(admitted).toBeLessThanOrEqual(100 + refill(100, world.now() - from))
    })
  })
}
