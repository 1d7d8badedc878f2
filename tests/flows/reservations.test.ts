import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually, startTestGateway, type TestGateway, testAccountId } from '../support/gateway.ts'

let gateway: TestGateway
beforeEach(async () => {
  gateway = await startTestGateway({ market: { provisioningMs: 20, loadingMs: 20, paced: false } })
})
afterEach(() => gateway.close())

const reserve = (key: string, body: object) =>
  gateway.post('/api/v1/gpu/reservations', body, { headers: { 'idempotency-key': key } })
const wanted = { count: 2, filters: { provider: 'vastai', gpu_model: 'RTX 4090', max_price: 5 }, config: {} }
const alive = () => gateway.sandbox.vastai.machines().filter(({ ending }) => !ending)
const instances = async () => (await (await gateway.get('/api/v1/gpu/instances')).json()).instances

test('two machines are reserved together, once for a key, and gone when they are ended', async () => {
  const answers = [await reserve('r-1', wanted), await reserve('r-1', wanted)]
  expect(answers.map(({ status }) => status)).toEqual([201, 201])
  const [made, again] = await Promise.all(answers.map((each) => each.json()))
  expect(made).toMatchObject({ status: 'active', count: 2 })
  expect(again.id).toBe(made.id)
  expect(alive()).toHaveLength(2)
  expect((await gateway.get(`/api/v1/gpu/reservations/${made.id}`)).status).toBe(200)

  for (const { id } of made.instances) await gateway.get(`/api/v1/gpu/instances/${id}`, { method: 'DELETE' })
  await eventually(instances, (left) => left.length === 0)
  expect(alive()).toEqual([])
  expect((await (await gateway.get(`/api/v1/gpu/reservations/${made.id}`)).json()).status).toBe('ended')
})

test('where one cannot be had, none is, and nothing is held', async () => {
  gateway.sandbox.vastai.setFaults([
    { kind: 'status', status: 400, match: { method: 'PUT', path: '/asks/' }, times: 1, probability: 1 },
  ])
  const answer = await reserve('r-2', wanted)
  expect(answer.status).toBe(409)
  expect((await answer.json()).code).toBe('not_enough_offers')
  await eventually(instances, (left) => left.length === 0)
  await eventually(alive, (left) => left.length === 0)
  await eventually(
    () => gateway.books.of(testAccountId).held,
    (held) => held === 0,
  )
})

test('what is not there, and what is asked for wrongly', async () => {
  expect((await reserve('r-3', { ...wanted, filters: { gpu_model: 'H200', max_price: 0.01 } })).status).toBe(409)
  expect((await reserve('r-4', { ...wanted, count: 17 })).status).toBe(400)
  expect((await gateway.get('/api/v1/gpu/reservations/0198c0de-0000-7000-8000-000000000001')).status).toBe(404)
})
