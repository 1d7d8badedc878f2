import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestGateway, type TestGateway, testKey } from '../support/gateway.ts'

let gateway: TestGateway

beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.close())

const chat = '/v1/chat/completions'
const auth = { authorization: `Bearer ${testKey}` }
const json = { ...auth, 'content-type': 'application/json' }
const nested = (depth: number) =>
  `{"model":"m","messages":[{"role":"user","content":"x"}],"x":${'['.repeat(depth)}${']'.repeat(depth)}}`
const manyKeys = (n: number) =>
  JSON.stringify({
    model: 'm',
    messages: [{ role: 'user' }],
    x: Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, 1])),
  })

const nobodys = '0198c0de-0000-7000-8000-000000000000'

interface BadRequest {
  what: string
  method?: string
  path?: string
  headers?: Record<string, string>
  body?: string
  status: number
  code: string
  says: RegExp
}

const table: BadRequest[] = [
  {
    what: 'no key',
    headers: { 'content-type': 'application/json' },
    body: '{}',
    status: 401,
    code: 'missing_credential',
    says: /Authorization: Bearer/,
  },
  {
    what: 'bad key',
    headers: { ...json, authorization: 'Bearer nope' },
    body: '{}',
    status: 401,
    code: 'invalid_credential',
    says: /not valid/,
  },
  {
    what: 'unknown key',
    headers: { ...json, authorization: 'Bearer ak_live_xxxxxxxxxxxxxxxxxxxxxxxx' },
    body: '{}',
    status: 401,
    code: 'invalid_credential',
    says: /not valid/,
  },
  {
    what: 'basic auth',
    headers: { ...json, authorization: 'Basic eDp5' },
    body: '{}',
    status: 401,
    code: 'invalid_credential',
    says: /Bearer/,
  },
  { what: 'malformed JSON', body: '{', status: 400, code: 'invalid_json', says: /Send one JSON object/ },
  { what: 'empty body', body: '', status: 400, code: 'invalid_json', says: /Send one JSON object/ },
  { what: 'invalid UTF-8 stands for itself', body: '\u0000', status: 400, code: 'invalid_json', says: /JSON/ },
  { what: 'an array', body: '[]', status: 400, code: 'invalid_body', says: /JSON object/ },
  { what: 'no messages', body: '{"model":"m"}', status: 400, code: 'invalid_body', says: /messages/ },
  { what: 'wrong types', body: '{"model":5,"messages":"x"}', status: 400, code: 'invalid_body', says: /model/ },
  {
    what: 'stream is text',
    body: '{"model":"m","messages":[{"role":"user"}],"stream":"yes"}',
    status: 400,
    code: 'invalid_body',
    says: /stream/,
  },
  { what: 'depth 65', body: nested(64), status: 400, code: 'body_too_deep', says: /64 levels/ },
  { what: 'depth 5,000', body: nested(5000), status: 400, code: 'body_too_deep', says: /64 levels/ },
  { what: '100,000 keys', body: manyKeys(100_000), status: 400, code: 'body_too_many_keys', says: /50,000/ },
  {
    what: '60,000 empty lists',
    body: `{"model":"m","messages":[${'[],'.repeat(60_000)}[]]}`,
    status: 400,
    code: 'body_too_many_values',
    says: /500,000/,
  },
  {
    what: '21 MB',
    body: JSON.stringify({ model: 'm', messages: [], x: 'x'.repeat(21 << 20) }),
    status: 413,
    code: 'body_too_large',
    says: /20 MB/,
  },
  {
    what: 'unknown model',
    body: '{"model":"no-such-model","messages":[{"role":"user","content":"x"}]}',
    status: 404,
    code: 'model_not_found',
    says: /no-such-model/,
  },
  {
    what: 'wrong content type',
    headers: { ...auth, 'content-type': 'text/plain' },
    body: 'x',
    status: 415,
    code: 'unsupported_media_type',
    says: /application\/json/,
  },
  {
    what: 'no content type',
    headers: { ...auth, 'content-type': '' },
    body: '{}',
    status: 415,
    code: 'unsupported_media_type',
    says: /application\/json/,
  },
  {
    what: 'gzip body',
    headers: { ...json, 'content-encoding': 'gzip' },
    body: 'x',
    status: 415,
    code: 'unsupported_encoding',
    says: /without a Content-Encoding/,
  },
  {
    what: 'negative timeout',
    headers: { ...json, 'x-request-timeout-ms': '-1' },
    body: '{"model":"m","messages":[{"role":"user"}]}',
    status: 400,
    code: 'invalid_header',
    says: /x-request-timeout-ms/,
  },
  { what: 'wrong method', method: 'GET', headers: auth, status: 405, code: 'method_not_allowed', says: /takes POST/ },
  {
    what: 'wrong method, of a stranger',
    method: 'GET',
    path: '/api/v1/auth/login',
    headers: {},
    status: 405,
    code: 'method_not_allowed',
    says: /takes POST/,
  },
  ...[129, '129'].map((n) => ({
    what: `more choices than credit is held for (${JSON.stringify(n)})`,
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hi' }], n }),
    status: 400,
    code: 'invalid_body',
    says: /128/,
  })),
  ...[{ prompt: { id: 'pmpt_1' } }, { conversation: 'conv_1' }].map((state) => ({
    what: `state in place of an input: ${Object.keys(state)}`,
    path: '/v1/responses',
    body: JSON.stringify({ model: 'm', ...state }),
    status: 400,
    code: 'stored_state_unsupported',
    says: new RegExp(Object.keys(state)[0]!),
  })),
  ...['x\0', '\ud800'].map((label) => ({
    what: `a label that no database keeps (${JSON.stringify(label)})`,
    path: '/api/v1/gpu/instances',
    headers: { ...json, 'idempotency-key': 'a' },
    body: JSON.stringify({ offer_id: 'vastai:1', image: 'a/b', label }),
    status: 400,
    code: 'invalid_body',
    says: /label/,
  })),
  {
    what: 'a region that no database looks for',
    method: 'GET',
    path: '/api/v1/gpu/prices?region=%00',
    headers: auth,
    status: 400,
    code: 'invalid_query',
    says: /region/,
  },
  {
    what: 'stored state',
    method: 'GET',
    path: '/v1/files',
    headers: auth,
    status: 404,
    code: 'unsupported_endpoint',
    says: /keeps an account's state/,
  },
  { what: 'unknown route of /v1', path: '/v1/nope', body: '{}', status: 404, code: 'unknown_route', says: /no route/ },
  {
    what: 'unknown route of /api/v1',
    method: 'GET',
    path: '/api/v1/zzz',
    headers: auth,
    status: 404,
    code: 'unknown_route',
    says: /no route/,
  },
  {
    what: 'unknown route outside',
    method: 'GET',
    path: '/nope',
    headers: {},
    status: 404,
    code: 'unknown_route',
    says: /no route/,
  },
  {
    what: 'unknown query parameter',
    method: 'GET',
    path: '/api/v1/gpu/offers?vram=3',
    headers: auth,
    status: 400,
    code: 'invalid_query',
    says: /vram/,
  },
  ...['/api/v1/auth/apikeys', `/api/v1/gpu/instances/${nobodys}/logs`].map((path) => ({
    what: `unknown query parameter of ${path}`,
    method: 'GET',
    path: `${path}?name=x`,
    headers: auth,
    status: 400,
    code: 'invalid_query',
    says: /name/,
  })),
  ...[`/api/v1/gpu/instances/${nobodys}/start`, `/api/v1/gpu/instances/${nobodys}/stop`, '/api/v1/auth/logout'].flatMap(
    (path) => [
      {
        what: `unknown field of ${path}`,
        path,
        body: '{"force":true}',
        status: 400,
        code: 'invalid_body',
        says: /force/,
      },
      { what: `garbage to ${path}`, path, body: '{', status: 400, code: 'invalid_json', says: /JSON/ },
    ],
  ),
  {
    what: 'no body where none is needed',
    path: `/api/v1/gpu/instances/${nobodys}/stop`,
    headers: auth,
    status: 404,
    code: 'instance_not_found',
    says: /instance/,
  },
  {
    what: 'query of the wrong type',
    method: 'GET',
    path: '/api/v1/gpu/offers?max_price=cheap',
    headers: auth,
    status: 400,
    code: 'invalid_query',
    says: /max_price/,
  },
  {
    what: 'unknown market',
    method: 'GET',
    path: '/api/v1/gpu/offers?provider=ec2',
    headers: auth,
    status: 400,
    code: 'invalid_query',
    says: /provider/,
  },
]

