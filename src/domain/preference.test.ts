import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Offer, OfferFilter } from './offer.ts'
import { pricedOffers } from './offer-price.ts'
import { byPreference, findByPreference } from './preference.ts'

let ids = 0
const offer = (gpuModel: string, priceMicroUsd: number, own: Partial<Offer> = {}): Offer => ({
  ...{ id: `vastai:${++ids}`, market: 'vastai', gpuModel, gpuCount: 1, vramMib: 24_564, priceMicroUsd },
  ...{ location: 'Texas, US', reliability: 0.99, available: true },
  ...own,
})
const models = ['RTX 4090', 'RTX 3090', 'A5000']
const order = (offers: Offer[], fallbackPercent?: number, filter: OfferFilter = {}) =>
  byPreference(pricedOffers(offers, filter), { models, fallbackPercent }).map(({ price }) => price.perHour)
const outcomes = (offers: Offer[], fallbackPercent?: number, filter: OfferFilter = {}) =>
  findByPreference(offers, filter, { models, fallbackPercent }).map(({ outcome }) => outcome)

test('without a percentage the first model that there is comes first, whatever it costs', () => {
  const offers = [offer('A5000', 100), offer('RTX 4090', 900), offer('RTX 4090', 800), offer('RTX 3090', 300)]
  expect(order(offers)).toEqual([800, 900, 300, 100])
  expect(outcomes(offers)).toEqual(['taken', 'next', 'next'])
  expect(outcomes(offers.slice(0, 1))).toEqual(['not_listed', 'not_listed', 'taken'])
})

test('an offer is passed over that is so much dearer than the cheapest of any later model', () => {
  const offers = [offer('RTX 4090', 500), offer('RTX 4090', 481), offer('RTX 3090', 430), offer('A5000', 400)]
  // A fifth above 400 is 480.
  expect(order(offers, 20)).toEqual([430, 400, 481, 500])
  expect(outcomes(offers, 20)).toEqual(['too_dear', 'taken', 'next'])
  const [first] = findByPreference(offers, {}, { models, fallbackPercent: 20 })
  expect(first).toMatchObject({ limit: { price: 480, than: 'A5000' }, cheapest: { price: { perHour: 481 } } })
  // To the micro-dollar, each offer by itself.
  expect(order([offer('RTX 4090', 480), ...offers], 20)).toEqual([480, 430, 400, 481, 500])
  // Nothing comes after the last one.
  expect(order([offer('A5000', 1_000), offer('A5000', 9_000)], 0)).toEqual([1_000, 9_000])
})

test('of a model that is not taken it says why', () => {
  const offers = [
    offer('RTX 4090', 900),
    offer('RTX 4090', 700),
    offer('RTX 3090', 100, { vramMib: 8_000 }),
    offer('RTX 3090', 100, { available: false }),
    offer('H100 SXM', 50),
  ]
  const found = findByPreference(offers, { minVramGb: 24, maxPriceMicroUsd: 600 }, { models, fallbackPercent: 10 })
  expect(found.map(({ outcome }) => outcome)).toEqual(['over_max_price', 'no_fit', 'not_listed'])
  expect(found[0]).toMatchObject({ counts: { listed: 2, fitting: 2, found: 0 }, cheapest: { price: { perHour: 700 } } })
  expect(found[1]).toMatchObject({ counts: { listed: 1, fitting: 0, found: 0 }, cheapest: undefined })
  expect(findByPreference([], {}, { models }).map(({ outcome }) => outcome)).toEqual(models.map(() => 'not_listed'))
})

test('a card counts for the first model whose words it has', () => {
  const offers = [offer('RTX 4090', 100), offer('RTX 4090 D', 90)]
  const found = findByPreference(offers, {}, { models: ['RTX 4090 D', 'RTX 4090'] })
  expect(found.map(({ outcome, counts }) => [outcome, counts.found])).toEqual([
    ['taken', 1],
    ['next', 1],
  ])
})

test('whatever is listed: what is tried out is what is rented, and is within the rule', () => {
  const anyOffer = fc
    .tuple(fc.constantFrom(...models, 'H100 SXM'), fc.integer({ min: 1, max: 50 }), fc.boolean())
    .map(([model, price, available]) => offer(model, price * 10, { available }))
  fc.assert(
    fc.property(
      fc.array(anyOffer),
      fc.option(fc.integer({ min: 0, max: 200 }), { nil: undefined }),
      (offers, percent) => {
        const filter = { maxPriceMicroUsd: 400, preferred: { models, fallbackPercent: percent } }
        const fits = pricedOffers(offers, filter)
        const sorted = byPreference(fits, filter.preferred)
        expect(new Set(sorted)).toEqual(new Set(fits))
        const taken = findByPreference(offers, filter, filter.preferred).find(({ outcome }) => outcome === 'taken')
        expect(taken?.cheapest?.offer).toBe(sorted[0]?.offer)
        if (!taken || percent === undefined) return
        const later = fits.filter(({ offer: { gpuModel } }) => models.indexOf(gpuModel) > models.indexOf(taken.model))
        for (const each of later) {
          expect(taken.cheapest!.price.perHour).toBeLessThanOrEqual(each.price.perHour * (1 + percent / 100))
        }
      },
    ),
  )
})
