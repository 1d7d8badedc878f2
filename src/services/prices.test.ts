import { expect, test } from 'vitest'
import { createMemoryPriceHistory } from '../../adapters/memory/price-history.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import type { Offer } from '../domain/offer.ts'
import { createPrices } from './prices.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }
const offer = (priceMicroUsd: number, more: Partial<Offer> = {}): Offer => ({
  ...{ id: 'vastai:1', market: 'vastai', gpuModel: 'RTX 4090', gpuCount: 1, vramMib: 24_564 },
  ...{ location: 'Texas, US', reliability: null, available: true, priceMicroUsd },
  ...more,
})

test("today's price stands where it stands among the hours before", async () => {
  const clock = new FakeClock()
  const prices = createPrices({ clock, history: createMemoryPriceHistory(), log })
  for (const price of [500_000, 400_000, 600_000, 300_000, 450_000]) {
    await prices.note('vastai', [offer(2 * price, { gpuCount: 2 }), offer(price + 1), offer(1, { available: false })])
    // Within five minutes it is not noted again.
    await prices.note('vastai', [offer(1)])
    await clock.advance(3_600_000)
  }
  const [look] = await prices.look({ gpuModel: '4090', days: 30 })
  expect(look).toMatchObject({ gpuModel: 'RTX 4090', current: 450_000, percentile: 40, hours: 5 })
  expect(look!.quantiles).toEqual({ min: 300_000, p25: 400_000, p50: 450_000, p75: 500_000, max: 600_000 })
  expect(await prices.look({ gpuModel: 'H100', days: 30 })).toEqual([])
})

test('a history that cannot be written stands in nobody’s way', async () => {
  const history = { ...createMemoryPriceHistory(), note: async () => Promise.reject(new Error('away')) }
  const prices = createPrices({ clock: new FakeClock(), history, log })
  await expect(prices.note('vastai', [offer(1)])).resolves.toBeUndefined()
})
