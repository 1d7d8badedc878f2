import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { limitsContract } from '../../tests/contracts/limits.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import type { Decision } from './limits.ts'
import { createLocalLimits } from './local-limits.ts'

const world = () => {
  const clock = new FakeClock()
  const limits = createLocalLimits({ clock })
  const setOf = (key: string, limit: number) => ({
    group: key,
    claims: [{ scope: 'key', unit: 'requests', key, limit } as const],
  })
  return { clock, take: (key: string, limit: number) => limits.take(setOf(key, limit), 'any') as Decision }
}

limitsContract('limits in the process', () => {
  const clock = new FakeClock()
  return {
    limits: createLocalLimits({ clock }),
    now: () => clock.now(),
    advance: (ms) => clock.tick(ms),
    settle: async () => {},
  }
})

describe('limits in the process', () => {
  it('are not misled by the wall clock', () => {
    const { clock, take } = world()
    for (let i = 0; i < 5; i++) take('a', 5)
    clock.stepWall(3_600_000)
    expect(take('a', 5).refusedBy).toBeDefined()
    clock.stepWall(-7_200_000)
    clock.tick(12_000)
    expect(take('a', 5).refusedBy).toBeUndefined()
  })

  it('in no minute allow more than the limit and what a minute brings back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.array(fc.nat(4_000), { maxLength: 200 }), (limit, gaps) => {
        const { clock, take } = world()
        const allowed: number[] = []
        for (const gap of gaps) {
          clock.tick(gap)
          const decision = take('a', limit)
          if (!decision.refusedBy) allowed.push(clock.now())
          const { remaining } = decision.allowances[0]!
          expect(remaining).toBeGreaterThanOrEqual(0)
          expect(remaining).toBeLessThan(limit)
          if (decision.refusedBy) expect(decision.retryAfterMs).toBeGreaterThan(0)
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

  it('forget idle subjects first when there are too many', () => {
    const { clock, take } = world()
    for (let i = 0; i < 99_999; i++) take(`idle ${i}`, 60)
    clock.tick(2_000)
    take('busy', 1)
    for (let i = 0; i < 1_000; i++) take(`new ${i}`, 1)
    expect(take('busy', 1).refusedBy).toBeDefined()
  })

  it('go on answering with far more subjects than they keep', () => {
    const { take } = world()
    for (let i = 0; i < 101_000; i++) expect(take(`${i}`, 1).refusedBy).toBeUndefined()
    expect(take('100999', 1).refusedBy, 'the newest are remembered').toBeDefined()
    expect(take('0', 1).refusedBy, 'the oldest are forgotten').toBeUndefined()
  })
})
