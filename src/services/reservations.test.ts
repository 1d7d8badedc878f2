import { expect, test } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { newRental } from '../../tests/support/new-rental.ts'
import { createTestRentals } from '../../tests/support/test-rentals.ts'
import type { Rental } from '../domain/rental.ts'
import { createReservations, endTogether } from './reservations.ts'

const accountId = '00000000-0000-7000-8000-000000000001'
const reservationId = '00000000-0000-7000-8000-000000000002'
const terms = { accountId, purseId: accountId, budgets: undefined }

/** Three of one reservation, the last of which takes the place of `replaces`. */
async function world(replaces: string | undefined) {
  const clock = new FakeClock()
  const { rentals } = createTestRentals(clock, { accountId })
  const own = { accountId, keyId: accountId, reservationId }
  const wanted = [undefined, undefined, replaces].map((of) => ({
    rental: newRental({ ...own, replaces: of }),
    hold: 1,
  }))
  const [first, second, last] = (await rentals.begin(wanted, terms)) as [Rental, Rental, Rental]
  const ended: string[] = []
  const at = new Date(clock.wallNow())
  const endOther = async (rental: Rental) => {
    ended.push(rental.id)
    await rentals.end(rental, { at, state: 'gone', reason: 'group', settle: 0, refund: 0 })
  }
  const together = endTogether(rentals, endOther)
  await together.end(last, { at, state: 'gone', reason: 'no_offer', settle: 0, refund: 0 })
  const desk = { begin: async () => [] }
  const { status } = await createReservations({ clock, newId: () => '', rentals, desk }).show(accountId, reservationId)
  return { ended: ended.toSorted(), others: [first.id, second.id].toSorted(), status }
}

test('where one cannot be had the others are ended', async () => {
  const { ended, others, status } = await world(undefined)
  expect(ended).toEqual(others)
  expect(status).toBe('failed')
})

test('where a lost one cannot be replaced the others go on', async () => {
  const { ended, status } = await world('00000000-0000-7000-8000-000000000003')
  expect(ended).toEqual([])
  expect(status).toBe('pending')
})
