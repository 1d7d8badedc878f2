/** Machines that are rented for what is bid, with the disk and for the traffic that was searched for. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'

let gateway: TestGateway
beforeEach(async () => {
  gateway = await startTestGateway({ market: { provisioningMs: 20, loadingMs: 20, paced: false } })
})
afterEach(() => gateway.close())

const search = async (query: string) => (await (await gateway.get(`/api/v1/gpu/offers?${query}`)).json()).offers
let keys = 0
async function post(what: 'instances' | 'reservations', body: object) {
  const headers = { 'idempotency-key': `bid-${++keys}` }
  const answer = await gateway.post(`/api/v1/gpu/${what}`, body, { headers })
  return { status: answer.status, json: await answer.json() }
}
const orders = () =>
  gateway.sandbox.vastai.calls
    .filter(({ method, path }) => method === 'PUT' && path.includes('/asks/'))
    .map(({ body }) => body as { price?: number; disk: number })

test('a bid reaches the market, and costs what it says', async () => {
  const [offer] = await search('provider=vastai&interruptible=true&limit=1')
  expect(offer).toMatchObject({ interruptible: true, price_parts: { gpu: offer.min_bid } })
  const made = await post('instances', { offer_id: offer.id, image: 'a', bid: offer.min_bid, disk_gb: 40 })
  expect(made.status).toBe(201)
  expect(orders()).toMatchObject([{ price: offer.min_bid, disk: 40 }])
  expect(made.json.price_per_hour).toBeCloseTo(offer.min_bid + 4 * offer.stopped_per_hour, 5)
})

test('a bid that is too low, and one where none is taken, are refused before the market is asked', async () => {
  const [vast] = await search('provider=vastai&limit=1')
  const low = await post('instances', { offer_id: vast.id, image: 'a', bid: vast.min_bid / 2 })
  expect(low).toMatchObject({
    status: 409,
    json: { code: 'bid_too_low', detail: expect.stringContaining(String(vast.min_bid)) },
  })
  const [ionet] = await search('provider=ionet&limit=1')
  expect(ionet.min_bid).toBeUndefined()
  const none = await post('instances', { offer_id: ionet.id, image: 'a', bid: 1 })
  expect(none).toMatchObject({ status: 409, json: { code: 'unsupported_by_market' } })
  const large = await post('instances', { offer_id: vast.id, image: 'a', disk_gb: 9_999 })
  expect(large).toMatchObject({ status: 400, json: { code: 'invalid_body' } })
  expect(orders()).toEqual([])
})

test('a search for interruptible machines bids what they take at least; of each reserved one its own', async () => {
  const filters = {
    interruptible: true,
    gpu_model: 'RTX 4090',
    min_reliability: 0.9,
    egress_gb_per_hour: 5,
    disk_gb: 20,
  }
  const listed = await search(
    `${new URLSearchParams(Object.entries(filters).map(([name, value]) => [name, String(value)]))}`,
  )
  const made = await post('reservations', { count: 2, filters, config: {} })
  expect(made.status).toBe(201)
  const [first, second] = listed
  const price = ({ price_per_hour }: { price_per_hour: number }) => price_per_hour
  expect(made.json.instances.map(price).sort()).toEqual([first, second].map(price).sort())
  expect(
    orders()
      .map((order) => order.price!)
      .sort(),
  ).toEqual([first.min_bid, second.min_bid].sort())
  expect(orders().every(({ disk }) => disk === 20)).toBe(true)
})
