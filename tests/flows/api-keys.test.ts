/** Making, limiting, rotating and revoking keys, and what administrators do with accounts, over HTTP. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestGateway, type TestGateway, testKey } from '../support/gateway.ts'
import { type Call, caller, type MadeKey, newEmail, newKey, newPerson, password, signIn } from '../support/people.ts'

let gateway: TestGateway
let call: Call
beforeAll(async () => {
  gateway = await startTestGateway({ env: { TRUSTED_PROXY_HOPS: '1', RATE_LIMIT_PER_MINUTE: '5000' } })
  call = caller(gateway.url)
})
afterAll(() => gateway.close())

const keys = '/api/v1/auth/apikeys'
const make = (token: string, body: object) => call<MadeKey & { param?: string }>('POST', keys, body, { token })
const list = async (token: string) =>
  (await call<{ apikeys: MadeKey[] }>('GET', keys, undefined, { token })).body.apikeys
const chat = (token: string, body: object) =>
  call<{ error: { code: string } }>(
    'POST',
    '/v1/chat/completions',
    { messages: [{ role: 'user', content: 'hi' }], max_tokens: 2, ...body },
    { token },
  )
async function stops(token: string, from = performance.now()) {
  while ((await call('GET', '/v1/models', undefined, { token })).status === 200) {
    if (performance.now() - from > 5_000) return false
    await new Promise((resolve) => setImmediate(resolve))
  }
  return true
}
/** An administrator who signed in, and one of their keys without the scope that manages keys. */
async function newAdministrator() {
  const person = await newPerson(call)
  await call('PATCH', `/api/v1/admin/accounts/${person.id}`, { role: 'administrator' }, { token: testKey })
  const { body } = await signIn(call, person.email)
  return { ...person, token: body.tokens.access_token }
}

