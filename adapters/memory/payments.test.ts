import { paymentStoreContract } from '../../tests/contracts/payments.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createMemoryPaymentStore } from './payments.ts'

paymentStoreContract('the payments in memory', async () => {
  const clock = new FakeClock()
  return { store: createMemoryPaymentStore({ clock }), pass: (ms) => clock.advance(ms) }
})
