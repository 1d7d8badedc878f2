import { beforeEach, describe, expect, test } from 'vitest'
import { createMemoryAccounts } from '../../adapters/memory/accounts.ts'
import { createMemoryBooks } from '../../adapters/memory/books.ts'
import { createMemorySignInAttempts } from '../../adapters/memory/sign-in-attempts.ts'
import { createMemoryUsers } from '../../adapters/memory/users.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import type { Principal } from '../domain/principal.ts'
import type { SignInSubject } from '../domain/sign-in-delay.ts'
import type { Passwords } from '../ports.ts'
import { createAccessTokens } from './access-tokens.ts'
import { createSignIn, type SignIn } from './sign-in.ts'

const place = '203.0.113.7'
const email = 'somebody@example.test'
const password = 'the right password'

/** As hashes: the cost, and the password itself. */
let cost: number
let beforeCheck: () => Promise<unknown>
let checked: (string | undefined)[]
const passwords: Passwords = {
  hash: async (text) => `${cost}:${text}`,
  async check(text, hash) {
    checked.push(hash)
    await beforeCheck()
    if (hash?.slice(hash.indexOf(':') + 1) !== text) return 'wrong'
    return hash.startsWith(`${cost}:`) ? 'right' : 'outdated'
  },
  generate: () => 'generated',
}

let world: ReturnType<typeof createMemoryUsers>
let taken: string[][]
let givenBack: string[][]
let signIn: SignIn
let accountId: string
let forget: (accountId: string) => Promise<void> = async () => {}
let endRentals: (accountId: string) => Promise<void> = async () => {}

beforeEach(async () => {
  const clock = new FakeClock()
  cost = 1
  beforeCheck = async () => {}
  checked = []
  taken = []
  givenBack = []
  world = createMemoryUsers({ accounts: createMemoryAccounts({ clock }), clock })
  const counted = createMemorySignInAttempts({ clock })
  const kinds = (subjects: readonly SignInSubject[]) => subjects.map(({ kind }) => kind)
  signIn = createSignIn({
    ...world,
    attempts: {
      take(subjects) {
        taken.push(kinds(subjects))
        return counted.take(subjects)
      },
      giveBack(subjects) {
        givenBack.push(kinds(subjects))
        return counted.giveBack(subjects)
      },
    },
    passwords,
    tokens: createAccessTokens({
      clock,
      newId: crypto.randomUUID.bind(crypto),
      secret: 'x'.repeat(32),
      lifetimeMs: 1_000,
    }),
    registration: 'open',
    credits: createMemoryBooks({ clock }).credits,
    signupCredit: 0,
    idempotency: { forget: (accountId) => forget(accountId) },
    endRentals: (accountId) => endRentals(accountId),
    sessionMs: 10_000,
    metrics: new FakeMetrics(),
    log: { debug() {}, info() {}, warn() {}, error() {} },
  })
  accountId = (await signIn.register({ email, name: 'Somebody', password })).accountId
})
const enter = (text = password, mailbox = email) => signIn.signIn({ email: mailbox, password: text }, place)

