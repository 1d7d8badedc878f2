import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createRollingWindow } from './rolling-window.ts'

const bucketMs = 10
const buckets = 4

it('counts the last buckets, neither more nor less, wherever the clock’s zero is', () => {
  const event = fc.record({ afterMs: fc.nat(25), failed: fc.boolean(), slow: fc.boolean(), clear: fc.nat(20) })
  fc.assert(
    fc.property(fc.integer({ min: -200, max: 200 }), fc.array(event, { maxLength: 40 }), (start, events) => {
      const window = createRollingWindow({ buckets, bucketMs })
      let kept: { at: number; failed: boolean; slow: boolean }[] = []
      let now = start
      for (const { afterMs, failed, slow, clear } of events) {
        now += afterMs
        if (clear === 0) {
          window.clear()
          kept = []
        } else {
          window.add(now, failed, slow)
          kept.push({ at: now, failed, slow })
        }
        const oldest = (Math.floor(now / bucketMs) - buckets + 1) * bucketMs
        const inside = kept.filter(({ at }) => at >= oldest)
        expect(window.counts(now)).toEqual({
          calls: inside.length,
          failures: inside.filter((call) => call.failed).length,
          slow: inside.filter((call) => call.slow).length,
        })
      }
    }),
    { numRuns: 1_000 },
  )
})

it('is empty once all of it has passed, without anything added', () => {
  const window = createRollingWindow({ buckets, bucketMs })
  window.add(0, true, true)
  expect(window.counts(39)).toEqual({ calls: 1, failures: 1, slow: 1 })
  expect(window.counts(40)).toEqual({ calls: 0, failures: 0, slow: 0 })
})

it('turns a success into a failure where it stands, or counts it anew where it has left', () => {
  const window = createRollingWindow({ buckets, bucketMs })
  window.add(5, false, false)
  window.turnFailed(5, 38)
  expect(window.counts(39)).toEqual({ calls: 1, failures: 1, slow: 0 })
  expect(window.counts(40)).toEqual({ calls: 0, failures: 0, slow: 0 })
  window.turnFailed(5, 45)
  expect(window.counts(45)).toEqual({ calls: 1, failures: 1, slow: 0 })
  window.turnFailed(5, 46)
  expect(window.counts(46)).toEqual({ calls: 2, failures: 2, slow: 0 })
  window.clear()
  window.turnFailed(45, 47)
  expect(window.counts(47)).toEqual({ calls: 1, failures: 1, slow: 0 })
})
