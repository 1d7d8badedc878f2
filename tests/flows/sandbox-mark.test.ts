/** What the sandbox sold says so, also to a gateway that has real providers by then; what a real one sold does not. */
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually, startTestGateway, type TestGateway } from '../support/gateway.ts'

type Json = Record<string, unknown>
let gateway: TestGateway
beforeEach(async () => {
  gateway = await startTestGateway({
    routing: ({ openai: { baseUrl } }) => ({
      providers: { openai: { kind: 'openai', base_url: baseUrl }, real: { kind: 'openai', base_url: real(baseUrl) } },
      models: {
        played: { targets: [{ provider: 'openai' }], price: { input_per_million: 1, output_per_million: 1 } },
        real: { targets: [{ provider: 'real' }], price: { input_per_million: 1, output_per_million: 1 } },
      },
    }),
  })
})
afterEach(() => gateway.close())

/** The same server under a name that the gateway does not know for the sandbox's. */
const real = (url: string) => url.replace('127.0.0.1', 'localhost')

const receiptOf = async (model: string) => {
  const answer = await gateway.post('/v1/chat/completions', { model, messages: [{ role: 'user', content: 'hi' }] })
  expect(answer.status).toBe(200)
  await answer.text()
  const path = `/api/v1/receipts/${answer.headers.get('x-request-id')}`
  return eventually(
    async () => (await (await gateway.get(path)).json()) as Json,
    (receipt) => receipt.request_id !== undefined,
  )
}

test('receipts of a provider that it plays, and of no other', async () => {
  expect(await receiptOf('played')).toMatchObject({ provider: 'openai', sandbox: true })
  expect(await receiptOf('real')).not.toHaveProperty('sandbox')
})

test('a machine of a market that it plays, from its first answer on', async () => {
  const offers = (await (await gateway.get('/api/v1/gpu/offers?limit=1')).json()) as { offers: { id: string }[] }
  const body = { offer_id: offers.offers[0]!.id, image: 'a/b' }
  const rented = await gateway.post('/api/v1/gpu/instances', body, { headers: { 'idempotency-key': randomUUID() } })
  const instance = (await rented.json()) as Json
  expect(instance).toMatchObject({ id: expect.any(String), sandbox: true })
  expect(await (await gateway.get(`/api/v1/gpu/instances/${instance.id}`)).json()).toMatchObject({ sandbox: true })
})
