import { expect, test } from 'vitest'
import { peakOverMean } from '../../bench/storm/herd.ts'
import { failuresOf, type Sent } from '../../bench/storm/load.ts'
import { recoverySeconds } from '../../bench/storm/outage.ts'

const sent = (at: number, ok: boolean): Sent => ({ at, ms: 1, status: ok ? 200 : 503, ok, tries: 1, code: undefined })
/** One call every 100 ms for 20 s, the provider being back from 5 s on. */
const calls = (ok: (at: number) => boolean) => Array.from({ length: 200 }, (_, i) => sent(i * 100, ok(i * 100)))

test('tries that come in one heap are no even spread, however short the time they came in', () => {
  const heap = Array.from({ length: 100 }, (_, i) => 1_000 + i / 10)
  expect(peakOverMean(heap, 300)).toBe(6)
  expect(peakOverMean([], 300)).toBeNaN()
})

test('tries that come evenly have a peak that is the mean', () => {
  const even = Array.from({ length: 60 }, (_, i) => 1_000 + i * 5)
  expect(peakOverMean(even, 300)).toBe(1)
  // Spread over more than the least time, they are judged over that.
  expect(peakOverMean([...even, ...even.map((at) => at + 300)], 300)).toBe(1)
})

test('the recovery ends with the first second from which on every call is answered', () => {
  expect(
    recoverySeconds(
      calls((at) => at >= 5_000),
      5_000,
    ),
  ).toBe(0)
  expect(
    recoverySeconds(
      calls((at) => at >= 7_500),
      5_000,
    ),
  ).toBe(3)
  expect(
    recoverySeconds(
      calls((at) => at < 3_000 || (at > 6_000 && at !== 12_000)),
      5_000,
    ),
  ).toBe(8)
})

test('who never answers again has not recovered', () => {
  expect(
    recoverySeconds(
      calls((at) => at < 5_000),
      5_000,
    ),
  ).toBe(Infinity)
})

test('what callers heard is told by kind', () => {
  const refused = { ...sent(0, false), code: 'circuit_open' }
  expect(failuresOf([refused, refused, sent(0, true), sent(0, false)])).toBe('2 x circuit_open, 1 x nothing')
})
