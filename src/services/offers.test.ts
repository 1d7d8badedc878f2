import { describe, expect, it } from 'vitest'
import { createMemoryPace } from '../../adapters/memory/pace.ts'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { FakeHttp, type Scripted } from '../../tests/support/fake-http.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { createCache } from '../cache/cache.ts'
import { createMemoryTier } from '../cache/memory-tier.ts'
import type { OfferFilter } from '../domain/offer.ts'
import { HttpFailure } from '../ports.ts'
import { createIonetMarket } from '../providers/ionet.ts'
import { createVastMarket } from '../providers/vast.ts'
import { createBackoff } from '../resilience/backoff.ts'
import { createGuardedCall } from '../upstream/guarded-call.ts'
import { createUpstream } from '../upstream/upstream.ts'
import { createOffers, type OfferSearch, type Snapshot } from './offers.ts'

const decoder = new TextDecoder()

const vastRow = (changes: object = {}) => ({
  id: 1,
  gpu_name: 'RTX 4090',
  num_gpus: 1,
  gpu_ram: 24_564,
  dph_base: 0.3,
  dph_total: 0.35,
  geolocation: 'Texas, US',
  reliability2: 0.995,
  rentable: true,
  min_bid: 0.12,
  cuda_max_good: 12.8,
  // Odd, and what it says nothing of.
  inet_up: '12',
  ...changes,
})
const ionetRow = (changes: object = {}) => ({
  id: 'a',
  name: 'H100 SXM',
  num_cards: 8,
  vram_per_card: 80,
  location: 'Germany',
  sold_out: false,
  available_replicas: 3,
  price: 16,
  ...changes,
})
const vastList = (...offers: unknown[]) => ({ body: { offers } })
const ionetList = (...hardware: unknown[]) => ({ body: { data: { hardware } } })

interface WorldOptions {
  vast?: Scripted[]
  ionet?: Scripted[]
  apiKey?: string | undefined
  paced?: boolean
}

function world({
  vast = [vastList(vastRow())],
  ionet = [ionetList(ionetRow())],
  apiKey = 'canary-key',
  paced = false,
}: WorldOptions = {}) {
  const clock = new FakeClock({ wallMs: Date.UTC(2030, 0, 1) })
  const metrics = new FakeMetrics()
  const random = () => 0.5
  const pace = createMemoryPace({ clock })
  const guardedCall = createGuardedCall({
    clock,
    metrics,
    backoff: createBackoff({ random }),
    maxAttempts: 3,
    maxHintWaitMs: 3_000,
  })
  const market = (name: 'vastai' | 'ionet', http: FakeHttp, baseUrl: string) => ({
    baseUrl,
    apiKey,
    http,
    clock,
    guardedCall,
    ...(paced && { pace }),
    upstream: createUpstream({
      name,
      clock,
      random,
      metrics,
      maxConcurrent: 4,
      retryBudgetRatio: 0.1,
      breaker: {},
      circuitName: (key) => `${name}:${key}`,
      onTransition: () => {},
    }),
  })
  const vastHttp = new FakeHttp(clock, ...vast)
  const ionetHttp = new FakeHttp(clock, ...ionet)
  const memory = createMemoryTier({ maxBytes: 10_000_000 })
  const snapshots = createCache<Snapshot, 'public'>({
    name: 'offers',
    scope: 'public',
    clock,
    random,
    memory,
    freshMs: 30_000,
    staleWhileRevalidateMs: 120_000,
    staleIfErrorMs: 600_000,
    retryAfterErrorMs: 15_000,
    bytesOf: ({ offers }) => offers.length * 600,
  })
  const offers = createOffers({
    clock,
    markets: [
      createVastMarket(market('vastai', vastHttp, 'https://vast.test')),
      createIonetMarket(market('ionet', ionetHttp, 'https://ionet.test/base')),
    ],
    absent: [],
    snapshots,
    memory,
  })
  const ask = async ({ sort = 'price', limit = 100, ...filter }: OfferFilter & Partial<OfferSearch> = {}) => {
    const answer = offers.search({ filter, sort, limit, key: JSON.stringify([filter, sort, limit]) })
    for (let i = 0; i < 200; i++) {
      if (await Promise.race([answer.then(() => true), settled()])) break
      await clock.advance(250)
    }
    const { body, result } = await answer
    const json = decoder.decode(body)
    const { offers: found, providers } = JSON.parse(json) as { offers: Found[]; providers: Told[] }
    return { found, ids: found.map(({ id }) => id), providers, result, json }
  }
  return { clock, vastHttp, ionetHttp, ask, memory, offers, pace }
}

interface Found {
  id: string
  [field: string]: unknown
}
interface Told {
  name: string
  status: string
  age_ms?: number
  error?: string
}

