import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'

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

test('there is no other file', async () => {
  expect((await ask('/docs/other.css')).status).toBe(404)
})
