/** Registering, signing in and out, over HTTP. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/resilience/clock.ts'
import { createAccessTokens } from '../../src/services/access-tokens.ts'
import { startTestGateway, type TestGateway, testJwtSecret, testKey } from '../support/gateway.ts'
import { type Call, caller, newEmail, newKey, newPerson, password, type SignedIn, signIn } from '../support/people.ts'

let gateway: TestGateway
let call: Call
const granted: object[] = []

beforeAll(async () => {
  gateway = await startTestGateway({
    env: { TRUSTED_PROXY_HOPS: '1', SIGNUP_CREDIT_USD: '2.50' },
    ports: {
      credits: {
        granted: async () => undefined,
        async grant(accountId, grant) {
          granted.push({ accountId, ...grant })
          return true
        },
      },
    },
  })
  call = caller(gateway.url)
})
afterAll(() => gateway.close())

const register = (body: object, options = {}) => call('POST', '/api/v1/auth/register', body, options)
const refresh = (token: string) =>
  call<{ tokens: SignedIn['tokens'] }>('POST', '/api/v1/auth/refresh', { refresh_token: token })
const me = (token: string) => call('GET', '/api/v1/user', undefined, { token })
/** How many were answered before one had to wait. */
async function answeredBeforeDelay(ask: () => Promise<{ status: number }>) {
  for (let answered = 0; ; answered++) if ((await ask()).status === 429) return answered
}
/** Until principals are forgotten: at most four seconds. */
async function stops(token: string, from = performance.now()) {
  while ((await me(token)).status === 200) {
    if (performance.now() - from > 5_000) return false
    await new Promise((resolve) => setImmediate(resolve))
  }
  return true
}

describe('registering', () => {
  test('makes an account with the credit that the operator gives, once', async () => {
    const email = newEmail()
    const { status, body, headers } = await register({ email: `  ${email.toUpperCase()} `, password, name: ' Ada ' })
    expect(status).toBe(201)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(body.user).toEqual({
      id: expect.any(String),
      email,
      name: 'Ada',
      role: 'user',
      created_at: expect.any(String),
    })
    const { id } = body.user as { id: string }
    expect(granted.filter((grant) => (grant as { accountId: string }).accountId === id)).toEqual([
      { accountId: id, id, amount: 2_500_000, kind: 'signup' },
    ])
  })

  test('a second time says so, without a word of the database', async () => {
    const email = newEmail()
    const first = await Promise.all([1, 2, 3].map(() => register({ email, password })))
    expect(first.map(({ status }) => status).sort()).toEqual([201, 409, 409])
    const again = await register({ email: email.toUpperCase(), password })
    expect(again).toMatchObject({ status: 409, body: { code: 'email_taken', param: 'email' } })
    expect(JSON.stringify(again.body)).not.toMatch(/duplicate|constraint|sql/i)
  })

  test('a body that is too large is told how large it may be', async () => {
    const { status, body } = await register({ email: newEmail(), password, name: 'x'.repeat(9_000) })
    expect(status).toBe(413)
    expect(body.detail).toContain('8 KB')
  })

  test.each([
    ['no email', { password }, 'email'],
    ['no mailbox', { email: 'nobody', password }, 'email'],
    ['a line break in the email', { email: 'a@example.test\nbcc: b@example.test', password }, 'email'],
    ['half a surrogate pair in the password', { email: 'a@example.test', password: `\ud800${password}` }, 'password'],
    ['half a surrogate pair in the name', { email: 'a@example.test', name: 'A\udfff', password }, 'name'],
    ['a short password', { email: 'a@example.test', password: 'x'.repeat(11) }, 'password'],
    ['a long password', { email: 'a@example.test', password: 'x'.repeat(201) }, 'password'],
    ['a password that is no text', { email: 'a@example.test', password: 123456789012 }, 'password'],
    ['a name with control characters', { email: 'a@example.test', password, name: 'a\u0000b' }, 'name'],
    ...['role', 'account_id', 'credits', 'id', 'is_admin', 'created_at', '__proto__x'].map(
      (field) => [`the field ${field}`, { email: 'a@example.test', password, [field]: 1 }, field] as const,
    ),
  ] as const)('with %s is a 400 that names the field', async (_what, body, param) => {
    expect(await register(body)).toMatchObject({ status: 400, body: { code: 'invalid_body', param } })
  })

  test('takes a password of 200 characters, whatever they are made of', async () => {
    const long = '🐎'.repeat(200)
    const email = newEmail()
    const escaped = long.replace(/./gsu, (c) => `\\u${c.charCodeAt(0).toString(16)}\\u${c.charCodeAt(1).toString(16)}`)
    expect((await register(`{"email":"${email}","password":"${escaped}"}` as never)).status).toBe(201)
    expect((await call('POST', '/api/v1/auth/login', { email, password: long })).status).toBe(200)
    expect((await call('POST', '/api/v1/auth/login', { email, password: long.slice(2) })).status).toBe(401)
  })

  test('a body of more than a few kilobytes is not read', async () => {
    expect(await register({ email: newEmail(), password, name: 'x'.repeat(10_000) })).toMatchObject({ status: 413 })
  })

  test('a credit that fails leaves the account and a line in the log', async () => {
    const failing = await startTestGateway({
      env: { SIGNUP_CREDIT_USD: '1' },
      ports: { credits: { granted: async () => undefined, grant: () => Promise.reject(new Error('canary')) } },
    })
    const { status } = await caller(failing.url)('POST', '/api/v1/auth/register', { email: newEmail(), password })
    expect(status).toBe(201)
    const line = failing.log.find(({ message }) => message === 'the credit of a new account was not granted')
    expect(line).toMatchObject({ level: 'error', account_id: expect.any(String) })
    await failing.close()
  })

  test.each([
    [{ REGISTRATION: 'closed' }, 403],
    [{ NODE_ENV: 'production', DB_HOST: 'db', JWT_SECRET: 'x'.repeat(32) }, 403],
    [{ NODE_ENV: 'production', DB_HOST: 'db', JWT_SECRET: 'x'.repeat(32), REGISTRATION: 'open' }, 201],
  ])('with %j answers %i', async (env, status) => {
    const other = await startTestGateway({ env })
    const answer = await caller(other.url)('POST', '/api/v1/auth/register', { email: newEmail(), password })
    expect(answer.status).toBe(status)
    if (status === 403) expect(answer.body.code).toBe('registration_closed')
    await other.close()
  })
})

