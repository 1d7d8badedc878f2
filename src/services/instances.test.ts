import { beforeAll, expect, it } from 'vitest'
import { payer, rentalWorld, spec, vastOffers } from '../../tests/support/rental-world.ts'
import type { RentalOffer } from '../domain/rental.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'

let offers: RentalOffer[]
beforeAll(async () => {
  offers = await vastOffers()
})
const { signal } = new AbortController()

const world = () => rentalWorld('vastai', offers)

it('shows an instance to its owner alone', async () => {
  const { rent, rentals, instances } = world()
  const rental = await rent()
  expect(await rentals.find('account', rental.id)).toBeDefined()
  for (const id of [rental.id, 'nonsense', '0198c0de-0000-7000-8000-00000000ffff']) {
    await expect(instances.find('another', id)).rejects.toMatchObject({ code: 'instance_not_found' })
  }
})

it('stops and starts, and costs its disk alone meanwhile', async () => {
  const { rent, pass, watched, rows, instances } = world()
  const { id, offer } = await rent()
  await watched(10_000)
  const stopping = await pass(instances.setRunning('account', id, false, signal))
  expect(stopping.state).toBe('stopping')
  await watched(60_000)
  expect(rows()).toMatchObject([{ state: 'stopped' }])
  const before = instances.costOf(rows()[0]!)
  await watched(30 * 60_000, 30_000)
  const perHalfHour = instances.costOf(rows()[0]!) - before
  expect(Math.abs(perHalfHour - offer.stoppedPerHour / 2)).toBeLessThan(offer.pricePerHour / 1_000)
  expect((await pass(instances.setRunning('account', id, true, signal))).state).toBe('starting')
  await watched(60_000)
  expect(rows()).toMatchObject([{ state: 'running' }])
})

it.each<[string, () => Promise<undefined>]>([
  ['has not drawn up its bill', async () => undefined],
  ['does not tell its bill', () => Promise.reject(new UpstreamFailure('poison'))],
])(
  'is there no more once the market has no machine of it, also while that %s; then our metering stands',
  async (_, bill) => {
    const { rent, watched, rows, instances, control } = world()
    const { id } = await rent()
    await watched(10_000)
    control.bill = bill
    await instances.end('account', id)
    await watched(30_000)
    expect(rows()).toMatchObject([{ state: 'ending' }])
    await expect(instances.find('account', id)).rejects.toMatchObject({ code: 'instance_not_found' })
    await watched(48 * 3_600_000, 15 * 60_000)
    expect(rows()).toMatchObject([{ state: 'gone', held: 0 }])
  },
)

it('that nothing was sent for is shown once more as it was when its owner ends it', async () => {
  const { desk, pass, instances, rows } = world()
  const search = { filter: {}, spread: false }
  const [begun] = await pass(desk.begin(payer, { spec, search, reservationId: 'r' }, 1))
  expect(await instances.end('account', begun!.id)).toMatchObject({ state: 'intended' })
  expect(rows()).toMatchObject([{ state: 'gone' }])
})

it('is ended once, and is there no more when the market says so', async () => {
  const { rent, watched, instances, controls } = world()
  const { id } = await rent()
  expect((await instances.end('account', id)).state).toBe('ending')
  expect((await instances.end('account', id)).state).toBe('ending')
  await watched(30_000)
  expect(controls.machines()).toEqual([])
  await expect(instances.end('account', id)).rejects.toMatchObject({ code: 'instance_not_found' })
})

it.each([
  [400, 'missing_billing'],
  [200, 'insufficient_credit'],
])(
  'that its market will not start (%i) is said to be refused, and is no failure of the market',
  async (status, code) => {
    const { rent, pass, watched, rows, instances, market, control } = world()
    const { id } = await rent()
    await watched(10_000)
    market.setFaults([{ kind: 'status', status, code, match: { method: 'PUT' } }])
    for (let n = 0; n < 12; n++) {
      const calls = market.calls()
      await expect(pass(instances.setRunning('account', id, false, signal))).rejects.toMatchObject({
        code: 'market_refused',
        message: expect.stringContaining(code),
      })
      expect(market.calls()).toBe(calls + 1)
    }
    expect(rows()).toMatchObject([{ state: 'running' }])
    expect(await pass(control.list(signal))).toHaveLength(1)
  },
)

it('whose market has no logs says so, and that is no failure of the market', async () => {
  const { rent, pass, watched, instances, market, control } = world()
  const { id } = await rent()
  await watched(10_000)
  for (const status of [400, 404]) {
    market.setFaults([{ kind: 'status', status, match: { path: '/request_logs/' } }])
    for (let n = 0; n < 12; n++) {
      await expect(pass(instances.logs('account', id, signal))).rejects.toMatchObject({ code: 'instance_state' })
    }
  }
  expect(await pass(control.list(signal))).toHaveLength(1)
})
