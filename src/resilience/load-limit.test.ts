import { describe, expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import { createLoadLimit as create, type LoadLimitOptions } from './load-limit.ts'

const load = (utilisation: number, delayP50Ms: number) => ({
  utilisation,
  delayP50Ms,
  delayP99Ms: delayP50Ms,
  memoryShare: 0,
})
/** Late by so little more than allowed that the limit falls least. */
const overloaded = load(1, 13)
const calm = load(0.9, 3)
const requests = (inFlight: number) => ({ inFlight, peak: inFlight })

const createLoadLimit = (options: Partial<LoadLimitOptions> = {}) => create({ clock: new FakeClock(), ...options })

/** At 950, of 1,000 in flight. */
function limited(clock = new FakeClock()) {
  const limit = createLoadLimit({ clock })
  limit.sample(overloaded, requests(1_000))
  limit.sample(overloaded, requests(1_000))
  return limit
}

describe('a load limit', () => {
  it('is none until two looks in a row find the loop both busy and late', () => {
    const limit = createLoadLimit()
    limit.sample(load(1, 3), requests(10_000))
    limit.sample(load(0.5, 500), requests(10_000))
    limit.sample(calm, requests(10_000))
    expect(limit.limit).toBe(Infinity)
    expect(limit.sample(overloaded, requests(1_000)), 'once is chance').toBe(Infinity)
    limit.sample(calm, requests(1_000))
    expect(limit.sample(overloaded, requests(1_000))).toBe(Infinity)
    expect(limit.sample(overloaded, requests(1_000))).toBe(950)
  })

  it('once there is one falls at the first such look', () => {
    const limit = limited()
    limit.sample(calm, requests(10))
    expect(limit.sample(overloaded, requests(900))).toBe(855)
  })

  it('does not fall while more is in flight than it allows: what a lower one does is not to be seen yet', () => {
    const limit = limited()
    for (let i = 0; i < 50; i++) expect(limit.sample(load(1, 500), { inFlight: 951, peak: 1_000 })).toBe(950)
    expect(limit.sample(overloaded, { inFlight: 950, peak: 951 })).toBe(902)
  })

  it.each([
    [13, 950],
    [15, 894],
    [24, 707],
    [25, 700],
    [5_000, 700],
  ])('falls the further the later the loop is: late by %i ms, from 1,000 to %i', (delayMs, to) => {
    const limit = createLoadLimit()
    for (let i = 0; i < 2; i++) limit.sample(load(1, delayMs), requests(1_000))
    expect(limit.limit).toBe(to)
  })

  it('never falls below its least', () => {
    const fallen = (options: { minLimit?: number }) => {
      const limit = createLoadLimit(options)
      for (let i = 0; i < 50; i++) limit.sample(overloaded, requests(0))
      return limit.limit
    }
    expect(fallen({ minLimit: 4 })).toBe(4)
    expect(fallen({ minLimit: 1 })).toBe(1)
    expect(fallen({})).toBe(8)
    expect(() => createLoadLimit({ minLimit: 0 })).toThrow('minLimit must be at least 1, got 0')
  })

  it('grows while it is felt and the loop is in time, however busy, and holds otherwise', () => {
    const limit = limited()
    expect(limit.sample(calm, requests(100)), 'not felt').toBe(950)
    expect(limit.sample(load(1, 9), requests(950)), 'neither late nor in time').toBe(950)
    expect(limit.sample(load(1, 3), requests(950))).toBe(1_007)
    expect(limit.sample(load(1, 1), requests(1_007)), 'hardly late').toBe(1_159)
    expect(limit.sample(load(0.5, 3), { inFlight: 10, peak: 1_159 }), 'with much time to spare').toBe(1_449)
  })

  it('is forgotten by a loop with nothing to do, ten seconds after it was last overloaded', () => {
    const clock = new FakeClock()
    const limit = limited(clock)
    clock.tick(5_000)
    limit.sample(overloaded, requests(900))
    clock.tick(9_999)
    expect(limit.sample(load(0.1, 0), requests(10)), 'too soon').toBe(855)
    clock.tick(1)
    expect(limit.sample(load(0.7, 0), requests(10)), 'much to do').toBe(855)
    expect(limit.sample(load(0.1, 7), requests(10)), 'not in time').toBe(855)
    expect(limit.sample(load(0.1, 6), requests(10))).toBe(Infinity)
    limit.sample(overloaded, requests(1_000))
    expect(limit.limit, 'once is chance again').toBe(Infinity)
  })

  it('takes neither 95 % of the core nor 12 ms for too much', () => {
    const limit = createLoadLimit()
    for (let i = 0; i < 5; i++) limit.sample(load(0.95, 500), requests(1_000))
    for (let i = 0; i < 5; i++) limit.sample(load(1, 12), requests(1_000))
    expect(limit.limit).toBe(Infinity)
    for (let i = 0; i < 2; i++) limit.sample(load(0.96, 13), requests(1_000))
    expect(limit.limit).toBe(950)
  })

  it('is felt from nine tenths of it on, calm below 7 ms and hardly late below 2', () => {
    const limit = limited()
    expect(limit.sample(load(1, 7), requests(950))).toBe(950)
    expect(limit.sample(load(1, 6), requests(854))).toBe(950)
    expect(limit.sample(load(1, 6), requests(855))).toBe(1_007)
    expect(limit.sample(load(0.7, 2), requests(1_007)), 'a loop 70 % busy has little time to spare').toBe(1_068)
  })

  it('settles about where the loop is as late as it may be, from above and from below', () => {
    const random = seededRandom(1)
    // One request more makes each turn of the loop 0.1 ms longer; offered is more than any limit.
    for (const start of [40, 5_000]) {
      const limit = createLoadLimit()
      for (let i = 0; i < 2; i++) limit.sample(overloaded, requests(start))
      const seen: number[] = []
      for (let i = 0; i < 400; i++) {
        const inFlight = limit.limit
        limit.sample(load(1, inFlight * 0.1 * (0.8 + 0.4 * random())), requests(inFlight))
        if (i > 200) seen.push(inFlight)
      }
      expect(Math.min(...seen)).toBeGreaterThan(50)
      expect(Math.max(...seen)).toBeLessThan(150)
    }
  })
})
