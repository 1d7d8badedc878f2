import { expect } from 'vitest'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { rentalsContract } from '../../tests/contracts/rentals.ts'
import { createMemoryBooks } from './books.ts'
import { createMemoryRentals } from './rentals.ts'

rentalsContract('the rentals in memory', async () => {
  const books = createMemoryBooks({ clock })
  const touched = new Set<string>()
  const { of } = books
  const watched = {
    ...books,
    of: (accountId: string) => {
      touched.add(accountId)
      return of(accountId)
    },
  }
  return {
    ...books,
    rentals: createMemoryRentals({ clock, books: watched }),
    async sound() {
      for (const accountId of touched) {
        const { available, held, leased, rented, entries } = of(accountId)
        expect(leased).toBeLessThanOrEqual(available)
        expect(held).toBe([...rented.values()].reduce((sum, amount) => sum + amount, 0))
        expect(available + held).toBe(entries.reduce((sum, { amount }) => sum + amount, 0))
      }
    },
  }
})
