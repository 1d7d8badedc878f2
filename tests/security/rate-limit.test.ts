/** Ways round the limit of a key, and of an address: none gives one request more. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { exchange, statuses } from '../support/raw-http.ts'

const limit = 20
const key = 'ak_live_limitedlimitedlimited000001'
let gateway: TestGateway

beforeEach(async () => {
  gateway = await startTestGateway({ env: { TRUSTED_PROXY_HOPS: '1' } })
  gateway.accounts.add(key, {
    accountId: '00000000-0000-7000-8000-00000000000d',
    keyId: '00000000-0000-7000-8000-00000000001d',
    role: 'user',
    scopes: ['inference', 'gpu', 'billing'],
    limits: { key: { requestsPerMinute: limit }, account: {} },
  })
})
afterEach(() => gateway.close())

/** Limits refill evenly, also while a test runs: what came back since then, and one for the rounding. */
const refilled = (since: number, perMinute: number) => Math.ceil(((performance.now() - since) / 60_000) * perMinute) + 1
const admitted = (all: readonly number[]) => all.filter((status) => status === 200).length
const many = 60
const paths = ['/api/v1/user', '/v1/models', '/api/v1/user?x=1', '/api/v1/guardrails', '/api/v1/billing/balance']

describe('a key', () => {
  const spellings: Record<string, (i: number) => Record<string, string>> = {
    'with addresses that change': (i) => ({
      authorization: `Bearer ${key}`,
      'x-forwarded-for': `10.0.0.${i}`,
      'x-real-ip': `10.1.0.${i}`,
      forwarded: `for=10.2.0.${i}`,
      'cf-connecting-ip': `10.3.0.${i}`,
      'user-agent': `agent ${i}`,
    }),
    'in every place and spelling that is taken': (i) =>
      [
        { authorization: `Bearer ${key}` },
        { authorization: `bearer  ${key} ` },
        { authorization: `BEARER ${key}` },
        { 'x-api-key': key },
        { cookie: `gpuproxy_session=${key}`, 'x-gpuproxy-console': '1' },
      ][i % 5]!,
    'in another case, which is another key and none': (i) => ({
      authorization: `Bearer ${i % 2 ? key : key.toUpperCase()}`,
    }),
    'with a new Idempotency-Key and id each time': (i) => ({
      authorization: `Bearer ${key}`,
      'idempotency-key': `limit-${i}`,
      'x-request-id': String(i),
    }),
  }
  test.each(Object.keys(spellings))('%s has its limit', async (how) => {
    const from = performance.now()
    const all = await Promise.all(
      Array.from({ length: many }, async (_, i) => {
        const response = await fetch(gateway.url + paths[i % paths.length], { headers: spellings[how]!(i) })
        await response.text()
        return response.status
      }),
    )
    expect(admitted(all)).toBeLessThanOrEqual(limit + refilled(from, limit))
    expect(admitted(all)).toBeGreaterThan(0)
    expect(all.includes(429)).toBe(true)
  })

  test('has its limit where its requests stand behind each other on one connection', async () => {
    const one = `GET /api/v1/user HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\n`
    const from = performance.now()
    const text = await exchange(gateway.url, `${`${one}\r\n`.repeat(many)}${one}connection: close\r\n\r\n`)
    const all = statuses(text)
    expect(all.length).toBe(many + 1)
    expect(admitted(all)).toBeLessThanOrEqual(limit + refilled(from, limit))
    expect(admitted(all)).toBeGreaterThanOrEqual(limit)
  })
})

test('an address has its limit, however it is written and whatever stands to its left', async () => {
  const written = (i: number) =>
    [
      `2001:db8:1:2::${i.toString(16)}`,
      `2001:0db8:0001:0002:0:0:0:${i.toString(16)}`,
      `[2001:DB8:1:2::${i.toString(16)}]:${1_000 + i}`,
      `203.0.113.${i % 256}, 2001:db8:1:2:ffff::${i.toString(16)}`,
      `2001:db8:1:2::${i.toString(16)}%eth0`,
    ][i % 5]!
  const from = performance.now()
  const all: number[] = []
  for (let i = 0; i < 90; i++) {
    const response = await fetch(`${gateway.url}/api/v1/auth/logout`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': written(i) },
      body: '{"refresh_token":"none"}',
    })
    await response.text()
    all.push(response.status)
  }
  expect(all.filter((status) => status !== 429).length).toBeLessThanOrEqual(60 + refilled(from, 60))
  expect(all.includes(429)).toBe(true)
})
