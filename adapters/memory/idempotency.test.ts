import { idempotencyContract } from '../../tests/contracts/idempotency.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createMemoryIdempotency } from './idempotency.ts'

idempotencyContract('keys in memory', async () => {
  const clock = new FakeClock()
  return { store: createMemoryIdempotency({ clock }), age: async (ms) => clock.tick(ms) }
})