describe('signing in', () => {
  test('gives tokens that are good for what the account may do', async () => {
    const { email } = await newPerson(call)
    const { status, body, headers } = await signIn(call, email.toUpperCase())
    expect(status).toBe(200)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(body).toEqual({
      user: expect.objectContaining({ email }),
      tokens: { access_token: expect.any(String), refresh_token: expect.any(String), expires_at: expect.any(String) },
    })
    const token = body.tokens.access_token
    expect(Math.abs(Date.parse(body.tokens.expires_at) - Date.now() - 86_400_000)).toBeLessThan(60_000)
    expect((await call('GET', '/v1/models', undefined, { token })).status).toBe(200)
    expect((await call('GET', '/api/v1/gpu/offers', undefined, { token })).status).toBe(200)
    expect((await me(token)).body).toEqual({ user: body.user })
    const denied = await call('GET', '/api/v1/admin/breakers', undefined, { token })
    expect(denied).toMatchObject({ status: 403, body: { code: 'administrator_only' } })
    const byHeader = await fetch(`${gateway.url}/v1/models`, { headers: { 'x-api-key': token } })
    expect(byHeader.status).toBe(200)
  })

  test('looks the same for an unknown mailbox and a wrong password', async () => {
    const { email } = await newPerson(call)
    const [wrong, unknown] = await Promise.all(
      [email, newEmail()].map((email) => call('POST', '/api/v1/auth/login', { email, password: 'x'.repeat(12) })),
    )
    expect(wrong!.status).toBe(401)
    expect({ ...wrong!.body, request_id: '' }).toEqual({ ...unknown!.body, request_id: '' })
    const names = ({ headers }: typeof wrong & object) => [...headers.keys()].sort()
    expect(names(wrong!)).toEqual(names(unknown!))
  })

  test.each([
    ['nothing', {}],
    ['no password', { email: 'a@example.test' }],
    ['another field', { email: 'a@example.test', password, admin: true }],
    ['a NUL', { email: 'a\u0000@example.test', password }],
    ['a list for an email', { email: ['a@example.test'], password }],
    ['an object for a password', { email: 'a@example.test', password: { $ne: null } }],
  ])('with %s is a 400', async (_what, body) => {
    expect((await call('POST', '/api/v1/auth/login', body)).status).toBe(400)
  })

  test('is slowed down for whoever guesses at one account, from wherever they do, and for an unknown one alike', async () => {
    const { email } = await newPerson(call)
    for (const mailbox of [email, newEmail()]) {
      const guess = () => call('POST', '/api/v1/auth/login', { email: mailbox, password: 'x'.repeat(12) })
      // On a slow machine the first waits, of a second or two, may be over before they are met.
      expect(await answeredBeforeDelay(guess)).toBeGreaterThanOrEqual(5)
    }
  })

  test('strangers who guess do not lock the owner out where they have signed in before', async () => {
    const person = await newPerson(call)
    const home = '203.0.113.50'
    expect((await signIn(call, person.email, { address: home })).status).toBe(200)
    const guess = () => call('POST', '/api/v1/auth/login', { email: person.email, password: 'x'.repeat(12) })
    await answeredBeforeDelay(guess)
    expect((await signIn(call, person.email, { address: home })).status).toBe(200)
    expect((await refresh(person.refreshToken)).status).toBe(200)
  })

  test('is slowed down for an address that guesses at many accounts, however often it signs in to its own', async () => {
    const { email } = await newPerson(call)
    const address = '203.0.113.66'
    let asked = 0
    const answered = await answeredBeforeDelay(async () => {
      if (++asked % 5 === 0) await signIn(call, email, { address })
      return call('POST', '/api/v1/auth/login', { email: newEmail(), password: 'x'.repeat(12) }, { address })
    })
    expect(answered).toBeGreaterThanOrEqual(20)
    const refused = await call('POST', '/api/v1/auth/login', { email: newEmail(), password }, { address })
    expect(refused).toMatchObject({ status: 429, body: { code: 'too_many_sign_ins' } })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  })

  test('an address may ask sixty times a minute, also where it is one of a /64 and says what it likes', async () => {
    const statuses: number[] = []
    // One more is let in for each second that it takes.
    for (let i = 0; i < 200 && statuses.at(-1) !== 429; i++) {
      const address = `${i}.1.1.1, 2001:db8:7:7::${i.toString(16)}`
      statuses.push((await call('POST', '/api/v1/auth/refresh', { refresh_token: 'x' }, { address })).status)
    }
    expect(statuses.slice(0, 60)).toEqual(Array(60).fill(401))
    expect(statuses.at(-1)).toBe(429)
  })

  test('is refused while nothing may be written, and so are the others of its kind', async () => {
    const { email, refreshToken } = await newPerson(call)
    const setMode = (readOnly: boolean) =>
      call('PUT', '/api/v1/admin/mode', { read_only: readOnly }, { token: testKey })
    await setMode(true)
    const answers = [
      await signIn(call, email),
      await refresh(refreshToken),
      await register({ email: newEmail(), password }),
    ]
    await setMode(false)
    expect(answers.map(({ status, body }) => [status, (body as { code?: string }).code])).toEqual(
      Array(3).fill([503, 'read_only']),
    )
    expect((await refresh(refreshToken)).status).toBe(200)
  })
})

