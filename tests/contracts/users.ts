/** What every users and sessions port promises, wherever it keeps them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { scopesOf } from '../../src/domain/principal.ts'
import type { Accounts, Sessions, Users } from '../../src/ports.ts'

export interface UsersUnderTest {
  users: Users
  sessions: Sessions
  accounts: Accounts
  /** As if all that was written had been written so much earlier. */
  pass(ms: number): void | Promise<void>
  wallNow(): number
  close?(): void | Promise<void>
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const nobody = '00000000-0000-7000-8000-00000000ffff'

export function usersContract(name: string, create: () => UsersUnderTest | Promise<UsersUnderTest>): void {
  let world: UsersUnderTest
  let made = 0
  const newUser = async () => {
    const email = `person${++made}@example.test`
    const user = await world.users.register({ email, name: 'Somebody', passwordHash: 'hash' })
    return { ...user!, email }
  }
  const signIn = async (accountId: string, { passwordHash = 'hash', place = 'home', lifetimeMs = dayMs } = {}) =>
    world.sessions.start({ accountId, passwordHash, place, lifetimeMs })
  const isLive = async ({ accountId, sessionId }: { accountId: string; sessionId: string }) =>
    (await world.sessions.find(accountId, sessionId)) !== undefined

  describe(`${name}, as every users port,`, () => {
    beforeAll(async () => {
      world = await create()
    })

    it('registers a mailbox once, however many ask at the same moment', async () => {
      const person = { email: 'once@example.test', name: 'Once', passwordHash: 'hash' }
      const all = await Promise.all([1, 2, 3, 4, 5].map(() => world.users.register(person)))
      expect(all.filter(Boolean)).toHaveLength(1)
      const user = all.find(Boolean)!
      expect(user).toEqual({
        accountId: expect.any(String),
        email: 'once@example.test',
        name: 'Once',
        role: 'user',
        limits: {},
        createdAt: expect.any(Date),
        disabledAt: undefined,
      })
      expect(await world.users.find(user.accountId)).toEqual(user)
    })

    it('finds for signing in whoever may, and knows the places that they signed in from lately', async () => {
      const { accountId, email } = await newUser()
      const candidate = () => world.users.findForSignIn(email, 'home')
      expect(await candidate()).toMatchObject({ user: { accountId, email }, passwordHash: 'hash', knownPlace: false })
      await signIn(accountId)
      expect(await candidate()).toMatchObject({ knownPlace: true })
      expect(await world.users.findForSignIn(email, 'elsewhere')).toMatchObject({ knownPlace: false })
      expect(await world.users.findForSignIn('nobody@example.test', 'home')).toBeUndefined()
      await world.users.update(accountId, { disabled: true })
      expect(await candidate()).toBeUndefined()
      await world.users.update(accountId, { disabled: false })
      await world.pass(31 * dayMs)
      expect(await candidate()).toMatchObject({ knownPlace: false })
    })

    it('replaces a password hash only where it is still the one that was looked at', async () => {
      const { accountId } = await newUser()
      expect(await world.users.setPassword(accountId, { hash: 'second', from: 'another' })).toBe(false)
      expect(await world.users.passwordHash(accountId)).toBe('hash')
      expect(await world.users.setPassword(accountId, { hash: 'second', from: 'hash' })).toBe(true)
      expect(await world.users.passwordHash(accountId)).toBe('second')
      expect(await world.users.setPassword(nobody, { hash: 'x' })).toBe(false)
      expect(await world.users.passwordHash(nobody)).toBeUndefined()
    })

    it('forgets a password when it expires, and a hash made anew of it does not prolong it', async () => {
      const { accountId, email } = await newUser()
      const expiresAt = new Date(world.wallNow() + hourMs)
      await world.users.setPassword(accountId, { hash: 'temporary', expiresAt, endSessions: 'all' })
      expect(await world.users.findForSignIn(email, 'home')).toMatchObject({ passwordHash: 'temporary' })
      await world.users.setPassword(accountId, { hash: 'anew', from: 'temporary' })
      await world.users.setPassword(accountId, { hash: 'anew', expiresAt: new Date(0), endSessions: 'all' })
      expect(await world.users.findForSignIn(email, 'home')).toBeUndefined()
      expect(await world.users.passwordHash(accountId)).toBeUndefined()
      await world.users.setPassword(accountId, { hash: 'own', endSessions: 'all' })
      expect(await world.users.findForSignIn(email, 'home')).toMatchObject({ passwordHash: 'own' })
    })

    it('ends the sessions that a change of password is to end', async () => {
      const { accountId } = await newUser()
      const [first, second] = [(await signIn(accountId))!, (await signIn(accountId))!]
      await world.users.setPassword(accountId, { hash: 'hash', from: 'hash' })
      expect([await isLive(first), await isLive(second)]).toEqual([true, true])
      await world.users.setPassword(accountId, { hash: 'next', endSessions: { except: second.sessionId } })
      expect([await isLive(first), await isLive(second)]).toEqual([false, true])
      await world.users.setPassword(accountId, { hash: 'last', endSessions: 'all' })
      expect(await isLive(second)).toBe(false)
    })

    it('changes what is given and leaves the rest; null takes a limit away', async () => {
      const { accountId } = await newUser()
      await world.users.update(accountId, { limits: { requestsPerMinute: 7, tokensPerMinute: 3_000_000_000 } })
      const limited = await world.users.update(accountId, { limits: { requestsPerMinute: null, maxConcurrent: 2 } })
      expect(limited).toMatchObject({ role: 'user', disabledAt: undefined })
      expect(limited?.limits).toEqual({ tokensPerMinute: 3_000_000_000, maxConcurrent: 2 })
      const changed = await world.users.update(accountId, { disabled: true, role: 'administrator' })
      expect(changed).toMatchObject({
        role: 'administrator',
        disabledAt: expect.any(Date),
        limits: { maxConcurrent: 2 },
      })
      expect(await world.users.update(accountId, {})).toEqual(changed)
      expect(await world.users.update(accountId, { disabled: true }), 'since the first time').toEqual(changed)
      expect(await world.users.update(accountId, { disabled: false })).toMatchObject({ disabledAt: undefined })
      expect(await world.users.update(nobody, { disabled: true })).toBeUndefined()
    })

    it('lists every account page by page, and those whose email begins so', async () => {
      await Promise.all([1, 2, 3].map(() => newUser()))
      await world.users.register({ email: '100%_sure@example.test', name: 'Sure', passwordHash: 'hash' })
      await world.users.register({ email: '100_percent@example.test', name: 'Not', passwordHash: 'hash' })
      const seen: string[] = []
      for (let before: string | undefined; ; ) {
        const page = await world.users.list({ before, limit: 2 })
        seen.push(...page.map(({ accountId }) => accountId))
        before = page.at(-1)?.accountId
        if (page.length < 2) break
      }
      expect(seen.length).toBeGreaterThan(4)
      expect(seen).toEqual([...new Set(seen)].sort().reverse())
      const found = async (email: string) => (await world.users.list({ email, limit: 10 })).map((user) => user.name)
      expect(await found('100%_')).toEqual(['Sure'])
      expect(await found('%')).toEqual([])
    })

    it('closes an account: nobody signs in, its keys and sessions end, and its email is free again', async () => {
      const { accountId, email } = await newUser()
      const { apiKey } = await world.accounts.createApiKey(accountId, { name: 'a laptop', scopes: ['inference'] })
      const session = (await signIn(accountId))!
      expect(await world.users.close(accountId)).toBe(true)
      expect(await world.accounts.findByApiKey(apiKey)).toBeUndefined()
      expect(await isLive(session)).toBe(false)
      expect(await world.users.find(accountId)).toBeUndefined()
      expect(await world.users.findForSignIn(email, 'home')).toBeUndefined()
      expect(await world.users.setPassword(accountId, { hash: 'x' })).toBe(false)
      expect(await world.users.update(accountId, { disabled: false })).toBeUndefined()
      expect(await signIn(accountId)).toBeUndefined()
      const newKey = world.accounts.createApiKey(accountId, { name: 'another', scopes: ['inference'] })
      await expect(newKey, 'whoever is remembered makes no key').rejects.toMatchObject({ code: 'unknown_account' })
      expect(await world.users.close(accountId)).toBe(false)
      expect(await world.users.register({ email, name: 'Another', passwordHash: 'hash' })).toBeDefined()
    })

    it('stops the keys and sessions of a disabled account, and nothing else', async () => {
      const { accountId } = await newUser()
      const { apiKey } = await world.accounts.createApiKey(accountId, { name: 'a laptop', scopes: ['inference'] })
      const session = (await signIn(accountId))!
      await world.users.update(accountId, { disabled: true })
      expect(await world.accounts.findByApiKey(apiKey)).toBeUndefined()
      expect(await isLive(session)).toBe(false)
      expect(await signIn(accountId)).toBeUndefined()
      expect(await world.sessions.renew(session.refreshToken, dayMs)).toEqual({ outcome: 'unknown' })
      await world.users.update(accountId, { disabled: false })
      expect(await world.accounts.findByApiKey(apiKey)).toMatchObject({ accountId })
      expect(await isLive(session)).toBe(true)
    })
  })

  describe(`${name}, as every sessions port,`, () => {
    afterAll(() => world.close?.())

    it.each(['user', 'administrator'] as const)('makes principals of a %s', async (role) => {
      const { accountId } = await newUser()
      await world.users.update(accountId, { role, limits: { maxConcurrent: 3 } })
      const { sessionId } = (await signIn(accountId))!
      expect(await world.sessions.find(accountId, sessionId)).toEqual({
        accountId,
        keyId: sessionId,
        role,
        scopes: scopesOf(role),
        limits: { key: {}, account: { maxConcurrent: 3 } },
        session: true,
      })
    })

    it('starts none with a password that was changed meanwhile', async () => {
      const { accountId } = await newUser()
      expect(await signIn(accountId, { passwordHash: 'the one before' })).toBeUndefined()
      expect(await signIn(nobody)).toBeUndefined()
    })

    it('knows no session of another account, and none that has ended or expired', async () => {
      const [mine, other] = [await newUser(), await newUser()]
      const session = (await signIn(mine.accountId, { lifetimeMs: hourMs }))!
      expect(await world.sessions.find(other.accountId, session.sessionId)).toBeUndefined()
      expect(await world.sessions.end(other.accountId, session.sessionId)).toBe(false)
      expect(await isLive(session)).toBe(true)
      await world.pass(hourMs + 1_000)
      expect(await isLive(session)).toBe(false)
      expect(await world.sessions.renew(session.refreshToken, hourMs)).toEqual({ outcome: 'unknown' })
      const second = (await signIn(mine.accountId))!
      expect(await world.sessions.end(mine.accountId, second.sessionId)).toBe(true)
      expect(await world.sessions.end(mine.accountId, second.sessionId)).toBe(false)
      expect(await isLive(second)).toBe(false)
    })

    it('renews with each token once, and each renewal prolongs the session', async () => {
      const { accountId } = await newUser()
      const session = (await signIn(accountId, { lifetimeMs: hourMs }))!
      let token = session.refreshToken
      const seen = new Set([token])
      for (let i = 0; i < 5; i++) {
        await world.pass(hourMs - 60_000)
        const renewed = await world.sessions.renew(token, hourMs)
        if (renewed.outcome !== 'renewed') return expect.fail(renewed.outcome)
        expect(renewed).toMatchObject({ accountId, sessionId: session.sessionId })
        token = renewed.refreshToken
        seen.add(token)
      }
      expect(seen.size).toBe(6)
      expect(await isLive(session)).toBe(true)
    })

    it('gives one of many who renew at the same moment a token, and the session lives', async () => {
      const { accountId } = await newUser()
      const session = (await signIn(accountId))!
      const all = await Promise.all(Array.from({ length: 8 }, () => world.sessions.renew(session.refreshToken, dayMs)))
      const outcomes = all.map(({ outcome }) => outcome).sort()
      expect(outcomes).toEqual(['renewed', ...Array(7).fill('superseded')])
      expect(await isLive(session)).toBe(true)
      const renewed = all.find(({ outcome }) => outcome === 'renewed') as { refreshToken: string }
      expect(await world.sessions.renew(renewed.refreshToken, dayMs)).toMatchObject({ outcome: 'renewed' })
    })

    it('ends the session when a token comes back ten seconds after it was used', async () => {
      const { accountId } = await newUser()
      const session = (await signIn(accountId))!
      const renewed = await world.sessions.renew(session.refreshToken, dayMs)
      await world.pass(10_500)
      const { sessionId } = session
      expect(await world.sessions.renew(session.refreshToken, dayMs)).toEqual({
        outcome: 'reused',
        accountId,
        sessionId,
      })
      expect(await isLive(session)).toBe(false)
      const { refreshToken } = renewed as { refreshToken: string }
      expect(await world.sessions.renew(refreshToken, dayMs)).toEqual({ outcome: 'unknown' })
    })

    it('ends the session when any older token comes back, however soon', async () => {
      const { accountId } = await newUser()
      const session = (await signIn(accountId))!
      const second = (await world.sessions.renew(session.refreshToken, dayMs)) as { refreshToken: string }
      await world.sessions.renew(second.refreshToken, dayMs)
      expect(await world.sessions.renew(session.refreshToken, dayMs)).toMatchObject({ outcome: 'reused' })
      expect(await isLive(session)).toBe(false)
    })

    it('ends nothing for a token that it never gave, even one that names the session', async () => {
      const { accountId } = await newUser()
      const [one, other] = [(await signIn(accountId))!, (await signIn(accountId))!]
      const half = Math.floor(one.refreshToken.length / 2)
      const made = [
        '',
        'rt_',
        `${one.refreshToken}A`,
        one.refreshToken.slice(0, -1),
        one.refreshToken.slice(0, half) + other.refreshToken.slice(half),
        "rt_' or true --",
      ]
      for (const token of made) expect(await world.sessions.renew(token, dayMs)).toEqual({ outcome: 'unknown' })
      for (const token of made) expect(await world.sessions.endByToken(token)).toBe(false)
      expect([await isLive(one), await isLive(other)]).toEqual([true, true])
    })

    it('ends a session by its refresh token', async () => {
      const { accountId } = await newUser()
      const session = (await signIn(accountId))!
      expect(await world.sessions.endByToken(session.refreshToken)).toBe(true)
      expect(await world.sessions.endByToken(session.refreshToken)).toBe(false)
      expect(await isLive(session)).toBe(false)
    })

    it('lists the sessions of an account, the newest first, with when they ended', async () => {
      const { accountId } = await newUser()
      const [first, second] = [(await signIn(accountId))!, (await signIn(accountId))!]
      await world.sessions.end(accountId, first.sessionId)
      const listed = await world.sessions.list(accountId)
      expect(listed.map(({ sessionId }) => sessionId)).toEqual([second.sessionId, first.sessionId])
      const times = { createdAt: expect.any(Date), renewedAt: expect.any(Date), expiresAt: expect.any(Date) }
      expect(listed[0]).toEqual({ sessionId: second.sessionId, ...times, endedAt: undefined })
      expect(listed[1]).toMatchObject({ ...times, endedAt: expect.any(Date) })
      await world.users.close(accountId)
      expect(await world.sessions.list(accountId)).toEqual([])
      expect(await world.sessions.list(nobody)).toEqual([])
    })

    it('keeps fifty sessions of an account, and ends the oldest for one more', async () => {
      const { accountId } = await newUser()
      const all = []
      for (let i = 0; i < 51; i++) all.push((await signIn(accountId))!)
      const live = []
      for (const session of all) live.push(await isLive(session))
      expect(live).toEqual([false, ...Array(50).fill(true)])
    })
  })
}
