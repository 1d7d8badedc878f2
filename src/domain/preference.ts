/** What an account has saved to look for machines by, and the order into which it puts offers. */
import { hasGpuWords } from './gpu-names.ts'
import type { MicroUsd } from './money.ts'
import { matches, type Offer, type OfferFilter, type Preferred } from './offer.ts'
import { compareOffers, type PricedOffer, pricedOffers } from './offer-price.ts'

export interface Preference {
  name: string
  /** GPUs in the order in which they are wanted. */
  models: readonly string[]
  /** As they were given, under the names of the API. */
  filters: Record<string, unknown>
  /** Of a whole offer, an hour. */
  maxPrice: MicroUsd | undefined
  /** See `Preferred`. */
  fallbackPricePercent: number | undefined
  updatedAt: Date
}

export const maxPreferences = 50

/** Which of the models it is of, the first that fits; -1 = none. */
const placeOf = (offer: Offer, models: readonly string[]) =>
  models.findIndex((model) => hasGpuWords(offer.gpuModel, model))

const byPrice = compareOffers('price')

interface Limit {
  price: MicroUsd
  /** The model that is so much cheaper. */
  than: string
}

/** For each model, what an offer of it may cost before a later one is taken; undefined = whatever it costs. */
function limitsOf(found: readonly PricedOffer[], { models, fallbackPercent }: Preferred): (Limit | undefined)[] {
  const cheapest = models.map(() => Number.POSITIVE_INFINITY)
  for (const { offer, price } of found) {
    const place = placeOf(offer, models)
    if (place >= 0) cheapest[place] = Math.min(cheapest[place]!, price.perHour)
  }
  return models.map((_, place) => {
    const later = Math.min(...cheapest.slice(place + 1))
    if (fallbackPercent === undefined || !Number.isFinite(later)) return undefined
    const than = models[cheapest.indexOf(later, place + 1)]!
    return { price: Math.floor(later * (1 + fallbackPercent / 100)), than }
  })
}

/** By the order of the models and then the price; those that are too dear for their place come after all others. */
export function byPreference<P extends PricedOffer>(found: readonly P[], preferred: Preferred): P[] {
  const limits = limitsOf(found, preferred)
  return found
    .map((priced) => {
      const place = placeOf(priced.offer, preferred.models)
      return { priced, place, isDear: priced.price.perHour > (limits[place]?.price ?? Number.POSITIVE_INFINITY) }
    })
    .sort((a, b) => Number(a.isDear) - Number(b.isDear) || a.place - b.place || byPrice(a.priced, b.priced))
    .map(({ priced }) => priced)
}

export interface ModelFound {
  model: string
  /** `next`: it would do, and one before it is taken. */
  outcome: 'taken' | 'next' | 'too_dear' | 'over_max_price' | 'no_fit' | 'not_listed'
  /** Offers that there are, that fit but for their price, and that fit. */
  counts: { listed: number; fitting: number; found: number }
  /** Of those that fit; where none is cheap enough, of those that fit but for their price. */
  cheapest: PricedOffer | undefined
  limit: Limit | undefined
}

/** Of each model in order what there is, and why it would be taken or not. */
export function findByPreference(offers: readonly Offer[], filter: OfferFilter, preferred: Preferred): ModelFound[] {
  const { models } = preferred
  const found = pricedOffers(offers, { ...filter, preferred })
  const limits = limitsOf(found, preferred)
  const first = byPreference(found, preferred)[0]
  const taken = first && placeOf(first.offer, models)
  return models.map((model, place) => {
    const own = offers.filter((offer) => matches(offer, anyOf) && placeOf(offer, models) === place)
    const fitting = pricedOffers(own, { ...filter, maxPriceMicroUsd: undefined }).sort(byPrice)
    const fits = pricedOffers(own, filter).sort(byPrice)
    const limit = limits[place]
    return {
      model,
      outcome: outcomeOf(),
      counts: { listed: own.length, fitting: fitting.length, found: fits.length },
      cheapest: fits[0] ?? fitting[0],
      limit,
    }

    function outcomeOf(): ModelFound['outcome'] {
      if (own.length === 0) return 'not_listed'
      if (fitting.length === 0) return 'no_fit'
      if (fits.length === 0) return 'over_max_price'
      if (place === taken) return 'taken'
      return limit && fits[0]!.price.perHour > limit.price ? 'too_dear' : 'next'
    }
  })
}

/** No market has to have checked it, and any disk will do. */
const anyOf: OfferFilter = { verified: false, diskGb: 0 }
