/** Offers as they are rented by: one by its id, or the cheapest that fit. From the same snapshots as the list. */
import type { OfferFilter } from '../domain/offer.ts'
import type { RentalOffer } from '../domain/rental.ts'

export interface OfferBook {
  /** Priced with that disk. Undefined: no market lists it (any more). @throws ApiError where its market cannot be asked */
  find(offerId: string, terms: OfferTerms): Promise<RentalOffer | undefined>
  /** The cheapest that fit, at most `limit`. A market that is down shortens the list. */
  pick(filter: OfferFilter, ask: OfferTerms & { limit: number; without: readonly string[] }): Promise<RentalOffer[]>
  /** It was rented, or somebody else has it: it is not offered again until its market lists it anew. */
  taken(offerId: string): void
}

export interface OfferTerms {
  diskGb: number
  /** Interruptible machines at what is bid for them, micro-dollars an hour; undefined = on demand. */
  bid?: number | undefined
}
