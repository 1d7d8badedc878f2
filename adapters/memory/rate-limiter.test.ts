import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RateDecision } from '../../src/ports.ts'
import { rateLimiterContract } from '../../tests/contracts/rate-limiter.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createRateLimiter } from './rate-limiter.ts'

rateLimiterContract('the limiter in memory', () => {
  const clock = new FakeClock()
  return { limiter: createRateLimiter({ clock }), advance: (ms) => clock.tick(ms) }
})

const world = () => {
  const clock = new FakeClock()
  const limiter = createRateLimiter({ clock })
  return { clock, take: (subject: string, perMinute: number) => limiter.take(subject, perMinute) as RateDecision }
}

describe('the limiter in memory', () => {
  it('is not misled by the wall clock', () => {
    const { clock, take } = world()
    for (let i = 0; i < 5; i++) take('a', 5)
    clock.stepWall(3_600_000)
    expect(take('a', 5).allowed).toBe(false)
    clock.stepWall(-7_200_000)
    clock.tick(12_000)
    expect(take('a', 5).allowed).toBe(true)
  })

  it('in no minute allows more than the limit and what a minute brings back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.array(fc.nat(4_000), { maxLength: 200 }), (limit, gaps) => {
        const { clock, take } = world()
        const allowed: number[] = []
        for (const gap of gaps) {
          clock.tick(gap)
          const decision = take('a', limit)
          if (decision.allowed) allowed.push(clock.now())
          expect(decision.remaining).toBeGreaterThanOrEqual(0)
          expect(decision.remaining).toBeLessThan(limit)
          expect(decision.retryAfterMs > 0).toBe(!decision.allowed)
        }
        for (const [i, from] of allowed.entries()) {
          for (const span of [1_000, 60_000]) {
            const inside = allowed.slice(i).filter((at) => at < from + span).length
            expect(inside).toBeLessThanOrEqual(limit + Math.ceil((span / 60_000) * limit))
          }
        }
      }),
      { numRuns: 500 },
    )
  })

  it('forgets idle subjects first when there are too many', () => {
    const { clock, take } = world()
    for (let i = 0; i < 99_999; i++) take(`idle ${i}`, 60)
    clock.tick(2_000)
    take('busy', 1)
    for (let i = 0; i < 1_000; i++) take(`new ${i}`, 1)
    expect(take('busy', 1).allowed).toBe(false)
  })

  it('goes on answering with far more subjects than it keeps', () => {
    const { take } = world()
    for (let i = 0; i < 101_000; i++) expect(take(`${i}`, 1).allowed).toBe(true)
    expect(take('100999', 1).allowed, 'the newest are remembered').toBe(false)
    expect(take('0', 1).allowed, 'the oldest are forgotten').toBe(true)
  })
})