describe('a search', () => {
  it('merges the markets into one list of one shape', async () => {
    const { ask } = world()
    const { found, providers, result } = await ask()
    expect(found).toEqual([
      {
        id: 'vastai:1',
        provider: 'vastai',
        gpu_model: 'RTX 4090',
        gpu_count: 1,
        vram_gb: 24,
        price_per_hour: 0.35,
        price_parts: { gpu: 0.3, disk: 0.05, egress: 0 },
        stopped_per_hour: 0.05,
        min_bid: 0.12,
        minimum_hours: 0,
        interruptible: false,
        location: 'Texas, US',
        reliability: 0.995,
        cuda: 12.8,
        available: true,
        as_of: '2030-01-01T00:00:00.000Z',
      },
      {
        id: 'ionet:a',
        provider: 'ionet',
        gpu_model: 'H100 SXM',
        gpu_count: 8,
        vram_gb: 80,
        price_per_hour: 16,
        price_parts: { gpu: 16, disk: 0, egress: 0 },
        minimum_hours: 1,
        interruptible: false,
        location: 'Germany',
        reliability: null,
        available: true,
        as_of: '2030-01-01T00:00:00.000Z',
      },
    ])
    expect(providers).toEqual([
      { name: 'vastai', status: 'ok', age_ms: 0 },
      { name: 'ionet', status: 'ok', age_ms: 0 },
    ])
    expect(result).toBe('miss')
  })

  it('sorts over all markets before it cuts the list', async () => {
    const { ask } = world({
      vast: [vastList(...[5, 1, 3].map((price) => vastRow({ id: price, dph_total: price })))],
      ionet: [ionetList(...[4, 2].map((price) => ionetRow({ id: price, price })))],
    })
    expect((await ask()).ids).toEqual(['vastai:1', 'ionet:2', 'vastai:3', 'ionet:4', 'vastai:5'])
    expect((await ask({ limit: 2 })).ids).toEqual(['vastai:1', 'ionet:2'])
    expect((await ask({ sort: 'price_per_gpu', limit: 1 })).ids).toEqual(['ionet:2'])
    expect((await ask({ sort: 'vram', limit: 1 })).ids).toEqual(['ionet:2'])
    expect((await ask({ sort: 'reliability', limit: 3 })).ids).toEqual(['vastai:1', 'vastai:3', 'vastai:5'])
  })

  it('filters, by the names and sizes that people use', async () => {
    const { ask } = world()
    expect((await ask({ minVramGb: 24 })).ids).toEqual(['vastai:1', 'ionet:a'])
    expect((await ask({ minVramGb: 25 })).ids).toEqual(['ionet:a'])
    expect((await ask({ gpuModel: 'RTX_4090' })).ids).toEqual(['vastai:1'])
    expect((await ask({ gpuModel: 'geforce rtx 4090' })).ids).toEqual(['vastai:1'])
    expect((await ask({ location: 'GERMANY' })).ids).toEqual(['ionet:a'])
    expect((await ask({ gpuCount: 8 })).ids).toEqual(['ionet:a'])
    expect((await ask({ maxPriceMicroUsd: 350_000 })).ids).toEqual(['vastai:1'])
    expect((await ask({ gpuModel: 'none' })).found).toEqual([])
    const [bid] = (await ask({ interruptible: true, diskGb: 20 })).found
    expect(bid).toMatchObject({ id: 'vastai:1', price_per_hour: 0.22, interruptible: true, stopped_per_hour: 0.1 })
  })

  it('asks only the market that was named', async () => {
    const { ask, vastHttp, ionetHttp } = world()
    const { ids, providers } = await ask({ market: 'ionet' })
    expect(ids).toEqual(['ionet:a'])
    expect(providers.map(({ name }) => name)).toEqual(['ionet'])
    expect([vastHttp.calls.length, ionetHttp.calls.length]).toEqual([0, 1])
  })

  it('asks each market once for all who search, whatever they search for', async () => {
    const { ask, vastHttp, ionetHttp, clock } = world()
    await Promise.all(Array.from({ length: 50 }, (_, i) => ask({ limit: i + 1 })))
    await clock.advance(20_000)
    const { result, providers } = await ask()
    expect(result).toBe('memory')
    expect(providers[0]!.age_ms).toBeGreaterThanOrEqual(20_000)
    expect([vastHttp.calls.length, ionetHttp.calls.length]).toEqual([1, 1])
  })

  it('answers a new snapshot, not the list written out for the old one', async () => {
    const { ask, clock, vastHttp } = world()
    expect((await ask({ market: 'vastai' })).ids).toEqual(['vastai:1'])
    vastHttp.script(vastList(vastRow({ id: 2 })))
    await clock.advance(200_000)
    expect((await ask({ market: 'vastai' })).ids).toEqual(['vastai:2'])
  })

  it('names the markets that are not configured', async () => {
    const { clock, memory } = world()
    const none = createOffers({
      clock,
      markets: [],
      absent: ['vastai', 'ionet'],
      snapshots: createCache<Snapshot, 'public'>({
        name: 'none',
        scope: 'public',
        clock,
        random: () => 0.5,
        memory,
        freshMs: 1,
        bytesOf: () => 1,
      }),
      memory,
    })
    const { body } = await none.search({ filter: { market: 'vastai' }, sort: 'price', limit: 1, key: 'x' })
    expect(JSON.parse(decoder.decode(body))).toEqual({
      offers: [],
      providers: [{ name: 'vastai', status: 'not_configured', age_ms: null }],
    })
  })
})

