/** Accounts as operators see them, kept as long as the process lives: for tests. */
import type { AccountRecord, AccountRecords } from '../../src/ports.ts'

type Known = Partial<AccountRecord> & { accountId: string }

export interface MemoryAccountRecords extends AccountRecords {
  add(account: Known): void
}

export function createMemoryAccountRecords(known: readonly Known[]): MemoryAccountRecords {
  const others = { name: 'someone', role: 'user', limits: {}, createdAt: new Date(0), disabledAt: undefined } as const
  const records = new Map<string, AccountRecord>()
  const add = (own: Known) => void records.set(own.accountId, { ...others, ...own })
  known.forEach(add)
  return {
    add,
    find: async (accountId) => records.get(accountId),
    async list({ limit, before = 'g' }) {
      const sorted = [...records.values()].sort((a, b) => (a.accountId < b.accountId ? 1 : -1))
      return sorted.filter(({ accountId }) => accountId < before).slice(0, limit)
    },
    async update(accountId, { disabled, limits }) {
      const record = records.get(accountId)
      if (!record) return undefined
      const merged = { ...record.limits }
      for (const [name, limit] of Object.entries(limits ?? {})) {
        if (limit !== undefined) merged[name as keyof typeof merged] = limit ?? undefined
      }
      const disabledAt = disabled === undefined ? record.disabledAt : disabled ? new Date(0) : undefined
      const updated = { ...record, limits: merged, disabledAt }
      records.set(accountId, updated)
      return updated
    },
  }
}