describe('a key', () => {
  test('is told once, works at once, and is shown without itself', async () => {
    const { token } = await newPerson(call)
    const { status, body, headers } = await make(token, { name: ' laptop ' })
    expect(status).toBe(201)
    expect(headers.get('cache-control')).toBe('no-store')
    const { api_key: apiKey, ...shown } = body
    expect(shown).toEqual({
      id: expect.any(String),
      name: 'laptop',
      prefix: apiKey.slice(8, 12),
      scopes: ['inference', 'gpu', 'billing'],
      limits: {
        requests_per_minute: null,
        tokens_per_minute: null,
        max_concurrent: null,
        models: null,
        budget_per_day: null,
        budget_per_month: null,
        currency: 'USD',
      },
      created_at: expect.any(String),
      expires_at: null,
      last_used_at: null,
    })
    expect(await list(token)).toEqual([shown])
    expect((await chat(apiKey, { model: 'gpt-4o' })).status).toBe(200)
    expect((await call('POST', '/api/v1/auth/apikey', { name: 'the other path' }, { token })).status).toBe(201)
  })

  test('has the scopes, limits and expiry that were asked for', async () => {
    const { token } = await newPerson(call)
    const limits = {
      requests_per_minute: 10,
      tokens_per_minute: 5_000,
      max_concurrent: 2,
      models: ['gpt-4o'],
      budget_per_day: '1.5',
      budget_per_month: '20.00',
    }
    const { body } = await make(token, { name: 'k', scopes: ['inference', 'inference'], expires_in: '90d', limits })
    expect(body.scopes).toEqual(['inference'])
    expect(body.limits).toEqual({ ...limits, budget_per_day: '1.50', currency: 'USD' })
    expect(Math.abs(Date.parse(body.expires_at!) - Date.now() - 90 * 86_400_000)).toBeLessThan(60_000)
    const offers = await call('GET', '/api/v1/gpu/offers', undefined, { token: body.api_key })
    expect(offers).toMatchObject({ status: 403, body: { code: 'scope_missing' } })
    const asked = await chat(body.api_key, { model: 'gpt-4o' })
    expect(asked.headers.get('x-ratelimit-limit-requests')).toBe('10')
    const at = '2099-01-31T12:00:00+02:00'
    expect((await make(token, { name: 'k', expires_at: at })).status).toBe(400)
    const soon = new Date(Date.now() + 86_400_000).toISOString()
    expect((await make(token, { name: 'k', expires_at: soon })).body.expires_at).toBe(soon)
  })

  test.each([
    ['no name', {}, 'name'],
    ['an unknown scope', { name: 'k', scopes: ['everything'] }, 'scopes.0'],
    ['no scope at all', { name: 'k', scopes: [] }, 'scopes'],
    ['a scope that its maker lacks', { name: 'k', scopes: ['inference', 'admin'] }, 'scopes'],
    ['a time in the past', { name: 'k', expires_at: '2020-01-01T00:00:00Z' }, 'expires_at'],
    ['both ends', { name: 'k', expires_at: '2027-06-01T00:00:00Z', expires_in: '1h' }, 'expires_in'],
    ['no duration', { name: 'k', expires_in: 'a while' }, 'expires_in'],
    ['a limit of nothing', { name: 'k', limits: { requests_per_minute: 0 } }, 'limits.requests_per_minute'],
    ['more than a user may', { name: 'k', limits: { requests_per_minute: 5_001 } }, 'limits.requests_per_minute'],
    ['an amount that is a number', { name: 'k', limits: { budget_per_day: 5 } }, 'limits.budget_per_day'],
    ['an amount below nothing', { name: 'k', limits: { budget_per_day: '-1' } }, 'limits.budget_per_day'],
    ['no models', { name: 'k', limits: { models: [] } }, 'limits.models'],
    ['a model with a NUL', { name: 'k', limits: { models: ['a\u0000'] } }, 'limits.models.0'],
    ['a field of a principal', { name: 'k', role: 'administrator' }, 'role'],
    ['a field of a limit', { name: 'k', limits: { unlimited: true } }, 'limits.unlimited'],
  ])('with %s is a 400 that names the field', async (_what, body, param) => {
    const { token } = await newPerson(call)
    expect(await make(token, body)).toMatchObject({ status: 400, body: { code: 'invalid_body', param } })
    expect(await list(token)).toEqual([])
  })

  test('stops within five seconds of its revocation, which can be done once and by its owner', async () => {
    const [mine, other] = [await newPerson(call), await newPerson(call)]
    const key = await newKey(call, mine.token)
    const revoke = (token: string, id = key.id) => call('DELETE', `${keys}/${id}`, undefined, { token })
    const missing = await revoke(other.token, '00000000-0000-7000-8000-00000000ffff')
    const theirs = await revoke(other.token)
    expect(theirs.status).toBe(404)
    expect({ ...theirs.body, request_id: '' }).toEqual({ ...missing.body, request_id: '' })
    expect((await revoke(mine.token, 'no-id')).status).toBe(404)
    expect((await chat(key.api_key, { model: 'gpt-4o' })).status).toBe(200)
    expect((await revoke(mine.token)).status).toBe(204)
    expect((await revoke(mine.token)).status).toBe(404)
    expect(await stops(key.api_key)).toBe(true)
  })

  test('is rotated: the new one has its settings, and the old one works on for as long as was said', async () => {
    const { token } = await newPerson(call)
    const old = await newKey(call, token, { name: 'ci', scopes: ['inference'], limits: { models: ['gpt-4o'] } })
    const rotate = (id: string, body?: object) => call<MadeKey>('POST', `${keys}/${id}/rotate`, body, { token })
    const second = await rotate(old.id)
    expect(second.status).toBe(201)
    const {
      id: _id,
      api_key: _key,
      prefix: _prefix,
      created_at: _at,
      ...settings
    } = old as MadeKey & { created_at: string }
    expect(second.body).toMatchObject(settings)
    expect((await chat(old.api_key, { model: 'gpt-4o' })).status).toBe(200)
    const ends = (await list(token)).find(({ id }) => id === old.id)!.expires_at!
    expect(Math.abs(Date.parse(ends) - Date.now() - 86_400_000)).toBeLessThan(60_000)
    const third = await rotate(second.body.id, { overlap: 0 })
    expect(await stops(second.body.api_key)).toBe(true)
    expect((await chat(third.body.api_key, { model: 'gpt-4o' })).status).toBe(200)
    expect((await rotate(second.body.id, { overlap: '1h' })).status).toBe(404)
    const fourth = await rotate(third.body.id, { overlap: '0' })
    expect(await stops(third.body.api_key)).toBe(true)
    expect((await rotate(fourth.body.id, { overlap: '31d' })).status).toBe(400)
    expect((await rotate(fourth.body.id, { grace: 0 })).status).toBe(400)
  })

  test('may ask for the models of its list and no others, by whatever field', async () => {
    const { token } = await newPerson(call)
    const { api_key: key } = await newKey(call, token, { limits: { models: ['gpt-4o', 'gpt-4o-mini'] } })
    expect((await chat(key, { model: 'gpt-4o' })).status).toBe(200)
    expect((await chat(key, { model: 'gpt-4o', fallbacks: ['gpt-4o-mini'] })).status).toBe(200)
    expect((await chat(token, { model: 'o3' })).status).toBe(200)
    for (const body of [
      { model: 'o3' },
      { model: 'GPT-4o' },
      { model: 'gpt-4o', fallbacks: ['o3'] },
      { model: 'gpt-4o', models: ['gpt-4o', 'o3'] },
      { models: ['o3'] },
    ]) {
      expect(await chat(key, body)).toMatchObject({
        status: 403,
        body: { error: { code: 'model_not_allowed', param: 'model' } },
      })
    }
    // A server that reads names in any case would take the last of them.
    expect(await chat(key, { model: 'gpt-4o', Model: 'o3' })).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_body', param: 'Model' } },
    })
    // The model that moderations have where none is named.
    const moderation = await call('POST', '/v1/moderations', { input: 'a horse' }, { token: key })
    expect(moderation.status).toBe(403)
    expect((await call('POST', '/v1/moderations', { input: 'a horse' }, { token })).status).toBe(200)
    const shown = await call<{ data: { id: string }[] }>('GET', '/v1/models', undefined, { token: key })
    expect(shown.body.data.length).toBeGreaterThan(0)
    for (const { id } of shown.body.data) expect(['gpt-4o', 'gpt-4o-mini']).toContain(id)
    expect((await call('GET', '/v1/models/o3', undefined, { token: key })).status).toBe(403)
  })

  test("is given no answer of a model that it may not ask, though another key of the account's was", async () => {
    const { token } = await newPerson(call)
    const cached = { 'x-gpuproxy-cache': '300' }
    const ask = (key: string) =>
      gateway.post(
        '/v1/chat/completions',
        { model: 'o3', messages: [{ role: 'user', content: 'kept' }], temperature: 0 },
        { headers: { ...cached, authorization: `Bearer ${key}` } },
      )
    const [free, bound] = [await newKey(call, token), await newKey(call, token, { limits: { models: ['gpt-4o'] } })]
    expect((await ask(free.api_key)).status).toBe(200)
    expect((await ask(free.api_key)).headers.get('x-cache')).toBe('memory')
    expect((await ask(bound.api_key)).status).toBe(403)
  })

  test('tells when it was used last, written once the gateway stops at the latest', async () => {
    const own = await startTestGateway()
    const here = caller(own.url)
    const { token } = await newPerson(here)
    const { id, api_key: key } = await newKey(here, token)
    await here('GET', '/v1/models', undefined, { token: key })
    const accountId = (await own.accounts.findByApiKey(key))!.accountId
    await own.stop()
    const [kept] = await own.accounts.listApiKeys(accountId)
    expect(kept).toMatchObject({ id, lastUsedAt: expect.any(Date) })
    await own.close()
  })
})

