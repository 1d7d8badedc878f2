import { expect, test } from 'vitest'
import { createMemoryAccounts } from '../../adapters/memory/accounts.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createTermsOf } from './rental-money.ts'

test.each(['is there', 'was revoked', 'was rotated'])(
  'an hour is held within the budget of a key that %s',
  async (what) => {
    const accounts = createMemoryAccounts({ clock: new FakeClock() })
    const { accountId } = await accounts.createAccount({ name: 'a' })
    const own = { name: 'k', scopes: ['gpu'], expiresAt: undefined } as const
    const { id: keyId } = await accounts.createApiKey(accountId, {
      ...own,
      limits: { budgetPerDay: 20, budgetPerMonth: 300 },
    })
    if (what === 'was revoked') await accounts.revokeApiKey(accountId, keyId)
    if (what === 'was rotated') await accounts.rotateApiKey(accountId, keyId, 0)
    const terms = await createTermsOf(accounts)({ accountId, purseId: keyId, keyId })
    expect(terms.budgets).toEqual({ keyId, perDay: 20, perMonth: 300 })
    expect((await createTermsOf(accounts)({ accountId, purseId: accountId, keyId })).budgets).toBeUndefined()
  },
)
