/** Offers as they are rented by: one by its id, or the cheapest that fit. From the same snapshots as the list. */
import { type MarketName, matches, type Offer, type OfferFilter } from '../domain/offer.ts'
import type { RentalOffer } from '../domain/rental.ts'
import type { Clock } from '../ports.ts'
import { toApiError } from '../upstream/api-error.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'
import type { Offers } from './offers.ts'

export interface OfferBook {
  /** Priced with that disk. Undefined: no market lists it (any more). @throws ApiError where its market cannot be asked */
  find(offerId: string, terms: OfferTerms): Promise<RentalOffer | undefined>
  /** The cheapest that fit, at most `limit`. A market that is down shortens the list. */
  pick(filter: OfferFilter, ask: OfferTerms & { limit: number; without: readonly string[] }): Promise<RentalOffer[]>
  /** A machine of it was rented, or somebody else has it: where it has no other it is not offered for a minute. */
  taken(offerId: string): void
}

export interface OfferTerms {
  diskGb: number
  /** Interruptible machines at what is bid for them, micro-dollars an hour; undefined = on demand. */
  bid?: number | undefined
}

export interface OfferBookOptions {
  clock: Pick<Clock, 'now'>
  offers: Pick<Offers, 'snapshot'>
  markets: readonly MarketName[]
}

/** As long as a list may be that still names it. */
const takenMs = 60_000
const maxTaken = 10_000

export function createOfferBook({ clock, offers, markets }: OfferBookOptions): OfferBook {
  const taken = new Map<string, { at: number; machines: number }>()
  const takenOf = (id: string) => {
    const known = taken.get(id)
    return known && clock.now() - known.at < takenMs ? known.machines : 0
  }
  const isTaken = ({ id, replicas = 1 }: Offer) => takenOf(id) >= replicas

  return {
    async find(offerId, terms) {
      const market = markets.find((name) => offerId.startsWith(`${name}:`))
      if (!market) return undefined
      const snapshot = await offers.snapshot(market).catch((error) => {
        throw error instanceof UpstreamFailure ? toApiError(error) : error
      })
      const found = snapshot.offers.find(({ id }) => id === offerId)
      return found?.available && !isTaken(found) ? rentalOffer(found, terms) : undefined
    },
    async pick(filter, { limit, without, ...terms }) {
      const asked = markets.filter((name) => filter.market === undefined || filter.market === name)
      const found = await Promise.allSettled(asked.map((name) => offers.snapshot(name)))
      const { maxPriceMicroUsd: most = Number.POSITIVE_INFINITY, ...fits } = filter
      return found
        .flatMap((each) => (each.status === 'fulfilled' ? each.value.offers : []))
        .filter((offer) => matches(offer, fits) && !without.includes(offer.id) && !isTaken(offer))
        .map((offer) => rentalOffer(offer, terms))
        .filter(({ pricePerHour }) => pricePerHour <= most)
        .sort((a, b) => a.pricePerHour - b.pricePerHour || (a.id < b.id ? -1 : 1))
        .slice(0, limit)
    },
    taken(offerId) {
      const machines = takenOf(offerId) + 1
      taken.delete(offerId)
      taken.set(offerId, { at: clock.now(), machines })
      if (taken.size > maxTaken) taken.delete(taken.keys().next().value!)
    },
  }
}

/** With the disk that was asked for, and at the bid where there is one. */
function rentalOffer(offer: Offer, { diskGb, bid }: OfferTerms): RentalOffer {
  const { perGbHour, includedGb } = offer.disk ?? { perGbHour: 0, includedGb: diskGb }
  const disk = Math.round(perGbHour * diskGb)
  const gpu = bid ?? offer.priceMicroUsd - Math.round(perGbHour * includedGb)
  const { id, market, gpuModel, gpuCount, vramMib, hostId, location } = offer
  return { id, market, gpuModel, gpuCount, vramMib, hostId, location, pricePerHour: gpu + disk, stoppedPerHour: disk }
}