describe('keys are managed', () => {
  test('by no key of a user, whatever its scopes', async () => {
    const { token } = await newPerson(call)
    const { id, api_key: key } = await newKey(call, token)
    for (const [method, path, body] of [
      ['GET', keys, undefined],
      ['POST', keys, { name: 'k' }],
      ['POST', '/api/v1/auth/apikey', { name: 'k' }],
      ['DELETE', `${keys}/${id}`, undefined],
      ['POST', `${keys}/${id}/rotate`, undefined],
    ] as const) {
      expect(await call(method, path, body, { token: key })).toMatchObject({
        status: 403,
        body: { code: 'scope_missing' },
      })
    }
  })

  test("by an administrator's key with the scope admin, and by none without it", async () => {
    const { token } = await newAdministrator()
    const plain = await newKey(call, token)
    expect(plain.scopes).toEqual(['inference', 'gpu', 'billing'])
    expect((await make(plain.api_key, { name: 'k' })).status).toBe(403)
    const admin = await newKey(call, token, { scopes: ['inference', 'admin'] })
    expect((await make(admin.api_key, { name: 'k' })).body.scopes).toEqual(['inference'])
    expect((await make(testKey, { name: 'of the bootstrap key', limits: { requests_per_minute: 1e6 } })).status).toBe(
      201,
    )
  })

  test('by a key only within what it may do itself', async () => {
    const { token } = await newAdministrator()
    const limits = { requests_per_minute: 50, models: ['gpt-4o'], budget_per_day: '5.00' }
    const maker = await newKey(call, token, { scopes: ['inference', 'admin'], expires_in: '1h', limits })
    const key = maker.api_key
    const { body: child } = await make(key, { name: 'k' })
    expect(child).toMatchObject({ scopes: ['inference'], limits, expires_at: maker.expires_at })
    const tighter = { requests_per_minute: 5, models: ['gpt-4o'], budget_per_day: '0.50', max_concurrent: 1 }
    expect((await make(key, { name: 'k', expires_in: '10m', limits: tighter })).status).toBe(201)
    for (const [body, param] of [
      [{ scopes: ['gpu'] }, 'scopes'],
      [{ limits: { requests_per_minute: 51 } }, 'limits.requests_per_minute'],
      [{ limits: { models: ['gpt-4o', 'o3'] } }, 'limits.models'],
      [{ limits: { budget_per_day: '5.01' } }, 'limits.budget_per_day'],
      [{ expires_in: '2h' }, 'expires_at'],
    ] as const) {
      expect(await make(key, { name: 'k', ...body })).toMatchObject({ status: 400, body: { param } })
    }
    // Rotating tells the new key: what is beyond the one who asks stays with its owner.
    const beyond = await newKey(call, token, { scopes: ['inference', 'gpu'] })
    expect((await call('POST', `${keys}/${beyond.id}/rotate`, undefined, { token: key })).status).toBe(400)
    expect((await call('POST', `${keys}/${child.id}/rotate`, undefined, { token: key })).status).toBe(201)
  })
})