describe('signing in', () => {
  test('hashes the password anew where the cost was raised since, and the new hash is good', async () => {
    cost = 2
    await enter()
    expect(await world.users.passwordHash(accountId)).toBe(`2:${password}`)
    await enter()
    expect(checked).toEqual([`1:${password}`, `2:${password}`])
  })

  test('hashes nothing anew for a wrong password', async () => {
    cost = 2
    await expect(enter('wrong')).rejects.toMatchObject({ code: 'sign_in_failed' })
    expect(await world.users.passwordHash(accountId)).toBe(`1:${password}`)
  })

  test('is no guess where the password could not be looked at', async () => {
    beforeCheck = () => Promise.reject(new Error('busy'))
    for (let i = 0; i < 30; i++) await expect(enter()).rejects.toThrow('busy')
    beforeCheck = async () => {}
    expect(await enter()).toMatchObject({ user: { accountId } })
    expect(givenBack).toHaveLength(31)
  })

  test('with a password that is changed meanwhile does not succeed, whether or not it is hashed anew', async () => {
    for (const raised of [1, 2]) {
      cost = raised
      const before = await world.users.passwordHash(accountId)
      beforeCheck = () => world.users.setPassword(accountId, { hash: `${raised}:next`, endSessions: 'all' })
      await expect(enter(before!.slice(2))).rejects.toMatchObject({ code: 'sign_in_failed' })
      expect(await world.users.passwordHash(accountId)).toBe(`${raised}:next`)
    }
  })

  test('does the same work for an unknown mailbox as for a wrong password', async () => {
    await expect(enter('wrong')).rejects.toMatchObject({ code: 'sign_in_failed' })
    await expect(enter('wrong', 'nobody@example.test')).rejects.toMatchObject({ code: 'sign_in_failed' })
    expect(checked).toEqual([`1:${password}`, undefined])
    expect(taken).toEqual([
      ['address', 'email'],
      ['address', 'email'],
    ])
    expect(givenBack).toEqual([])
  })

  test('is counted before the password is looked at, and taken back only where it was right', async () => {
    beforeCheck = async () => expect(taken).toHaveLength(1)
    await enter()
    expect(givenBack).toEqual([['address', 'email']])
    beforeCheck = async () => {}
    await enter()
    expect(taken[1]).toEqual(['address', 'pair'])
    expect(givenBack[1]).toEqual(['address', 'pair'])
  })

  test('looks at no password while one has to wait', async () => {
    for (let i = 0; i < 5; i++) await enter('wrong').catch(() => {})
    checked = []
    await expect(enter()).rejects.toMatchObject({ code: 'too_many_sign_ins', options: { retryAfterMs: 1_000 } })
    expect(checked).toEqual([])
  })
})

test('a password is changed only if it is still the one that was proved', async () => {
  const limits = { key: {}, account: {} }
  const who: Principal = { accountId, keyId: 'key', role: 'user', scopes: [], limits }
  beforeCheck = () => world.users.setPassword(accountId, { hash: '1:another', endSessions: 'all' })
  const change = signIn.changePassword(who, { password, newPassword: 'a thief wants this' })
  await expect(change).rejects.toMatchObject({ code: 'password_wrong' })
  expect(await world.users.passwordHash(accountId)).toBe('1:another')
})

test('closing an account forgets the answers kept for its keys; where that fails it is closed all the same', async () => {
  const who = (id: string): Principal => ({
    ...{ accountId: id, keyId: 'key', role: 'user', scopes: [] },
    limits: { key: {}, account: {} },
  })
  const forgotten: string[] = []
  forget = async (id) => void forgotten.push(id)
  await signIn.closeAccount(who(accountId), password)
  expect(forgotten).toEqual([accountId])

  const other = await signIn.register({ email, name: 'Another', password })
  forget = () => Promise.reject(new Error('away'))
  await signIn.closeAccount(who(other.accountId), password)
  expect(await world.users.find(other.accountId)).toBeUndefined()
})

test('closing an account first ends what it has rented: where that fails it stays open, afterwards it is closed all the same', async () => {
  const who: Principal = {
    ...{ accountId, keyId: 'key', role: 'user', scopes: [] },
    limits: { key: {}, account: {} },
  }
  endRentals = () => Promise.reject(new Error('away'))
  await expect(signIn.closeAccount(who, password)).rejects.toThrow('away')
  expect(await world.users.find(accountId)).toBeDefined()

  const wasOpen: boolean[] = []
  endRentals = async (id) => {
    wasOpen.push((await world.users.find(id)) !== undefined)
    if (wasOpen.length === 2) throw new Error('away')
  }
  await signIn.closeAccount(who, password)
  expect(wasOpen).toEqual([true, false])
  endRentals = async () => {}
})
