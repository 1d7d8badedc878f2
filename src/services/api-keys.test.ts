import { expect, test } from 'vitest'
import { createMemoryAccounts } from '../../adapters/memory/accounts.ts'
import type { Principal } from '../domain/principal.ts'
import { createApiKeys } from './api-keys.ts'

const plain = { name: 'a key', scopes: ['inference'] as const, limits: {} }

async function world() {
  const accounts = createMemoryAccounts()
  const { accountId } = await accounts.createAccount({ name: 'mine' })
  const expiresAt = new Date(Date.now() + 3_600_000)
  const own = await accounts.createApiKey(accountId, { ...plain, scopes: ['inference', 'admin'], expiresAt })
  // Others have pushed it out of the list.
  const listing = { ...accounts, listApiKeys: async () => [] }
  const who: Principal = { ...(await accounts.findByApiKey(own.apiKey))!, role: 'administrator' }
  return { accounts, who, own, apiKeys: createApiKeys({ accounts: listing, requestsPerMinute: 60 }) }
}

test('a key that is not among the newest hands on no longer life than its own, and can be rotated', async () => {
  const { apiKeys, who, own } = await world()
  expect((await apiKeys.create(who, plain)).expiresAt).toEqual(own.expiresAt)
  expect((await apiKeys.rotate(who, own.id, 60_000)).expiresAt).toEqual(own.expiresAt)
})

test('a key that was revoked a moment ago makes none', async () => {
  const { accounts, apiKeys, who, own } = await world()
  await accounts.revokeApiKey(who.accountId, own.id)
  await expect(apiKeys.create(who, plain)).rejects.toMatchObject({ code: 'invalid_credential' })
})
