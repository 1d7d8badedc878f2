import { expect, test } from 'vitest'
import { findPeak } from '../../bench/find-peak.ts'

test('a server that answers what it can and sheds the rest is asked up to its peak, and told', async () => {
  const asked: number[] = []
  const peak = await findPeak(async (rate) => {
    asked.push(rate)
    return Math.min(rate, 330)
  })
  expect(peak).toBe(330)
  expect(asked).toEqual([50, 100, 200, 400, 264, 297, 330, 330 * 1.1, 330 * 1.2])
})

test('one that breaks down under too much is told at its best', async () => {
  expect(await findPeak(async (rate) => (rate <= 250 ? rate : 50))).toBe(240)
})
