import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compare, hoursPerMonth, type ServingMachine, type Traffic } from './rent-or-buy.ts'

const written = (millions: number, paid: number): Traffic => ({
  ...{ inputTokens: 0, cachedInputTokens: 0, outputTokens: millions * 1e6, paid, hours: 720 },
})
/** 3.6 million tokens an hour, for 0.36 dollars. */
const machine: ServingMachine = { pricePerHour: 360_000, outputTokensPerSecond: 1_000 }

test('a machine that is half busy costs twice as much for each token as one that always is', () => {
  // 1,296 million in 720 hours are 1.8 million an hour, for two dollars a million.
  expect(compare(written(1_296, 2_592_000_000), machine)).toEqual({
    tokens: 1_296_000_000,
    tokensPerHour: 1_800_000,
    boughtPerMillion: 2_000_000,
    boughtPerMonth: 2_592_000_000,
    capacityPerHour: 3_600_000,
    machines: 1,
    utilisation: 0.5,
    rentedPerMillion: 200_000,
    rentedPerMillionBusy: 100_000,
    rentedPerMonth: 259_200_000,
    breakEvenPerHour: 180_000,
    worthRenting: 1,
    bestPerMonth: 259_200_000,
  })
})

test('below the break-even it is bought, and from it on it is rented', () => {
  const at = (tokensPerHour: number) => compare(written((tokensPerHour * 720) / 1e6, tokensPerHour * 720 * 2), machine)
  expect(at(179_000)).toMatchObject({ breakEvenPerHour: 180_000, worthRenting: 0, bestPerMonth: 179_000 * 720 * 2 })
  expect(at(181_000)).toMatchObject({ breakEvenPerHour: 180_000, worthRenting: 1, bestPerMonth: 259_200_000 })
})

test('where tokens are bought for less than a busy machine makes them, there is no break-even', () => {
  const cheap = compare(written(100_000, 100_000 * 90_000), machine)
  expect(cheap).toMatchObject({ boughtPerMillion: 90_000, breakEvenPerHour: undefined, worthRenting: 0 })
  expect(cheap.machines).toBe(39)
  expect(cheap.bestPerMonth).toBe(cheap.boughtPerMonth)
})

test('the last machine is not rented where it would stand too idle: the rest is bought', () => {
  // One machine's load and a hundred thousand tokens an hour more.
  const hourly = 3_700_000
  const found = compare(written((hourly * 720) / 1e6, hourly * 720 * 2), machine)
  expect(found).toMatchObject({ machines: 2, worthRenting: 1, bestPerMonth: 720 * (360_000 + 100_000 * 2) })
})

test('what is read costs a tenth of what is written, and what is cached nothing', () => {
  const capacity = (inputTokens: number, cachedInputTokens: number, outputTokens: number) =>
    compare({ inputTokens, cachedInputTokens, outputTokens, paid: 1, hours: 1 }, machine).capacityPerHour / 3_600_000
  expect(capacity(10, 0, 1)).toBeCloseTo(11 / 2)
  expect(capacity(10, 10, 1)).toBeCloseTo(11)
  expect(capacity(10, 0, 0)).toBeCloseTo(10)
  expect(capacity(10, 10, 0)).toBeCloseTo(100)
  // More cached than read, as a provider might say.
  expect(capacity(10, 20, 1)).toBeCloseTo(11)
})

test('without traffic, or without a price for it, there is nothing to gain', () => {
  expect(compare({ ...written(0, 0), hours: 719 }, machine)).toMatchObject({
    ...{ tokens: 0, boughtPerMillion: undefined, rentedPerMillion: undefined, breakEvenPerHour: undefined },
    ...{ machines: 1, utilisation: 0, worthRenting: 0, bestPerMonth: 0, rentedPerMonth: 259_200_000 },
  })
  expect(compare(written(100, 0), machine)).toMatchObject({ boughtPerMillion: 0, worthRenting: 0, bestPerMonth: 0 })
})

test('whatever the traffic is: the best is no dearer than buying or renting all, and no other number of machines is', () => {
  const tokens = fc.integer({ min: 0, max: 1e12 })
  const traffic = fc.record({
    ...{ inputTokens: tokens, cachedInputTokens: tokens, outputTokens: tokens },
    ...{ paid: fc.integer({ min: 0, max: 1e12 }), hours: fc.integer({ min: 1, max: 720 }) },
  })
  const machines = fc.record({
    pricePerHour: fc.integer({ min: 1, max: 50_000_000 }),
    outputTokensPerSecond: fc.integer({ min: 10, max: 50_000 }),
  })
  fc.assert(
    fc.property(traffic, machines, (used, rented) => {
      const found = compare(used, rented)
      const { bestPerMonth, boughtPerMonth, tokensPerHour, capacityPerHour, worthRenting, utilisation } = found
      for (const value of Object.values(found)) expect(value === undefined || Number.isFinite(value)).toBe(true)
      expect(utilisation).toBeGreaterThanOrEqual(0)
      expect(utilisation).toBeLessThanOrEqual(1 + 1e-9)
      const perToken = found.tokens > 0 ? used.paid / found.tokens : 0
      const slack = 1 + 1e-9 * boughtPerMonth
      expect(bestPerMonth).toBeLessThanOrEqual(boughtPerMonth + slack)
      for (const count of [worthRenting - 1, worthRenting + 1, found.machines]) {
        if (count < 0) continue
        const rest = Math.max(0, tokensPerHour - count * capacityPerHour) * perToken
        const other = (count * rented.pricePerHour + rest) * hoursPerMonth
        expect(bestPerMonth).toBeLessThanOrEqual(other + slack)
      }
    }),
  )
})
