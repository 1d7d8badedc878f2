import { expect, test } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { SourceResting } from '../cache/cache.ts'
import type { MarketName, Offer, OfferFilter } from '../domain/offer.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'
import { createOfferBook } from './offer-book.ts'

const offer = (id: string, more: Partial<Offer> = {}): Offer => ({
  ...{ id, market: id.split(':')[0] as MarketName, gpuModel: 'RTX 4090', gpuCount: 1, vramMib: 24_564 },
  ...{ priceMicroUsd: 400_000, location: null, reliability: null, available: true },
  ...more,
})
const terms = { diskGb: 10 }

function world(lists: Partial<Record<MarketName, Offer[]>>) {
  const clock = new FakeClock()
  const offers = {
    async snapshot(market: MarketName) {
      const found = lists[market]
      if (!found) throw new UpstreamFailure('server', { status: 500 })
      return { offers: found, asOf: '' }
    },
  }
  return { clock, book: createOfferBook({ clock, offers, markets: ['vastai', 'ionet'] }) }
}

test('prices are with the disk that is asked for, and at the bid', async () => {
  // A micro-dollar a GB and hour, ten of them in the price.
  const disk = { perGbHour: 1_000, includedGb: 10 }
  const { book } = world({ vastai: [offer('vastai:1', { disk, minBid: 90_000 })] })
  expect(await book.find('vastai:1', terms)).toMatchObject({ pricePerHour: 400_000, stoppedPerHour: 10_000 })
  expect(await book.find('vastai:1', { diskGb: 50 })).toMatchObject({ pricePerHour: 440_000, stoppedPerHour: 50_000 })
  expect(await book.find('vastai:1', { diskGb: 50, bid: 100_000 })).toMatchObject({
    pricePerHour: 150_000,
    bid: 100_000,
  })
  const pick = (maxPriceMicroUsd: number) =>
    book.pick({ maxPriceMicroUsd }, { diskGb: 50, limit: 5, without: [] }).then((found) => found.length)
  expect([await pick(439_999), await pick(440_000)]).toEqual([0, 1])
})

test('the cheapest come first, over both markets; one that is down shortens the list', async () => {
  const vastai = [
    offer('vastai:1'),
    offer('vastai:2', { priceMicroUsd: 300_000 }),
    offer('vastai:3', { available: false }),
  ]
  const both = world({ vastai, ionet: [offer('ionet:1', { priceMicroUsd: 350_000 })] })
  const pick = async ({ book }: typeof both, without: string[] = []) =>
    (await book.pick({}, { ...terms, limit: 2, without })).map(({ id }) => id)
  expect(await pick(both)).toEqual(['vastai:2', 'ionet:1'])
  expect(await pick(both, ['vastai:2'])).toEqual(['ionet:1', 'vastai:1'])
  expect(await pick(world({ vastai }))).toEqual(['vastai:2', 'vastai:1'])
  await expect(world({ vastai }).book.find('ionet:1', terms)).rejects.toMatchObject({ code: 'upstream_unavailable' })
  expect(await both.book.find('elsewhere:1', terms)).toBeUndefined()
})

test('a market that other pods could not reach a moment ago is one that cannot be reached', async () => {
  const offers = {
    async snapshot() {
      throw new SourceResting(2_500)
    },
  }
  const book = createOfferBook({ clock: new FakeClock(), offers, markets: ['vastai'] })
  await expect(book.find('vastai:1', terms)).rejects.toMatchObject({
    code: 'upstream_unavailable',
    options: { retryAfterMs: 2_500 },
  })
})

