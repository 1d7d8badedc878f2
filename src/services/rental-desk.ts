/** What the rest of the gateway asks of rentals. */
import type { EndReason, Rental, RentalSearch, RentalSpec } from '../domain/rental.ts'
import type { Budgets } from '../ports.ts'

/** Who pays for a rental: what is known of the credential that it was asked for with. */
export interface Payer {
  accountId: string
  keyId: string
  /** The account's id, or the key's where it has a budget of its own. */
  purseId: string
  budgets: Budgets | undefined
}

export interface RentOrder {
  spec: RentalSpec
  search: RentalSearch
  /** Named by the caller: then another one is taken only of the same market, GPU and count, within the price. */
  offerId?: string | undefined
  reservationId?: string | undefined
  deploymentId?: string | undefined
  replaces?: string | undefined
}

export interface RentalDesk {
  /**
   * Rents one machine. Resolves when the market has made it, or when nobody knows whether it has (`unknown`).
   * @throws ApiError where nothing was rented
   */
  rent(payer: Payer, order: RentOrder): Promise<Rental>
  /**
   * `count` machines: the credit for all of them is held, or none is. Resolves at once, each `intended`; the background
   * creates them. @throws ApiError where there are not enough offers, or not enough credit
   */
  begin(payer: Payer, order: Omit<RentOrder, 'offerId'>, count: number): Promise<Rental[]>
  /** To be destroyed. Undefined: it is gone, or going already. */
  end(rental: Rental, reason: EndReason): Promise<Rental | undefined>
}
