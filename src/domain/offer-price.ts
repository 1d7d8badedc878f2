/** What an offer costs as it is asked for: all in, an hour, and the parts of it. */
import type { MicroUsd } from './money.ts'
import { defaultDiskGb, matches, type Offer, type OfferFilter, type OfferSort, type OfferTerms } from './offer.ts'

export interface OfferPrice {
  /** The sum of the parts. */
  perHour: MicroUsd
  parts: { gpu: MicroUsd; disk: MicroUsd; egress: MicroUsd }
  /** What is bid for it; undefined = on demand. */
  bid: MicroUsd | undefined
}

export interface PricedOffer {
  offer: Offer
  price: OfferPrice
}

export function priceOf(offer: Offer, terms: OfferTerms): OfferPrice {
  const { diskGb = defaultDiskGb, egressGbPerHour = 0, interruptible = false } = terms
  const { perGbHour, includedGb } = offer.disk ?? { perGbHour: 0, includedGb: 0 }
  const bid = terms.bid ?? (interruptible ? offer.minBid : undefined)
  const gpu = bid ?? Math.max(0, offer.priceMicroUsd - Math.round(perGbHour * includedGb))
  const disk = Math.round(perGbHour * diskGb)
  const egress = Math.round((offer.egressPerGb ?? 0) * egressGbPerHour)
  return { perHour: gpu + disk + egress, parts: { gpu, disk, egress }, bid }
}

/** Those that fit, at what they cost as they are asked for. */
export function pricedOffers(offers: readonly Offer[], filter: OfferFilter): PricedOffer[] {
  const { maxPriceMicroUsd: most = Number.POSITIVE_INFINITY } = filter
  const found: PricedOffer[] = []
  for (const offer of offers) {
    if (!matches(offer, filter)) continue
    const price = priceOf(offer, filter)
    if (price.perHour <= most) found.push({ offer, price })
  }
  return found
}

/** Ties go by id, so that equal offers keep their order from answer to answer. */
export function compareOffers(sort: OfferSort): (a: PricedOffer, b: PricedOffer) => number {
  const key: Record<OfferSort, (priced: PricedOffer) => number> = {
    price: ({ price }) => price.perHour,
    '-price': ({ price }) => -price.perHour,
    price_per_gpu: ({ price, offer }) => price.perHour / offer.gpuCount,
    // Of one GPU, as `vram_gb` is.
    vram: ({ offer }) => -offer.vramMib,
    reliability: ({ offer }) => -(offer.reliability ?? 0),
  }
  const of = key[sort]
  return (a, b) => of(a) - of(b) || (a.offer.id < b.offer.id ? -1 : a.offer.id > b.offer.id ? 1 : 0)
}
