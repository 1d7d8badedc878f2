/** What every accounts port promises, wherever it keeps them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Accounts, NewApiKey } from '../../src/ports.ts'

export interface AccountsUnderTest {
  accounts: Accounts
  close?(): void | Promise<void>
}

export function accountsContract(name: string, create: () => AccountsUnderTest | Promise<AccountsUnderTest>): void {
  describe(`${name}, as every accounts port,`, () => {
    let world: AccountsUnderTest
    beforeAll(async () => {
      world = await create()
    })
    afterAll(() => world.close?.())

    const newAccount = async (role: 'user' | 'administrator' = 'user') =>
      (await world.accounts.createAccount({ name: 'someone', role })).accountId
    const plain: NewApiKey = { name: 'laptop', scopes: ['inference'] }

    it('makes keys that stand for their account, with their own scopes and limit', async () => {
      const account = { requestsPerMinute: 70, maxConcurrent: 50 }
      const { accountId } = await world.accounts.createAccount({ name: 'some', role: 'administrator', limits: account })
      const made = await world.accounts.createApiKey(accountId, {
        name: 'ci',
        scopes: ['inference', 'gpu'],
        limits: { requestsPerMinute: 7, tokensPerMinute: 3_000_000_000, maxConcurrent: 5 },
      })
      expect(made.apiKey).toMatch(/^ak_live_[\w-]{32}$/)
      expect(await world.accounts.findByApiKey(made.apiKey)).toEqual({
        accountId,
        keyId: made.id,
        role: 'administrator',
        scopes: ['inference', 'gpu'],
        limits: { key: { requestsPerMinute: 7, tokensPerMinute: 3_000_000_000, maxConcurrent: 5 }, account },
      })
    })

    it('lists the keys of an account and of no other, the newest first, without the keys themselves', async () => {
      const [mine, other] = [await newAccount(), await newAccount()]
      const first = await world.accounts.createApiKey(mine, plain)
      const expiresAt = new Date('2099-01-01T00:00:00Z')
      const second = await world.accounts.createApiKey(mine, { ...plain, name: 'phone', expiresAt })
      await world.accounts.createApiKey(other, plain)
      const listed = await world.accounts.listApiKeys(mine)
      expect(listed).toEqual([
        {
          id: second.id,
          name: 'phone',
          prefix: second.apiKey.slice(8, 12),
          scopes: ['inference'],
          limits: {},
          createdAt: expect.any(Date),
          expiresAt,
          lastUsedAt: undefined,
        },
        expect.objectContaining({ id: first.id, name: 'laptop', expiresAt: undefined }),
      ])
      expect(JSON.stringify(listed)).not.toContain(first.apiKey.slice(8))
    })

    it('shows every change at once to whoever made it', async () => {
      const accountId = await newAccount()
      for (let i = 0; i < 20; i++) {
        const { id } = await world.accounts.createApiKey(accountId, plain)
        expect((await world.accounts.listApiKeys(accountId)).map((key) => key.id)).toEqual([id])
        expect(await world.accounts.revokeApiKey(accountId, id)).toBe(true)
        expect(await world.accounts.listApiKeys(accountId)).toEqual([])
      }
    })

    it('knows a revoked key no more, and revokes it once', async () => {
      const accountId = await newAccount()
      const { id, apiKey } = await world.accounts.createApiKey(accountId, plain)
      expect(await world.accounts.revokeApiKey(accountId, id)).toBe(true)
      expect(await world.accounts.findByApiKey(apiKey)).toBeUndefined()
      expect(await world.accounts.revokeApiKey(accountId, id)).toBe(false)
    })

    it("neither shows nor revokes another account's key", async () => {
      const [mine, other] = [await newAccount(), await newAccount()]
      const { id, apiKey } = await world.accounts.createApiKey(mine, plain)
      expect(await world.accounts.revokeApiKey(other, id)).toBe(false)
      expect(await world.accounts.listApiKeys(other)).toEqual([])
      expect(await world.accounts.findByApiKey(apiKey)).toMatchObject({ accountId: mine })
    })

    it('knows an expired key no more', async () => {
      const expiresAt = new Date(0)
      const { apiKey } = await world.accounts.createApiKey(await newAccount(), { ...plain, expiresAt })
      expect(await world.accounts.findByApiKey(apiKey)).toBeUndefined()
    })

    it('makes no key for an account that is not there', async () => {
      await expect(world.accounts.createApiKey('00000000-0000-7000-8000-00000000ffff', plain)).rejects.toThrow()
    })
  })
}
