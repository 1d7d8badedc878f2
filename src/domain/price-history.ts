/** What the prices of many hours come to: where the latest stands among them, and what to bid. */
import type { MicroUsd } from './money.ts'

/** Of one GPU. */
export interface PriceAt {
  hour: Date
  cheapest: MicroUsd
  /** The lowest bid that was taken; undefined = none was, or nobody noted it. */
  lowestBid: MicroUsd | undefined
}

export interface PriceSummary {
  /** Of the latest hour that is known. */
  current: MicroUsd
  asOf: Date
  /** The share of the hours in which it was cheaper than now, in percent. */
  percentile: number
  hours: number
  percentiles: Record<`p${(typeof shownPercents)[number]}`, MicroUsd>
  bid: BidSuggestion
}

/** Undefined `price`: too few hours are known. */
export interface BidSuggestion {
  price: MicroUsd | undefined
  hours: number
}

export interface PricePoint {
  at: Date
  price: MicroUsd
}

const shownPercents = [0, 10, 25, 50, 75, 90, 100] as const
/** A day: prices go by its hours, and fewer of them say little. */
export const fewestHours = 24
/** In percent of the hours. */
export const bidHolds = 90
const dayMs = 86_400_000

/** `history`: one or more hours, the oldest first. */
export function summaryOf(history: readonly PriceAt[]): PriceSummary {
  const { hour: asOf, cheapest: current } = history.at(-1)!
  const sorted = sortedNumbers(history.map(({ cheapest }) => cheapest))
  const cheaper = sorted.filter((price) => price < current).length
  const percentiles = shownPercents.map((percent) => [`p${percent}`, percentileOf(sorted, percent)])
  const bids = sortedNumbers(history.flatMap(({ lowestBid }) => lowestBid ?? []))
  return {
    ...{ current, asOf, hours: history.length },
    percentile: Math.round((100 * cheaper) / sorted.length),
    percentiles: Object.fromEntries(percentiles),
    bid: { hours: bids.length, price: bids.length < fewestHours ? undefined : percentileOf(bids, bidHolds) },
  }
}

/** The cheapest of each day of UTC. */
export function byDay(history: readonly PriceAt[]): PricePoint[] {
  const days = new Map<number, MicroUsd>()
  for (const { hour, cheapest } of history) {
    const day = Math.floor(hour.getTime() / dayMs) * dayMs
    days.set(day, Math.min(cheapest, days.get(day) ?? Number.POSITIVE_INFINITY))
  }
  return [...days].map(([day, price]) => ({ at: new Date(day), price }))
}

const sortedNumbers = (numbers: MicroUsd[]) => numbers.sort((a, b) => a - b)

/** Of sorted values: the nearest rank, so that at least so many percent are no higher. */
export const percentileOf = (sorted: readonly MicroUsd[], percent: number): MicroUsd =>
  sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)]!
