import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import { createBackoff, parseRetryAfter } from './backoff.ts'

describe('after a failure', () => {
  /** The largest distance between the samples' distribution and the uniform one (Kolmogorov-Smirnov). */
  const distanceFromUniform = (samples: number[], upper: number) => {
    const sorted = samples.toSorted((a, b) => a - b)
    return Math.max(
      ...sorted.map((x, i) => Math.max((i + 1) / sorted.length - x / upper, x / upper - i / sorted.length)),
    )
  }

  it.each([
    [1, 100],
    [2, 200],
    [4, 800],
    [8, 10_000],
    [1_000, 10_000],
  ])('waits before retry %i are uniform in [0, %i ms)', (retry, upper) => {
    const backoff = createBackoff({ random: seededRandom(11) })
    const samples = Array.from({ length: 10_000 }, () => backoff.afterFailure(retry))
    expect(Math.min(...samples)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...samples)).toBeLessThan(upper)
    // 1.63 / √n is the bound that one honest sequence in a hundred exceeds.
    expect(distanceFromUniform(samples, upper)).toBeLessThan(1.63 / Math.sqrt(10_000))
  })

  it('two waits in a row have nothing to do with one another', () => {
    const backoff = createBackoff({ random: seededRandom(5) })
    const samples = Array.from({ length: 10_000 }, () => backoff.afterFailure(1) / 100 - 0.5)
    const correlation = samples.slice(1).reduce((sum, x, i) => sum + x * samples[i]!, 0) / samples.length / (1 / 12)
    expect(Math.abs(correlation)).toBeLessThan(0.03)
  })

  it('takes its bounds from its options', () => {
    const backoff = createBackoff({ random: () => 1, initialMs: 10, maxMs: 50, multiplier: 3 })
    expect([1, 2, 3].map(backoff.afterFailure)).toEqual([10, 30, 50])
  })
})

it('waits between half and all of 1 s, doubling to 20 s, after a throttle without a hint', () => {
  const shortest = createBackoff({ random: () => 0 })
  const longest = createBackoff({ random: () => 1 })
  const retries = [1, 2, 3, 4, 5, 6, 50]
  expect(retries.map(shortest.afterThrottle)).toEqual([500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000])
  expect(retries.map(longest.afterThrottle)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000])
})

it('spreads what ended late over twice as long as it was late, and leaves what was nearly in time', () => {
  expect(createBackoff({ random: () => 0.99 }).afterStall(19)).toBe(0)
  const longest = createBackoff({ random: () => 1 })
  expect([20, 300].map(longest.afterStall)).toEqual([40, 600])
  expect(createBackoff({ random: () => 0 }).afterStall(300)).toBe(0)
})

it('never waits less than a hint, and at most a tenth longer', () => {
  const backoff = createBackoff({ random: seededRandom(1) })
  for (let i = 0; i < 1_000; i++) {
    const wait = backoff.afterHint(2_000)
    expect(wait).toBeGreaterThanOrEqual(2_000)
    expect(wait).toBeLessThanOrEqual(2_200)
  }
})

it.each([
  [{ initialMs: -1 }, 'initialMs must be at least 0, got -1'],
  [{ initialMs: Number.NaN }, 'initialMs must be at least 0, got NaN'],
  [{ multiplier: 0.5 }, 'multiplier must be at least 1, got 0.5'],
])('refuses %o', (options, message) => {
  expect(() => createBackoff({ random: () => 0, ...options })).toThrow(message)
})

it('may wait for nothing, or as long each time', () => {
  const options = { random: () => 1, multiplier: 1 }
  expect(createBackoff({ ...options, initialMs: 0 }).afterFailure(3)).toBe(0)
  expect(createBackoff({ ...options, initialMs: 7 }).afterFailure(3)).toBe(7)
})

describe('Retry-After', () => {
  const now = Date.UTC(2030, 0, 15, 12, 0, 0)
  const date = (ms: number) => new Date(now + ms).toUTCString()

  it.each<[string | undefined, number | undefined]>([
    [undefined, undefined],
    ['', undefined],
    ['0', 0],
    ['7', 7_000],
    ['  7\t', 7_000],
    ['007', 7_000],
    ['86400', 86_400_000],
    ['86401', undefined],
    ['99999999999999999999999999', undefined],
    ['-1', undefined],
    ['+1', undefined],
    ['1.5', undefined],
    ['1e3', undefined],
    ['0x10', undefined],
    ['NaN', undefined],
    ['Infinity', undefined],
    ['soon', undefined],
    ['7, 9', undefined],
    ['7 seconds', undefined],
    ['٧', undefined],
    [date(0), 0],
    [date(90_000), 90_000],
    [date(-1_000), undefined],
    [date(86_400_000), 86_400_000],
    [date(86_401_000), undefined],
    ['Tuesday, 15-Jan-30 12:00:30 GMT', 30_000],
    ['Tue Jan 15 12:00:30 2030', 30_000],
    ['2030-01-15T12:00:30Z', undefined],
    ['15 Jan 2030 12:00:30 GMT', undefined],
    ['T 15 Jan 2030 12:00:30 GMT', undefined],
    ['Tue, 99 Foo 2030 25:61:61 GMT', undefined],
  ])('%j is %s', (value, expected) => {
    expect(parseRetryAfter(value, now)).toBe(expected)
  })

  it('takes a date for UTC wherever the machine stands', () => {
    const zone = process.env.TZ
    process.env.TZ = 'Pacific/Auckland'
    try {
      expect(parseRetryAfter('Tue Jan 15 12:00:30 2030', now)).toBe(30_000)
      expect(parseRetryAfter('Tue, 15 Jan 2030 12:00:30 GMT', now)).toBe(30_000)
    } finally {
      if (zone === undefined) delete process.env.TZ
      else process.env.TZ = zone
    }
  })
})
