import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadVastCatalogue } from '../../adapters/sandbox/vast-catalogue.ts'
import { listedOffers } from '../../tests/support/listed-offers.ts'
import { matches, type Offer, type OfferFilter, type OfferSort } from './offer.ts'
import { compareOffers, pricedOffers, priceOf } from './offer-price.ts'

const offers = await listedOffers()
const vast = new Map(loadVastCatalogue().map((machine) => [`vastai:${machine.id}`, machine]))
const find = (filter: OfferFilter) => pricedOffers(offers, filter).map(({ offer }) => offer)
const offer = (changes: Partial<Offer> = {}): Offer => ({
  ...{ id: 'vastai:1', market: 'vastai', gpuModel: 'RTX 4090', gpuCount: 2, vramMib: 24_564, location: null },
  ...{ priceMicroUsd: 800_000, reliability: null, available: true },
  ...changes,
})

describe('a price', () => {
  // A micro-dollar a GB and hour would be 1; the machine alone is 0.79 dollars.
  const machine = offer({ disk: { perGbHour: 1_000, includedGb: 10 }, egressPerGb: 20_000, minBid: 300_000 })
  it.each([
    [{}, { gpu: 790_000, disk: 10_000, egress: 0 }],
    [{ diskGb: 100 }, { gpu: 790_000, disk: 100_000, egress: 0 }],
    [{ egressGbPerHour: 2.5 }, { gpu: 790_000, disk: 10_000, egress: 50_000 }],
    [{ interruptible: true }, { gpu: 300_000, disk: 10_000, egress: 0 }],
    [
      { bid: 400_000, diskGb: 8 },
      { gpu: 400_000, disk: 8_000, egress: 0 },
    ],
  ])('with %o is %o', (terms, parts) => {
    const price = priceOf(machine, terms)
    expect(price.parts).toEqual(parts)
    expect(price.perHour).toBe(parts.gpu + parts.disk + parts.egress)
  })

  it('that includes the disk stays the same, whatever disk is asked for', () => {
    expect(priceOf(offer(), { diskGb: 500, egressGbPerHour: 9 })).toMatchObject({ perHour: 800_000, bid: undefined })
  })
})

