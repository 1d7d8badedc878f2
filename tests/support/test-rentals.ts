/** Rentals in memory with an account that has so much credit, for tests of what is done with them. */
import { createMemoryBooks } from '../../adapters/memory/books.ts'
import { createMemoryRentals } from '../../adapters/memory/rentals.ts'
import type { WindowLimits } from '../../src/domain/guardrails.ts'
import type { Clock } from '../../src/ports.ts'

export interface TestRentalsOptions {
  accountId: string
  credit?: number
  /** The operator's guard rails. @default none */
  windowLimits?: WindowLimits
}

export function createTestRentals(clock: Clock, { accountId, credit = 1e9, windowLimits = {} }: TestRentalsOptions) {
  const books = createMemoryBooks({ clock, everyoneHas: credit, windowLimits })
  const rentals = createMemoryRentals({ clock, books })
  return { rentals, rows: rentals.rows, spendable: () => books.of(accountId).available }
}
