/** What is counted as charged for rented machines, and as given back, is what their accounts have paid. */
import { beforeAll, expect, test } from 'vitest'
import { ionetOffer, rentalWorld, vastOffers } from '../../tests/support/rental-world.ts'
import type { RentalOffer } from '../domain/rental.ts'
import { instruments } from '../telemetry/instruments.ts'

const hourMs = 3_600_000
const credit = 1e9

let offers: RentalOffer[]
beforeAll(async () => {
  offers = await vastOffers()
})

type World = ReturnType<typeof rentalWorld>
/** In micro-dollars. */
const counted = ({ metrics }: World) => ({
  charged: Math.round(metrics.counted(instruments.revenue, { kind: 'gpu' }) * 1e6),
  givenBack: Math.round(metrics.counted(instruments.refunds, { kind: 'gpu' }) * 1e6),
})
const endNow = async ({ desk, rows, live }: World) => {
  await desk.end(rows()[0]!, 'owner')
  // A bill that is less than what was metered is believed after three minutes.
  await live(4 * 60_000, 5_000)
  expect(rows()).toMatchObject([{ state: 'gone', held: 0 }])
}

test('each hour is counted when it is over, and at the end what the market bills beyond them', async () => {
  const world = rentalWorld('vastai', offers)
  const { rent, live, rows, spendable, controls } = world
  await rent()
  await live(hourMs / 2, 30_000)
  expect(counted(world)).toEqual({ charged: 0, givenBack: 0 })
  await live(3 * hourMs, 30_000)
  expect(rows()[0]).toMatchObject({ hour: 3 })
  expect(counted(world)).toEqual({ charged: rows()[0]!.settled, givenBack: 0 })
  expect(rows()[0]!.settled).toBeGreaterThan(0)
  await endNow(world)
  expect(counted(world)).toEqual({ charged: controls.bill()[0]!.microUsd, givenBack: 0 })
  expect(spendable()).toBe(credit - counted(world).charged)
})

test('where the market bills less than the hours that are over came to, the rest is counted as given back', async () => {
  const world = rentalWorld('vastai', offers)
  const { rent, live, rows, spendable, controls } = world
  const { marketId } = await rent()
  controls.raisePrice(marketId!, 0.5)
  await live(2.1 * hourMs, 30_000)
  const { settled } = rows()[0]!
  await endNow(world)
  const billed = controls.bill()[0]!.microUsd
  expect(billed).toBeLessThan(settled)
  expect(counted(world)).toEqual({ charged: settled, givenBack: settled - billed })
  expect(spendable()).toBe(credit - billed)
})

test('hours that are bought ahead are counted whole, and none is given back', async () => {
  const world = rentalWorld('ionet', [ionetOffer])
  await world.rent()
  await world.live(1.5 * hourMs, 10_000)
  await endNow(world)
  expect(counted(world)).toEqual({ charged: 2 * ionetOffer.pricePerHour, givenBack: 0 })
  expect(world.spendable()).toBe(credit - 2 * ionetOffer.pricePerHour)
})

test('a pod that comes too late to its end counts nothing of that', async () => {
  const world = rentalWorld('vastai', offers)
  const { rent, live, rows, rentals } = world
  await rent()
  await live(1.5 * hourMs, 30_000)
  const hours = rows()[0]!.settled
  const { end } = rentals
  // Another pod ends it, whose own metrics tell of it, in the moment before this one would.
  rentals.end = async (...args) => {
    await end(...args)
    return end(...args)
  }
  await endNow(world)
  expect(rows()[0]!.settled).toBeGreaterThan(hours)
  expect(counted(world)).toEqual({ charged: hours, givenBack: 0 })
})

test('what was never rented is counted as nothing', async () => {
  const world = rentalWorld('vastai', offers)
  for (const { id } of offers) world.controls.raceOffer(id.slice(7))
  await expect(world.rent()).rejects.toMatchObject({ code: 'offer_gone' })
  expect(counted(world)).toEqual({ charged: 0, givenBack: 0 })
})