describe('a market that is down', () => {
  it.each<[string, Scripted]>([
    ['refuses the connection', new HttpFailure('not_sent')],
    ['fails', { status: 500, body: 'canary' }],
    ['refuses our key', { status: 401, body: 'canary' }],
    ['asks for quiet for long', { status: 429, headers: { 'retry-after': '60' }, body: 'canary' }],
    ['says nothing', 'silence'],
    ['answers what is no JSON', { body: '<html>canary' }],
    ['answers another shape', { body: { canary: [] } }],
    ['redirects', { status: 302, headers: { location: 'https://canary' } }],
    ['knows none of its own rows any more', vastList({ canary: 1 }, vastRow({ id: 'canary' }))],
  ])('(%s) shortens the list and says so', async (_name, scripted) => {
    const { ask } = world({ vast: [scripted] })
    const { ids, providers, json } = await ask()
    expect(ids).toEqual(['ionet:a'])
    const isThrottled = 'status' in Object(scripted) && (scripted as { status?: number }).status === 429
    expect(providers).toEqual([
      isThrottled
        ? { name: 'vastai', age_ms: null, status: 'throttled', error: 'The market asks for fewer searches.' }
        : { name: 'vastai', age_ms: null, status: 'down', error: 'The market could not be reached.' },
      expect.objectContaining({ name: 'ionet', status: 'ok' }),
    ])
    expect(json).not.toContain('canary')
  })

  it('is covered by its last list for ten minutes beyond its time, marked as stale', async () => {
    const { ask, clock, vastHttp } = world()
    await ask()
    vastHttp.script(new HttpFailure('not_sent'))
    await clock.advance(300_000)
    const { ids, providers, result } = await ask({ market: 'vastai' })
    expect(ids).toEqual(['vastai:1'])
    expect(providers).toMatchObject([{ name: 'vastai', status: 'stale' }])
    expect(providers[0]!.age_ms).toBeGreaterThanOrEqual(300_000)
    expect(result).toBe('stale')
    await clock.advance(330_000)
    expect(await ask({ market: 'vastai' })).toMatchObject({ ids: [], providers: [{ status: 'down' }] })
  })

  it('is left alone for a while after it failed', async () => {
    const { ask, clock, vastHttp } = world()
    await ask()
    vastHttp.script({ status: 401 })
    await clock.advance(200_000)
    for (let i = 0; i < 10; i++) await ask({ market: 'vastai' })
    expect(vastHttp.calls).toHaveLength(2)
  })

  it('is asked ten times a minute at most, each try counted, whatever it answers and whoever insists', async () => {
    const failing: Scripted[] = [{ status: 502 }, { status: 429 }, new HttpFailure('reset'), { status: 401 }]
    const { offers, vastHttp, clock } = world({ vast: failing, paced: true })
    const asked: number[] = []
    let statuses = ''
    for (let second = 0; second < 300; second++) {
      const search = { filter: { market: 'vastai' }, sort: 'price', limit: 1, key: String(second) } as const
      const answer = offers.search(search, true)
      await clock.advance(1_000)
      statuses += (await Promise.race([answer.then(({ body }) => decoder.decode(body)), settled()])) ?? ''
      while (asked.length < vastHttp.calls.length) asked.push(second)
    }
    expect(asked.length).toBeGreaterThan(10)
    for (const at of asked) expect(asked.filter((each) => each >= at && each < at + 60).length).toBeLessThan(11)
    expect(statuses).toContain('down')
  })

  it('is said to be throttled where other pods have the turns, and is not asked', async () => {
    const { ask, clock, vastHttp, pace } = world({ paced: true })
    for (let turn = 0; turn < 2; turn++) await pace.take('vastai:search', 7_500, 2)
    expect((await ask({ market: 'vastai' })).providers).toMatchObject([{ status: 'throttled' }])
    expect(vastHttp.calls).toEqual([])
    await clock.advance(30_000)
    expect((await ask({ market: 'vastai' })).providers).toMatchObject([{ status: 'ok' }])
  })

  it('is tried again where that may help', async () => {
    const { ask, vastHttp } = world({ vast: [{ status: 502 }, vastList(vastRow())] })
    expect((await ask({ market: 'vastai' })).ids).toEqual(['vastai:1'])
    expect(vastHttp.calls).toHaveLength(2)
  })
})

