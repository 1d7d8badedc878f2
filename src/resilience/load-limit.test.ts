import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import { createLoadLimit } from './load-limit.ts'

const load = (utilisation: number, delayP99Ms: number) => ({ utilisation, delayP99Ms, memoryShare: 0 })
const overloaded = load(1, 120)
const calm = load(0.9, 5)
const requests = (inFlight: number) => ({ inFlight, peak: inFlight })

/** At 900, of 1,000 in flight. */
function limited() {
  const limit = createLoadLimit()
  limit.sample(overloaded, requests(1_000))
  limit.sample(overloaded, requests(1_000))
  return limit
}

describe('a load limit', () => {
  it('is none until the loop is both busy and late', () => {
    const limit = createLoadLimit()
    limit.sample(load(1, 5), requests(10_000))
    limit.sample(load(0.5, 500), requests(10_000))
    limit.sample(calm, requests(10_000))
    expect(limit.limit).toBe(Infinity)
    expect(limit.sample(overloaded, requests(1_000)), 'once is chance').toBe(Infinity)
    limit.sample(calm, requests(1_000))
    expect(limit.sample(overloaded, requests(1_000))).toBe(Infinity)
    expect(limit.sample(overloaded, requests(1_000))).toBe(900)
  })

  it('does not fall further at once before as few requests are in flight as it allows', () => {
    const limit = limited()
    expect(limit.sample(overloaded, requests(950))).toBe(900)
    expect(limit.sample(overloaded, { inFlight: 900, peak: 950 })).toBe(810)
  })

  it('falls further after four looks where answers take too long to end', () => {
    const limit = limited()
    const seen = Array.from({ length: 5 }, () => limit.sample(overloaded, requests(1_000)))
    expect(seen).toEqual([900, 900, 900, 810, 810])
  })

  it('never falls below its least', () => {
    const limit = createLoadLimit({ minLimit: 4 })
    for (let i = 0; i < 50; i++) limit.sample(overloaded, requests(0))
    expect(limit.limit).toBe(4)
    expect(() => createLoadLimit({ minLimit: 0 })).toThrow('minLimit must be at least 1, got 0')
  })

  it('grows while it is felt and the loop is in time, however busy, and holds otherwise', () => {
    const limit = limited()
    expect(limit.sample(calm, requests(100)), 'not felt').toBe(900)
    expect(limit.sample(load(1, 20), requests(900)), 'neither late nor in time').toBe(900)
    expect(limit.sample(load(1, 5), requests(900))).toBe(945)
    expect(limit.sample(load(0.5, 5), { inFlight: 10, peak: 945 }), 'with much time to spare').toBe(1_182)
  })

  it('takes neither 95 % of the core nor 32 ms for too much', () => {
    const limit = createLoadLimit()
    for (let i = 0; i < 5; i++) limit.sample(load(0.95, 500), requests(1_000))
    for (let i = 0; i < 5; i++) limit.sample(load(1, 32), requests(1_000))
    expect(limit.limit).toBe(Infinity)
    for (let i = 0; i < 2; i++) limit.sample(load(0.96, 33), requests(1_000))
    expect(limit.limit).toBe(900)
  })

  it('is felt from nine tenths of it on, and calm below 14 ms', () => {
    const limit = limited()
    expect(limit.sample(load(1, 14), requests(900))).toBe(900)
    expect(limit.sample(load(1, 13), requests(809))).toBe(900)
    expect(limit.sample(load(1, 13), requests(810))).toBe(945)
    expect(limit.sample(load(0.7, 13), requests(945)), 'a loop 70 % busy has little time to spare').toBe(993)
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
      expect(Math.min(...seen)).toBeGreaterThan(100)
      expect(Math.max(...seen)).toBeLessThan(500)
    }
  })
})