describe('tokens', () => {
  test('another secret, or none at all, opens nothing', async () => {
    const { token } = await newPerson(call)
    const [head, claims, signature] = token.split('.')
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')
    for (const forged of [
      `${none}.${claims}.`,
      `${none}.${claims}.${signature}`,
      `${head}.${claims}.`,
      `${head}.${claims}.${'A'.repeat(43)}`,
      token.slice(0, -1),
    ]) {
      expect(await me(forged)).toMatchObject({ status: 401, body: { code: 'invalid_credential' } })
    }
    expect((await me(token)).status).toBe(200)
  })

  test('signed as it should be stand for nobody without a session of that account', async () => {
    const [{ id }, other] = [await newPerson(call), await newPerson(call)]
    const options = { clock: systemClock, newId: () => crypto.randomUUID(), secret: testJwtSecret, lifetimeMs: 60_000 }
    const issue = async (accountId: string, sessionId: string) =>
      (await createAccessTokens(options).issue({ accountId, sessionId })).token
    const { sid } = JSON.parse(Buffer.from(other.token.split('.')[1]!, 'base64url').toString()) as { sid: string }
    expect((await me(await issue(id, crypto.randomUUID()))).status).toBe(401)
    expect((await me(await issue(id, sid))).status).toBe(401)
    expect((await me(await issue(other.id, sid))).status).toBe(200)
  })

  test('are renewed; the former refresh token is good no more, and the session lives', async () => {
    const { refreshToken } = await newPerson(call)
    const first = await refresh(refreshToken)
    expect(first.status).toBe(200)
    expect(Object.keys(first.body)).toEqual(['tokens'])
    expect(await refresh(refreshToken)).toMatchObject({ status: 401, body: { code: 'invalid_refresh_token' } })
    expect((await me(first.body.tokens.access_token)).status).toBe(200)
    expect((await refresh(first.body.tokens.refresh_token)).status).toBe(200)
  })

  test('a refresh token that comes back when two more were given ends the session, and the log says so', async () => {
    const { id, refreshToken, token } = await newPerson(call)
    const second = await refresh(refreshToken)
    const third = await refresh(second.body.tokens.refresh_token)
    expect((await refresh(refreshToken)).status).toBe(401)
    expect((await refresh(third.body.tokens.refresh_token)).status).toBe(401)
    const line = gateway.log.find(({ message, account_id }) => message.includes('used twice') && account_id === id)
    expect(line).toMatchObject({ level: 'warn', key_id: expect.any(String) })
    expect(await stops(token)).toBe(true)
  })

  test('many who renew at the same moment get one pair of tokens, and nobody is signed out', async () => {
    const { refreshToken } = await newPerson(call)
    const all = await Promise.all(Array.from({ length: 10 }, () => refresh(refreshToken)))
    expect(all.map(({ status }) => status).sort()).toEqual([200, ...Array(9).fill(401)])
    const { tokens } = all.find(({ status }) => status === 200)!.body
    expect((await me(tokens.access_token)).status).toBe(200)
    expect((await refresh(tokens.refresh_token)).status).toBe(200)
  })

  test('end when their owner signs out, by the one or by the other', async () => {
    for (const by of ['access', 'refresh'] as const) {
      const { token, refreshToken } = await newPerson(call)
      const body = by === 'access' ? undefined : { refresh_token: refreshToken }
      const out = await call('POST', '/api/v1/auth/logout', body, { token: by === 'access' ? token : undefined })
      expect(out.status).toBe(204)
      expect((await refresh(refreshToken)).status).toBe(401)
      expect(await stops(token)).toBe(true)
    }
    expect((await call('POST', '/api/v1/auth/logout', undefined, { token: 'nonsense' })).status).toBe(401)
  })

  test('end by an access token in the other header, too', async () => {
    const { token, refreshToken } = await newPerson(call)
    const headers = { 'x-api-key': token }
    expect((await fetch(`${gateway.url}/api/v1/auth/logout`, { method: 'POST', headers })).status).toBe(204)
    expect((await refresh(refreshToken)).status).toBe(401)
  })
})

