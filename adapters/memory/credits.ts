/** Credit of one process, for tests. */
import type { Credits } from '../../src/ports.ts'

export interface MemoryCredits extends Credits {
  /** Of all that was granted, in micro-dollars. */
  granted(accountId: string): number
}

export function createMemoryCredits(): MemoryCredits {
  const told = new Set<string>()
  const sums = new Map<string, number>()
  return {
    granted: (accountId) => sums.get(accountId) ?? 0,
    async grant(accountId, { id, kind, amount }) {
      const key = `${accountId} ${id} ${kind}`
      if (told.has(key)) return false
      told.add(key)
      sums.set(accountId, (sums.get(accountId) ?? 0) + amount)
      return true
    },
  }
}
