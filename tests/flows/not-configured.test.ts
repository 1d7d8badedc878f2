/** A provider without a key, where there is no sandbox: whoever asks for it hears so, and not that there is nothing. */
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'

let gateway: TestGateway
beforeEach(async () => {
  gateway = await startTestGateway({ providers: {} })
})
afterEach(() => gateway.close())

const offer = { offer_id: 'vastai:1', image: 'a/b' }
const filtered = { filters: {}, image: 'a/b' }

test.each<[string, string, object?]>([
  ['POST', '/v1/chat/completions', { model: 'gpt-4o', messages: [{ role: 'user', content: 'hi' }] }],
  ['GET', '/v1/models'],
  ['GET', '/v1/models/gpt-4o'],
  ['POST', '/api/v1/gpu/instances', offer],
  ['POST', '/api/v1/gpu/instances', filtered],
  ['POST', '/api/v1/gpu/reservations', { filters: {}, config: {}, count: 2 }],
])('%s %s', async (method, path, body) => {
  const headers = { 'idempotency-key': randomUUID() }
  const response = await (body ? gateway.post(path, body, { headers }) : gateway.get(path, { method }))
  const json = (await response.json()) as { code?: string; error?: { code: string } }
  expect([response.status, json.code ?? json.error?.code]).toEqual([503, 'provider_not_configured'])
  // Nobody's waiting brings a key.
  expect([response.headers.get('retry-after'), response.headers.get('x-should-retry')]).toEqual([null, 'false'])
})

test('a list of offers is empty, and tells of each market', async () => {
  const response = await gateway.get('/api/v1/gpu/offers')
  expect(await response.json()).toMatchObject({
    offers: [],
    providers: [
      { name: 'vastai', status: 'not_configured' },
      { name: 'ionet', status: 'not_configured' },
    ],
  })
})
