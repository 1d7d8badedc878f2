import { expect, test } from 'vitest'
import { sendTimes } from '../../bench/open-loop.ts'

test('send times are evenly spaced and fixed in advance', () => {
  expect([...sendTimes(1_000, 0.004)]).toEqual([0, 1, 2, 3])
  expect([...sendTimes(4, 1)]).toEqual([0, 250, 500, 750])
})

test('spacing does not drift over a long run', () => {
  const times = sendTimes(300, 60)
  expect(times).toHaveLength(18_000)
  expect(times[17_700]).toBe(59_000)
})

test('a rate that is none is refused', () => {
  expect(() => sendTimes(0, 1)).toThrow('requestsPerSecond must be > 0, got 0')
})
