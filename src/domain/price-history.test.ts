import fc from 'fast-check'
import { expect, test } from 'vitest'
import { byDay, fewestHours, type PriceAt, summaryOf } from './price-history.ts'

const start = Date.UTC(2026, 10, 1)
const hours = (prices: readonly number[], bids: readonly (number | undefined)[] = []): PriceAt[] =>
  prices.map((cheapest, n) => ({ hour: new Date(start + n * 3_600_000), cheapest, lowestBid: bids[n] }))
const prices = fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 300 })

test('one hour stands at the bottom, and is every percentile', () => {
  expect(summaryOf(hours([7]))).toMatchObject({
    ...{ current: 7, percentile: 0, hours: 1 },
    percentiles: { p0: 7, p10: 7, p25: 7, p50: 7, p75: 7, p90: 7, p100: 7 },
    bid: { price: undefined, hours: 0 },
  })
})

test('whatever the prices are: percentiles are of them, and no fewer hours are as cheap as they say', () => {
  fc.assert(
    fc.property(prices, (values) => {
      const { percentiles, percentile, current, hours: count } = summaryOf(hours(values))
      expect([count, current]).toEqual([values.length, values.at(-1)])
      expect([percentiles.p0, percentiles.p100]).toEqual([Math.min(...values), Math.max(...values)])
      for (const [name, price] of Object.entries(percentiles)) {
        const percent = Number(name.slice(1))
        expect(values).toContain(price)
        expect(values.filter((value) => value <= price).length).toBeGreaterThanOrEqual((percent / 100) * count)
        expect(values.filter((value) => value < price).length).toBeLessThanOrEqual((percent / 100) * count)
      }
      const cheaper = values.filter((value) => value < current).length
      expect(percentile).toBe(Math.round((100 * cheaper) / count))
    }),
  )
})

test('the bid would have been taken in nine of ten hours, and no lower one that was; of fewer than a day there is none', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer({ min: 1, max: 99 }), { nil: undefined }), { minLength: 1 }), (bids) => {
      const { bid } = summaryOf(
        hours(
          bids.map(() => 500),
          bids,
        ),
      )
      const known = bids.filter((each) => each !== undefined)
      expect(bid.hours).toBe(known.length)
      expect(bid.price === undefined).toBe(known.length < fewestHours)
      const { price } = bid
      if (price === undefined) return
      const held = (at: number) => known.filter((least) => least <= at).length / known.length
      expect(held(price)).toBeGreaterThanOrEqual(0.9)
      for (const lower of known.filter((each) => each < price)) expect(held(lower)).toBeLessThan(0.9)
    }),
  )
})

test('a day of UTC tells the cheapest of its hours', () => {
  const values = Array.from({ length: 49 }, (_, n) => 100 + ((n * 7) % 24))
  expect(byDay(hours(values))).toEqual([
    { at: new Date(start), price: Math.min(...values.slice(0, 24)) },
    { at: new Date(start + 86_400_000), price: Math.min(...values.slice(24, 48)) },
    { at: new Date(start + 2 * 86_400_000), price: values[48] },
  ])
})
