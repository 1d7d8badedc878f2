/** What GPUs cost by the hour, from the lists that searches bring, and where today's price stands among them. */
import { hasGpuWords } from '../domain/gpu-names.ts'
import type { MicroUsd } from '../domain/money.ts'
import type { MarketName, Offer } from '../domain/offer.ts'
import type { Clock, Log, PriceHistory, PriceHour } from '../ports.ts'

export interface Prices {
  /** A market's list as it is now. Noted every few minutes at most; what cannot be noted is left out. */
  note(market: MarketName, offers: readonly Offer[]): Promise<void>
  look(ask: { gpuModel: string | undefined; days: number }): Promise<PriceLook[]>
}

/** Of one GPU and hour, over all markets and regions. */
export interface PriceLook {
  gpuModel: string
  /** The cheapest of the latest hour that is known. */
  current: MicroUsd
  asOf: Date
  /** Of the hours of the time asked for, the share in which it was cheaper than now, in percent. */
  percentile: number
  hours: number
  quantiles: Record<'min' | 'p25' | 'p50' | 'p75' | 'max', MicroUsd>
  history: { hour: Date; price: MicroUsd }[]
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const noteEveryMs = 5 * 60_000
export const keptDays = 90
/** GPUs in one answer. */
const maxModels = 50

export function createPrices(options: { clock: Clock; history: PriceHistory; log: Log }): Prices {
  const { clock, history, log } = options
  const notedAt = new Map<MarketName, number>()

  return {
    async note(market, offers) {
      const now = clock.now()
      if (now - (notedAt.get(market) ?? Number.NEGATIVE_INFINITY) < noteEveryMs) return
      notedAt.set(market, now)
      const wall = clock.wallNow()
      try {
        await history.note(hoursOf(market, offers, new Date(Math.floor(wall / hourMs) * hourMs)))
        await history.forget(new Date(wall - keptDays * dayMs))
      } catch (error) {
        log.warn('prices could not be noted', { error: String(error) })
      }
    },
    async look({ gpuModel, days }) {
      const since = new Date(clock.wallNow() - days * dayMs)
      const names = await history.names(since)
      const asked = names.filter((name) => gpuModel === undefined || hasGpuWords(name, gpuModel)).slice(0, maxModels)
      const looks: PriceLook[] = []
      for (const name of asked) {
        const found = await history.cheapest(name, since)
        if (found.length > 0) looks.push(lookAt(name, found))
      }
      return looks
    },
  }
}

function hoursOf(market: MarketName, offers: readonly Offer[], hour: Date): PriceHour[] {
  const groups = new Map<string, { gpuModel: string; region: string; prices: number[] }>()
  for (const { available, verified, gpuModel, gpuCount, location, priceMicroUsd } of offers) {
    if (!available || verified === false) continue
    const region = regionOf(location)
    const key = `${gpuModel}\n${region}`
    const group = groups.get(key) ?? { gpuModel, region, prices: [] }
    group.prices.push(Math.round(priceMicroUsd / gpuCount))
    groups.set(key, group)
  }
  return [...groups.values()].map(({ gpuModel, region, prices }) => {
    prices.sort((a, b) => a - b)
    return { market, gpuModel, region, hour, cheapest: prices[0]!, median: quantile(prices, 0.5) }
  })
}

/** A place's country, as markets end them: `Texas, US`. */
const regionOf = (location: string | null) => (location?.split(',').at(-1)?.trim() || 'unknown').slice(0, 60)

function lookAt(gpuModel: string, history: PriceLook['history']): PriceLook {
  const { hour: asOf, price: current } = history.at(-1)!
  const sorted = history.map(({ price }) => price).sort((a, b) => a - b)
  const cheaper = sorted.filter((price) => price < current).length
  return {
    ...{ gpuModel, current, asOf, history, hours: history.length },
    percentile: Math.round((100 * cheaper) / sorted.length),
    quantiles: {
      min: sorted[0]!,
      p25: quantile(sorted, 0.25),
      p50: quantile(sorted, 0.5),
      p75: quantile(sorted, 0.75),
      max: sorted.at(-1)!,
    },
  }
}

/** Of sorted values: the nearest rank. */
const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!
