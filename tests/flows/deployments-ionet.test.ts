/** A deployment on io.net: hours bought ahead one at a time, as long as it is wanted and no longer. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '../../adapters/sandbox/sandbox.ts'
import { eventually, startTestGateway, type TestGateway, testAccountId } from '../support/gateway.ts'
import { hurriedClock } from '../support/hurried-clock.ts'

const minuteMs = 60_000
const clock = hurriedClock(20)
let sandbox: Sandbox
let gateway: TestGateway

beforeAll(async () => {
  // The market's hours pass by the same clock.
  const market = { provisioningMs: 20, loadingMs: 20, destroyDelayMs: 2_000 }
  sandbox = await startSandbox({ clock, random: Math.random, wordIntervalMs: 1, market })
  gateway = await startTestGateway({ ports: { clock }, sandbox })
})
afterAll(async () => {
  await gateway.close()
  await sandbox.close()
})

const path = '/api/v1/gpu/deployments'
const look = async (id: string) => (await gateway.get(`${path}/${id}`)).json()
const rentals = () => gateway.rentals.list(testAccountId, { limit: 100, withGone: true })
const whoAnswers = async () => {
  const body = { model: 'mine', max_tokens: 5, messages: [{ role: 'user', content: 'Say some words' }] }
  const answer = await gateway.post('/v1/chat/completions', body)
  await answer.arrayBuffer()
  return answer.headers.get('x-gpuproxy-provider')
}
const byRented = () => eventually(whoAnswers, (provider) => provider === 'rented')

test('it answers, an hour is bought before the one under way ends, and none after it was ended', async () => {
  const { ionet } = gateway.sandbox
  const order = { model: 'acme/tiny-1b', name: 'mine', provider: 'io.net', max_price: 5 }
  const made = await gateway.post(path, order, { headers: { 'idempotency-key': 'deploy' } })
  expect(made.status).toBe(202)
  const { id } = await made.json()
  await eventually(
    () => look(id),
    ({ status }) => status === 'ready',
  )
  await byRented()
  const [{ offer, startedAt }] = (await rentals()) as [Awaited<ReturnType<typeof rentals>>[number]]
  expect(offer.market).toBe('ionet')
  expect(ionet.bill()).toMatchObject([{ microUsd: offer.pricePerHour }])

  // A minute and a half before its hour is over, by a clock that leaves the gateway all the time it takes.
  clock.setPace(1)
  clock.skip(startedAt!.getTime() + 58.5 * minuteMs - clock.wallNow())
  await eventually(
    () => ionet.bill(),
    ([bill]) => bill!.microUsd > offer.pricePerHour,
  )
  expect(ionet.bill()).toMatchObject([{ microUsd: 2 * offer.pricePerHour }])
  await eventually(rentals, ([rental]) => rental!.accrued > 0)
  expect(await rentals()).toMatchObject([{ hour: 1, settled: offer.pricePerHour, held: offer.pricePerHour }])
  clock.skip(5 * minuteMs)
  await byRented()
  expect(ionet.machines()).toHaveLength(1)

  clock.setPace(20)
  expect((await gateway.get(`${path}/${id}`, { method: 'DELETE' })).status).toBe(202)
  await eventually(
    () => gateway.get(`${path}/${id}`),
    ({ status }) => status === 404,
  )
  expect(ionet.machines()).toEqual([])
  expect(ionet.bill()).toMatchObject([{ microUsd: 2 * offer.pricePerHour, ended: true }])
  expect(await rentals()).toMatchObject([{ state: 'gone', held: 0, settled: 2 * offer.pricePerHour }])
}, 60_000)