describe('a market’s list', () => {
  it.each<[string, unknown]>([
    ['is no object', null],
    ['has no id', vastRow({ id: undefined })],
    ['has no name', vastRow({ gpu_name: '' })],
    ['has half a GPU', vastRow({ num_gpus: 0.5 })],
    ['has no GPU', vastRow({ num_gpus: 0 })],
    ['has a price in words', vastRow({ dph_total: '0.35' })],
    ['costs less than nothing', vastRow({ dph_total: -1 })],
    ['has no memory', vastRow({ gpu_ram: 0 })],
    ['is more reliable than possible', vastRow({ reliability2: 99 })],
  ])('loses a row that %s, and no other', async (_name, odd) => {
    const { ask } = world({ vast: [vastList(vastRow({ id: 7 }), odd, vastRow({ id: 8, new_field: {} }))] })
    expect((await ask({ market: 'vastai' })).ids).toEqual(['vastai:7', 'vastai:8'])
  })

  it('keeps rows that say nothing, be it by null, of what is not needed', async () => {
    const { ask } = world({
      vast: [vastList(vastRow({ id: 7, reliability2: null, dph_base: null, rentable: null }))],
      ionet: [ionetList(ionetRow({ id: 9, sold_out: null, available_replicas: null }))],
    })
    expect((await ask()).ids).toEqual(['vastai:7', 'ionet:9'])
  })

  it('shows nothing that cannot be rented', async () => {
    const { ask } = world({
      vast: [vastList(vastRow({ rentable: false }))],
      ionet: [
        ionetList(
          ionetRow({ sold_out: true }),
          ionetRow({ available_replicas: 0 }),
          ionetRow({ id: 9, available_replicas: undefined }),
        ),
      ],
    })
    expect((await ask()).ids).toEqual(['ionet:9'])
  })

  it('has prices whose parts add up, whatever the market says of them', async () => {
    const { ask } = world({
      vast: [
        vastList(
          vastRow({ id: 1, dph_base: 0.1, dph_total: 0.3 }),
          vastRow({ id: 2, dph_base: undefined, dph_total: 0.4 }),
          vastRow({ id: 3, dph_base: 0.9, dph_total: 0.5 }),
        ),
      ],
    })
    const { found } = await ask({ market: 'vastai' })
    expect(found).toHaveLength(3)
    for (const { price_parts, price_per_hour } of found) {
      const { gpu, disk } = price_parts as { gpu: number; disk: number }
      expect(disk).toBeGreaterThanOrEqual(0)
      expect(gpu + disk).toBeCloseTo(price_per_hour as number, 9)
    }
  })

  it.each([
    [', US', 'US'],
    ['', null],
    [null, null],
    [undefined, null],
    [' , ', null],
    ['Sweden, SE', 'Sweden, SE'],
  ])('writes the place %j as %j', async (geolocation, location) => {
    const { ask } = world({ vast: [vastList(vastRow({ geolocation }))] })
    expect((await ask({ market: 'vastai' })).found[0]!.location).toBe(location)
  })
})

describe('the call to a market', () => {
  it('goes to Vast.ai as a search, with our key', async () => {
    const { ask, vastHttp } = world()
    await ask()
    expect(vastHttp.calls[0]).toMatchObject({
      method: 'POST',
      origin: 'https://vast.test',
      path: '/api/v0/bundles/',
      headers: { authorization: 'Bearer canary-key', 'content-type': 'application/json' },
    })
    expect(JSON.parse(String(vastHttp.calls[0]!.body))).toMatchObject({ type: 'on-demand', rentable: { eq: true } })
  })

  it('goes to io.net with our key, under its path', async () => {
    const { ask, ionetHttp } = world()
    await ask()
    expect(ionetHttp.calls[0]).toMatchObject({
      method: 'GET',
      origin: 'https://ionet.test',
      path: '/base/v1/io-cloud/caas/hardware',
      headers: { 'x-api-key': 'canary-key' },
    })
  })

  it('is ended after 10 s of silence', async () => {
    const { ask, vastHttp, clock } = world({ vast: ['silence', vastList(vastRow())] })
    const since = clock.now()
    expect((await ask({ market: 'vastai' })).ids).toEqual(['vastai:1'])
    expect(vastHttp.calls[0]!.signal.aborted).toBe(true)
    expect(clock.now() - since).toBeLessThan(11_000)
  })
})
