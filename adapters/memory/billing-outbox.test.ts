import { billingOutboxContract } from '../../tests/contracts/billing-outbox.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createMemoryBillingOutbox } from './billing-outbox.ts'

billingOutboxContract('the outbox in memory', async () => {
  const clock = new FakeClock()
  const outbox = createMemoryBillingOutbox({ clock })
  return {
    outbox,
    add: async (accountId, operations) => {
      for (const operation of operations) outbox.add(accountId, operation)
    },
    pass: (ms) => clock.advance(ms),
  }
})
