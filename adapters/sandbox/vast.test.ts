import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Sandbox, startSandbox } from './sandbox.ts'
import type { VastOffer } from './vast-search.ts'

let now = 0
const clock = { now: () => now, wallNow: () => 1_800_000_000_000, setTimer: () => () => {} }

let sandbox: Sandbox
let root: string

beforeEach(async () => {
  now = 0
  sandbox = await startSandbox({ clock, random: Math.random, servers: ['vastai'] })
  root = sandbox.vastai?.baseUrl ?? ''
})
afterEach(() => sandbox.close())

const post = (query: unknown) => fetch(`${root}/api/v0/bundles/`, { method: 'POST', body: JSON.stringify(query) })

async function search(query: object): Promise<VastOffer[]> {
  const response = await post(query)
  expect(response.status).toBe(200)
  return ((await response.json()) as { offers: VastOffer[] }).offers
}

describe('the catalogue', () => {
  it('offers every row of the snapshot at its price, place and memory', async () => {
    const rows = readFileSync(new URL('./vast-catalogue.csv', import.meta.url), 'utf8')
      .trim()
      .split('\n')
      .slice(1)
    const offers = (await search({})).sort((a, b) => a.id - b.id)
    expect(offers).toHaveLength(rows.length)
    for (const [index, offer] of offers.entries()) {
      const { gpu_name, num_gpus, gpu_total_ram, dph_total, geolocation } = offer
      const [name, count, ram, price] = rows[index]?.split(',') ?? []
      expect([gpu_name, num_gpus, gpu_total_ram, dph_total]).toEqual([name, Number(count), Number(ram), Number(price)])
      if (geolocation !== null) expect(rows[index]).toContain(geolocation)
    }
  })

  it('has the types that trip clients: fractions, nulls, a string for verified, fields unheard of', async () => {
    const offers = await search({})
    const [offer] = offers
    expect(offer).toMatchObject({
      ask_contract_id: offer?.id,
      rentable: true,
      rented: false,
      is_bid: false,
      mobo_name: expect.any(String),
      search: { totalHour: offer?.dph_total },
    })
    expect(offer).not.toHaveProperty('verified')
    expect(offers.some((each) => !Number.isInteger(each.disk_space))).toBe(true)
    expect(offers.some((each) => !Number.isInteger(each.cpu_cores_effective))).toBe(true)
    expect(offers.some((each) => each.geolocation === null)).toBe(true)
    expect(new Set(offers.map((each) => each.verification))).toEqual(new Set(['verified', 'unverified']))
    expect(new Set(offers.map((each) => each.id)).size).toBe(offers.length)
    for (const each of offers) {
      expect(each.id).toBeGreaterThan(20_000_000)
      expect(each.gpu_ram * each.num_gpus).toBeCloseTo(each.gpu_total_ram, 6)
      expect(each.reliability2).toBeGreaterThanOrEqual(0.9)
      expect(each.reliability2).toBeLessThan(0.999)
      expect(each.dph_base).toBeLessThan(each.dph_total)
      expect(each.end_date).toBeGreaterThan(1_800_000_000)
    }
  })

  it('is the same after a restart', async () => {
    const before = await search({})
    const again = await startSandbox({ clock, random: () => 0, servers: ['vastai'] })
    root = again.vastai?.baseUrl ?? ''
    expect(await search({})).toEqual(before)
    await again.close()
  })
})

