/** What every pace keeps. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Pace } from '../../src/ports.ts'

export function paceContract(create: () => Promise<{ pace: Pace; pass(ms: number): Promise<void> }>) {
  test('one at a time, another one when the wait that was told is over, and keys do not wait for each other', async () => {
    const { pace, pass } = await create()
    expect(await pace.take('a', 400)).toBe(0)
    const waitMs = await pace.take('a', 400)
    expect(waitMs).toBeGreaterThan(0)
    expect(waitMs).toBeLessThanOrEqual(400)
    expect(await pace.take('b', 400)).toBe(0)
    await pass(waitMs)
    expect(await pace.take('a', 400)).toBe(0)
  })

  test('after a rest a burst, and no more', async () => {
    const { pace } = await create()
    const taken = []
    for (let n = 0; n < 4; n++) taken.push(await pace.take('c', 60_000, 2))
    expect(taken.map((waitMs) => waitMs === 0)).toEqual([true, true, false, false])
  })
}

/** Asked at any times, never more than ten in any minute. */
export function tenAMinute(create: () => { pace: Pace; advance(ms: number): void }) {
  return fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 9_000 }), { maxLength: 200 }), async (gaps) => {
      const { pace, advance } = create()
      const given: number[] = []
      let now = 0
      for (const gap of gaps) {
        now += gap
        advance(gap)
        if ((await pace.take('search', 7_500, 2)) === 0) given.push(now)
      }
      for (const at of given) expect(given.filter((each) => each >= at && each < at + 60_000).length).toBeLessThan(11)
    }),
  )
}