describe('over the catalogues of both markets', () => {
  it('says of each machine what its market says', () => {
    expect(offers.filter(({ market }) => market === 'vastai').map(({ id }) => id)).toEqual(
      expect.arrayContaining(
        [...vast].flatMap(([id, { external, disk_space }]) => (external !== true && disk_space >= 10 ? [id] : [])),
      ),
    )
    for (const each of offers) {
      const listed = vast.get(each.id)
      if (!listed) continue
      const { perHour, parts, bid } = priceOf(each, { diskGb: 50, egressGbPerHour: 3, interruptible: true })
      expect(parts.disk).toBe(Math.round((listed.storage_cost * 50 * 1e6) / 720))
      expect(parts.egress).toBe(Math.round(listed.inet_up_cost * 3e6))
      expect(bid! / 1e6 - listed.min_bid).toBeGreaterThanOrEqual(0)
      expect(bid! / 1e6 - listed.min_bid).toBeLessThan(2e-6)
      expect(perHour).toBe(bid! + parts.disk + parts.egress)
      expect(Math.abs(priceOf(each, {}).parts.gpu - listed.dph_base * 1e6)).toBeLessThanOrEqual(1.5)
      expect(each).toMatchObject({ cuda: listed.cuda_max_good, gpuFraction: listed.gpu_frac, inetUp: listed.inet_up })
      expect(each.verified).toBe(listed.verification === 'verified')
    }
  })

  it.each<[OfferFilter, (machine: NonNullable<ReturnType<typeof vast.get>>) => boolean]>([
    [{ minReliability: 0.97 }, ({ reliability2 }) => reliability2 >= 0.97],
    [{ minCuda: 12.8 }, ({ cuda_max_good }) => cuda_max_good >= 12.8],
    [{ minInetDown: 4_000 }, ({ inet_down }) => inet_down >= 4_000],
    [{ minInetUp: 2_500 }, ({ inet_up }) => inet_up >= 2_500],
    [{ minGpuFraction: 1 }, ({ num_gpus }) => num_gpus >= 8],
    [{ diskGb: 2_000 }, ({ disk_space }) => disk_space >= 2_000],
  ])('%o finds all machines of Vast.ai that have it, and some', (filter, has) => {
    const found = find({ ...filter, verified: false, market: 'vastai' }).map(({ id }) => id)
    const wanted = offers.filter(({ id }) => vast.has(id) && has(vast.get(id)!)).map(({ id }) => id)
    expect(found).toEqual(wanted)
    expect(wanted.length).toBeGreaterThan(0)
    expect(wanted.length).toBeLessThan(vast.size)
  })

  it('offers what its market has not checked only where that is asked for', () => {
    const unchecked = (filter: OfferFilter) => find(filter).filter(({ verified }) => verified === false).length
    expect([unchecked({}), unchecked({ verified: true })]).toEqual([0, 0])
    expect(unchecked({ verified: false })).toBeGreaterThan(0)
    expect(find({ market: 'ionet' }).length).toBeGreaterThan(0)
  })

  it('finds by what io.net does not tell none of its machines', () => {
    for (const filter of [{ minReliability: 0 }, { minCuda: 0 }, { minInetUp: 0 }, { interruptible: true }]) {
      expect(find({ ...filter, market: 'ionet' })).toEqual([])
    }
    expect(find({ market: 'ionet', diskGb: 600 }).every(({ gpuCount }) => gpuCount > 1)).toBe(true)
  })

  it('is dearer by a factor in each part', async () => {
    const twice = new Map((await listedOffers(2)).map((each) => [each.id, each]))
    for (const each of offers) {
      for (const terms of [{}, { diskGb: 200, egressGbPerHour: 10 }, { interruptible: true }]) {
        const [one, two] = [priceOf(each, terms), priceOf(twice.get(each.id)!, terms)]
        expect(Math.abs(two.perHour - 2 * one.perHour)).toBeLessThanOrEqual(4)
      }
    }
  })

  const some = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })
  const anyFilter: fc.Arbitrary<OfferFilter> = fc.record({
    market: some(fc.constantFrom('vastai', 'ionet')),
    gpuModel: some(fc.constantFrom('RTX 4090', 'h100', 'A100', 'RTX 5090')),
    gpuCount: some(fc.constantFrom(1, 2, 4, 8)),
    minVramGb: some(fc.integer({ min: 8, max: 141 })),
    maxPriceMicroUsd: some(fc.integer({ min: 0, max: 20_000_000 })),
    location: some(fc.constantFrom('US', 'taiwan', 'DE')),
    minReliability: some(fc.double({ min: 0.8, max: 1, noNaN: true })),
    minCuda: some(fc.constantFrom(12, 12.4, 12.8, 13)),
    minInetDown: some(fc.integer({ min: 0, max: 8_000 })),
    minInetUp: some(fc.integer({ min: 0, max: 5_000 })),
    minGpuFraction: some(fc.constantFrom(0.125, 0.25, 0.5, 1)),
    verified: some(fc.boolean()),
    diskGb: some(fc.integer({ min: 8, max: 4_000 })),
    egressGbPerHour: some(fc.integer({ min: 0, max: 1_000 })),
    interruptible: some(fc.boolean()),
    bid: some(fc.integer({ min: 1_000, max: 3_000_000 })),
  })

  it('finds by any filter a part of the list, each priced as the sum of its parts and within the filter', () => {
    fc.assert(
      fc.property(anyFilter, (filter) => {
        const found = pricedOffers(offers, filter)
        for (const { offer: each, price } of found) {
          expect(offers).toContain(each)
          const { gpu, disk, egress } = price.parts
          expect(price.perHour).toBe(gpu + disk + egress)
          expect([gpu, disk, egress].every((part) => Number.isInteger(part) && part >= 0)).toBe(true)
          expect(price.perHour).toBeLessThanOrEqual(filter.maxPriceMicroUsd ?? Number.POSITIVE_INFINITY)
          if (filter.interruptible || filter.bid !== undefined) expect(gpu).toBeGreaterThanOrEqual(each.minBid!)
        }
        // Of those that are left out each fails by one of the conditions alone, or by the price.
        const kept = new Set(found.map(({ offer: each }) => each))
        for (const each of offers) {
          if (kept.has(each)) continue
          const isDear = priceOf(each, filter).perHour > (filter.maxPriceMicroUsd ?? Number.POSITIVE_INFINITY)
          expect(isDear || conditions(filter).some((one) => !matches(each, one))).toBe(true)
        }
      }),
      { numRuns: 300 },
    )
  })

  /** One by one; what an unchecked machine needs beside its own is there in all. */
  function conditions(filter: OfferFilter): OfferFilter[] {
    const { verified, interruptible, bid, diskGb = 10, ...others } = filter
    const single = Object.entries(others).map(([name, value]) => ({ [name]: value, diskGb: 0, verified: false }))
    return [
      ...single,
      { verified, diskGb: 0 },
      { interruptible, bid, diskGb: 0, verified: false },
      { diskGb, verified: false },
    ]
  }
})

describe('the order', () => {
  it.each<[OfferSort, string[]]>([
    ['price', ['c', 'a', 'b', 'd']],
    ['-price', ['d', 'a', 'b', 'c']],
    ['price_per_gpu', ['d', 'c', 'a', 'b']],
    ['vram', ['c', 'a', 'b', 'd']],
    ['reliability', ['b', 'a', 'd', 'c']],
  ])('by %s is the same every time, ties by id', (sort, order) => {
    const listed = [
      offer({ id: 'd', gpuCount: 8, priceMicroUsd: 900_000, reliability: 0.5 }),
      offer({ id: 'b', reliability: 1 }),
      offer({ id: 'a', reliability: 0.99 }),
      offer({ id: 'c', gpuCount: 1, vramMib: 81_559, priceMicroUsd: 300_000, reliability: null }),
    ]
    const sorted = (list: Offer[]) =>
      pricedOffers(list, {})
        .sort(compareOffers(sort))
        .map((priced) => priced.offer.id)
    expect(sorted(listed)).toEqual(order)
    expect(sorted(listed.toReversed())).toEqual(order)
  })

  it('goes by the price as it is asked for', () => {
    const listed = [
      offer({ id: 'a', priceMicroUsd: 100_000, egressPerGb: 50_000 }),
      offer({ id: 'b', priceMicroUsd: 120_000 }),
    ]
    const first = (filter: OfferFilter) => pricedOffers(listed, filter).sort(compareOffers('price'))[0]!.offer.id
    expect([first({}), first({ egressGbPerHour: 1 })]).toEqual(['a', 'b'])
  })
})
