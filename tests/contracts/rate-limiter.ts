/** What every rate limiter promises, wherever it keeps its counts. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RateLimiter } from '../../src/ports.ts'

export interface RateLimiterUnderTest {
  limiter: RateLimiter
  /** Lets this much time pass for the limiter. */
  advance(ms: number): void | Promise<void>
  close?(): void | Promise<void>
}

export function rateLimiterContract(
  name: string,
  create: () => RateLimiterUnderTest | Promise<RateLimiterUnderTest>,
): void {
  describe(`${name}, as every rate limiter,`, () => {
    let world: RateLimiterUnderTest
    let subject: string
    let subjects = 0
    beforeEach(async () => {
      world = await create()
      // Counts may outlive a test where they are kept elsewhere.
      subject = `contract-${process.pid}-${++subjects}`
    })
    afterEach(() => world.close?.())

    const take = async (perMinute: number, of = subject) => world.limiter.take(of, perMinute)
    const takeAll = async (perMinute: number) => {
      for (let taken = 0; ; taken++) if (!(await take(perMinute)).allowed) return taken
    }

    it.each([1, 7, 60, 100, 600])(
      'lets an idle subject spend its whole %i at once, and not one more',
      async (limit) => {
        expect(await takeAll(limit)).toBe(limit)
      },
    )

    it('counts down what remains', async () => {
      const remaining: number[] = []
      for (let i = 0; i < 100; i++) remaining.push((await take(100)).remaining)
      expect(remaining).toEqual(Array.from({ length: 100 }, (_, i) => 99 - i))
    })

    it('then allows requests evenly over the minute', async () => {
      await takeAll(60)
      for (let i = 0; i < 20; i++) {
        await world.advance(995)
        expect((await take(60)).allowed, `too early for ${i}`).toBe(false)
        await world.advance(5)
        expect(await take(60)).toMatchObject({ allowed: true, remaining: 0, retryAfterMs: 0 })
      }
    })

    it('says when the next request would be allowed, and keeps its word', async () => {
      await takeAll(7)
      const { retryAfterMs } = await take(7)
      expect(retryAfterMs).toBeGreaterThan(8_500)
      expect(retryAfterMs).toBeLessThanOrEqual(60_000 / 7 + 1)
      await world.advance(Math.ceil(retryAfterMs))
      expect((await take(7)).allowed).toBe(true)
    })

    it('takes nothing for what it refuses', async () => {
      await takeAll(60)
      for (let i = 0; i < 100; i++) expect(await take(60)).toMatchObject({ allowed: false, remaining: 0 })
      await world.advance(1_000)
      expect((await take(60)).allowed).toBe(true)
    })

    it('says when the allowance is whole again', async () => {
      expect((await take(100)).resetMs).toBeCloseTo(600, -1)
      await takeAll(100)
      const { resetMs } = await take(100)
      expect(resetMs).toBeGreaterThan(59_000)
      expect(resetMs).toBeLessThanOrEqual(60_000)
      await world.advance(resetMs)
      expect(await takeAll(100)).toBe(100)
    })

    it('saves up no more than the limit, however long a subject is idle', async () => {
      await take(10)
      await world.advance(3_600_000)
      expect(await takeAll(10)).toBe(10)
    })

    it('keeps subjects apart', async () => {
      await takeAll(5)
      expect((await take(5, `${subject}-other`)).remaining).toBe(4)
    })

    it('obeys a limit that has changed', async () => {
      expect(await takeAll(10)).toBe(10)
      await world.advance(30_000)
      expect(await takeAll(100)).toBe(50)
    })
  })
}
