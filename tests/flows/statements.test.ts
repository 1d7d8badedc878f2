/** What an account's owner reads of its money over HTTP, and what an administrator gives. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Scope } from '../../src/domain/principal.ts'
import { startTestGateway, type TestGateway, testAccountId, testKey } from '../support/gateway.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({
    env: { GUARDRAILS_MAX_60MIN_RATE: '50', GUARDRAILS_MAX_72H_RATE: '1000', GUARDRAILS_MAX_5MIN_RATE: '0' },
  })
})
afterAll(() => gateway.close())

const account = () => gateway.books.of(testAccountId)
beforeEach(() => {
  const empty = { available: 0, held: 0, leased: 0, limits: {}, shadow: false, resetMinute: 0 }
  Object.assign(account(), { ...empty, entries: [], usage: [], receipts: [], spent: new Map() })
})

const ask = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
  const response = await fetch(gateway.url + path, {
    method,
    headers: { authorization: `Bearer ${testKey}`, 'content-type': 'application/json', ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, json: JSON.parse(text) }
}
const get = (path: string, headers?: Record<string, string>) => ask('GET', path, undefined, headers)

/** Of another account: a role is the account's, and the tests' own is an administrator's. */
function keyWith(scopes: readonly Scope[]) {
  const key = `ak_live_${randomUUID().replaceAll('-', '')}`
  const principal = { accountId: randomUUID(), keyId: randomUUID(), role: 'user', scopes } as const
  gateway.accounts.add(key, { ...principal, limits: { key: {}, account: {} } })
  return { as: { authorization: `Bearer ${key}` } }
}

test('the balance is decimal strings with a currency', async () => {
  Object.assign(account(), { available: 12_345_678, held: 1_000_000 })
  expect((await get('/api/v1/billing/balance')).json).toEqual({ available: '12.345678', held: '1.00', currency: 'USD' })
})

test('a key needs the scope for it', async () => {
  const { as } = keyWith(['inference', 'gpu'])
  for (const path of ['billing/balance', 'billing/transactions', 'billing/usage', 'guardrails', 'user/export']) {
    const { status, json } = await get(`/api/v1/${path}`, as)
    expect({ path, status, code: json.code }).toEqual({ path, status: 403, code: 'scope_missing' })
  }
  expect((await fetch(`${gateway.url}/api/v1/billing/balance`)).status).toBe(401)
})

describe('transactions', () => {
  const entry = (n: number) => ({
    at: `2026-11-25T12:00:00.${String(n).padStart(6, '0')}Z`,
    operationId: `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`,
    kind: 'settle' as const,
    amount: -n,
    note: undefined,
    instanceId: undefined,
  })

  test('come in pages, the newest first, by a cursor that fits into a URL', async () => {
    account().entries = Array.from({ length: 120 }, (_, n) => entry(n))
    account().entries.push({ ...entry(500), kind: 'granted', amount: 5_000_000, note: 'welcome' })
    const read: { id: string }[] = []
    let path = '/api/v1/billing/transactions'
    for (let page = 0; page < 3; page++) {
      const { json } = await get(path)
      read.push(...json.transactions)
      if (page < 2) expect(json.next_cursor).toMatch(/^[\w-]+$/)
      else expect(json).not.toHaveProperty('next_cursor')
      path = `/api/v1/billing/transactions?cursor=${json.next_cursor}`
    }
    expect(read).toHaveLength(121)
    expect(new Set(read.map(({ id }) => id)).size).toBe(121)
    expect(read[0]).toEqual({
      id: `${entry(500).operationId}:granted`,
      at: entry(500).at,
      kind: 'granted',
      amount: '5.00',
      currency: 'USD',
      note: 'welcome',
    })
    expect(read[1]).toMatchObject({ kind: 'settle', amount: '-0.000119', request_id: entry(119).operationId })
    expect((await get('/api/v1/billing/transactions?limit=200')).json.transactions).toHaveLength(121)
  })

  test('of a rented machine name the machine, and no request', async () => {
    const instanceId = '00000000-0000-7000-8000-0000000000aa'
    account().entries = [
      { ...entry(1), instanceId },
      { ...entry(2), kind: 'refund', amount: 2, instanceId },
    ]
    const { transactions } = (await get('/api/v1/billing/transactions')).json
    expect(transactions).toMatchObject([{ instance_id: instanceId }, { instance_id: instanceId }])
    for (const each of transactions) expect(each).not.toHaveProperty('request_id')
  })

  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  test.each([
    'limit=0',
    'limit=201',
    'limit=1.5',
    'limit=x',
    'page=2',
    'cursor=',
    'cursor=garbage',
    `cursor=${encode(['2026-11-25T12:00:00.000000Z', 'no id', 'settle'])}`,
    `cursor=${encode(['2026-13-25T12:00:00.000000Z', randomUUID(), 'settle'])}`,
    `cursor=${encode(['0000-01-01T12:00:00.000000Z', randomUUID(), 'settle'])}`,
    `cursor=${encode(['2026-11-25T12:00:00.000000Z', randomUUID(), 'hold'])}`,
    `cursor=${encode(null)}`,
    `cursor=${'A'.repeat(401)}`,
  ])('%s is a 400 that names it', async (query) => {
    const { status, json } = await get(`/api/v1/billing/transactions?${query}`)
    expect({ status, code: json.code, param: json.param }).toEqual({
      status: 400,
      code: 'invalid_query',
      param: query.split('=')[0],
    })
  })
})

