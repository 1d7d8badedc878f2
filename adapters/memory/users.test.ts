import { signInAttemptsContract } from '../../tests/contracts/sign-in-attempts.ts'
import { usersContract } from '../../tests/contracts/users.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createMemoryAccounts } from './accounts.ts'
import { createMemorySignInAttempts } from './sign-in-attempts.ts'
import { createMemoryUsers } from './users.ts'

usersContract('the memory users', () => {
  const clock = new FakeClock()
  const accounts = createMemoryAccounts({ clock })
  return { accounts, ...createMemoryUsers({ accounts, clock }), pass: (ms) => clock.tick(ms), wallNow: clock.wallNow }
})

signInAttemptsContract('the memory count', () => {
  const clock = new FakeClock()
  return { attempts: createMemorySignInAttempts({ clock }), pass: (ms) => clock.tick(ms) }
})
