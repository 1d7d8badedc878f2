/** Credit of one process, for tests. */
import type { Credits } from '../../src/ports.ts'

export interface MemoryCredits extends Credits {
  /** Of all that was granted, in micro-dollars. */
  total(accountId: string): number
}

export function createMemoryCredits(): MemoryCredits {
  const told = new Map<string, number>()
  const sums = new Map<string, number>()
  return {
    total: (accountId) => sums.get(accountId) ?? 0,
    granted: async (accountId, { id, kind }) => told.get(`${accountId} ${id} ${kind}`),
    async grant(accountId, { id, kind, amount }) {
      const key = `${accountId} ${id} ${kind}`
      if (told.has(key)) return false
      told.set(key, amount)
      sums.set(accountId, (sums.get(accountId) ?? 0) + amount)
      return true
    },
  }
}
