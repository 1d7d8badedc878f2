/**
 * Several machines, all or none. A reservation is its rentals: they are begun and held for together, and where one of
 * them cannot be had the others are ended before it is. So whoever goes on after a crash comes to the same end.
 */
import { isFinal, type Rental } from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import type { Clock, Rentals } from '../ports.ts'
import { sleep } from '../resilience/clock.ts'
import type { Payer, RentalDesk, RentOrder } from './rental-desk.ts'

export interface Reservation {
  id: string
  /** `failed`: one could not be had, so none is. `ended`: it had all of them once. */
  status: 'pending' | 'active' | 'failed' | 'ended'
  rentals: readonly Rental[]
}

export interface Reservations {
  /**
   * Resolves when all machines are there, or after a while in which some are still awaited.
   * @throws ApiError where there are none, or not all of them
   */
  reserve(payer: Payer, order: Pick<RentOrder, 'id' | 'spec' | 'search'>, count: number): Promise<Reservation>
  /** @throws ApiError `reservation_not_found` */
  show(accountId: string, reservationId: string): Promise<Reservation>
}

export interface ReservationsOptions {
  clock: Clock
  newId: () => string
  rentals: Pick<Rentals, 'list'>
  desk: Pick<RentalDesk, 'begin'>
}

export const maxReserved = 16
/** With those that took the places of others. */
const maxShown = 200
const waitMs = 20_000
const lookEveryMs = 250
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** The machines are made by the background: its caller's leaving ends nothing. */
const nobody = new AbortController().signal

export function createReservations({ clock, newId, rentals, desk }: ReservationsOptions): Reservations {
  async function show(accountId: string, id: string): Promise<Reservation> {
    const page = { limit: maxShown, reservationId: id, withGone: true }
    const members = uuid.test(id) ? await rentals.list(accountId, page) : []
    if (members.length === 0) throw new ApiError('reservation_not_found')
    return { id, status: statusOf(members), rentals: members }
  }

  return {
    show,
    async reserve(payer, order, count) {
      const id = newId()
      await desk.begin(payer, { ...order, reservationId: id }, count)
      const until = clock.now() + waitMs
      let reservation = await show(payer.accountId, id)
      while (reservation.status === 'pending' && clock.now() < until) {
        await sleep(clock, lookEveryMs, nobody)
        reservation = await show(payer.accountId, id)
      }
      if (reservation.status === 'failed') throw new ApiError('not_enough_offers')
      return reservation
    },
  }
}

const cannotBeHad = ({ reason }: Pick<Rental, 'reason'>) => reason === 'no_offer' || reason === 'not_created'

/** What takes the place of a lost machine is not among those that are had together or not at all. */
const isOriginal = ({ replaces }: Rental) => replaces === undefined

function statusOf(all: readonly Rental[]): Reservation['status'] {
  const members = all.filter(isOriginal)
  if (members.some(cannotBeHad)) return 'failed'
  const coming = ['intended', 'creating', 'unknown']
  if (members.some(({ state, reason }) => coming.includes(state) || reason === 'group')) {
    return members.every(({ state }) => isFinal(state)) ? 'failed' : 'pending'
  }
  return all.every(({ state }) => isFinal(state)) ? 'ended' : 'active'
}

/** Whoever ends one that cannot be had ends those that were reserved with it, first. */
export function endTogether(rentals: Rentals, endOther: (rental: Rental) => Promise<unknown>): Rentals {
  return {
    ...rentals,
    async end(seen, end) {
      const failing = cannotBeHad(end) ? await rentals.find(seen.accountId, seen.id) : undefined
      if (failing?.reservationId !== undefined && isOriginal(failing)) {
        const page = { limit: maxShown, reservationId: failing.reservationId }
        for (const other of await rentals.list(seen.accountId, page)) {
          if (other.id !== seen.id && !isFinal(other.state)) await endOther(other)
        }
      }
      return rentals.end(seen, end)
    },
  }
}
