/** What an account has rented, when the account is closed. */
import { isFinal, type Rental } from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import type { Clock, Rentals } from '../ports.ts'

/** All that an account has rented is to end. Done again, it does what is left to do. */
export type EndRentals = (accountId: string) => Promise<void>

const pageSize = 100
/** How often a change is tried that others are changing meanwhile. */
const maxTries = 5

export function createEndRentals({ rentals, clock }: { rentals: Rentals; clock: Clock }): EndRentals {
  const now = () => new Date(clock.wallNow())
  const reason = 'account_closed'

  const toEnd = (rental: Rental) =>
    // Nothing was sent to a market for it.
    rental.state === 'intended'
      ? rentals.end(rental, { at: now(), state: 'gone', reason, settle: 0, refund: 0 })
      : rentals.change(rental, { state: 'ending', reason, failures: 0, dueAt: now() })

  async function end(rental: Rental) {
    let seen: Rental | undefined = rental
    for (let n = 0; n < maxTries && seen; n++) {
      if (isFinal(seen.state) || seen.state === 'ending' || (await toEnd(seen))) return
      seen = await rentals.find(rental.accountId, rental.id)
    }
    if (seen) throw new ApiError('overloaded', { retryAfterMs: 1_000 })
  }

  return async function endRentals(accountId) {
    let page = await rentals.list(accountId, { limit: pageSize })
    while (page.length > 0) {
      for (const rental of page) await end(rental)
      page = await rentals.list(accountId, { limit: pageSize, before: page.at(-1)?.id })
    }
  }
}
