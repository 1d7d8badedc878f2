/** Rentals from the desk to the market, every part real but the database, by one fake clock. */
import { createMemorySightings } from '../../adapters/memory/sightings.ts'
import { createMemoryTurns } from '../../adapters/memory/turns.ts'
import { microUsd } from '../../src/domain/money.ts'
import type { MarketName } from '../../src/domain/offer.ts'
import type { RentalOffer, RentalSpec } from '../../src/domain/rental.ts'
import type { Clock } from '../../src/ports.ts'
import type { OfferBook } from '../../src/services/offer-book.ts'
import type { Payer } from '../../src/services/rental-desk.ts'
import { createRenting } from '../../src/services/renting.ts'
import type { LogFields } from '../../src/telemetry/log-fields.ts'
import { FakeMetrics } from './fake-metrics.ts'
import { marketControl, passUntil } from './market-control.ts'
import { createTestRentals, type TestRentalsOptions } from './test-rentals.ts'

export const spec: RentalSpec = {
  image: 'vllm/vllm-openai',
  diskGb: 10,
  env: {},
  ports: [8000],
  args: [],
  onstart: undefined,
  label: undefined,
  maxPrice: undefined,
  maxHours: undefined,
  bid: undefined,
  replace: false,
}
export const payer: Payer = { accountId: 'account', keyId: 'key', purseId: 'account', budgets: undefined }

export function rentalWorld(
  market: MarketName,
  offers: readonly RentalOffer[],
  account: Omit<TestRentalsOptions, 'accountId'> = {},
) {
  const machines = marketControl(market)
  const { clock, control } = machines
  const books = createTestRentals(clock, { accountId: payer.accountId, ...account })
  const { rentals } = books
  const taken = new Set<string>()
  const book: OfferBook = {
    find: async (id) => offers.find((each) => each.id === id),
    pick: async ({ maxPriceMicroUsd = Number.POSITIVE_INFINITY }, { limit, without }) =>
      offers
        .filter(({ id, pricePerHour }) => !taken.has(id) && !without.includes(id) && pricePerHour <= maxPriceMicroUsd)
        .slice(0, limit),
    taken: (id) => void taken.add(id),
  }
  let made = 0
  const newId = () => `0198c0de-${(++made).toString(16).padStart(4, '0')}-7000-8000-000000000000`
  const metrics = new FakeMetrics()
  const told: string[] = []
  const tell = (message: string, { detail = '' }: LogFields = {}) => void told.push(`${message}: ${detail}`)
  const log = { debug: tell, info: tell, warn: tell, error: tell }
  const sightings = createMemorySightings()
  const ports = {
    clock,
    random: () => 0,
    newId,
    rentals,
    turns: createMemoryTurns({ clock }),
    sightings,
    accounts: { keyLimits: async () => undefined },
    offers: book,
    controls: [control],
    fleet: '0123abcd',
    holder: 'me',
    pods: () => 1,
    leaseMs: 180_000,
    mode: { readOnly: false },
    metrics,
    log,
  } as const
  const renting = createRenting(ports)
  const { desk, instances, step, watch } = renting
  const pass = <T>(work: Promise<T>) => passUntil(clock, work)
  return {
    ...machines,
    ...books,
    desk,
    instances,
    metrics,
    /** What was logged. */
    told,
    /** That has the same books and the same market, and knows nothing else. */
    anotherPod: (own: { clock?: Clock } = {}) => createRenting({ ...ports, holder: 'another', ...own }),
    pass,
    step,
    stop: () => pass(renting.stop({ timeoutMs: 1_000 })),
    rent: (more: Partial<RentalSpec> = {}, offerId?: string) =>
      pass(desk.rent(payer, { spec: { ...spec, ...more }, search: { filter: {}, spread: false }, offerId })),
    /** Steps every so often for so long. */
    async live(ms: number, everyMs = 10_000) {
      for (let passed = 0; passed < ms; passed += everyMs) {
        await clock.advance(everyMs)
        await pass(step())
      }
    },
    /** The same, with the market watched. */
    async watched(ms: number, everyMs = 3_000) {
      for (let passed = 0; passed < ms; passed += everyMs) {
        await clock.advance(everyMs)
        await pass(watch())
        await pass(step())
      }
    },
  }
}

/** The cheapest of the fake Vast.ai, as an offer book would have them. */
export async function vastOffers(limit = 6, diskGb = spec.diskGb): Promise<RentalOffer[]> {
  const { market } = marketControl('vastai')
  const reply = await market.http.bytes({
    method: 'POST',
    origin: market.origin,
    path: '/api/v0/bundles/',
    headers: {},
    body: JSON.stringify({ limit, order: [['dph_total', 'asc']], allocated_storage: diskGb }),
    signal: new AbortController().signal,
    headersTimeoutMs: 0,
    idleTimeoutMs: 0,
    maxBytes: 1e7,
  })
  const { offers } = JSON.parse(new TextDecoder().decode(reply.body))
  return offers.map((each: ReturnType<typeof JSON.parse>) => ({
    id: `vastai:${each.id}`,
    market: 'vastai',
    gpuModel: each.gpu_name,
    gpuCount: each.num_gpus,
    vramMib: each.gpu_ram,
    hostId: String(each.host_id),
    location: each.geolocation,
    pricePerHour: microUsd(each.dph_total),
    stoppedPerHour: microUsd(each.dph_total - each.dph_base),
  }))
}

/** One RTX 5090 at $0.58 an hour. */
export const ionetOffer: RentalOffer = {
  id: 'ionet:1015',
  market: 'ionet',
  gpuModel: 'RTX 5090',
  gpuCount: 1,
  vramMib: 32_768,
  hostId: undefined,
  location: 'United States',
  pricePerHour: 580_000,
  stoppedPerHour: 580_000,
}
