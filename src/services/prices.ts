/** What GPUs cost by the hour, from the lists that searches bring, and where today's price stands among them. */
import type { Cache, CacheResult } from '../cache/cache.ts'
import { publicKey } from '../cache/keys.ts'
import { hasGpuWords } from '../domain/gpu-names.ts'
import { countryOf, type MarketName, type Offer } from '../domain/offer.ts'
import {
  byDay,
  type PriceAt,
  type PricePoint,
  type PriceSummary,
  percentileOf,
  summaryOf,
} from '../domain/price-history.ts'
import type { Clock, Log, PriceHistory, PriceHour } from '../ports.ts'

export interface Prices {
  /** A market's list as it is now. Noted every few minutes at most; what cannot be noted is left out. */
  note(market: MarketName, offers: readonly Offer[]): Promise<void>
  /** `fresh`: the caller would rather not have them out of a cache. */
  look(ask: PriceQuestion, fresh?: boolean): Promise<{ looks: PriceLook[]; result: CacheResult }>
}

export interface PriceQuestion {
  /** Whole words of a name. @default every GPU, a hundred of them at most */
  gpuModel: string | undefined
  market: MarketName | undefined
  /** A country, by its code or name. @default all together */
  region: string | undefined
  days: number
}

/** Of one GPU in one market. */
export interface PriceLook extends PriceSummary {
  gpuModel: string
  market: MarketName
  /** Of one region; undefined = over all of them. */
  region: string | undefined
  /** The latest hour is no older than a day. */
  isCurrent: boolean
  interval: 'hour' | 'day'
  history: PricePoint[]
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** Callers who want nothing cached get what is younger than this: else each of a crowd would wait for all before it. */
const leastIntervalMs = 15_000
const noteEveryMs = 5 * 60_000
export const keptDays = 90
/** Beyond, a history is told by the day. */
const hourlyDays = 7
/** GPUs in one answer. */
const maxModels = 100

export interface PricesOptions {
  clock: Clock
  history: PriceHistory
  /** Of answers: they are read from many hours, and change every few minutes. */
  looks: Cache<PriceLook[], 'public'>
  log: Log
}

export function createPrices({ clock, history, looks, log }: PricesOptions): Prices {
  const notedAt = new Map<MarketName, number>()

  async function read({ gpuModel, market, region, days }: PriceQuestion): Promise<PriceLook[]> {
    const now = clock.wallNow()
    const since = new Date(now - days * dayMs)
    const names = await history.names(since)
    const asked = names.filter((name) => gpuModel === undefined || hasGpuWords(name, gpuModel)).slice(0, maxModels)
    const found: PriceLook[] = []
    for (const name of asked) {
      const hours = await history.hours({ gpuModel: name, market, region, since })
      for (const [each, own] of Map.groupBy(hours, ({ market }) => market)) {
        const summary = summaryOf(own)
        const isCurrent = now - summary.asOf.getTime() < dayMs
        found.push({ ...summary, gpuModel: name, market: each, region, isCurrent, ...shown(own, days) })
      }
    }
    return found
  }

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
    async look(question, fresh = false) {
      const ask = { ...question, region: question.region && (countryOf(question.region) || question.region) }
      const { gpuModel = '', market = '', region = '', days } = ask
      const key = publicKey(gpuModel.toLowerCase(), market, region.toLowerCase(), String(days))
      const { value, result } = await looks.get(key, () => read(ask), fresh ? leastIntervalMs : undefined)
      return { looks: value, result }
    },
  }
}

const shown = (hours: readonly PriceAt[], days: number): Pick<PriceLook, 'interval' | 'history'> =>
  days > hourlyDays
    ? { interval: 'day', history: byDay(hours) }
    : { interval: 'hour', history: hours.map(({ hour, cheapest }) => ({ at: hour, price: cheapest })) }

function hoursOf(market: MarketName, offers: readonly Offer[], hour: Date): PriceHour[] {
  const groups = new Map<string, { gpuModel: string; region: string; prices: number[]; lowestBid?: number }>()
  for (const { available, verified, gpuModel, gpuCount, location, priceMicroUsd, minBid } of offers) {
    if (!available || verified === false) continue
    const region = regionOf(location)
    const key = `${gpuModel}\n${region}`
    const group = groups.get(key) ?? { gpuModel, region, prices: [] }
    group.prices.push(Math.round(priceMicroUsd / gpuCount))
    if (minBid !== undefined) {
      // Rounded up, since a bid below it is refused.
      group.lowestBid = Math.min(Math.ceil(minBid / gpuCount), group.lowestBid ?? Number.POSITIVE_INFINITY)
    }
    groups.set(key, group)
  }
  return [...groups.values()].map(({ gpuModel, region, prices, lowestBid }) => {
    prices.sort((a, b) => a - b)
    return { market, gpuModel, region, hour, cheapest: prices[0]!, median: percentileOf(prices, 50), lowestBid }
  })
}

const regionOf = (location: string | null) => ((location && countryOf(location)) || 'unknown').slice(0, 60)