describe('usage', () => {
  const used = (day: string, model = 'gpt-4o-mini') => ({
    day,
    keyId: randomUUID(),
    model,
    requests: 1,
    inputTokens: 10,
    cachedInputTokens: 2,
    outputTokens: 5,
    cost: 1_500,
  })
  const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10)

  test('is of the last thirty days unless it is asked for otherwise', async () => {
    account().usage = [used(daysAgo(0)), used(daysAgo(29)), used(daysAgo(30))]
    const { json } = await get('/api/v1/billing/usage?group_by=model')
    expect(json.usage).toEqual([
      { group: 'gpt-4o-mini', requests: 2, input_tokens: 20, cached_input_tokens: 4, output_tokens: 10, cost: '0.003' },
    ])
    expect(json).toMatchObject({ from: daysAgo(29), to: daysAgo(0), currency: 'USD' })
  })

  test('comes by day, by model and by key', async () => {
    account().usage = [used('2026-03-01'), used('2026-03-02', 'o3'), used('2026-03-02')]
    const by = async (name: string) =>
      (await get(`/api/v1/billing/usage?group_by=${name}&from=2026-03-01&to=2026-03-02`)).json.usage.map(
        ({ group, requests }: { group: string; requests: number }) => [group, requests],
      )
    expect(await by('day')).toEqual([
      ['2026-03-01', 1],
      ['2026-03-02', 2],
    ])
    expect(await by('model')).toEqual([
      ['gpt-4o-mini', 2],
      ['o3', 1],
    ])
    expect(await by('key')).toHaveLength(3)
  })

  test('ten years are allowed, and a day more is not; moments stand for their days', async () => {
    expect((await get('/api/v1/billing/usage?from=2016-01-01&to=2026-02-16')).status).toBe(200)
    expect((await get('/api/v1/billing/usage?from=2016-01-01&to=2026-02-17')).status).toBe(400)
    const moments = await get('/api/v1/billing/usage?from=2026-01-01T23:30:00-01:00&to=2026-01-03T00:00:00Z')
    expect(moments).toMatchObject({ status: 200, json: { from: '2026-01-02', to: '2026-01-03' } })
  })

  test.each([
    ['group_by=hour', 'group_by'],
    ['from=yesterday', 'from'],
    ['from=2026-02-30', 'from'],
    ['to=0000-01-01', 'to'],
    ['from=2026-03-02&to=2026-03-01', 'from'],
    ['since=2026-03-02', 'since'],
  ])('%s is a 400 that names %s', async (query, param) => {
    expect(await get(`/api/v1/billing/usage?${query}`)).toMatchObject({
      status: 400,
      json: { code: 'invalid_query', param },
    })
  })
})

