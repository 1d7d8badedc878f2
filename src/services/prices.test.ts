import { expect, test } from 'vitest'
import { createMemoryPriceHistory } from '../../adapters/memory/price-history.ts'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { type Cache, createCache } from '../cache/cache.ts'
import { createMemoryTier } from '../cache/memory-tier.ts'
import type { Offer } from '../domain/offer.ts'
import type { PriceHistory } from '../ports.ts'
import { createPrices, type PriceLook, type PriceQuestion } from './prices.ts'

const hourMs = 3_600_000
const log = { debug() {}, info() {}, warn() {}, error() {} }
/** One that keeps nothing. */
const looks: Cache<PriceLook[], 'public'> = {
  get: async (_, load) => ({ value: await load(), result: 'miss', ageMs: 0 }),
  invalidate: async () => true,
}
const offer = (priceMicroUsd: number, more: Partial<Offer> = {}): Offer => ({
  ...{ id: 'vastai:1', market: 'vastai', gpuModel: 'RTX 4090', gpuCount: 1, vramMib: 24_564 },
  ...{ location: 'Texas, US', reliability: null, available: true, priceMicroUsd },
  ...more,
})
function world(history: PriceHistory = createMemoryPriceHistory()) {
  const clock = new FakeClock()
  const prices = createPrices({ clock, history, looks, log })
  const look = async (ask: Partial<PriceQuestion> = {}) =>
    (await prices.look({ gpuModel: '4090', market: undefined, region: undefined, days: 30, ...ask })).looks
  return { clock, prices, look }
}

test("today's price stands where it stands among the hours before", async () => {
  const { clock, prices, look } = world()
  for (const price of [500_000, 400_000, 600_000, 300_000, 450_000]) {
    await prices.note('vastai', [offer(2 * price, { gpuCount: 2 }), offer(price + 1), offer(1, { available: false })])
    // Within five minutes it is not noted again.
    await prices.note('vastai', [offer(1)])
    await clock.advance(hourMs)
  }
  const [found] = await look()
  expect(found).toMatchObject({ gpuModel: 'RTX 4090', market: 'vastai', current: 450_000, percentile: 40, hours: 5 })
  expect(found!.percentiles).toEqual({
    ...{ p0: 300_000, p10: 300_000, p25: 400_000, p50: 450_000, p75: 500_000, p90: 600_000, p100: 600_000 },
  })
  expect(await look({ gpuModel: 'H100' })).toEqual([])
})

test('markets and regions are told apart, a region by its code or its name', async () => {
  const { prices, look } = world()
  await prices.note('vastai', [
    offer(300_000),
    offer(200_000, { location: 'Bavaria, DE' }),
    offer(9, { verified: false }),
  ])
  await prices.note('ionet', [offer(400_000, { location: 'Germany' }), offer(100_000, { location: null })])
  const told = async (ask: Partial<PriceQuestion>) =>
    (await look(ask)).map(({ market, region, current }) => [market, region, current])
  expect(await told({})).toEqual([
    ['ionet', undefined, 100_000],
    ['vastai', undefined, 200_000],
  ])
  for (const region of ['DE', 'germany']) {
    expect((await told({ region })).map(([market, , current]) => [market, current])).toEqual([
      ['ionet', 400_000],
      ['vastai', 200_000],
    ])
  }
  expect(await told({ market: 'vastai', region: 'US' })).toEqual([['vastai', 'United States', 300_000]])
  expect(await told({ region: 'Peru' })).toEqual([])
})

test('a history is told by the hour for a week, and by the day beyond; one that has ended is not of today', async () => {
  const { clock, prices, look } = world()
  for (let hour = 0; hour < 50; hour++) {
    await prices.note('vastai', [offer(500_000 + hour, { minBid: 200_000 })])
    await clock.advance(hourMs)
  }
  const [week] = await look({ days: 7 })
  expect(week).toMatchObject({ interval: 'hour', isCurrent: true, hours: 50, bid: { price: 200_000, hours: 50 } })
  expect(week!.history).toHaveLength(50)
  const [month] = await look()
  expect(month).toMatchObject({ interval: 'day', hours: 50 })
  expect([3, 4]).toContain(month!.history.length)
  expect(month!.history[0]!.price).toBe(500_000)
  expect(await look({ days: 1 })).toMatchObject([{ hours: 24 }])
  await clock.advance(24 * hourMs)
  expect(await look()).toMatchObject([{ isCurrent: false, percentile: 98 }])
})

test('a history that cannot be written stands in nobody’s way', async () => {
  const { prices } = world({ ...createMemoryPriceHistory(), note: async () => Promise.reject(new Error('away')) })
  await expect(prices.note('vastai', [offer(1)])).resolves.toBeUndefined()
})

test('a crowd of callers who want nothing cached waits for one reading, and not for one each', async () => {
  const clock = new FakeClock()
  const real = createMemoryPriceHistory()
  let readings = 0
  const history: PriceHistory = {
    ...real,
    async names(since) {
      readings++
      await settled()
      return real.names(since)
    },
  }
  const memory = createMemoryTier({ maxBytes: 100_000 })
  const shared = { name: 'prices', scope: 'public', clock, random: () => 0.5, memory } as const
  const cache = createCache<PriceLook[], 'public'>({ ...shared, freshMs: 60_000, bytesOf: () => 1 })
  const prices = createPrices({ clock, history, looks: cache, log })
  await prices.note('vastai', [offer(300_000)])
  const ask = { gpuModel: '4090', market: undefined, region: undefined, days: 30 }
  const crowd = await Promise.all(Array.from({ length: 20 }, () => prices.look(ask, true)))
  expect(crowd.every(({ looks }) => looks.length === 1)).toBe(true)
  expect(readings).toBe(1)
  await clock.advance(15_000)
  await prices.look(ask, true)
  expect(readings).toBe(2)
})
