import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Sandbox, startSandbox } from './sandbox.ts'

const clock = { now: () => 0, wallNow: () => 0, setTimer: () => () => {} }
const enterprise = '/enterprise/v1/io-cloud/caas'

type Json = ReturnType<typeof JSON.parse>

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox({ clock, random: Math.random, servers: ['ionet'], keys: { ionet: 'right' } })
})
afterAll(() => sandbox.close())

async function get(path: string, key: string | undefined = 'right'): Promise<{ status: number; json: Json }> {
  const response = await fetch(sandbox.ionet?.baseUrl + path, { headers: key === '' ? {} : { 'x-api-key': key } })
  return { status: response.status, json: await response.json() }
}

describe('the catalogue', () => {
  it('lists container hardware to anyone, priced for the whole configuration', async () => {
    const { status, json } = await get('/v1/io-cloud/caas/hardware', '')
    expect(status).toBe(200)
    const rows: Json[] = json.data.hardware
    expect(rows.length).toBeGreaterThanOrEqual(18)
    for (const row of rows) {
      expect(row).toEqual({
        id: expect.any(Number),
        deploy_id: expect.any(Number),
        name: expect.any(String),
        num_cards: expect.any(Number),
        vram_per_card: expect.any(Number),
        interconnect: expect.any(String),
        nvlink: expect.any(Boolean),
        vcpu: expect.any(Number),
        memory: expect.any(Number),
        storage: expect.any(Number),
        location: expect.any(String),
        sold_out: expect.any(Boolean),
        price: expect.any(Number),
        brand_name: 'NVIDIA',
        available_replicas: expect.any(Number),
      })
    }
    const h100 = rows.filter((row) => row.deploy_id === 202)
    expect(new Set(h100.map((row) => row.price / row.num_cards))).toEqual(new Set([2.19]))
  })

  it('has one row sold out, and one with no replica that does not say so', async () => {
    const rows: Json[] = (await get('/v1/io-cloud/caas/hardware', '')).json.data.hardware
    expect(rows.filter((row) => row.sold_out)).toHaveLength(1)
    expect(rows.filter((row) => !row.sold_out && row.available_replicas === 0)).toHaveLength(1)
  })

  it('lists machines without brand and replicas', async () => {
    const { json } = await get('/v1/io-cloud/vmaas/hardware', '')
    expect(json.data.hardware[0]).not.toHaveProperty('brand_name')
    expect(json.data.hardware[0]).not.toHaveProperty('available_replicas')
  })
})

describe('keyed endpoints', () => {
  it('lists places', async () => {
    const { json } = await get('/v1/io-cloud/caas/locations')
    expect(json.data.total).toBe(json.data.locations.length)
    expect(json.data.locations[0]).toEqual({ id: 1, name: 'United States', iso2: 'US', available: true })
  })

  it('tells how many GPUs a container may have', async () => {
    const { json } = await get(`${enterprise}/hardware/max-gpus-per-container`)
    expect(json.data.total).toBe(json.data.hardware.length)
    expect(json.data.hardware).toContainEqual({
      hardware_id: 202,
      hardware_name: 'H100 80GB HBM3',
      brand_name: 'NVIDIA',
      max_gpus_per_container: 8,
      available: true,
    })
  })

  it('tells the replicas that each place has left', async () => {
    const { json } = await get(`${enterprise}/available-replicas?hardware_id=202&hardware_qty=8`)
    expect(json.data).toEqual([
      { id: 1, iso2: 'US', name: 'United States', available_replicas: 6 },
      { id: 4, iso2: 'DE', name: 'Germany', available_replicas: 0 },
    ])
  })

  it('prices a deployment by GPUs, hours and replicas, in either spelling of its duration', async () => {
    const ask = (duration: string) =>
      get(
        `${enterprise}/price?location_ids=[1]&hardware_id=202&gpus_per_container=2&replica_count=3&currency=usdc&${duration}`,
      )
    const expected = { total_cost_usdc: 315.36, ionet_fee: 0, currency_conversion_fee: 0 }
    expect((await ask('duration_hours=24')).json.data).toEqual(expected)
    expect((await ask('duration_type=day&duration_qty=1')).json.data).toEqual(expected)
    expect((await ask('duration_type=daily&duration_qty=1')).json.data).toEqual(expected)
    expect((await ask('duration_type=hourly&duration_qty=24')).json.data).toEqual(expected)
  })

  it('refuses in the manner of FastAPI', async () => {
    const missing = await get(`${enterprise}/available-replicas?hardware_qty=1`)
    expect(missing.status).toBe(422)
    expect(missing.json).toEqual({
      detail: [{ loc: ['query', 'hardware_id'], msg: 'Field required', type: 'missing' }],
    })
    const words = await get(`${enterprise}/available-replicas?hardware_id=h100&hardware_qty=1`)
    expect([words.status, words.json.detail[0].type]).toEqual([422, 'int_parsing'])
    const price = await get(
      `${enterprise}/price?location_ids=[1]&hardware_id=202&gpus_per_container=9&duration_hours=1&replica_count=1`,
    )
    expect([price.status, price.json.detail[0].loc]).toEqual([422, ['query', 'gpus_per_container']])
    const noTime = await get(
      `${enterprise}/price?location_ids=[1]&hardware_id=202&gpus_per_container=1&replica_count=1`,
    )
    expect([noTime.status, noTime.json.detail[0].loc]).toEqual([422, ['query', 'duration_hours']])
    expect(await get(`${enterprise}/available-replicas?hardware_id=1&hardware_qty=1`)).toEqual({
      status: 404,
      json: { detail: 'Hardware not found' },
    })
    expect(await get('/v1/nothing')).toEqual({ status: 404, json: { detail: 'Not Found' } })
  })

  it('needs its one key', async () => {
    const path = `${enterprise}/hardware/max-gpus-per-container`
    expect(await get(path, '')).toEqual({ status: 403, json: { detail: 'Not authenticated' } })
    expect(await get(path, 'wrong')).toEqual({ status: 401, json: { detail: 'Invalid API key' } })
  })
})
