/** Rent or buy, for an account's own traffic and nobody else's. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { UsageRow } from '../../src/domain/statement.ts'
import { startTestGateway, type TestGateway, testAccountId } from '../support/gateway.ts'

const otherKey = 'ak_live_testtesttesttesttesttest0002'
let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
  gateway.accounts.add(otherKey, {
    accountId: '00000000-0000-7000-8000-00000000000b',
    keyId: '00000000-0000-7000-8000-00000000001b',
    role: 'user',
    scopes: ['gpu'],
    limits: { key: {}, account: {} },
  })
  const row = (model: string, own: Partial<UsageRow> = {}): UsageRow => ({
    ...{ day: new Date().toISOString().slice(0, 10), keyId: 'k', model, requests: 9, inputTokens: 0 },
    ...{ cachedInputTokens: 0, outputTokens: 0, cost: 0, ...own },
  })
  gateway.books.of(testAccountId).usage.push(
    // Five dollars a million, of which there are some: a card pays many times over.
    row('Qwen/Qwen2.5-7B-Instruct', { inputTokens: 400e6, outputTokens: 100e6, cost: 2_500e6 }),
    row('gpt-4o', { inputTokens: 1e6, outputTokens: 1e6, cost: 12_500_000 }),
    row('llama-3.1-8b', { inputTokens: 7_000, outputTokens: 3_000, cost: 50_000 }),
    row('qwen3-8b', { inputTokens: 1e9, outputTokens: 1e9, cost: 1_000_000 }),
    row('mistral-7b', { inputTokens: 5, outputTokens: 5 }),
    row('dall-e-3', { cost: 40_000 }),
    row('gpu:RTX 4090', { cost: 9_000_000 }),
    row('an-old-one', { day: '2020-01-01', inputTokens: 5, cost: 5 }),
  )
})
afterAll(() => gateway.close())

async function advice(query = '', key?: string) {
  const answer = await gateway.get(`/api/v1/gpu/advice${query}`, {
    headers: { ...(key && { authorization: `Bearer ${key}` }) },
  })
  return { status: answer.status, json: await answer.json() }
}

test('each model of the last thirty days, the dearest first, with a verdict and why', async () => {
  const { status, json } = await advice()
  expect(status).toBe(200)
  expect(json).toMatchObject({
    currency: 'USD',
    summary: expect.stringMatching(/rent for Qwen\/Qwen2.5-7B-Instruct\.$/),
  })
  expect(json.models.map(({ model, verdict }: { model: string; verdict: string }) => [model, verdict])).toEqual([
    ['Qwen/Qwen2.5-7B-Instruct', 'rent'],
    ['gpt-4o', 'buy'],
    ['qwen3-8b', 'buy'],
    ['llama-3.1-8b', 'buy'],
    ['mistral-7b', 'buy'],
  ])
  const [rent, closed, cheap, small, free] = json.models
  expect(rent).toMatchObject({
    ...{ tokens: { input: 400e6, output: 100e6, total: 500e6 }, paid: '2500.00', bought_per_million: '5.00' },
    machine: { gpu_count: 1, machines: 1, worth_renting: 1, estimate: { billions_of_parameters: 7 } },
  })
  expect(Number(rent.rented_per_million)).toBeLessThan(5)
  expect(rent.break_even.tokens_per_month).toBe(720 * rent.break_even.tokens_per_hour)
  // A token costs five micro-dollars.
  expect(rent.break_even.tokens_per_hour).toBe(Math.ceil(Math.round(rent.machine.price_per_hour * 1e6) / 5))
  expect(Number(rent.per_month.best)).toBeCloseTo(720 * rent.machine.price_per_hour, 3)
  expect(closed.reason).toContain('no open model')
  expect(closed.machine).toBeUndefined()
  expect(cheap).toMatchObject({ break_even: null, reason: expect.stringContaining('always busy') })
  expect(small.reason).toContain('Too few tokens')
  expect(free.reason).toContain('Nothing was paid')
})

test('the machine is the cheapest that the model fits on', async () => {
  const { machine } = (await advice('?model=qwen3-8b')).json.models[0]
  const query = 'min_vram=24&gpu_count=1&disk_gb=50&limit=1'
  const [offer] = (await (await gateway.get(`/api/v1/gpu/offers?${query}`)).json()).offers
  expect(machine).toMatchObject({ offer_id: offer.id, price_per_hour: offer.price_per_hour })
})

test("an account without traffic is told so, and nothing of another's", async () => {
  expect((await advice('', otherKey)).json).toMatchObject({ models: [], summary: expect.stringContaining('No tokens') })
  const one = (await advice('?model=Qwen/Qwen2.5-7B-Instruct', otherKey)).json
  expect(one.models).toMatchObject([
    { verdict: 'buy', paid: '0.00', bought_per_million: null, rented_per_million: null, break_even: null },
  ])
  expect(Number(one.models[0].rented_per_million_busy)).toBeGreaterThan(0)
  const unknown = (await advice('?model=nobody-knows-it', otherKey)).json
  expect(unknown.models).toMatchObject([{ verdict: 'buy', reason: expect.stringContaining('no open model') }])
  expect((await advice('?days=3')).status).toBe(400)
})

test('with the markets down it knows no machine, and says which do not answer', async () => {
  const down = await startTestGateway()
  await Promise.all([down.sandbox.vastai.goDown(), down.sandbox.ionet.goDown()])
  const answer = await (await down.get('/api/v1/gpu/advice?model=qwen3-8b')).json()
  await down.close()
  expect(answer).toMatchObject({
    models: [{ verdict: 'unknown', reason: expect.stringContaining('No market that answers') }],
    providers: [
      { name: 'vastai', status: 'down' },
      { name: 'ionet', status: 'down' },
    ],
  })
})
