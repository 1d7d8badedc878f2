import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { type BrownoutLevel, brownoutLevels, createBrownout, type Load, type Work } from './brownout.ts'

const calm: Load = { utilisation: 0.3, delayP50Ms: 1, delayP99Ms: 2, memoryShare: 0.3 }
const late = (delayP99Ms: number): Load => ({ utilisation: 0.99, delayP50Ms: 5, delayP99Ms, memoryShare: 0.3 })
const full = (memoryShare: number): Load => ({ ...calm, memoryShare })

function world() {
  const clock = new FakeClock()
  const brownout = createBrownout({ clock })
  return {
    brownout,
    clock,
    /** The level after this load was seen every 500 ms for so long. */
    seen(load: Load, ms = 500): BrownoutLevel {
      for (let passed = 0; passed < ms; passed += 500) {
        clock.tick(500)
        brownout.sample(load)
      }
      return brownout.level
    },
  }
}

describe('a brownout', () => {
  it.each([
    ['a loop more than 70 ms late', late(71), 1],
    ['a loop more than 200 ms late', late(201), 2],
    ['more than 80% of the memory in use', full(0.81), 2],
    ['more than 92% of the memory in use', full(0.93), 3],
  ])('at %s, seen twice in a row, takes its level', (_what, load, level) => {
    const { seen } = world()
    expect(seen(load)).toBe(0)
    expect(seen(calm)).toBe(0)
    expect(seen(load)).toBe(0)
    expect(seen(load)).toBe(level)
  })

  it.each([
    ['70 ms late', late(70)],
    [
      'late because another process had the core',
      { utilisation: 0.9, delayP50Ms: 50, delayP99Ms: 500, memoryShare: 0.3 },
    ],
    ['at 80% of its memory', full(0.8)],
  ])('is none for a process that is %s', (_what, load) => {
    expect(world().seen(load, 5_000)).toBe(0)
  })

  it('counts two different degrees of evidence as the lower one', () => {
    const { seen } = world()
    seen(late(300))
    expect(seen(late(100))).toBe(1)
  })

  it('steps down one level for each 5 s in a row below half of what led up', () => {
    const { seen } = world()
    expect(seen(late(300), 1_000)).toBe(2)
    expect(seen(late(100), 10_000), 'not below half of 200 ms').toBe(2)
    expect(seen(late(60), 4_500)).toBe(2)
    expect(seen(late(110)), 'starts again').toBe(2)
    expect(seen(late(60), 4_500)).toBe(2)
    expect(seen(late(60))).toBe(1)
    expect(seen(late(60), 10_000), 'not below half of 70 ms').toBe(1)
    expect(seen(calm, 4_500)).toBe(1)
    expect(seen(calm)).toBe(0)
  })

  it('takes 5 s for each step down, however calm it is', () => {
    const { seen } = world()
    expect(seen({ ...late(300), memoryShare: 0.95 }, 1_000)).toBe(3)
    const levels = Array.from({ length: 30 }, () => seen(calm))
    expect(levels).toEqual([9, 10, 10, 1].flatMap((looks, i) => Array(looks).fill(3 - i)))
  })

  it('is not calm at the very share of memory that has to be left', () => {
    const { seen } = world()
    seen(full(0.81), 1_000)
    expect(seen(full(0.72), 10_000)).toBe(2)
    expect(seen(full(0.71), 5_000)).toBe(1)
  })

  it('leaves full memory once some of it has been given back', () => {
    const { seen } = world()
    seen(full(0.95), 1_000)
    expect(seen(full(0.9), 10_000)).toBe(3)
    expect(seen(full(0.75), 5_000)).toBe(2)
    expect(seen(full(0.75), 10_000)).toBe(2)
    expect(seen(full(0.5), 10_000)).toBe(0)
  })

  it('ends at the first look after a long calm in which nobody looked', () => {
    const { brownout, clock, seen } = world()
    expect(seen({ ...late(300), memoryShare: 0.95 }, 1_000)).toBe(3)
    clock.tick(60_000)
    expect(brownout.sample(calm)).toBe(0)
  })

  it('sheds at each level what it shed below, and work in the order search, low priority, inference', () => {
    const order: Work[] = ['search', 'low_inference', 'inference']
    expect([0, 1, 2, 3].map((level) => brownoutLevels[level as BrownoutLevel].sheds)).toEqual(
      [0, 1, 2, 3].map((count) => order.slice(0, count)),
    )
    const { brownout, seen } = world()
    expect(brownout.sheds('search')).toBe(false)
    seen(late(100), 1_000)
    expect(order.map((work) => brownout.sheds(work))).toEqual([true, false, false])
  })

  it('under any load moves down at most one level in 5 s, and up only after two looks', () => {
    const anyLoad = fc.record({
      utilisation: fc.double({ min: 0, max: 1, noNaN: true }),
      delayP50Ms: fc.constant(0),
      delayP99Ms: fc.constantFrom(0, 30, 50, 80, 120, 250),
      memoryShare: fc.constantFrom(0.1, 0.75, 0.81, 0.9, 0.95),
    })
    fc.assert(
      fc.property(fc.array(anyLoad, { maxLength: 100 }), (loads) => {
        const { brownout, clock } = world()
        let [before, steppedAt]: [BrownoutLevel, number] = [0, clock.now()]
        for (const load of loads) {
          clock.tick(500)
          const level = brownout.sample(load)
          if (level < before) {
            expect(before - level).toBe(1)
            expect(clock.now() - steppedAt).toBeGreaterThanOrEqual(5_000)
          }
          if (level !== before) steppedAt = clock.now()
          before = level
        }
        clock.tick(500)
        const level = brownout.level
        expect(createBrownout({ clock }).sample(loads[0] ?? calm), 'one look').toBe(0)
        expect(level).toBe(before)
      }),
    )
  })
})
