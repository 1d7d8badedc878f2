import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { createMemoryBooks } from '../../adapters/memory/books.ts'
import { createMemoryRentals } from '../../adapters/memory/rentals.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { newRental } from '../../tests/support/new-rental.ts'
import type { Rentals } from '../ports.ts'
import { createEndRentals } from './account-rentals.ts'
import { createRentalDesk } from './rental-desk.ts'

const clock = new FakeClock({ wallMs: Date.UTC(2026, 10, 25) })
const at = new Date(clock.wallNow())

/** By the desk that ends all others, too. */
function endRentalsOf(rentals: Rentals) {
  const never = () => Promise.reject(new Error('nothing is rented here'))
  const offers = { find: never, pick: never, taken() {} }
  const desk = createRentalDesk({ clock, newId: randomUUID, rentals, offers, controls: new Map(), create: never })
  return createEndRentals({ rentals, desk })
}

async function world(count = 3) {
  const books = createMemoryBooks({ clock, everyoneHas: 1_000_000 })
  const rentals = createMemoryRentals({ clock, books })
  const accountId = randomUUID()
  const terms = { accountId, purseId: accountId, budgets: undefined }
  const wanted = Array.from({ length: count }, () => ({ rental: newRental({ accountId, keyId: accountId }), hold: 1 }))
  const begun = await rentals.begin(wanted, terms)
  if (!Array.isArray(begun)) throw new Error('refused')
  return { books, rentals, accountId, begun }
}

test('what nothing was sent for is gone with its hold, what runs is to end at once, what has ended stays', async () => {
  const { books, rentals, accountId, begun } = await world()
  await rentals.change(begun[1]!, { state: 'creating', dueAt: new Date(at.getTime() + 60_000) })
  const end = { at, state: 'failed', reason: 'no_offer', settle: 0, refund: 0 } as const
  const failed = await rentals.end(begun[2]!, end)
  const endRentals = endRentalsOf(rentals)
  await endRentals(accountId)
  expect(await rentals.byIds(begun.map(({ id }) => id))).toMatchObject([
    { state: 'gone', reason: 'account_closed', held: 0 },
    { state: 'ending', reason: 'account_closed', held: 1, dueAt: at },
    failed,
  ])
  expect(books.of(accountId).held).toBe(1)
  const before = await rentals.byIds(begun.map(({ id }) => id))
  await endRentals(accountId)
  expect(await rentals.byIds(begun.map(({ id }) => id)), 'again changes nothing').toEqual(before)
})

test('all of them, however many, and nobody else’s', async () => {
  const { rentals, accountId } = await world(250)
  await endRentalsOf(rentals)(randomUUID())
  expect(await rentals.live('vastai')).toHaveLength(250)
  await endRentalsOf(rentals)(accountId)
  expect(await rentals.live('vastai')).toEqual([])
})

test('what another changes meanwhile is ended all the same; what is changed for ever is an error', async () => {
  const { rentals, accountId, begun } = await world(1)
  let changes = 2
  const busy = {
    ...rentals,
    async end(seen: Parameters<typeof rentals.end>[0], how: Parameters<typeof rentals.end>[1]) {
      if (changes-- > 0) await rentals.change(seen, { failures: 1 })
      return rentals.end(seen, how)
    },
  }
  await endRentalsOf(busy)(accountId)
  expect(await rentals.find(accountId, begun[0]!.id)).toMatchObject({ state: 'gone' })

  const other = await world(1)
  const stuck = { ...other.rentals, end: async () => undefined }
  await expect(endRentalsOf(stuck)(other.accountId)).rejects.toMatchObject({
    code: 'overloaded',
  })
})
