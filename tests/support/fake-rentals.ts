/** Rentals in memory, for tests of what is done with them: versions, holds and credit as the books would have them. */
import type { NewRental, Rental } from '../../src/domain/rental.ts'
import { isFinal, transitions } from '../../src/domain/rental.ts'
import type { Clock, HoldRefusal, RentalSeen, Rentals } from '../../src/ports.ts'

export function createFakeRentals(clock: Clock, credit = 1e9) {
  const all = new Map<string, Rental>()
  let spendable = credit
  const rows = () => [...all.values()]
  const seenAs = ({ id, version }: RentalSeen) => {
    const found = all.get(id)
    return found?.version === version && !isFinal(found.state) ? found : undefined
  }
  const put = (rental: Rental): Rental => {
    const next = { ...rental, version: rental.version + 1 }
    all.set(next.id, next)
    return next
  }
  const refusal = (asked: number): HoldRefusal => ({ refused: 'credit', asked, spendable, elsewhere: 0 })
  const begun = (rental: NewRental, held: number): Rental => {
    const at = new Date(clock.wallNow())
    return {
      ...rental,
      state: 'intended',
      version: 0,
      marketId: undefined,
      reason: undefined,
      endpoints: [],
      tried: [],
      createdAt: at,
      createSentAt: undefined,
      startedAt: undefined,
      heardAt: undefined,
      endedAt: undefined,
      dueAt: at,
      failures: 0,
      hour: 0,
      held,
      accrued: 0,
      accruedAt: undefined,
      settled: 0,
      replacedBy: undefined,
    }
  }

  const rentals: Rentals = {
    async begin(wanted) {
      const asked = wanted.reduce((sum, { hold }) => sum + hold, 0)
      if (asked > spendable) return refusal(asked)
      spendable -= asked
      return wanted.map(({ rental, hold }) => put(begun(rental, hold)))
    },
    find: async (accountId, id) => rows().find((each) => each.id === id && each.accountId === accountId),
    list: async (accountId, { limit, reservationId, deploymentId }) =>
      rows()
        .filter((each) => each.accountId === accountId && each.state !== 'gone')
        .filter((each) => reservationId === undefined || each.reservationId === reservationId)
        .filter((each) => deploymentId === undefined || each.deploymentId === deploymentId)
        .reverse()
        .slice(0, limit),
    async change(seen, change) {
      const failed = change.state === 'gone' && all.get(seen.id)?.state === 'failed' ? all.get(seen.id) : undefined
      const found = failed ?? seenAs(seen)
      if (!found) return undefined
      if (change.state && change.state !== found.state && !transitions[found.state].includes(change.state)) {
        throw new TypeError(`${found.state} cannot become ${change.state}`)
      }
      const set = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
      return put({ ...found, ...set })
    },
    async nextHour(seen, { at, settle, next, dueAt }) {
      const found = seenAs(seen)
      if (!found) return undefined
      if (next > spendable + found.held - settle) return refusal(next)
      spendable += found.held - settle - next
      const { settled, hour } = found
      return put({ ...found, settled: settled + settle, hour: hour + 1, held: next, accrued: 0, accruedAt: at, dueAt })
    },
    async end(seen, { at, state, reason, settle, refund }) {
      const found = seenAs(seen)
      if (!found) return undefined
      spendable += found.held - settle + refund
      return put({
        ...found,
        state,
        reason,
        endedAt: at,
        held: 0,
        accrued: 0,
        settled: found.settled + settle - refund,
      })
    },
    async takeDue({ now, max, forMs }) {
      const due = rows().filter(({ state, dueAt }) => !isFinal(state) && dueAt <= now)
      return due
        .sort((a, b) => a.dueAt.getTime() - b.dueAt.getTime())
        .slice(0, max)
        .map((each) => put({ ...each, dueAt: new Date(now.getTime() + forMs) }))
    },
    live: async (market) => rows().filter(({ state, offer }) => !isFinal(state) && offer.market === market),
    byIds: async (ids) => rows().filter(({ id }) => ids.includes(id)),
    counts: async () => [],
  }
  return { rentals, rows, spendable: () => spendable }
}