test('what was taken is not offered for a minute, where there is no other machine of it', async () => {
  const { book, clock } = world({ vastai: [offer('vastai:1')], ionet: [offer('ionet:1', { replicas: 2 })] })
  const left = async () => (await book.pick({}, { ...terms, limit: 5, without: [] })).map(({ id }) => id)
  for (const id of ['vastai:1', 'ionet:1']) book.taken(id)
  expect(await left()).toEqual(['ionet:1'])
  expect(await book.find('vastai:1', terms)).toBeUndefined()
  book.taken('ionet:1')
  expect(await left()).toEqual([])
  await clock.advance(60_000)
  expect(await left()).toEqual(['ionet:1', 'vastai:1'])
})

test('what a market would refuse is refused before it is asked', async () => {
  const { book } = world({
    vastai: [offer('vastai:1', { minBid: 90_000, diskSpaceGb: 64 })],
    ionet: [offer('ionet:1')],
  })
  await expect(book.find('vastai:1', { ...terms, bid: 89_999 })).rejects.toMatchObject({
    code: 'bid_too_low',
    options: { param: 'bid' },
  })
  await expect(book.find('vastai:1', { ...terms, bid: 89_999 })).rejects.toThrow('0.09 dollars')
  await expect(book.find('ionet:1', { ...terms, bid: 1e6 })).rejects.toMatchObject({ code: 'unsupported_by_market' })
  await expect(book.find('vastai:1', { diskGb: 65 })).rejects.toMatchObject({
    code: 'invalid_body',
    options: { param: 'disk_gb' },
  })
  expect(await book.find('vastai:1', { diskGb: 64, bid: 90_000 })).toMatchObject({ bid: 90_000 })
})

test('a search goes by its own terms, and by those of what is to run before them', async () => {
  const { book } = world({
    vastai: [offer('vastai:1', { minBid: 90_000, diskSpaceGb: 64, egressPerGb: 10_000 }), offer('vastai:2')],
  })
  const pick = async (filter: OfferFilter, own: { diskGb?: number } = terms) =>
    (await book.pick(filter, { ...own, limit: 5, without: [] })).map(({ id, pricePerHour, bid }) => [
      id,
      pricePerHour,
      bid,
    ])
  expect(await pick({ interruptible: true })).toEqual([['vastai:1', 90_000, 90_000]])
  expect(await pick({ egressGbPerHour: 2, maxPriceMicroUsd: 420_000 })).toEqual([
    ['vastai:2', 400_000, undefined],
    ['vastai:1', 420_000, undefined],
  ])
  expect(await pick({ diskGb: 10 }, { diskGb: 65 })).toEqual([['vastai:2', 400_000, undefined]])
})

test('what a market cannot do is not looked for there, and is refused before anything is held', async () => {
  const { book } = world({ vastai: [offer('vastai:1')], ionet: [offer('ionet:1', { priceMicroUsd: 100_000 })] })
  for (const needs of [{ onstart: true }, { ports: 2 }]) {
    const found = await book.pick({}, { ...terms, ...needs, limit: 5, without: [] })
    expect(found.map(({ id }) => id)).toEqual(['vastai:1'])
    await expect(book.find('ionet:1', { ...terms, ...needs })).rejects.toMatchObject({ code: 'unsupported_by_market' })
    expect(await book.find('vastai:1', { ...terms, ...needs })).toBeDefined()
  }
  expect(await book.find('ionet:1', { ...terms, ports: 1, onstart: false })).toBeDefined()
})

test('an offer of several machines is there as often as it has any left, for who wants several', async () => {
  const ionet = [offer('ionet:1', { replicas: 3, priceMicroUsd: 100_000 })]
  const { book } = world({ vastai: [offer('vastai:1')], ionet })
  const found = async (limit: number) =>
    (await book.pick({}, { ...terms, limit, without: [], machines: true })).map(({ id }) => id)
  expect(await found(2)).toEqual(['ionet:1', 'ionet:1'])
  expect(await found(9)).toEqual(['ionet:1', 'ionet:1', 'ionet:1', 'vastai:1'])
  book.taken('ionet:1')
  expect(await found(9)).toEqual(['ionet:1', 'ionet:1', 'vastai:1'])
})
