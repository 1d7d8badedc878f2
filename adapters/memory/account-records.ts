/** Accounts as operators see them, kept as long as the process lives: for tests. */
import type { AccountRecord, AccountRecords } from '../../src/ports.ts'

export function createMemoryAccountRecords(
  known: readonly (Partial<AccountRecord> & { id: string })[],
): AccountRecords {
  const others = { name: 'someone', role: 'user', limits: {}, createdAt: new Date(0), disabledAt: undefined } as const
  const records = new Map(known.map((own) => [own.id, { ...others, ...own } as AccountRecord]))
  const change = (accountId: string, own: (record: AccountRecord) => Partial<AccountRecord>) => {
    const record = records.get(accountId)
    if (record) records.set(accountId, { ...record, ...own(record) })
    return record !== undefined
  }
  return {
    find: async (accountId) => records.get(accountId),
    async list({ limit, after = '' }) {
      const sorted = [...records.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
      return sorted.filter(({ id }) => id > after).slice(0, limit)
    },
    setDisabled: async (accountId, disabled) =>
      change(accountId, ({ disabledAt }) => ({ disabledAt: disabled ? (disabledAt ?? new Date(0)) : undefined })),
    setLimits: async (accountId, limits) => change(accountId, () => ({ limits })),
  }
}
