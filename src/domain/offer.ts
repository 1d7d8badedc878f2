/** One machine that can be rented, the same shape whatever market it is on. */
import { hasGpuWords } from './gpu-names.ts'
import type { MicroUsd } from './money.ts'

export const marketNames = ['vastai', 'ionet'] as const
export type MarketName = (typeof marketNames)[number]

export interface Offer {
  /** `<market>:<the market's own id>`. */
  id: string
  market: MarketName
  gpuModel: string
  gpuCount: number
  /** Memory of one GPU in MiB, as the market states it. */
  vramMib: number
  /** All in, for the whole offer and hour; the sum of the parts. */
  priceMicroUsd: MicroUsd
  priceParts: Record<string, MicroUsd>
  /** As the market writes it; null where it does not say. */
  location: string | null
  /** 0-1; null where the market does not say. */
  reliability: number | null
  available: boolean
  /** So many machines of this kind can be had by it. @default 1 */
  replicas?: number | undefined
  /** Of the machine's host, where the market tells. */
  hostId?: string | undefined
  /** A disk of its own is paid for: micro-dollars a GB and hour, of which the price includes so many. @default included */
  disk?: { perGbHour: number; includedGb: number } | undefined
}

export interface OfferFilter {
  market?: MarketName | undefined
  gpuModel?: string | undefined
  minVramGb?: number | undefined
  maxPriceMicroUsd?: MicroUsd | undefined
  location?: string | undefined
  gpuCount?: number | undefined
}

export const offerSorts = ['price', '-price', 'price_per_gpu', 'vram', 'reliability'] as const
export type OfferSort = (typeof offerSorts)[number]

/** What cards are sold with, in GB. */
const soldWith = [4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 80, 94, 96, 141, 180, 192, 288]
/** Share of its memory that a card keeps to itself, at most: error correction takes a sixteenth. */
const keptShare = 0.07

/** The gigabytes a card is sold with: a 24 GB card reports 24,564 MiB, or with error correction 23,034. */
export function vramGb(mib: number): number {
  const gib = mib / 1024
  const sold = soldWith.find((gb) => gib <= gb && gib >= gb * (1 - keptShare))
  return sold ?? Math.round(gib)
}

const countries = new Intl.DisplayNames(['en'], { type: 'region' })
const countryCode = /^[a-z]{2}$/i

/** Markets write `Texas, US` or `United States`: each is found by the code, by the country and by part of the name. */
function isIn(place: string, asked: string): boolean {
  const last = place.split(',').at(-1)!.trim()
  const country = countryCode.test(last) ? countries.of(last.toUpperCase())! : last
  const wanted = asked.trim()
  if (!countryCode.test(wanted)) return `${place} ${country}`.toLowerCase().includes(wanted.toLowerCase())
  return country.toLowerCase() === countries.of(wanted.toUpperCase())!.toLowerCase()
}

/** A card of 24 GB tells 24,564 MiB, one of 80 tells 81,559; one that gives a sixteenth to error correction has less. */
const hasVram = (mib: number, gb: number) => mib / 1024 >= 0.98 * gb

export function matches(offer: Offer, filter: OfferFilter): boolean {
  if (!offer.available) return false
  if (filter.market && offer.market !== filter.market) return false
  if (filter.gpuModel && !hasGpuWords(offer.gpuModel, filter.gpuModel)) return false
  if (filter.minVramGb !== undefined && !hasVram(offer.vramMib, filter.minVramGb)) return false
  if (filter.maxPriceMicroUsd !== undefined && offer.priceMicroUsd > filter.maxPriceMicroUsd) return false
  if (filter.gpuCount !== undefined && offer.gpuCount !== filter.gpuCount) return false
  if (filter.location && !isIn(offer.location ?? '', filter.location)) return false
  return true
}

/** Ties go by id, so that equal offers keep their order from answer to answer. */
export function compareOffers(sort: OfferSort): (a: Offer, b: Offer) => number {
  const key: Record<OfferSort, (offer: Offer) => number> = {
    price: (offer) => offer.priceMicroUsd,
    '-price': (offer) => -offer.priceMicroUsd,
    price_per_gpu: (offer) => offer.priceMicroUsd / offer.gpuCount,
    vram: (offer) => -offer.vramMib * offer.gpuCount,
    reliability: (offer) => -(offer.reliability ?? 0),
  }
  const of = key[sort]
  return (a, b) => of(a) - of(b) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}