describe('the password', () => {
  const next = 'another long password 77'
  const change = (token: string, body: object) => call('PUT', '/api/v1/user/password', body, { token })

  test('is changed with the old one; other sessions end and this one goes on', async () => {
    const { email, token } = await newPerson(call)
    const other = await signIn(call, email)
    const otherToken = other.body.tokens.access_token
    expect((await me(otherToken)).status).toBe(200)
    expect(await change(token, { password: 'x'.repeat(12), new_password: next })).toMatchObject({
      status: 403,
      body: { code: 'password_wrong', param: 'password' },
    })
    expect((await change(token, { password, new_password: 'short' })).status).toBe(400)
    expect((await change(token, { password, new_password: next })).status).toBe(204)
    expect(await stops(otherToken)).toBe(true)
    expect((await refresh(other.body.tokens.refresh_token)).status).toBe(401)
    expect((await me(token)).status).toBe(200)
    expect((await signIn(call, email)).status).toBe(401)
    expect((await call('POST', '/api/v1/auth/login', { email, password: next })).status).toBe(200)
  })

  test('cannot be guessed with a stolen access token', async () => {
    const { token } = await newPerson(call)
    const guess = () => change(token, { password: 'x'.repeat(12), new_password: next })
    expect(await answeredBeforeDelay(guess)).toBeGreaterThanOrEqual(10)
  })

  test('closes the account: nothing of it works any more, and its email is free again', async () => {
    const { email, token, refreshToken, id } = await newPerson(call)
    const { api_key: apiKey } = await newKey(call, token)
    const close = (body: object) => call('DELETE', '/api/v1/user', body, { token })
    expect((await close({ password: 'x'.repeat(12) })).status).toBe(403)
    expect((await close({})).status).toBe(400)
    expect((await close({ password })).status).toBe(204)
    expect((await refresh(refreshToken)).status).toBe(401)
    expect(await stops(token)).toBe(true)
    expect(await stops(apiKey)).toBe(true)
    expect((await signIn(call, email)).status).toBe(401)
    expect((await newPerson(call, email)).id).not.toBe(id)
  })

  test('neither password nor account are in reach of an API key, even with the password', async () => {
    const { token } = await newPerson(call)
    const { api_key: key } = await newKey(call, token)
    const change = { password, new_password: 'another good password' }
    const answers = [
      await call('PUT', '/api/v1/user/password', change, { token: key }),
      await call('DELETE', '/api/v1/user', { password }, { token: key }),
    ]
    for (const { status, body } of answers) expect([status, body.code]).toEqual([403, 'scope_missing'])
    expect((await me(token)).status).toBe(200)
  })

  test('an account without one cannot be closed by a key', async () => {
    expect((await call('DELETE', '/api/v1/user', { password }, { token: testKey })).status).toBe(403)
  })
})

test('no password, token or email is in the log or the metrics', async () => {
  const person = await newPerson(call)
  const key = await newKey(call, person.token)
  await call('POST', '/api/v1/auth/login', { email: person.email, password: 'canary password 0001' })
  const told = JSON.stringify(gateway.log) + (await gateway.metricsText())
  for (const canary of [password, 'canary password', person.email, person.token, person.refreshToken, key.api_key]) {
    expect(told).not.toContain(canary)
  }
  expect(await gateway.metric('sign_ins_total', { result: 'wrong' })).toBeGreaterThan(0)
})
