/** What a page of another site, or anybody without a credential, can do: nothing. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../adapters/node/identity.ts'
import { routes } from '../../src/reference/routes.ts'
import { startTestGateway, type TestGateway, testKey } from '../support/gateway.ts'
import { exchange, statuses } from '../support/raw-http.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ env: { METRICS_TOKEN: 'a-token-of-the-metrics', TRUSTED_PROXY_HOPS: '1' } })
})
afterAll(() => gateway.close())

const pathOf = (path: string) => path.replace(/\{\w+\}/g, newId())
const closed = routes.filter(({ access }) => access !== 'anyone')
const named = closed.map((route) => [`${route.method} ${route.path}`, route] as const)
const cookie = `gpuproxy_session=${testKey}`

describe('a request of another site’s page is nobody’s:', () => {
  const browsers: Record<string, Record<string, string>> = {
    'a cookie alone, as a form sends it': { cookie },
    'a cookie, from elsewhere': { cookie, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    'the console’s header, from a sibling': { cookie, 'x-gpuproxy-console': '1', 'sec-fetch-site': 'same-site' },
    'the console’s header, from elsewhere': { cookie, 'x-gpuproxy-console': '1', 'sec-fetch-site': 'cross-site' },
    'the console’s header, by navigation': { cookie, 'x-gpuproxy-console': '1', 'sec-fetch-site': 'none' },
    'another value of the header': { cookie, 'x-gpuproxy-console': 'true' },
  }
  test.each(named)('%s', async (_name, { method, path }) => {
    for (const [what, headers] of Object.entries(browsers)) {
      const response = await fetch(gateway.url + pathOf(path), {
        method,
        headers: { ...headers, 'content-type': 'application/json', 'idempotency-key': 'csrf' },
        ...(method !== 'GET' && { body: '{}' }),
      })
      expect([what, response.status]).toEqual([what, 401])
      await response.text()
    }
  })
})

test('the same cookie with the console’s header is a credential, or the above would show nothing', async () => {
  for (const headers of [
    { cookie, 'x-gpuproxy-console': '1' },
    { cookie, 'x-gpuproxy-console': '1', 'sec-fetch-site': 'same-origin' },
  ]) {
    expect((await fetch(`${gateway.url}/api/v1/user`, { headers })).status).toBe(200)
  }
})

test('no origin is told that it may, at any route, with or without a credential', async () => {
  for (const origin of ['https://evil.example', 'null', gateway.url, 'http://localhost']) {
    for (const { method, path } of routes) {
      if (path === '/api/v1/admin/live') continue
      const preflight = { 'access-control-request-method': method, 'access-control-request-headers': 'authorization' }
      for (const asked of [
        { method: 'OPTIONS', headers: { origin, ...preflight } },
        ...(method === 'GET' ? [{ method, headers: { origin, authorization: `Bearer ${testKey}` } }] : []),
      ]) {
        const response = await fetch(gateway.url + pathOf(path), asked)
        const allowing = [...response.headers.keys()].filter((name) => name.startsWith('access-control-'))
        expect([path, asked.method, allowing]).toEqual([path, asked.method, []])
        await response.body?.cancel()
      }
    }
  }
})

test('one address sends webhooks at a bounded rate, and others go on', async () => {
  const send = async (address: string) =>
    (
      await fetch(`${gateway.url}/api/v1/webhooks/stripe`, {
        method: 'POST',
        headers: { 'x-forwarded-for': address },
      })
    ).status
  const seen = new Set<number>()
  for (let n = 0; n < 1_200 && !seen.has(429); n += 50) {
    for (const status of await Promise.all(Array.from({ length: 50 }, () => send('10.8.8.8')))) seen.add(status)
  }
  expect(seen).toContain(429)
  expect(await send('10.8.8.9')).not.toBe(429)
})

test('the console’s cookie is out of reach of scripts and of other sites', async () => {
  const response = await fetch(`${gateway.url}/console/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': '10.7.7.7' },
    body: JSON.stringify({ api_key: testKey }),
  })
  expect(response.headers.get('set-cookie')).toMatch(/; HttpOnly; SameSite=Strict/)
  // What a form can send is not taken: nobody is signed in as somebody else by a page.
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
    const form = await fetch(`${gateway.url}/console/session`, {
      method: 'POST',
      headers: { 'content-type': type, 'x-forwarded-for': '10.7.7.8' },
      body: JSON.stringify({ api_key: testKey }),
    })
    expect([type, form.status, form.headers.get('set-cookie')]).toEqual([type, 415, null])
  }
})

test('whatever signs an API key is made of, the console’s cookie gives it back whole', async () => {
  const key = 'ak; Domain=evil.example, "%3B=quoted"'.replaceAll(' ', '_')
  const principal = { accountId: newId(), keyId: newId(), role: 'user', scopes: ['billing'] } as const
  gateway.accounts.add(key, { ...principal, limits: { key: {}, account: {} } })
  const begun = await fetch(`${gateway.url}/console/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': '10.7.7.9' },
    body: JSON.stringify({ api_key: key }),
  })
  const [pair, ...attributes] = begun.headers.get('set-cookie')!.split('; ')
  expect(attributes).toEqual(['Path=/', 'HttpOnly', 'SameSite=Strict'])
  const headers = { cookie: pair!, 'x-gpuproxy-console': '1' }
  expect((await fetch(`${gateway.url}/api/v1/billing/balance`, { headers })).status).toBe(200)
  // Half of an escape is no cookie of ours.
  const broken = { ...headers, cookie: 'gpuproxy_session=%zz' }
  expect((await fetch(`${gateway.url}/api/v1/billing/balance`, { headers: broken })).status).toBe(401)
})

describe('without a credential', () => {
  test.each(named)('%s is a 401', async (_name, { method, path }) => {
    const response = await fetch(gateway.url + pathOf(path), { method })
    expect(response.status).toBe(401)
    await response.text()
  })

  test('nothing for debugging is there, and no file of the machine', async () => {
    for (const path of [
      ...['/debug', '/debug/pprof', '/debug/vars', '/json', '/json/version', '/actuator', '/server-status', '/.env'],
      ...['/.git/config', '/package.json', '/adapters/node/main.ts', '/console/assets/..%2f..%2fnode%2fmain.ts'],
      ...[
        '/console/assets/%2e%2e%2findex.ts',
        '/docs/..%2f..%2fpackage.json',
        '/docs/%2e%2e/%2e%2e/etc/passwd',
        '/data',
      ],
      ...['//etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/admin/', '/admin/api', '/metrics/', '/METRICS', '/metrics%20'],
    ]) {
      const text = await exchange(gateway.url, `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
      expect([path, statuses(text)]).toEqual([path, [404]])
    }
    for (const method of ['TRACE', 'CONNECT', 'PROPFIND']) {
      const text = await exchange(gateway.url, `${method} /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
      // A method that is refused before it is a request has no answer at all.
      for (const status of statuses(text)) expect([method, status >= 400 && status < 500]).toEqual([method, true])
    }
    expect((await fetch(`${gateway.url}/metrics`)).status).toBe(401)
  })
})

test('10,000 paths, models and methods make fewer than 200 series', async () => {
  const count = async () =>
    (await gateway.metricsText()).split('\n').filter((line) => line && !line.startsWith('#')).length
  const chat = (model: string) =>
    gateway.post('/v1/chat/completions', { model, messages: [{ role: 'user', content: 'hi' }], max_tokens: 1 })
  await (await chat('m')).text()
  const before = await count()
  const asks = Array.from({ length: 10_000 }, (_, i) => async () => {
    if (i % 20 === 0) return chat(`model-${i}`)
    if (i % 2 === 0) return fetch(`${gateway.url}/path/${i}`)
    return fetch(`${gateway.url}/api/v1/gpu/instances/${newId()}`, { method: i % 4 === 1 ? 'GET' : `M${i}` })
  })
  const workers = Array.from({ length: 20 }, async () => {
    for (let ask = asks.pop(); ask; ask = asks.pop()) await (await ask()).text()
  })
  await Promise.all(workers)
  expect((await count()) - before).toBeLessThan(200)
  expect(await gateway.metricsText()).not.toMatch(/model-\d+|\/path\//)
})