describe('bad input is a 4xx that says what to do', () => {
  test.each(table)(
    '$what -> $status $code',
    async ({ method = 'POST', path = chat, headers = json, body, status, code, says }) => {
      const response = await fetch(gateway.url + path, { method, headers, ...(body !== undefined && { body }) })
      const answer = (await response.json()) as {
        error?: { message: string; code: string; type: string }
        code: string
        detail: string
        request_id: string
      }
      expect(response.status).toBe(status)
      expect(response.headers.get('x-request-id')).toBeTruthy()
      if (path.startsWith('/v1/')) {
        expect(answer.error).toMatchObject({ code, message: expect.stringMatching(says), type: expect.any(String) })
      } else {
        expect(response.headers.get('content-type')).toBe('application/problem+json')
        expect(answer).toMatchObject({
          code,
          detail: expect.stringMatching(says),
          request_id: response.headers.get('x-request-id'),
        })
      }
      if (status === 405) expect(response.headers.get('allow')).toBe('POST')
      expect(response.headers.get('www-authenticate')).toBe(status === 401 ? 'Bearer' : null)
    },
  )

  test('a body without a declared length is cut off at the limit', async () => {
    const chunk = new TextEncoder().encode('x'.repeat(1 << 20))
    let sent = 0
    const body = new ReadableStream({
      pull(controller) {
        if (++sent > 40) controller.close()
        else controller.enqueue(chunk)
      },
    })
    const init = { method: 'POST', headers: json, body, duplex: 'half' } as RequestInit
    const response = await fetch(gateway.url + chat, init)
    expect(response.status).toBe(413)
  })

  test.each([
    ['no HTTP at all', 'HELLO\r\n\r\n', /^HTTP\/1.1 400 /],
    [
      'both lengths',
      `POST ${chat} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      /^HTTP\/1.1 400 /,
    ],
    ['headers over 16 KB', `GET / HTTP/1.1\r\nhost: x\r\na: ${'a'.repeat(20_000)}\r\n\r\n`, /^HTTP\/1.1 431 /],
    ['a bad Host', 'GET / HTTP/1.1\r\nhost: a b/\r\nconnection: close\r\n\r\n', /^HTTP\/1.1 400 /],
    ['no Host', 'GET / HTTP/1.1\r\nconnection: close\r\n\r\n', /^HTTP\/1.1 400 /],
  ])('%s is refused on the wire', async (_what, bytes, expected) => {
    const port = Number(new URL(gateway.url).port)
    const answer = await new Promise<string>((resolve, reject) => {
      let text = ''
      const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
      socket
        .on('data', (data) => (text += data))
        .on('close', () => resolve(text))
        .on('error', reject)
    })
    expect(answer).toMatch(expected)
  })

  test('after all that nothing is stuck, nothing was a 5xx, and the gateway answers', async () => {
    const response = await gateway.post(chat, { model: 'm', messages: [{ role: 'user', content: 'hi' }] })
    expect(response.status).toBe(200)
    await response.text()
    expect(await gateway.metric('http_requests_in_flight')).toBe(0)
    expect(gateway.log.filter((line) => line.level === 'error')).toEqual([])
    expect(await gateway.metricsText()).not.toMatch(/http_requests_total\{[^}]*status="5/)
  })
})
