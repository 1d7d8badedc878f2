/** Offers as they are rented by: one by its id, or the cheapest that fit. From the same snapshots as the list. */
import { SourceResting } from '../cache/cache.ts'
import { usd } from '../domain/money.ts'
import {
  hasRoom,
  inability,
  type MarketName,
  marketNames,
  type Offer,
  type OfferFilter,
  type OfferTerms,
  takesBid,
} from '../domain/offer.ts'
import { compareOffers, type PricedOffer, pricedOffers, priceOf } from '../domain/offer-price.ts'
import { byPreference } from '../domain/preference.ts'
import type { RentalOffer } from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import type { Clock } from '../ports.ts'
import { toApiError } from '../upstream/api-error.ts'
import type { Offers } from './offers.ts'

export interface OfferBook {
  /**
   * Undefined: no market lists it (any more).
   * @throws ApiError where its market cannot be asked, or it is not to be had like that
   */
  find(offerId: string, terms: OfferTerms): Promise<RentalOffer | undefined>
  /**
   * The cheapest or preferred that fit, at most `limit`; the terms of `ask` go before the filter's. A market that is down
   * shortens the list. With `machines` an offer of several is there as often as it has any left.
   * @throws ApiError where none that it may be is configured
   */
  pick(
    filter: OfferFilter,
    ask: OfferTerms & { limit: number; without: readonly string[]; machines?: boolean },
  ): Promise<RentalOffer[]>
  /** A machine of it was rented, or somebody else has it: where it has no other it is not offered for a minute. */
  taken(offerId: string): void
}

export interface OfferBookOptions {
  clock: Pick<Clock, 'now'>
  offers: Pick<Offers, 'snapshot'>
  markets: readonly MarketName[]
  /** Of those the ones that the sandbox plays. @default none */
  sandbox?: readonly string[]
}

/** As long as a list may be that still names it. */
const takenMs = 60_000
const maxTaken = 10_000

export function createOfferBook({ clock, offers, markets, sandbox = [] }: OfferBookOptions): OfferBook {
  const taken = new Map<string, { at: number; machines: number }>()
  const takenOf = (id: string) => {
    const known = taken.get(id)
    return known && clock.now() - known.at < takenMs ? known.machines : 0
  }
  const rentalOffer = (found: PricedOffer): RentalOffer => ({
    ...offerOf(found),
    ...(sandbox.includes(found.offer.market) && { sandbox: true }),
  })
  const left = ({ id, replicas = 1 }: Offer) => Math.max(replicas - takenOf(id), 0)

  return {
    async find(offerId, terms) {
      const market = marketNames.find((name) => offerId.startsWith(`${name}:`))
      if (!market) return undefined
      if (!markets.includes(market)) throw new ApiError('provider_not_configured')
      const snapshot = await offers.snapshot(market).catch((error) => {
        throw toPublic(error)
      })
      const found = snapshot.offers.find(({ id }) => id === offerId)
      if (!found?.available || left(found) === 0) return undefined
      checkTerms(found, terms)
      return rentalOffer({ offer: found, price: priceOf(found, terms) })
    },
    async pick(filter, { limit, without, machines = false, ...terms }) {
      const asked = markets.filter((name) => filter.market === undefined || filter.market === name)
      if (asked.length === 0) throw new ApiError('provider_not_configured')
      const found = await Promise.allSettled(asked.map((name) => offers.snapshot(name)))
      const listed = found
        .flatMap((each) => (each.status === 'fulfilled' ? each.value.offers : []))
        .filter((offer) => !without.includes(offer.id) && left(offer) > 0)
      const fits = pricedOffers(listed, { ...filter, ...terms })
      const { preferred } = filter
      const inOrder = preferred ? byPreference(fits, preferred) : fits.sort(byPrice)
      const each = machines
        ? inOrder.flatMap((found) => Array.from({ length: Math.min(left(found.offer), limit) }, () => found))
        : inOrder
      return each.slice(0, limit).map(rentalOffer)
    },
    taken(offerId) {
      const machines = takenOf(offerId) + 1
      taken.delete(offerId)
      taken.set(offerId, { at: clock.now(), machines })
      if (taken.size > maxTaken) taken.delete(taken.keys().next().value!)
    },
  }
}

const toPublic = (error: unknown) =>
  error instanceof SourceResting
    ? new ApiError('upstream_unavailable', { retryAfterMs: error.forMs })
    : toApiError(error)

const byPrice = compareOffers('price')

function offerOf({ offer, price }: PricedOffer): RentalOffer {
  const { id, market, gpuModel, gpuCount, vramMib, hostId, location } = offer
  const { perHour: pricePerHour, parts, bid } = price
  return { id, market, gpuModel, gpuCount, vramMib, hostId, location, pricePerHour, stoppedPerHour: parts.disk, bid }
}

/** The market would refuse it, in words of its own. */
function checkTerms(offer: Offer, terms: OfferTerms): void {
  const unable = inability(offer, terms)
  if (unable) {
    const message = `${unable} Ask without it, or take an offer of another market.`
    throw new ApiError('unsupported_by_market', { message })
  }
  if (!hasRoom(offer, terms)) {
    const message = `disk_gb: that machine has ${Math.floor(offer.diskSpaceGb ?? 0)} GB.`
    throw new ApiError('invalid_body', { message, param: 'disk_gb' })
  }
  if (takesBid(offer, terms)) return
  if (offer.minBid === undefined) {
    const message = 'That offer takes no bids. Leave the bid out, or search with interruptible.'
    throw new ApiError('unsupported_by_market', { message })
  }
  throw new ApiError('bid_too_low', {
    message: `That offer takes no bid below ${usd(offer.minBid)} dollars an hour. Nothing was rented and nothing is charged. Bid as much, or take another offer.`,
    param: 'bid',
  })
}
