import { describe, expect, test } from 'vitest'
import { addCounts, median, percentile, roundRatios, spread, total, welchT } from '../../bench/statistics.ts'

describe('percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1)

  test('is the nearest rank', () => {
    expect([50, 99, 99.9, 100].map((percent) => percentile(hundred, percent))).toEqual([50, 99, 100, 100])
  })

  test('of one value is that value', () => {
    expect(percentile([7], 50)).toBe(7)
    expect(percentile([7], 99.9)).toBe(7)
  })

  test('of nothing is not a number', () => {
    expect(percentile([], 50)).toBeNaN()
  })
})

test('the median of an even count lies between the two in the middle, and leaves its input alone', () => {
  const values = [4, 1, 3, 2]
  expect(median(values)).toBe(2.5)
  expect(values).toEqual([4, 1, 3, 2])
})

test('ratios are taken round by round, not of the medians', () => {
  expect(spread(roundRatios([10, 100, 30], [20, 100, 10]))).toEqual({ median: 1, min: 0.5, max: 3 })
})

test('rounds that do not pair are a mistake', () => {
  expect(() => roundRatios([1, 2], [1])).toThrow('2 rounds against 1')
})

test('counts add up by name', () => {
  const sum = addCounts([{ 429: 2, 503: 1 }, {}, { 429: 3 }])
  expect(sum).toEqual({ 429: 5, 503: 1 })
  expect(total(sum)).toBe(6)
})

test('the means of two samples are so many standard errors apart', () => {
  // (2.5 - 6) / sqrt((5/3) / 4 + 10 / 5)
  expect(welchT([1, 2, 3, 4], [2, 4, 6, 8, 10])).toBeCloseTo(-2.2514, 4)
  expect(welchT([5, 7, 9], [9, 7, 5])).toBe(0)
  expect(welchT([1], [2, 3])).toBeNaN()
})
