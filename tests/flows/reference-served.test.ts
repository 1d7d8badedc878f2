import { afterAll, beforeAll, expect, test } from 'vitest'
import { errorCodesOf } from '../../src/reference/openapi.ts'
import { routes } from '../../src/reference/routes.ts'
import { startTestGateway, type TestGateway, testAccountId } from '../support/gateway.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.close())

const ask = (path: string, headers: Record<string, string> = {}) => fetch(gateway.url + path, { headers })

test.each([
  ['/openapi.json', 'application/json'],
  ['/docs', 'text/html; charset=utf-8'],
  ['/docs/style.css', 'text/css; charset=utf-8'],
  ['/docs/icon.svg', 'image/svg+xml'],
])('%s is for anybody, can be cached, and is not sent again to whoever has it', async (path, type) => {
  const first = await ask(path)
  const text = await first.text()
  expect(first.status).toBe(200)
  expect(first.headers.get('content-type')).toBe(type)
  expect(Number(first.headers.get('content-length'))).toBe(new TextEncoder().encode(text).length)
  expect(first.headers.get('cache-control')).toMatch(/^public/)
  const etag = first.headers.get('etag')!
  expect(etag).toMatch(/^"[0-9a-f]{24}"$/)

  for (const known of [etag, `"other", W/${etag}`, '*']) {
    const again = await ask(path, { 'if-none-match': known })
    expect([again.status, again.headers.get('etag'), await again.text()]).toEqual([304, etag, ''])
  }
  expect((await ask(path, { 'if-none-match': '"other"' })).status).toBe(200)
})

test('the page may load nothing from elsewhere, run nothing, and stand in nobody’s frame', async () => {
  const { headers } = await ask('/docs')
  const policy = headers.get('content-security-policy')
  expect(policy).toContain("default-src 'none'")
  expect(policy).toContain("frame-ancestors 'none'")
  expect(policy).not.toMatch(/unsafe|script-src|https?:|\*/)
})

test('it says which version answers', async () => {
  expect((await (await ask('/openapi.json')).json()).info.version).toBe('test')
})

test('whatever is wrong with a request, each route answers as its words say', async () => {
  const busy = await startTestGateway({ env: { RATE_LIMIT_PER_MINUTE: '100000' } })
  const anywhere: string[] = ['method_not_allowed', 'unknown_route']
  const wrong: [query: string, init: RequestInit][] = [
    ['?zz=1', {}],
    ['', { headers: { 'content-type': 'text/plain' }, body: 'x' }],
    ...['{', '[]', '{"zz":1}', '['.repeat(100) + ']'.repeat(100)].map((body): [string, RequestInit] => ['', { body }]),
    ['', { headers: { 'content-encoding': 'br' }, body: '{}' }],
  ]
  const untold = new Set<string>()
  for (const route of routes) {
    if (route.access === 'anyone' || route.name === 'watchLive') continue
    const { method, path } = route
    const url = path.replace(/\{name\}/, 'openai%3Aother').replace(/\{\w+\}/g, testAccountId)
    for (const [query, { headers, body }] of wrong) {
      if (body !== undefined && (method === 'GET' || method === 'DELETE')) continue
      const keyed = { 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID(), ...headers }
      const answer = await busy.get(url + query, { method, headers: keyed, ...(body !== undefined && { body }) })
      const type = answer.headers.get('content-type') ?? ''
      if (answer.status < 400 || !type.includes('json')) {
        await answer.body?.cancel()
        continue
      }
      const said = await answer.json()
      const code = said.code ?? said.error?.code
      if (!errorCodesOf(route).includes(code) && !anywhere.includes(code)) untold.add(`${method} ${path}: ${code}`)
    }
  }
  expect([...untold]).toEqual([])
  await busy.close()
}, 60_000)

test('there is no other file', async () => {
  expect((await ask('/docs/other.css')).status).toBe(404)
})
