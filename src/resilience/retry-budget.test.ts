import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createRetryBudget, type RetryBudgetOptions } from './retry-budget.ts'

const world = (options: Partial<RetryBudgetOptions> = {}) => {
  const clock = new FakeClock()
  return { clock, budget: createRetryBudget({ clock, ...options }) }
}

/** How many retries, each ended before the next, the budget allows now. */
function allowed(budget: ReturnType<typeof createRetryBudget>): number {
  for (let count = 0; ; count++) {
    const end = budget.retry()
    if (!end) return count
    end()
  }
}

it('starts with ten retries', () => {
  expect(allowed(world().budget)).toBe(10)
})

it('earns one retry for ten first tries', () => {
  const { budget } = world()
  allowed(budget)
  for (let i = 0; i < 500; i++) budget.firstTry()()
  expect(allowed(budget)).toBeGreaterThanOrEqual(49)
})

it('earns no more than its ratio and its rate', () => {
  const { clock, budget } = world({ ratio: 0.5, perSecond: 2, initialTokens: 0 })
  for (let i = 0; i < 5; i++) budget.firstTry()()
  expect(allowed(budget)).toBe(2)
  clock.tick(1_000)
  expect(allowed(budget)).toBe(2)
})

it('earns one retry a second, whatever the traffic', () => {
  const { clock, budget } = world()
  allowed(budget)
  clock.tick(999)
  expect(allowed(budget)).toBe(0)
  clock.tick(1)
  expect(allowed(budget)).toBe(1)
  clock.tick(7_000)
  expect(allowed(budget)).toBe(7)
})

it('never keeps more than 75', () => {
  const { clock, budget } = world()
  for (let i = 0; i < 10_000; i++) budget.firstTry()()
  clock.tick(3_600_000)
  expect(allowed(budget)).toBe(75)
})

it('lets three retries be under way, or a fifth of the calls', () => {
  const { budget } = world({ initialTokens: 100 })
  const ends = [budget.retry(), budget.retry(), budget.retry()]
  expect(budget.retry()).toBeUndefined()
  const calls = Array.from({ length: 22 }, () => budget.firstTry())
  ends.push(budget.retry(), budget.retry())
  expect(ends.at(-1)).toBeDefined()
  expect(budget.retry()).toBeUndefined()
  for (const end of calls) end()
  ends[0]!()
  expect(budget.retry()).toBeUndefined()
  for (const end of ends.slice(1)) end!()
  expect(allowed(budget)).toBeGreaterThan(0)
})

it('does not count what has ended as under way', () => {
  const { budget } = world({ initialTokens: 75 })
  for (let i = 0; i < 60; i++) budget.retry()!()
  expect([budget.retry(), budget.retry(), budget.retry()]).not.toContain(undefined)
  expect(budget.retry()).toBeUndefined()
})

it('says that it is exhausted exactly when a retry would be refused', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('first', 'retry', 'end', 'second'), { maxLength: 80 }), (steps) => {
      const { clock, budget } = world({ initialTokens: 2, ratio: 0.5 })
      const ends: (() => void)[] = []
      for (const step of steps) {
        if (step === 'first') ends.push(budget.firstTry())
        else if (step === 'end') ends.shift()?.()
        else if (step === 'second') clock.tick(1_000)
        else {
          const { exhausted } = budget
          const end = budget.retry()
          expect(end === undefined).toBe(exhausted)
          if (end) ends.push(end)
        }
      }
    }),
    { numRuns: 1_000 },
  )
})

it('refuses a ratio outside 0 to 1 by name', () => {
  expect(() => world({ ratio: -0.1 })).toThrow('ratio must be 0 to 1, got -0.1')
  expect(() => world({ ratio: 1.5 })).toThrow('ratio must be 0 to 1, got 1.5')
  expect(() => world({ ratio: Number.NaN })).toThrow('ratio must be 0 to 1, got NaN')
  expect(allowed(world({ ratio: 0 }).budget)).toBe(10)
  expect(allowed(world({ ratio: 1 }).budget)).toBe(10)
})

describe('shared by the pods of a fleet', () => {
  it('begins with an even share of the ten, is given one of the second’s, and keeps one of the 75', () => {
    const { clock, budget } = world({ pods: () => 5 })
    expect(allowed(budget)).toBe(2)
    clock.tick(4_999)
    expect(allowed(budget)).toBe(0)
    clock.tick(1)
    expect(allowed(budget)).toBe(1)
    clock.tick(3_600_000)
    expect(allowed(budget)).toBe(15)
  })

  it('earns by its own first tries what it would earn alone', () => {
    const { budget } = world({ pods: () => 5, initialTokens: 0 })
    for (let i = 0; i < 100; i++) budget.firstTry()()
    expect(allowed(budget)).toBeGreaterThanOrEqual(9)
  })

  it('has a smaller share as soon as there are more pods', () => {
    let pods = 1
    const { clock, budget } = world({ pods: () => pods, initialTokens: 75 })
    pods = 25
    expect(allowed(budget)).toBe(3)
    clock.tick(25_000)
    expect(allowed(budget)).toBe(1)
  })

  it('of which its share is less than one has no retry at first, and saves up for one in an outage', () => {
    const { clock, budget } = world({ pods: () => 750, initialTokens: 0 })
    for (let i = 0; i < 1_000; i++) budget.firstTry()()
    clock.tick(3_600_000)
    expect(budget.exhausted).toBe(true)
    // A tenth is there already.
    for (let i = 0; i < 8; i++) budget.firstTry()()
    expect(budget.exhausted).toBe(true)
    for (let i = 0; i < 20; i++) budget.firstTry()()
    expect(budget.exhausted).toBe(false)
    expect(allowed(budget)).toBe(1)
  })

  it('keeps what it saved for a minute after the last refusal', () => {
    const saved = (ms: number) => {
      const { clock, budget } = world({ pods: () => 750, initialTokens: 0 })
      expect(budget.exhausted).toBe(true)
      for (let i = 0; i < 20; i++) budget.firstTry()()
      clock.tick(ms)
      return allowed(budget)
    }
    expect(saved(59_999)).toBe(1)
    expect(saved(60_000)).toBe(0)
  })
})
