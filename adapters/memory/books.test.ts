import { statementsContract } from '../../tests/contracts/statements.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createMemoryBooks } from './books.ts'

statementsContract('the memory books', async () => {
  const books = createMemoryBooks({ clock: new FakeClock() })
  const { of } = books
  return {
    ...books,
    rows: {
      balance: async (accountId, money) => void Object.assign(of(accountId), money),
      entries: async (accountId, entries) =>
        void of(accountId).entries.push(
          ...entries.map((entry) => ({ ...entry, note: undefined, instanceId: undefined })),
        ),
      usage: async (accountId, rows) => void of(accountId).usage.push(...rows),
      receipt: async (accountId, receipt) => void of(accountId).receipts.push(receipt),
      spent: async (accountId, minute, amount) => void of(accountId).spent.set(minute, amount),
    },
  }
})
