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
      expect(await world.accounts.findApiKey(accountId, id)).toBeUndefined()
      expect(await world.accounts.revokeApiKey(accountId, id)).toBe(false)
    })

    it('finds one key by its id, also one that has expired', async () => {
      const accountId = await newAccount()
      const { apiKey: _, ...key } = await world.accounts.createApiKey(accountId, { ...plain, expiresAt: new Date(0) })
      await world.accounts.createApiKey(accountId, plain)
      expect(await world.accounts.findApiKey(accountId, key.id)).toEqual(key)
    })

    it('knows the limits of a key that is gone, and of none that is another account’s', async () => {
      const [accountId, other] = [await newAccount(), await newAccount()]
      const limits = { budgetPerDay: 5_000_000 }
      const { id } = await world.accounts.createApiKey(accountId, { ...plain, limits })
      expect(await world.accounts.keyLimits(accountId, id)).toMatchObject(limits)
      const next = await world.accounts.rotateApiKey(accountId, id, 0)
      await world.accounts.revokeApiKey(accountId, next!.id)
      for (const gone of [id, next!.id]) expect(await world.accounts.keyLimits(accountId, gone)).toMatchObject(limits)
      expect(await world.accounts.keyLimits(other, id)).toBeUndefined()
    })

    it("neither shows nor revokes another account's key", async () => {
      const [mine, other] = [await newAccount(), await newAccount()]
      const { id, apiKey } = await world.accounts.createApiKey(mine, plain)
      expect(await world.accounts.revokeApiKey(other, id)).toBe(false)
      expect(await world.accounts.listApiKeys(other)).toEqual([])
      expect(await world.accounts.findApiKey(other, id)).toBeUndefined()
      expect(await world.accounts.findByApiKey(apiKey)).toMatchObject({ accountId: mine })
    })

    it('knows an expired key no more', async () => {
      const expiresAt = new Date(0)
      const { apiKey } = await world.accounts.createApiKey(await newAccount(), { ...plain, expiresAt })
      expect(await world.accounts.findByApiKey(apiKey)).toBeUndefined()
    })

    it('keeps everything that a key was limited to', async () => {
      const accountId = await newAccount()
      const limits = {
        requestsPerMinute: 5,
        models: ['gpt-4o', 'a "quoted", {odd} model'],
        budgetPerDay: 5_000_000,
        budgetPerMonth: 9_000_000_000_000,
      }
      const { apiKey } = await world.accounts.createApiKey(accountId, { ...plain, limits })
      expect((await world.accounts.findByApiKey(apiKey))?.limits.key).toEqual(limits)
      expect((await world.accounts.listApiKeys(accountId))[0]?.limits).toEqual(limits)
    })

    it('rotates a key into a new one with the same settings; the old one works on for a while, or ends at once', async () => {
      const accountId = await newAccount()
      const limits = { maxConcurrent: 2, models: ['gpt-4o'], budgetPerDay: 1 }
      const expiresAt = new Date('2099-01-01T00:00:00Z')
      const first = await world.accounts.createApiKey(accountId, { ...plain, limits, expiresAt })
      const second = await world.accounts.rotateApiKey(accountId, first.id, 3_600_000)
      expect(second).toMatchObject({ name: 'laptop', scopes: ['inference'], limits, expiresAt, lastUsedAt: undefined })
      expect(second!.apiKey).not.toBe(first.apiKey)
      expect(await world.accounts.findByApiKey(first.apiKey)).toMatchObject({ keyId: first.id })
      expect(await world.accounts.findByApiKey(second!.apiKey)).toMatchObject({ keyId: second!.id, accountId })
      const ends = (await world.accounts.listApiKeys(accountId)).find(({ id }) => id === first.id)?.expiresAt
      expect(Math.abs(ends!.getTime() - Date.now() - 3_600_000)).toBeLessThan(60_000)
      const third = await world.accounts.rotateApiKey(accountId, second!.id, 0)
      expect(await world.accounts.findByApiKey(second!.apiKey)).toBeUndefined()
      expect(await world.accounts.findByApiKey(third!.apiKey)).toMatchObject({ keyId: third!.id })
      expect(await world.accounts.rotateApiKey(accountId, second!.id, 0)).toBeUndefined()
      expect(await world.accounts.rotateApiKey(await newAccount(), third!.id, 0)).toBeUndefined()
    })

    it('never lets a rotated key live longer than it would have', async () => {
      const accountId = await newAccount()
      const expiresAt = new Date(Date.now() + 60_000)
      const { id } = await world.accounts.createApiKey(accountId, { ...plain, expiresAt })
      await world.accounts.rotateApiKey(accountId, id, 86_400_000)
      expect((await world.accounts.listApiKeys(accountId)).find((key) => key.id === id)?.expiresAt).toEqual(expiresAt)
    })

    it('lets an account have a hundred keys, also when many are asked for at the same moment', async () => {
      const accountId = await newAccount()
      for (let i = 0; i < 96; i++) await world.accounts.createApiKey(accountId, plain)
      const more = await Promise.allSettled(
        Array.from({ length: 10 }, () => world.accounts.createApiKey(accountId, plain)),
      )
      expect(more.filter(({ status }) => status === 'fulfilled')).toHaveLength(4)
      const refused = more.find(({ status }) => status === 'rejected') as PromiseRejectedResult
      expect(refused.reason).toMatchObject({ code: 'too_many_api_keys' })
      const [first] = await world.accounts.listApiKeys(accountId)
      expect(await world.accounts.rotateApiKey(accountId, first!.id, 0)).toBeDefined()
      await expect(world.accounts.createApiKey(accountId, plain)).rejects.toMatchObject({ code: 'too_many_api_keys' })
      await world.accounts.revokeApiKey(accountId, (await world.accounts.listApiKeys(accountId))[0]!.id)
      await world.accounts.createApiKey(accountId, { ...plain, expiresAt: new Date(0) })
      await world.accounts.createApiKey(accountId, plain)
    })

    it('remembers when keys were used last, and no earlier time after a later one', async () => {
      const [mine, other] = [await newAccount(), await newAccount()]
      const [a, b] = [await world.accounts.createApiKey(mine, plain), await world.accounts.createApiKey(other, plain)]
      const [early, late] = [new Date('2030-01-01T00:00:00Z'), new Date('2030-01-01T00:01:00Z')]
      await world.accounts.recordKeyUse([
        { accountId: mine, keyId: a.id, at: late },
        { accountId: other, keyId: b.id, at: early },
        { accountId: other, keyId: a.id, at: late },
      ])
      await world.accounts.recordKeyUse([{ accountId: mine, keyId: a.id, at: early }])
      await world.accounts.recordKeyUse([])
      expect((await world.accounts.listApiKeys(mine))[0]?.lastUsedAt).toEqual(late)
      expect((await world.accounts.listApiKeys(other))[0]?.lastUsedAt).toEqual(early)
    })

    it('makes no key for an account that is not there', async () => {
      await expect(world.accounts.createApiKey('00000000-0000-7000-8000-00000000ffff', plain)).rejects.toThrow()
    })
  })
}