describe('guard rails', () => {
  const minute = () => Math.floor(Date.now() / 60_000)
  const windowOf = async (name: string) =>
    (await get('/api/v1/guardrails')).json.windows.find((window: { name: string }) => window.name === name)

  test('are seventeen windows with the limits in force, what counts against them and when it frees', async () => {
    account().spent.set(minute() - 10, 2_000_000)
    Object.assign(account(), { held: 250_000, leased: 250_000 })
    const { json } = await get('/api/v1/guardrails')
    expect(json).toMatchObject({ enabled: true, mode: 'enforce', currency: 'USD' })
    expect(json.windows).toHaveLength(17)
    expect(await windowOf('5min')).toMatchObject({ limit: null, spent: '0.50' })
    expect(await windowOf('60min')).toEqual({
      name: '60min',
      limit: '50.00',
      spent: '2.50',
      frees_at: expect.any(String),
    })
    const freesAt = Date.parse((await windowOf('60min')).frees_at)
    expect(freesAt / 60_000 - minute()).toBeGreaterThanOrEqual(48)
    expect(freesAt / 60_000 - minute()).toBeLessThanOrEqual(50)
  })

  test('an account sets its own below the operator’s, one by one, and lifts them again', async () => {
    const put = (limits: object) => ask('PUT', '/api/v1/guardrails', { limits })
    expect((await put({ '60min': '20.00', '5min': '1' })).status).toBe(200)
    expect(await windowOf('60min')).toMatchObject({ limit: '20.00' })
    expect((await put({ '60min': null })).status).toBe(200)
    expect(await windowOf('60min')).toMatchObject({ limit: '50.00' })
    expect(await windowOf('5min')).toMatchObject({ limit: '1.00' })
    const above = await put({ '60min': '50.01' })
    expect(above).toMatchObject({ status: 400, json: { code: 'invalid_body', param: 'limits.60min' } })
    expect(above.json.detail).toContain('50.00')
  })

  test.each([
    { limits: { '61min': '1.00' } },
    { limits: { '60min': 1 } },
    { limits: { '60min': '0' } },
    { limits: { '60min': '-1' } },
    { limits: { '60min': '1.0000001' } },
    { limits: {}, shadow: true },
    {},
  ])('%j is a 400', async (body) => {
    expect((await ask('PUT', '/api/v1/guardrails', body)).status).toBe(400)
  })

  test('a check says yes, or which window would be passed, by what, and when it frees', async () => {
    account().spent.set(minute() - 10, 45_000_000)
    expect(await ask('POST', '/api/v1/guardrails/check', { amount: '5.00' })).toMatchObject({
      status: 200,
      json: { allowed: true, mode: 'enforce' },
    })
    const { status, json } = await ask('POST', '/api/v1/guardrails/check', { amount: '5.01' })
    expect(status).toBe(402)
    expect(json).toMatchObject({
      code: 'guardrail_exceeded',
      window: '60min',
      limit: '50.00',
      spent: '45.00',
      asked: '5.01',
      frees_at: expect.stringMatching(/^\d{4}-/),
      detail: expect.stringContaining('60min'),
    })
    expect(await ask('POST', '/api/v1/guardrails/check', { amount: '1000.01' })).toMatchObject({
      status: 402,
      json: { window: expect.any(String), frees_at: null },
    })
  })

  test('an administrator resets them and sets shadow mode, others do not', async () => {
    account().spent.set(minute() - 1, 50_000_000)
    account().spent.set(minute(), 1_000)
    const check = () => ask('POST', '/api/v1/guardrails/check', { amount: '1.00' })
    expect((await check()).status).toBe(402)
    const path = `/api/v1/admin/accounts/${testAccountId}/guardrails`
    const user = keyWith(['billing', 'inference'])
    expect((await ask('PATCH', path, { reset: true }, user.as)).status).toBe(403)

    expect(await ask('PATCH', path, { shadow: true })).toMatchObject({ status: 200, json: { mode: 'shadow' } })
    expect(await check()).toMatchObject({ status: 200, json: { allowed: true, would_exceed: { window: '60min' } } })
    expect(await ask('PATCH', path, { shadow: false, reset: true })).toMatchObject({ json: { mode: 'enforce' } })
    expect((await check()).status).toBe(200)
    expect(gateway.log.filter(({ message }) => message.startsWith('guard rails changed'))).toHaveLength(2)

    for (const body of [{}, { reset: false }, { reset: true, limits: {} }]) {
      expect((await ask('PATCH', path, body)).status).toBe(400)
    }
    for (const id of [randomUUID(), 'x', '%27']) {
      const { status, json } = await ask('PATCH', `/api/v1/admin/accounts/${id}/guardrails`, { reset: true })
      expect([status, json.code]).toEqual([404, 'unknown_account'])
    }
  })

  test('where the operator has switched them off, nothing is limited', async () => {
    const off = await startTestGateway({ env: { GUARDRAILS_ENABLED: 'false', GUARDRAILS_MAX_5MIN_RATE: '1' } })
    const response = await off.post('/api/v1/guardrails/check', { amount: '2' })
    expect(await response.json()).toEqual({ allowed: true, mode: 'off' })
    expect(await (await off.get('/api/v1/guardrails')).json()).toMatchObject({ enabled: false, mode: 'off' })
    await off.close()
  })
})