describe('search', () => {
  it('filters with every operator, beside the other fields or under filters', async () => {
    const counted = await search({ num_gpus: { gte: 2, lt: 8 }, gpu_name: { in: ['RTX 4090', 'RTX 5090'] } })
    expect(counted.length).toBeGreaterThan(3)
    expect(counted.every((offer) => offer.num_gpus >= 2 && offer.num_gpus < 8)).toBe(true)
    expect(counted.every((offer) => ['RTX 4090', 'RTX 5090'].includes(offer.gpu_name))).toBe(true)
    expect(
      await search({ filters: { num_gpus: { gte: 2, lt: 8 }, gpu_name: { in: ['RTX 4090', 'RTX 5090'] } } }),
    ).toEqual(counted)
    const cheap = await search({
      dph_total: { lte: 0.4 },
      gpu_name: { notin: ['RTX 4090'] },
      num_gpus: { gt: 1, neq: 4 },
    })
    expect(cheap.map((offer) => [offer.gpu_name, offer.num_gpus]).sort()).toEqual([
      ['RTX 3060 Ti', 2],
      ['RTX 3090', 2],
      ['RTX 4070S Ti', 2],
    ])
  })

  it('answers questions about fields that offers do not have', async () => {
    const verified = await search({ verified: { eq: true }, external: { eq: false }, rentable: { eq: true } })
    expect(verified.every((offer) => offer.verification === 'verified')).toBe(true)
    expect(verified.length).toBeGreaterThan(30)
    const swedish = await search({ geolocation: { in: ['SE', 'DE'] } })
    expect(new Set(swedish.map((offer) => offer.geolocation?.slice(-2)))).toEqual(new Set(['SE', 'DE']))
    const hosted = await search({ datacenter: { eq: true } })
    expect(hosted.every((offer) => offer.hosting_type >= 1)).toBe(true)
  })

  it('orders and limits, best score first unless told otherwise', async () => {
    const prices = (await search({ order: [['dph_total', 'asc']], limit: 5 })).map((offer) => offer.dph_total)
    expect(prices).toHaveLength(5)
    expect(prices).toEqual([...prices].sort((a, b) => a - b))
    expect(prices[0]).toBe(0.13)
    const grouped = await search({
      order: [
        ['gpu_name', 'desc'],
        ['num_gpus', 'asc'],
      ],
    })
    expect(grouped[0]?.gpu_name).toBe('Tesla V100')
    const scores = (await search({})).map((offer) => offer.score)
    expect(scores).toEqual([...scores].sort((a, b) => b - a))
  })

  it('prices the disk that is asked for and hides machines without room for it', async () => {
    const [plain, roomy] = [await search({}), await search({ allocated_storage: 1_000 })]
    expect(roomy.length).toBeLessThan(plain.length)
    const offer = roomy[0] as VastOffer
    const before = plain.find(({ id }) => id === offer.id) as VastOffer
    expect(offer.dph_total - before.dph_total).toBeCloseTo((offer.storage_cost * 995) / 720, 9)
    const [bid] = await search({ type: 'bid', limit: 1 })
    expect(bid?.is_bid).toBe(true)
    expect(bid?.dph_base).toBe(bid?.min_bid)
  })

  it('takes the older GET with its question in the query', async () => {
    const q = encodeURIComponent(JSON.stringify({ gpu_name: { eq: 'H200' }, num_gpus: { eq: 8 } }))
    const response = await fetch(`${root}/api/v0/bundles/?q=${q}`)
    expect(((await response.json()) as { offers: unknown[] }).offers).toHaveLength(1)
  })

  it.each([
    { type: 'rent' },
    { num_gpus: 2 },
    { num_gpus: { near: 2 } },
    { order: 'score' },
    { order: [['score', 'up']] },
    { limit: 'all' },
    [1],
  ])('refuses a question it cannot read: %j', async (query) => {
    const response = await post(query)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: 'invalid_request', msg: expect.any(String) })
  })

  it('answers the eleventh search of a minute with a plain 429 that does not say when to return', async () => {
    for (let i = 0; i < 10; i++) expect((await post({})).status).toBe(200)
    const refused = await post({})
    expect(refused.status).toBe(429)
    expect(refused.headers.get('content-type')).toContain('text/plain')
    expect(refused.headers.get('retry-after')).toBeNull()
    expect(await refused.text()).toMatch(/^API requests too frequent: endpoint threshold=/)
    now = 59_999
    expect((await post({})).status).toBe(429)
    now = 60_000
    expect((await post({})).status).toBe(200)
  })
})

describe('paths and keys', () => {
  it('knows no path without its last slash', async () => {
    expect((await fetch(`${root}/api/v0/users/current`)).status).toBe(404)
    expect((await fetch(`${root}/api/v0/users/current/`)).status).toBe(200)
  })

  it('takes its one key in the header or the query, and refuses every other', async () => {
    const guarded = await startSandbox({ clock, random: Math.random, servers: ['vastai'], keys: { vastai: 'right' } })
    const get = async (suffix: string, headers: Record<string, string> = {}) =>
      fetch(`${guarded.vastai?.baseUrl}/api/v0/users/current/${suffix}`, { headers })
    expect(await (await get('', { authorization: 'Bearer right' })).json()).toMatchObject({ credit: 100 })
    expect((await get('?api_key=right')).status).toBe(200)
    const refused = await get('', { authorization: 'Bearer wrong' })
    expect(refused.status).toBe(401)
    expect(await refused.json()).toEqual({ success: false, error: 'auth_error', msg: 'Invalid user key' })
    expect((await get('')).status).toBe(401)
    await guarded.close()
  })
})
