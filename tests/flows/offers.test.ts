import { afterEach, beforeEach, expect, test } from 'vitest'
import { startTestGateway, type TestGateway, testKey } from '../support/gateway.ts'

interface Answer {
  offers: {
    id: string
    provider: string
    gpu_model: string
    gpu_count: number
    vram_gb: number
    price_per_hour: number
    price_parts: Record<string, number>
    location: string | null
  }[]
  providers: { name: string; status: string; age_ms?: number }[]
}

let gateway: TestGateway

beforeEach(async () => {
  gateway = await startTestGateway({ env: { RETRY_INITIAL_BACKOFF: '1ms' } })
})
afterEach(() => gateway.close())

const search = async (query: string) => {
  const response = await gateway.get(`/api/v1/gpu/offers?${query}`)
  expect(response.status).toBe(200)
  return { ...((await response.json()) as Answer), cache: response.headers.get('x-cache') }
}

/** Beside the lists of machines, which are asked for in the background. */
const searches = (calls: readonly { path: string }[]) =>
  calls.filter(({ path }) => /bundles|caas\/hardware/.test(path)).length

test('one list over both markets, cheapest first, all in', async () => {
  const { offers, providers } = await search('')
  expect(new Set(offers.map(({ provider }) => provider))).toEqual(new Set(['vastai', 'ionet']))
  expect(offers.map((o) => o.price_per_hour)).toEqual(offers.map((o) => o.price_per_hour).sort((a, b) => a - b))
  for (const { price_parts, price_per_hour } of offers) {
    expect(Object.values(price_parts).reduce((a, b) => a + b, 0)).toBeCloseTo(price_per_hour, 5)
  }
  expect(providers).toMatchObject([
    { name: 'vastai', status: 'ok' },
    { name: 'ionet', status: 'ok' },
  ])
})

test('filters do what they say', async () => {
  const found = await search('gpu_model=RTX_4090&min_vram=24&max_price=1&gpu_count=1')
  expect(found.offers.length).toBeGreaterThan(2)
  for (const offer of found.offers) {
    expect(offer.gpu_model).toMatch(/4090/)
    expect(offer.vram_gb).toBeGreaterThanOrEqual(24)
    expect(offer.price_per_hour).toBeLessThanOrEqual(1)
    expect(offer.gpu_count).toBe(1)
  }
  const vast = await search('provider=vast.ai&location=taiwan&limit=3')
  expect(vast.offers.length).toBe(3)
  for (const { provider, location } of vast.offers) expect(`${provider} ${location}`).toMatch(/vastai .*(?:Taiwan|TW)$/)
  expect(vast.providers.map(({ name }) => name)).toEqual(['vastai'])
})

test('one search of each market serves every filter', async () => {
  expect((await search('')).cache).toBe('miss')
  for (let i = 0; i < 20; i++) expect((await search(`max_price=${i + 1}`)).cache).toBe('memory')
  expect(searches(gateway.sandbox.vastai.calls)).toBe(1)
  expect(searches(gateway.sandbox.ionet.calls)).toBe(1)
})

test('many who ask at once share one search', async () => {
  await Promise.all(Array.from({ length: 50 }, () => search('')))
  expect(searches(gateway.sandbox.vastai.calls)).toBe(1)
})

test('a market that is down shortens the list and says so', async () => {
  await gateway.sandbox.vastai.goDown()
  const { offers, providers } = await search('')
  expect(offers.length).toBeGreaterThan(3)
  expect(offers.every(({ provider }) => provider === 'ionet')).toBe(true)
  expect(providers).toMatchObject([
    { name: 'vastai', status: 'down' },
    { name: 'ionet', status: 'ok' },
  ])
})

test('a market’s own limit is not its failure', async () => {
  gateway.sandbox.vastai.setFaults([{ kind: 'status', status: 429, body: 'API requests too frequent', retryAfter: 60 }])
  const { providers } = await search('')
  expect(providers[0]).toMatchObject({ name: 'vastai', status: 'throttled' })
  expect(
    await gateway.metric('circuit_breaker_calls_total', { name: 'vastai:list', outcome: 'failure' }),
  ).toBeUndefined()
})

test('a key without the scope is refused', async () => {
  const key = 'ak_live_inferenceonlyinferenceonly01'
  gateway.accounts.add(key, {
    accountId: 'a',
    keyId: 'k',
    role: 'user',
    scopes: ['inference'],
    limits: { key: {}, account: {} },
  })
  const response = await gateway.get('/api/v1/gpu/offers', { headers: { authorization: `Bearer ${key}` } })
  expect(response.status).toBe(403)
  expect(await response.json()).toMatchObject({ code: 'scope_missing' })
  const other = await fetch(`${gateway.url}/api/v1/gpu/offers`, { headers: { 'x-api-key': testKey } })
  expect(other.status).toBe(200)
  await other.text()
})
