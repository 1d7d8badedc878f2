import { beforeEach, describe, expect, test } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createCache } from '../cache/cache.ts'
import { createMemoryTier } from '../cache/memory-tier.ts'
import type { Principal } from '../domain/principal.ts'
import { createAccessTokens } from '../services/access-tokens.ts'
import { type AuthenticateOptions, authenticate, createStillGood } from './authenticate.ts'
import type { Check } from './guard.ts'
import type { AppContext } from './request-context.ts'

const session = {
  accountId: '00000000-0000-7000-8000-00000000000a',
  sessionId: '00000000-0000-7000-8000-00000000000b',
}
const principal: Principal = {
  accountId: session.accountId,
  keyId: session.sessionId,
  role: 'user',
  scopes: ['inference'],
  limits: { key: {}, account: {} },
}

let clock: FakeClock
let asked: string[]
let noted: string[]
let answers: boolean
let found: Principal | undefined
let options: AuthenticateOptions
let check: Check
let tokens: ReturnType<typeof createAccessTokens>
beforeEach(() => {
  clock = new FakeClock()
  asked = []
  noted = []
  answers = true
  found = principal
  tokens = createAccessTokens({ clock, newId: () => session.sessionId, secret: 's'.repeat(32), lifetimeMs: 60_000 })
  const find = (what: string) => async () => {
    asked.push(what)
    if (!answers) throw new Error('no database')
    return found
  }
  options = {
    accounts: { findByApiKey: find('key') },
    sessions: { find: find('session') },
    tokens,
    keyUse: { note: ({ keyId }) => void noted.push(keyId) },
    principals: createCache({
      name: 'principals',
      scope: 'credential',
      clock,
      random: () => 0.5,
      memory: createMemoryTier({ maxBytes: 1e6 }),
      freshMs: 2_000,
      staleWhileRevalidateMs: 2_000,
      staleIfErrorMs: 300_000,
      isNegative: (value) => value === null,
      bytesOf: () => 400,
    }),
    digest: (text) => text,
  }
  check = authenticate(options)
})

async function ask(credential: string) {
  const request: { principal?: Principal; headers: Record<string, string> } = { headers: {} }
  const env = { headers: { authorization: `Bearer ${credential}` } }
  const c = { env, req: { method: 'POST' }, get: () => request } as unknown as AppContext
  await check(c)
  return request.principal
}

describe('an API key', () => {
  test('is looked up, noted as used, and then known for a while', async () => {
    expect(await ask('ak_live_0123456789abcdef')).toBe(principal)
    expect(await ask('ak_live_0123456789abcdef')).toBe(principal)
    expect(asked).toEqual(['key'])
    expect(noted).toEqual([principal.keyId])
  })

  test('of any 20 to 200 printable characters is taken for a key, also where it looks like a token', async () => {
    for (const key of ['x'.repeat(20), '~'.repeat(200), `eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.${'x'.repeat(50)}.abc`]) {
      expect(await ask(key)).toBe(principal)
    }
    expect(asked).toEqual(['key', 'key', 'key'])
  })
})

describe('an access token', () => {
  test('that nobody signed asks nothing of the database', async () => {
    const { token } = await tokens.issue(session)
    const other = createAccessTokens({
      clock,
      newId: () => session.sessionId,
      secret: 'o'.repeat(32),
      lifetimeMs: 60_000,
    })
    for (const forged of [
      (await other.issue(session)).token,
      `${token.slice(0, -2)}AA`,
      'x'.repeat(201),
      `${token}.x`,
    ]) {
      await expect(ask(forged)).rejects.toMatchObject({ code: 'invalid_credential' })
    }
    expect(asked).toEqual([])
  })

  test('is looked up by its session, and not noted as a key', async () => {
    const { token } = await tokens.issue(session)
    expect(await ask(token)).toBe(principal)
    expect(await ask(token)).toBe(principal)
    expect(asked).toEqual(['session'])
    expect(noted).toEqual([])
  })

  test('that expires is refused though the database is gone, which would let its session go on', async () => {
    const { token } = await tokens.issue(session)
    expect(await ask(token)).toBe(principal)
    answers = false
    await clock.advance(30_000)
    expect(await ask(token)).toBe(principal)
    await clock.advance(95_000)
    await expect(ask(token)).rejects.toMatchObject({ code: 'invalid_credential' })
  })

  test('that is new while the database is gone is no fault of its owner', async () => {
    answers = false
    await expect(ask((await tokens.issue(session)).token)).rejects.toMatchObject({ code: 'database_unavailable' })
  })
})

test('what stays open is its caller’s while he has the role he had, and while the database is away', async () => {
  const request = { principal, headers: {} }
  const env = { headers: { authorization: 'Bearer ak_live_0123456789abcdef' } }
  const isGood = createStillGood(options)({ env, get: () => request } as unknown as AppContext)
  expect(await isGood()).toBe(true)
  // So long that nothing is known of him any more.
  const forgottenMs = 400_000
  answers = false
  await clock.advance(forgottenMs)
  expect(await isGood()).toBe(true)
  answers = true
  for (const other of [{ ...principal, role: 'administrator' as const }, undefined]) {
    found = other
    await clock.advance(forgottenMs)
    expect(await isGood()).toBe(false)
  }
})
