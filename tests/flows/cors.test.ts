import { afterAll, beforeAll, expect, it } from 'vitest'
import { startTestGateway, type TestGateway, testKey } from '../support/gateway.ts'

const page = 'https://app.example.com'
let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ env: { CORS_ORIGINS: `${page},http://localhost:3000` } })
})
afterAll(() => gateway.close())

const asks = (origin: string, path = '/v1/chat/completions') =>
  fetch(gateway.url + path, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization, content-type',
    },
  })
const chat = (origin: string | undefined, key: string, stream = false) =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...(origin && { origin }) },
    body: JSON.stringify({ model: 'gpt-4o-mini', stream, max_tokens: 3, messages: [{ role: 'user', content: 'Hi' }] }),
  })
const allowedTo = ({ headers }: Response) => headers.get('access-control-allow-origin')

it.each([page, 'http://localhost:3000'])('the page %s is told what it may send, without a key', async (origin) => {
  const answer = await asks(origin)
  expect(answer.status).toBe(204)
  expect(allowedTo(answer)).toBe(origin)
  expect(answer.headers.get('access-control-allow-methods')).toContain('POST')
  // With those that the official SDKs add of their own.
  expect(answer.headers.get('access-control-allow-headers')).toBe('authorization, *')
  expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
  expect(answer.headers.get('vary')).toBe('origin')
})

it.each([false, true])('and may read what is answered, streamed: %s', async (stream) => {
  const answer = await chat(page, testKey, stream)
  expect(answer.status).toBe(200)
  expect(allowedTo(answer)).toBe(page)
  expect(answer.headers.get('access-control-expose-headers')).toBe('*')
  expect(answer.headers.get('vary')).toContain('origin')
  expect(await answer.text()).toContain('choices')
})

it('and errors, too', async () => {
  const answer = await chat(page, 'ak_live_of_nobody_at_all_0001')
  expect(answer.status).toBe(401)
  expect(allowedTo(answer)).toBe(page)
})

it.each(['https://evil.example', 'null', 'https://app.example.com.evil.example'])(
  'a page of %s is told nothing',
  async (origin) => {
    for (const answer of [await asks(origin), await chat(origin, testKey)]) {
      expect(allowedTo(answer)).toBeNull()
      expect(answer.headers.get('access-control-allow-methods')).toBeNull()
      expect(answer.headers.get('vary')).toBe('origin')
    }
  },
)

it('for what a rented machine serves no preflight is answered in its name', async () => {
  const answer = await asks(page, `/api/v1/gpu/instances/${crypto.randomUUID()}/proxy/x`)
  expect(answer.status).toBe(401)
  expect([...answer.headers.keys()].filter((name) => /^(access-control|vary)/.test(name))).toEqual([])
})

it('without a list no page is told anything', async () => {
  const plain = await startTestGateway()
  try {
    const answer = await fetch(`${plain.url}/health`, { headers: { origin: page } })
    expect(answer.status).toBe(200)
    expect([...answer.headers.keys()].filter((name) => /^(access-control|vary)/.test(name))).toEqual([])
  } finally {
    await plain.close()
  }
})
