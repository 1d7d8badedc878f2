/** What an account has rented, when the account is closed. */
import type { Rentals } from '../ports.ts'
import type { RentalDesk } from './rental-desk.ts'

/** All that an account has rented is to end. Done again, it does what is left to do. */
export type EndRentals = (accountId: string) => Promise<void>

export interface EndRentalsOptions {
  rentals: Pick<Rentals, 'list'>
  desk: Pick<RentalDesk, 'end'>
}

const pageSize = 100

export const createEndRentals = ({ rentals, desk }: EndRentalsOptions): EndRentals =>
  async function endRentals(accountId) {
    let page = await rentals.list(accountId, { limit: pageSize })
    while (page.length > 0) {
      for (const rental of page) await desk.end(rental, 'account_closed')
      page = await rentals.list(accountId, { limit: pageSize, before: page.at(-1)?.id })
    }
  }
