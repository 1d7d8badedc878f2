import { expect, test } from 'vitest'
import { successAtLeast } from '../../bench/gameday/confidence.ts'

test('without a failure the bound is the root of what is left of certainty', () => {
  for (const count of [1, 10, 30_000, 1_000_000]) {
    expect(successAtLeast(count, 0)).toBeCloseTo(0.05 ** (1 / count), 12)
  }
})

test('99.99 % are shown by 30,000 requests without a failure, or by 47,500 with one, and by no fewer', () => {
  expect(successAtLeast(30_000, 0)).toBeGreaterThanOrEqual(0.9999)
  expect(successAtLeast(29_900, 0)).toBeLessThan(0.9999)
  expect(successAtLeast(47_500, 1)).toBeGreaterThanOrEqual(0.9999)
  expect(successAtLeast(47_400, 1)).toBeLessThan(0.9999)
})

// Found apart from this, with exact binomial coefficients.
test('with failures it is the quantile of the beta distribution', () => {
  expect(successAtLeast(10, 1)).toBeCloseTo(0.6058367, 6)
  expect(successAtLeast(20, 5)).toBeCloseTo(0.5444176, 6)
  expect(successAtLeast(1, 1)).toBe(0)
})

test('more failures never make it better, nor do fewer requests', () => {
  for (let failures = 0; failures < 50; failures++) {
    expect(successAtLeast(5_000, failures + 1)).toBeLessThan(successAtLeast(5_000, failures))
    expect(successAtLeast(5_000, failures)).toBeLessThan(successAtLeast(6_000, failures))
  }
})

test('what is no count is refused', () => {
  expect(() => successAtLeast(0, 0)).toThrow(RangeError)
  expect(() => successAtLeast(5, 6)).toThrow(RangeError)
  expect(() => successAtLeast(5.5, 0)).toThrow(RangeError)
})
