import { describe, expect, it } from 'vitest'
import { microUsd, usd } from './money.ts'
import { matches, type Offer, type OfferFilter, vramGb } from './offer.ts'

const offer = (changes: Partial<Offer> = {}): Offer => ({
  id: 'vastai:1',
  market: 'vastai',
  gpuModel: 'RTX 4090',
  gpuCount: 2,
  vramMib: 24_564,
  priceMicroUsd: 800_000,
  location: 'Texas, US',
  reliability: 0.99,
  available: true,
  cuda: 12.8,
  inetDown: 800,
  gpuFraction: 0.25,
  verified: true,
  diskSpaceGb: 100,
  minBid: 300_000,
  ...changes,
})

describe('an offer', () => {
  it.each<[OfferFilter, boolean]>([
    [{}, true],
    [{ market: 'vastai' }, true],
    [{ market: 'ionet' }, false],
    [{ minVramGb: 24 }, true],
    [{ minVramGb: 24.5 }, false],
    [{ minReliability: 0.99 }, true],
    [{ minReliability: 0.991 }, false],
    [{ minCuda: 12.8 }, true],
    [{ minCuda: 12.9 }, false],
    [{ minInetDown: 800 }, true],
    [{ minInetDown: 801 }, false],
    [{ minInetUp: 1 }, false],
    [{ minGpuFraction: 0.25 }, true],
    [{ minGpuFraction: 0.3 }, false],
    [{ verified: true }, true],
    [{ diskGb: 100 }, true],
    [{ diskGb: 101 }, false],
    [{ interruptible: true }, true],
    [{ interruptible: false }, true],
    [{ bid: 300_000 }, true],
    [{ bid: 299_999 }, false],
    [{ gpuCount: 2 }, true],
    [{ gpuCount: 1 }, false],
    [{ location: 'texas' }, true],
    [{ location: 'US' }, true],
    [{ location: 'DE' }, false],
  ])('%o finds it: %s', (filter, found) => expect(matches(offer(), filter)).toBe(found))

  it('that is not available is never found', () => expect(matches(offer({ available: false }), {})).toBe(false))

  it.each([
    ['United States', 'us', true],
    ['United Kingdom', 'GB', true],
    ['Texas, US', 'united states', true],
    ['Sydney, Australia', 'US', false],
    ['Moscow, RU', 'US', false],
    ['US', 'US', true],
    ['Germany, DE', 'german', true],
    ['Somewhere', 'XX', false],
  ])('%s is in %s: %s', (location, asked, found) => {
    expect(matches(offer({ location }), { location: asked })).toBe(found)
  })

  it('that takes no bids is found on demand alone', () => {
    const fixed = offer({ minBid: undefined })
    expect([{}, { interruptible: true }, { bid: 1e6 }].map((filter) => matches(fixed, filter))).toEqual([
      true,
      false,
      false,
    ])
  })

  it('without a location is found by no location', () => {
    expect(matches(offer({ location: null }), { location: 'US' })).toBe(false)
    expect(matches(offer({ location: null }), {})).toBe(true)
  })

  it.each([
    ['RTX_4090', 'RTX 4090', true],
    ['rtx 4090', 'RTX 4090', true],
    ['RTX-4090', 'GeForce RTX 4090', true],
    ['GeForce RTX 4090', 'RTX 4090', true],
    ['NVIDIA GeForce RTX 4090', 'RTX_4090', true],
    ['4090', 'RTX 4090', true],
    ['NVIDIA', 'NVIDIA H100', true],
    ['GeForce', 'RTX 4090', false],
    ['RTX 4090 D', 'RTX 4090', false],
    ['RTX 4080', 'RTX 4090', false],
    ['h100', 'H100 SXM', true],
    ['H100 SXM', 'H100', false],
  ])('"%s" finds "%s": %s', (gpuModel, name, found) => {
    expect(matches(offer({ gpuModel: name }), { gpuModel })).toBe(found)
  })

  it.each([
    [24_564, 24],
    [24_576, 24],
    [81_559, 80],
    [81_920, 80],
    [40_536, 40],
    [11_264, 11],
    [143_771, 141],
    // With error correction on: L4, A40, T4.
    [23_034, 24],
    [46_068, 48],
    [15_360, 16],
  ])('of %i MiB has %i GB', (mib, gb) => expect(vramGb(mib)).toBe(gb))

  it.each([
    [24_564, 24, true],
    [81_559, 80, true],
    [24_564, 25, false],
    // Error correction takes what somebody may need.
    [23_034, 24, false],
  ])('%i MiB will do for %i GB: %s', (vramMib, minVramGb, found) => {
    expect(matches(offer({ vramMib }), { minVramGb })).toBe(found)
  })
})

it('money loses nothing between dollars and micro-dollars', () => {
  for (const dollars of [0, 0.000001, 0.1, 0.28, 1.005, 2.675, 12_345.678901])
    expect(usd(microUsd(dollars))).toBe(dollars)
  expect(microUsd(0.1) + microUsd(0.2)).toBe(microUsd(0.3))
})
