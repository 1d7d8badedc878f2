/** One ledger under everything that tells of money: what is given, spent, shown, limited and signed is the same. */
import { createPublicKey, type JsonWebKey, verify } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { canonical } from '../../src/domain/canonical.ts'
import { eventually, startTestGateway, type TestGateway, testAccountId, testKeyId } from '../support/gateway.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ everyoneHas: 0 })
})
afterAll(() => gateway.close())

const books = () => gateway.books.of(testAccountId)
const get = async (path: string) => (await gateway.get(path)).json()
const send = async (method: string, path: string, body: object) => {
  const headers = { 'content-type': 'application/json', 'idempotency-key': path }
  const response = await gateway.get(path, { method, headers, body: JSON.stringify(body) })
  return { status: response.status, json: await response.json() }
}
const chat = () =>
  gateway.post('/v1/chat/completions', {
    model: 'gpt-4o',
    messages: [{ role: 'user', content: 'hi' }],
    max_tokens: 5,
  })
const micro = (usd: string) => Math.round(Number(usd) * 1e6)

test('credit, a request, and what balance, transactions, usage, receipt and guard rails say of it', async () => {
  const refused = await chat()
  expect(refused.status).toBe(402)
  expect(await refused.json()).toMatchObject({ error: { code: 'insufficient_credit' } })
  const account = `/api/v1/admin/accounts/${testAccountId}`
  expect((await send('POST', `${account}/credits`, { amount: '1.00' })).status).toBe(201)

  // Once the refusal of before is forgotten.
  const answer = await eventually(chat, ({ status }) => status === 200)
  const requestId = answer.headers.get('x-request-id')!
  const { usage: used } = await answer.json()
  const receipt = await get(`/api/v1/receipts/${requestId}`)
  const cost = micro(receipt.cost)
  expect(cost).toBe(Math.ceil(used.prompt_tokens * 2.5 + used.completion_tokens * 10))

  const left = { available: `0.${1_000_000 - cost}`, held: '0.00', currency: 'USD' }
  expect(await get('/api/v1/billing/balance')).toEqual(left)
  const { transactions } = await get('/api/v1/billing/transactions')
  expect(transactions).toMatchObject([
    { kind: 'settle', amount: `-${receipt.cost}`, request_id: requestId },
    { kind: 'granted', amount: '1.00' },
  ])
  for (const [by, group] of [
    ['model', 'gpt-4o'],
    ['key', testKeyId],
    ['day', new Date(receipt.at).toISOString().slice(0, 10)],
  ]) {
    const { usage } = await get(`/api/v1/billing/usage?group_by=${by}`)
    const tokens = { input_tokens: used.prompt_tokens, output_tokens: used.completion_tokens }
    expect(usage).toMatchObject([{ group, requests: 1, ...tokens, cost: receipt.cost }])
  }

  const { signature, ...signed } = receipt
  const { keys } = await (await fetch(`${gateway.url}/api/v1/receipts/keys`)).json()
  const jwk = keys.find(({ kid }: { kid: string }) => kid === signature.key_id) as JsonWebKey
  const key = createPublicKey({ format: 'jwk', key: jwk })
  const bytes = Buffer.from(signature.value, 'base64')
  expect(verify(null, Buffer.from(canonical(signed)!), key, bytes)).toBe(true)
  expect(verify(null, Buffer.from(canonical({ ...signed, cost: '0.00' })!), key, bytes)).toBe(false)

  // What the pod had leased before there was a limit has to come back first.
  await eventually(() => books().leased === 0)
  expect((await send('PUT', '/api/v1/guardrails', { limits: { '60min': receipt.cost } })).status).toBe(200)
  const blocked = await chat()
  expect(blocked.status).toBe(402)
  const { error } = await blocked.json()
  expect(error).toMatchObject({ code: 'guardrail_exceeded', window: '60min', limit: receipt.cost, spent: receipt.cost })
  expect(micro(error.asked)).toBeGreaterThan(0)
  expect(error.frees_at === null || Date.parse(error.frees_at) > Date.now()).toBe(true)
  expect(await get('/api/v1/billing/balance')).toEqual(left)

  const told = () => gateway.metric('guardrail_blocked_total', { window: '60min' })
  expect(await told()).toBe(1)
  expect((await send('PATCH', `${account}/guardrails`, { shadow: true })).status).toBe(200)
  await (await eventually(chat, ({ status }) => status === 200)).text()
  expect(await told()).toBe(2)
})
