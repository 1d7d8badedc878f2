/** What GPUs have cost, as it is told over HTTP. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createMemoryPriceHistory } from '../../adapters/memory/price-history.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'

const hourMs = 3_600_000
let gateway: TestGateway
beforeAll(async () => {
  const priceHistory = createMemoryPriceHistory()
  const now = Math.floor(Date.now() / hourMs) * hourMs
  const known = { market: 'vastai', gpuModel: 'Tesla P4', median: 900_000 } as const
  for (let ago = 99; ago > 0; ago--) {
    const at = { ...known, hour: new Date(now - ago * hourMs) }
    const cheapest = 100_000 + 1_000 * ago
    await priceHistory.note([
      { ...at, region: 'United States', cheapest, lowestBid: cheapest / 2 },
      { ...at, region: 'Germany', cheapest: cheapest + 5_000, lowestBid: undefined },
    ])
  }
  gateway = await startTestGateway({ ports: { priceHistory } })
})
afterAll(() => gateway.close())

async function prices(query: string) {
  const answer = await gateway.get(`/api/v1/gpu/prices${query}`)
  return { status: answer.status, json: await answer.json() }
}

test('percentiles, where the latest hour stands, a bid and what they rest on', async () => {
  const { json } = await prices('?gpu_model=p4')
  expect(json).toMatchObject({
    days: 30,
    prices: [
      {
        ...{ gpu_model: 'Tesla P4', provider: 'vastai', price_per_gpu_hour: 0.101, percentile: 0, hours: 99 },
        summary: 'today is p0 of 30 days, of which 99 hours are known',
        percentiles: { p0: 0.101, p10: 0.11, p25: 0.125, p50: 0.15, p75: 0.175, p90: 0.19, p100: 0.199 },
        bid: { price_per_gpu_hour: 0.095, hours: 99, holds_in_percent: 90 },
        interval: 'day',
      },
    ],
  })
  expect(json.prices[0].history.length).toBeLessThan(10)
  const [here] = (await prices('?gpu_model=p4&region=DE&days=2&market=vast.ai')).json.prices
  expect(here).toMatchObject({ region: 'Germany', price_per_gpu_hour: 0.106, interval: 'hour' })
  expect(here.bid).toMatchObject({ price_per_gpu_hour: null, hours: 0 })
  expect(here.history).toHaveLength(here.hours)
  expect((await prices('?gpu_model=p4&provider=ionet')).json).toMatchObject({ prices: [], summary: expect.any(String) })
})

test('a search is noted, and with one hour it says that it is little', async () => {
  expect((await prices('?gpu_model=RTX%204090')).json.prices).toEqual([])
  await (await gateway.get('/api/v1/gpu/offers')).text()
  const { json } = await prices('?gpu_model=4090&days=3')
  expect(json.prices.map(({ provider }: { provider: string }) => provider)).toEqual(['ionet', 'vastai'])
  for (const each of json.prices) {
    expect(each.summary).toBe('today is p0 of 3 days, of which 1 hour is known: too few to rely on')
    expect(each.bid.price_per_gpu_hour).toBeNull()
  }
})

test.each(['days=0', 'days=91', 'days=x', 'provider=aws', 'gpu=1', 'market=vastai&provider=vastai', 'region='])(
  '%s is a 400',
  async (query) => {
    expect(await prices(`?${query}`)).toMatchObject({ status: 400, json: { code: 'invalid_query' } })
  },
)