describe('credit that an administrator gives', () => {
  const path = `/api/v1/admin/accounts/${testAccountId}/credits`
  const give = (body: object, key?: string, to = path) =>
    ask('POST', to, body, key === undefined ? {} : { 'idempotency-key': key })

  test('is given once for a key, told again to whoever asks again, and refused where the amount or the note differs', async () => {
    const first = await give({ amount: '12.50', note: 'goodwill' }, 'order 7')
    expect(first.status).toBe(201)
    expect(first.json).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/),
      amount: '12.50',
      currency: 'USD',
      balance: { available: '12.50', held: '0.00', currency: 'USD' },
    })
    const again = await give({ amount: '12.50', note: 'goodwill' }, 'order 7')
    expect(again).toMatchObject({ status: 201, json: first.json })
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    for (const other of [
      { amount: '12.51', note: 'goodwill' },
      { amount: '12.50', note: 'sorry' },
      { amount: '12.50' },
    ]) {
      expect(await give(other, 'order 7')).toMatchObject({ status: 422, json: { code: 'idempotency_mismatch' } })
    }
    expect((await give({ amount: '1' }, 'order 8')).json.balance.available).toBe('13.50')
    expect((await get('/api/v1/billing/transactions')).json.transactions).toHaveLength(2)
  })

  test('needs a key, an account, an administrator and an amount', async () => {
    expect(await give({ amount: '1' })).toMatchObject({ status: 400, json: { code: 'idempotency_key_required' } })
    expect(await give({ amount: '1' }, 'x'.repeat(256))).toMatchObject({ status: 400 })
    const nobody = `/api/v1/admin/accounts/${randomUUID()}/credits`
    expect(await give({ amount: '1' }, 'k', nobody)).toMatchObject({ status: 404, json: { code: 'unknown_account' } })
    for (const amount of ['0', '-1', '1.0000001', '1e3', 1, '']) {
      expect(await give({ amount }, 'k')).toMatchObject({ status: 400, json: { param: 'amount' } })
    }
    for (const note of ['', 'a\u0000b', 'a\ud800', 'x'.repeat(201)]) {
      expect(await give({ amount: '1', note }, 'k')).toMatchObject({ status: 400, json: { param: 'note' } })
    }
    expect(await give({ amount: '1', to: 'me' }, 'k')).toMatchObject({ status: 400, json: { param: 'to' } })
    const user = keyWith(['billing', 'admin'])
    expect(await ask('POST', path, { amount: '1' }, { 'idempotency-key': 'k', ...user.as })).toMatchObject({
      status: 403,
      json: { code: 'administrator_only' },
    })
    expect(account().entries).toEqual([])
  })

  test('is not given while nothing may be written', async () => {
    await ask('PUT', '/api/v1/admin/mode', { read_only: true })
    expect(await give({ amount: '1' }, 'k')).toMatchObject({ status: 503, json: { code: 'read_only' } })
    expect((await ask('PUT', '/api/v1/guardrails', { limits: {} })).status).toBe(503)
    expect((await ask('POST', '/api/v1/guardrails/check', { amount: '1' })).status).toBe(200)
    await ask('PUT', '/api/v1/admin/mode', { read_only: false })
  })
})
