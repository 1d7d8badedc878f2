/** What a caller's headers, and values that end up in headers, do to the one request that the provider sees. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestGateway, type TestGateway, testKey } from '../support/gateway.ts'
import { exchange, type RawServer, startRawServer, statuses } from '../support/raw-http.ts'

let provider: RawServer
let gateway: TestGateway
const answer = JSON.stringify({
  id: 'a',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
})

beforeAll(async () => {
  provider = await startRawServer((socket) => {
    socket.write(
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${answer.length}\r\n\r\n${answer}`,
    )
  })
  gateway = await startTestGateway({ providers: { openai: { baseUrl: `${provider.url}/v1`, apiKey: 'sk-x' } } })
})
afterAll(async () => {
  await gateway.close()
  await provider.close()
})
beforeEach(() => provider.forget())

const chat = (model = 'm') => JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] })
const send = (body: string, ...headers: string[]) =>
  exchange(
    gateway.url,
    [
      'POST /v1/chat/completions HTTP/1.1',
      'host: gateway.example',
      `authorization: Bearer ${testKey}`,
      'content-type: application/json',
      `content-length: ${Buffer.byteLength(body)}`,
      ...headers,
      ...(headers.some((each) => /^connection:/i.test(each)) ? [] : ['connection: close']),
      '',
      Buffer.from(body).toString('latin1'),
    ].join('\r\n'),
  )
const headOf = (request: string) => request.slice(0, request.indexOf('\r\n\r\n')).split('\r\n')

const callers: Record<string, string[]> = {
  'what belongs to one connection': [
    'te: trailers, deflate',
    'trailer: x-checksum',
    'keep-alive: timeout=1000',
    'proxy-connection: keep-alive',
    'proxy-authorization: Basic Zm9v',
    'proxy-authenticate: Basic',
  ],
  'an upgrade': ['connection: upgrade, close', 'upgrade: h2c', 'http2-settings: AAMAAABkAAQAAP__'],
  'what names headers away': ['connection: close, authorization, x-api-key, content-type, host, content-length'],
  'who he says he is': [
    'x-forwarded-for: 127.0.0.1',
    'x-forwarded-host: internal',
    'x-forwarded-proto: https',
    'x-real-ip: 127.0.0.1',
    'forwarded: for=127.0.0.1',
    'via: 1.1 a',
    'cf-connecting-ip: 127.0.0.1',
    'true-client-ip: 127.0.0.1',
    'x-original-url: /admin',
    'x-rewrite-url: /admin',
    'x-http-method-override: DELETE',
    'x-internal-admin: 1',
    'x-account-id: 1',
  ],
  'other credentials': [
    'x-api-key: another',
    'cookie: session=1',
    'api-key: k',
    'openai-organization: org-other',
    'openai-project: proj-other',
    'x-stainless-lang: js',
    'referer: http://secret.example/?token=1',
    'user-agent: mine',
    'accept-encoding: gzip',
  ],
  'traces and ids': [
    'x-request-id: mine',
    'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    'tracestate: a=b',
    'baggage: userId=1',
    'x-gpuproxy-provider: mine',
    'x-gpuproxy-console: 1',
  ],
  'an expectation': ['expect: 100-continue'],
  'bytes beyond ASCII': ['x-a: \xe9\xff\x80', 'user-agent: \xff'],
  'a value of 8 KB': [`x-a: ${'a'.repeat(8_000)}`],
}

describe('the provider sees the same request, whatever its caller sends:', () => {
  test.each(Object.keys(callers))('%s', async (what) => {
    for (const headers of [[], callers[what]!]) {
      const text = await send(chat(), ...headers)
      expect(statuses(text).at(-1), text).toBe(200)
    }
    const [plain, hostile] = provider.requests()
    expect(headOf(hostile!)).toEqual(headOf(plain!))
    expect(hostile).toBe(plain)
  })
})

test('what the provider sees is our own and nothing else', async () => {
  await send(chat())
  const [request] = provider.requests()
  const names = headOf(request!)
    .slice(1)
    .map((line) => line.slice(0, line.indexOf(':')))
  expect(names.sort()).toEqual([
    ...['accept-encoding', 'authorization', 'connection', 'content-length', 'content-type', 'host', 'user-agent'],
  ])
  expect(request).toContain('\r\nauthorization: Bearer sk-x\r\n')
})

describe('a name that would break a header', () => {
  const names = [
    'a\r\nx-injected: 1',
    'a\nb',
    'a\0b',
    'a\r\n\r\nHTTP/1.1 200 OK',
    '模型',
    '\ud800',
    ' ',
    'a'.repeat(400),
    '\x7f',
    '\u0085',
  ]
  test.each(names)('of a model is one line of the answer, or none: %j', async (name) => {
    const text = await send(chat(name))
    const head = text.slice(0, text.indexOf('\r\n\r\n'))
    expect(text.match(/^HTTP\/1\.1 /gm)).toEqual(['HTTP/1.1 '])
    expect(statuses(text)[0], text).toBeLessThan(500)
    expect(head.toLowerCase()).not.toContain('\nx-injected')
    for (const request of provider.requests()) expect(headOf(request)[0]).toBe('POST /v1/chat/completions HTTP/1.1')
    expect(provider.requests().length).toBeLessThanOrEqual(1)
  })

  test('of a model in a path never leaves', async () => {
    for (const name of ['a%0d%0ax-injected:%201', '..%2f..%2fv1%2fmodels', '%00', '%ff', '%']) {
      const response = await gateway.get(`/v1/models/${name}`)
      expect([name, response.status]).not.toEqual([name, 200])
      expect(response.headers.has('x-injected')).toBe(false)
      await response.text()
    }
    for (const request of provider.requests()) expect(headOf(request)[0]).toBe('GET /v1/models HTTP/1.1')
  })
})

test('an id of the caller’s is not the answer’s, and what is no key is refused by name', async () => {
  const text = await send(chat(), 'x-request-id: mine')
  expect(text).not.toMatch(/x-request-id: mine/i)
  for (const key of ['', 'a'.repeat(256), 'k\xe9y', 'k\ty']) {
    const refused = await send(chat(), `idempotency-key: ${key}`)
    expect([key, statuses(refused)]).toEqual([key, [400]])
  }
})

test('what is kept for an account is told to no cache on the way, with whichever credential it was asked for', async () => {
  const credentials = [{ authorization: `Bearer ${testKey}` }, { 'x-api-key': testKey }]
  for (const path of [
    '/v1/models',
    '/api/v1/user',
    '/api/v1/billing/balance',
    '/api/v1/billing/transactions',
    '/api/v1/auth/apikeys',
    '/api/v1/guardrails',
    '/api/v1/gpu/instances',
    '/api/v1/gpu/preferences',
    '/api/v1/admin/accounts',
    '/api/v1/nothing.css',
    '/api/v1/user/x.css',
  ]) {
    for (const headers of credentials) {
      for (const method of ['GET', 'HEAD']) {
        const response = await fetch(gateway.url + path, { method, headers })
        expect([path, method, response.headers.get('cache-control')]).toEqual([
          path,
          method,
          expect.stringMatching(/\b(private|no-store)\b/),
        ])
        await response.text()
      }
    }
  }
})
