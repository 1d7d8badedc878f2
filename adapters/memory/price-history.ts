/** Prices of one process, for tests. */
import type { PriceHistory, PriceHour } from '../../src/ports.ts'

export function createMemoryPriceHistory(): PriceHistory {
  const hours = new Map<string, PriceHour>()
  const since = (at: Date) => [...hours.values()].filter(({ hour }) => hour >= at)
  return {
    async note(seen) {
      for (const each of seen) {
        const key = JSON.stringify([each.gpuModel, each.hour, each.market, each.region])
        const cheapest = Math.min(each.cheapest, hours.get(key)?.cheapest ?? Number.POSITIVE_INFINITY)
        hours.set(key, { ...each, cheapest })
      }
    },
    names: async (at) => [...new Set(since(at).map(({ gpuModel }) => gpuModel))].sort(),
    async cheapest(gpuModel, at) {
      const prices = new Map<number, number>()
      for (const { gpuModel: name, hour, cheapest } of since(at)) {
        if (name !== gpuModel) continue
        prices.set(hour.getTime(), Math.min(cheapest, prices.get(hour.getTime()) ?? Number.POSITIVE_INFINITY))
      }
      return [...prices].sort(([a], [b]) => a - b).map(([hour, price]) => ({ hour: new Date(hour), price }))
    },
    async forget(before) {
      for (const [key, { hour }] of hours) if (hour < before) hours.delete(key)
    },
  }
}