describe('administrators', () => {
  const accounts = '/api/v1/admin/accounts'
  const patch = (id: string, body: object, token = testKey) => call('PATCH', `${accounts}/${id}`, body, { token })

  test('see every account, page by page and by the beginning of an email', async () => {
    const people = [await newPerson(call), await newPerson(call), await newPerson(call)]
    type Page = { accounts: { id: string; email: string }[]; next_cursor?: string }
    const seen: string[] = []
    for (let cursor = ''; ; ) {
      const { body } = await call<Page>('GET', `${accounts}?limit=2${cursor}`, undefined, { token: testKey })
      expect(body.accounts.length).toBeLessThanOrEqual(2)
      seen.push(...body.accounts.map(({ id }) => id))
      if (!body.next_cursor) break
      cursor = `&cursor=${body.next_cursor}`
    }
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen).toEqual(expect.arrayContaining(people.map(({ id }) => id)))
    const { email, id } = people[1]!
    const found = await call<Page>('GET', `${accounts}?email=${email.toUpperCase()}`, undefined, { token: testKey })
    expect(found.body.accounts).toMatchObject([{ id, email, role: 'user', disabled: false }])
    expect((await call('GET', `${accounts}/${id}`, undefined, { token: testKey })).body).toMatchObject({ id, email })
    for (const query of ['limit=0', 'limit=201', 'cursor=x', 'sort=email', 'email=']) {
      expect((await call('GET', `${accounts}?${query}`, undefined, { token: testKey })).status).toBe(400)
    }
  })

  test('are the only ones who may', async () => {
    const { token, id } = await newPerson(call)
    expect((await call('GET', accounts, undefined, { token })).status).toBe(403)
    expect((await patch(id, { role: 'administrator' }, token)).status).toBe(403)
    const admin = await newAdministrator()
    const plain = await newKey(call, admin.token)
    expect((await call('GET', accounts, undefined, { token: plain.api_key })).status).toBe(403)
  })

  test('disable an account, whose tokens and keys then stop, and enable it again', async () => {
    const person = await newPerson(call)
    const key = await newKey(call, person.token)
    expect((await patch(person.id, { disabled: true })).body).toMatchObject({ disabled: true })
    expect(await stops(person.token)).toBe(true)
    expect(await stops(key.api_key)).toBe(true)
    const signedIn = await signIn(call, person.email)
    expect(signedIn).toMatchObject({ status: 401, body: { code: 'sign_in_failed' } })
    expect((await patch(person.id, { disabled: false })).body).toMatchObject({ disabled: false, disabled_at: null })
    expect((await signIn(call, person.email)).status).toBe(200)
  })

  test('limit an account, and take a limit away', async () => {
    const { id } = await newPerson(call)
    const limited = await patch(id, { limits: { requests_per_minute: 3, max_concurrent: 9 } })
    expect(limited.body.limits).toEqual({ requests_per_minute: 3, tokens_per_minute: null, max_concurrent: 9 })
    const freed = await patch(id, { limits: { requests_per_minute: null } })
    expect(freed.body.limits).toEqual({ requests_per_minute: null, tokens_per_minute: null, max_concurrent: 9 })
  })

  test('reset a password to one that is good for a day, or to a given one; every session ends', async () => {
    const person = await newPerson(call)
    const reset = await patch(person.id, { reset_password: true })
    expect(reset.headers.get('cache-control')).toBe('no-store')
    const temporary = reset.body.temporary_password as string
    const until = Date.parse(reset.body.temporary_password_expires_at as string)
    expect(Math.abs(until - Date.now() - 86_400_000)).toBeLessThan(60_000)
    expect(await stops(person.token)).toBe(true)
    expect((await signIn(call, person.email)).status).toBe(401)
    const login = { email: person.email, password: temporary }
    const { status, body } = await call<{ tokens: { access_token: string } }>('POST', '/api/v1/auth/login', login)
    expect(status).toBe(200)
    const own = { password: temporary, new_password: password }
    expect((await call('PUT', '/api/v1/user/password', own, { token: body.tokens.access_token })).status).toBe(204)
    expect((await signIn(call, person.email)).status).toBe(200)
    const given = 'given by an administrator'
    expect((await patch(person.id, { reset_password: given })).body).not.toHaveProperty('temporary_password')
    expect((await call('POST', '/api/v1/auth/login', { email: person.email, password: given })).status).toBe(200)
    expect(JSON.stringify(gateway.log)).not.toContain(temporary)
  })

  test.each([
    ['nothing', {}],
    ['a short password', { reset_password: 'short' }],
    ['another field', { email: newEmail() }],
    ['an unknown role', { role: 'owner' }],
    ['a limit of nothing', { limits: { requests_per_minute: 0 } }],
  ])('who send %s get a 400', async (_what, body) => {
    const { id } = await newPerson(call)
    expect((await patch(id, body)).status).toBe(400)
  })

  test('cannot shut themselves out, and find no account that is not there', async () => {
    const { id, token } = await newAdministrator()
    for (const body of [{ disabled: true }, { role: 'user' }]) {
      expect(await patch(id, body, token)).toMatchObject({ status: 409, body: { code: 'own_account' } })
    }
    for (const missing of ['00000000-0000-7000-8000-00000000ffff', 'no-id']) {
      expect(await patch(missing, { disabled: true })).toMatchObject({ status: 404, body: { code: 'unknown_account' } })
    }
  })
})
