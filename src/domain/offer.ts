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
  /** On demand, for the whole offer and hour, with the disk that it includes. What is asked for, `priceOf` prices. */
  priceMicroUsd: MicroUsd
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
  /** What there is room for, in GB; undefined = the market does not say. */
  diskSpaceGb?: number | undefined
  /** Micro-dollars a GB that leaves the machine. @default 0 */
  egressPerGb?: number | undefined
  /** The least that is taken for it when interruptible, an hour without disk; undefined = no bids are taken. */
  minBid?: MicroUsd | undefined
  /** Paid for in advance, and not given back. @default 0 */
  minimumHours?: number | undefined
  /** The newest CUDA that its driver knows. */
  cuda?: number | undefined
  /** Mb/s. */
  inetDown?: number | undefined
  inetUp?: number | undefined
  /** The market has checked the machine; undefined = it makes no such difference. */
  verified?: boolean | undefined
  /** Of the machine's GPUs, those that the offer is of. */
  gpuFraction?: number | undefined
}

/** What a price, and whether it is to be had at all, depends on beside the offer. */
export interface OfferTerms {
  /** @default 10 */
  diskGb?: number | undefined
  /** What is expected to leave the machine. @default 0 */
  egressGbPerHour?: number | undefined
  /** For as long as nobody bids more; at `bid`, or without one at the least that is taken. @default on demand */
  interruptible?: boolean | undefined
  /** Micro-dollars an hour without disk. */
  bid?: MicroUsd | undefined
  /** TCP ports to publish. @default 0 */
  ports?: number | undefined
  /** It runs a script when it starts. @default false */
  onstart?: boolean | undefined
}

/** What a market does not tell of an offer does not pass where it is asked for. */
export interface OfferFilter extends OfferTerms {
  market?: MarketName | undefined
  gpuModel?: string | undefined
  minVramGb?: number | undefined
  maxPriceMicroUsd?: MicroUsd | undefined
  location?: string | undefined
  gpuCount?: number | undefined
  /** 0-1 */
  minReliability?: number | undefined
  minCuda?: number | undefined
  /** Mb/s. */
  minInetDown?: number | undefined
  minInetUp?: number | undefined
  /** 0-1; 1 = whole machines. */
  minGpuFraction?: number | undefined
  /** False: those too that their market has not checked. @default true */
  verified?: boolean | undefined
  preferred?: Preferred | undefined
}

/** One of several GPUs, in the order in which they are wanted: preference.ts. */
export interface Preferred {
  models: readonly string[]
  /**
   * An offer of a model is passed over where it costs more than so many percent above the cheapest offer of any model that
   * comes after its own. @default none is
   */
  fallbackPercent?: number | undefined
}

/** In GB. */
export const defaultDiskGb = 10

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

/** Markets write `Texas, US` or `United States`: both are in `United States`. */
export function countryOf(place: string): string {
  const last = place.split(',').at(-1)!.trim()
  return countryCode.test(last) ? countries.of(last.toUpperCase())! : last
}

/** A place is found by the code, by the country and by part of the name. */
function isIn(place: string, asked: string): boolean {
  const country = countryOf(place)
  const wanted = asked.trim()
  if (!countryCode.test(wanted)) return `${place} ${country}`.toLowerCase().includes(wanted.toLowerCase())
  return country.toLowerCase() === countries.of(wanted.toUpperCase())!.toLowerCase()
}

/** A card of 24 GB tells 24,564 MiB, one of 80 tells 81,559; one that gives a sixteenth to error correction has less. */
const hasVram = (mib: number, gb: number) => mib / 1024 >= 0.98 * gb

/** But for the price, which depends on more: offer-price.ts. */
export function matches(offer: Offer, filter: OfferFilter): boolean {
  if (!offer.available) return false
  if (filter.market && offer.market !== filter.market) return false
  if (filter.gpuModel && !hasGpuWords(offer.gpuModel, filter.gpuModel)) return false
  if (filter.preferred && !filter.preferred.models.some((model) => hasGpuWords(offer.gpuModel, model))) return false
  if (filter.minVramGb !== undefined && !hasVram(offer.vramMib, filter.minVramGb)) return false
  if (filter.gpuCount !== undefined && offer.gpuCount !== filter.gpuCount) return false
  if (filter.location && !isIn(offer.location ?? '', filter.location)) return false
  if (offer.verified === false && filter.verified !== false) return false
  return (
    inability(offer, filter) === undefined &&
    hasRoom(offer, filter) &&
    takesBid(offer, filter) &&
    isAtLeast(offer.reliability, filter.minReliability) &&
    isAtLeast(offer.cuda, filter.minCuda) &&
    isAtLeast(offer.inetDown, filter.minInetDown) &&
    isAtLeast(offer.inetUp, filter.minInetUp) &&
    isAtLeast(offer.gpuFraction, filter.minGpuFraction)
  )
}

const isAtLeast = (value: number | null | undefined, least: number | undefined) =>
  least === undefined || (value != null && value >= least)

/** What no machine of its market does, in words. */
export function inability({ market }: Pick<Offer, 'market'>, { ports = 0, onstart = false }: OfferTerms) {
  if (market !== 'ionet') return undefined
  if (onstart) return 'io.net runs no onstart script.'
  return ports > 1 ? 'io.net publishes one port.' : undefined
}

export const hasRoom = ({ diskSpaceGb }: Offer, { diskGb = defaultDiskGb }: OfferTerms): boolean =>
  diskSpaceGb === undefined || diskGb <= diskSpaceGb

export function takesBid({ minBid }: Offer, { interruptible, bid }: OfferTerms): boolean {
  if (!interruptible && bid === undefined) return true
  return minBid !== undefined && (bid ?? minBid) >= minBid
}
