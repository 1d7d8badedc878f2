/** Prices of one process, for tests. */
import type { MarketName } from '../../src/domain/offer.ts'
import type { PriceAt } from '../../src/domain/price-history.ts'
import type { PriceHistory, PriceHour } from '../../src/ports.ts'

export function createMemoryPriceHistory(): PriceHistory {
  const hours = new Map<string, PriceHour>()
  const since = (at: Date) => [...hours.values()].filter(({ hour }) => hour >= at)
  return {
    async note(seen) {
      for (const each of seen) {
        const key = JSON.stringify([each.gpuModel, each.hour, each.market, each.region])
        hours.set(key, { ...each, ...lower(each, hours.get(key)) })
      }
    },
    names: async (at) => [...new Set(since(at).map(({ gpuModel }) => gpuModel))].sort(),
    async hours({ gpuModel, since: at, market, region }) {
      const found = new Map<string, PriceAt & { market: MarketName }>()
      for (const each of since(at)) {
        if (each.gpuModel !== gpuModel || (market !== undefined && each.market !== market)) continue
        if (region !== undefined && each.region.toLowerCase() !== region.toLowerCase()) continue
        const key = `${each.market} ${each.hour.toISOString()}`
        found.set(key, { market: each.market, hour: each.hour, ...lower(each, found.get(key)) })
      }
      return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, hour]) => hour)
    },
    async forget(before) {
      for (const [key, { hour }] of hours) if (hour < before) hours.delete(key)
    },
  }
}

const lower = (a: PriceAt, b: PriceAt | undefined) => ({
  cheapest: Math.min(a.cheapest, b?.cheapest ?? a.cheapest),
  lowestBid:
    a.lowestBid === undefined || b?.lowestBid === undefined
      ? (a.lowestBid ?? b?.lowestBid)
      : Math.min(a.lowestBid, b.lowestBid),
})
