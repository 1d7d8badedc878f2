/** Rentals in memory with an account that has so much credit, for tests of what is done with them. */
import { createMemoryBooks } from '../../adapters/memory/books.ts'
import { createMemoryRentals } from '../../adapters/memory/rentals.ts'
import type { Clock } from '../../src/ports.ts'

export function createTestRentals(clock: Clock, { accountId, credit = 1e9 }: { accountId: string; credit?: number }) {
  const books = createMemoryBooks({ clock, everyoneHas: credit })
  const rentals = createMemoryRentals({ clock, books })
  return { rentals, rows: rentals.rows, spendable: () => books.of(accountId).available }
}
