/**
 * One list of offers over every market. Each market's whole list is one snapshot in the cache; a search filters and
 * sorts in memory. A market that is down shortens the list and says so.
 */
import { type Cache, type Cached, type CacheResult, farthest } from '../cache/cache.ts'
import { publicKey } from '../cache/keys.ts'
import type { MemoryTier } from '../cache/memory-tier.ts'
import { usd } from '../domain/money.ts'
import { type MarketName, type Offer, type OfferFilter, type OfferSort, vramGb } from '../domain/offer.ts'
import { compareOffers, type PricedOffer, pricedOffers } from '../domain/offer-price.ts'
import { byPreference } from '../domain/preference.ts'
import { ApiError } from '../errors.ts'
import type { Clock } from '../ports.ts'
import type { Market } from '../providers/market.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'

export interface OfferSearch {
  filter: OfferFilter
  /** @default by preference where there is one, else by price */
  sort: OfferSort | undefined
  limit: number
  /** Equal for equal searches. */
  key: string
}

export interface Snapshot {
  offers: Offer[]
  /** When the market was asked, as a date for people. */
  asOf: string
}

export interface Offers {
  /** `fresh`: the caller would rather not have lists out of a cache. `body`: the whole answer in JSON, ready to send. */
  search(search: OfferSearch, fresh?: boolean): Promise<{ body: Uint8Array; result: CacheResult }>
  /** A market's whole list. @throws UpstreamFailure */
  snapshot(market: MarketName): Promise<Snapshot>
}

export interface OffersOptions {
  clock: Clock
  markets: readonly Market[]
  /** Names of the markets that are not configured. */
  absent: readonly MarketName[]
  snapshots: Cache<Snapshot, 'public'>
  /** Holds what was filtered, sorted and written out for the same snapshots before. */
  memory: MemoryTier
  /** Told of each list that a search brought. */
  onList?: ((market: MarketName, offers: readonly Offer[]) => void) | undefined
}

interface MarketStatus {
  name: MarketName
  status: 'ok' | 'stale' | 'throttled' | 'down' | 'not_configured'
  /** Of the list; null = there is none. */
  age_ms: number | null
  error?: string
}

/** The offers of a search written out, and the whole answer as it was last given. */
interface Page {
  list: string
  /** What it said of the markets, in short. */
  told: string | undefined
  /** As bytes: the server would encode a text of this length anew for each answer. */
  body: Uint8Array
}

/** Ages are told in steps, so that an answer stays the same for a moment and need not be put together anew. */
const ageStepMs = 100
/** Callers who want no cached list get one that is younger than this: four searches a minute, of the ten that Vast.ai allows. */
const leastIntervalMs = 15_000
const encoder = new TextEncoder()

export function createOffers({ clock, markets, absent, snapshots, memory, onList }: OffersOptions): Offers {
  /** Each snapshot of this process has a number, wherever it came from. */
  const numbers = new WeakMap<Snapshot, number>()
  let lastNumber = 0
  const lastKeys = new WeakMap<OfferSearch, { of: string; key: string }>()
  const keys = new Map(markets.map(({ name }) => [name, publicKey(name)]))

  const numberOf = (snapshot: Snapshot): number => {
    const known = numbers.get(snapshot)
    if (known !== undefined) return known
    numbers.set(snapshot, ++lastNumber)
    return lastNumber
  }

  const load = async (market: Market): Promise<Snapshot> => {
    const offers = await market.offers()
    onList?.(market.name, offers)
    return { offers, asOf: new Date(clock.wallNow()).toISOString() }
  }

  /** The snapshots' numbers are in it, so a new snapshot is a new entry. A text that was looked up before is found sooner. */
  const keyOf = (found: Snapshot[], search: OfferSearch): string => {
    // Not the snapshots themselves: a search may be remembered for long.
    const of = found.map(numberOf).join()
    const last = lastKeys.get(search)
    if (last?.of === of) return last.key
    const key = `offer-page:${of}:${search.key}`
    lastKeys.set(search, { of, key })
    return key
  }

  const pageOf = (found: Snapshot[], search: OfferSearch): Page => {
    const key = keyOf(found, search)
    const known = memory.get(key)?.value as Page | undefined
    if (known) return known
    const { filter, sort, limit } = search
    const rows = found.flatMap(({ offers, asOf }) =>
      pricedOffers(offers, filter).map((priced) => ({ ...priced, asOf })),
    )
    const { preferred } = filter
    const sorted =
      preferred && sort === undefined ? byPreference(rows, preferred) : rows.sort(compareOffers(sort ?? 'price'))
    const list = JSON.stringify(sorted.slice(0, limit).map(offerJson))
    const page: Page = { list, told: undefined, body: new Uint8Array() }
    memory.set(key, { value: page, bytes: 3 * list.length + key.length })
    return page
  }

  const answerOf = (page: Page, statuses: MarketStatus[]): Page => {
    let told = ''
    for (const { status, age_ms: ageMs } of statuses) told += `${status} ${ageMs} `
    if (page.told !== told) {
      page.told = told
      page.body = encoder.encode(`{"offers":${page.list},"providers":${JSON.stringify(statuses)}}`)
    }
    return page
  }

  return {
    async snapshot(name) {
      const market = markets.find((each) => each.name === name)
      if (!market) throw new ApiError('provider_not_configured')
      return (await snapshots.get(keys.get(name)!, () => load(market))).value
    },
    async search(search, fresh = false) {
      const { market: only } = search.filter
      const asked = only ? markets.filter((market) => market.name === only) : markets
      const found: Snapshot[] = []
      const statuses: MarketStatus[] = []
      const results: CacheResult[] = []
      const maxAgeMs = fresh ? leastIntervalMs : undefined
      const looked = asked.map((market) => snapshots.get(keys.get(market.name)!, () => load(market), maxAgeMs))
      // Nothing to wait for in the usual case; a promise for each market would cost more than the search.
      const answers = looked.some((cached) => cached instanceof Promise) ? await Promise.allSettled(looked) : looked
      for (const [i, { name }] of asked.entries()) {
        const answer = settledValue(answers[i]!)
        results.push(answer?.result ?? 'miss')
        if (!answer) {
          statuses.push({ name, age_ms: null, ...whyMissing(answers[i]!) })
          continue
        }
        found.push(answer.value)
        const status = answer.result === 'stale' ? 'stale' : 'ok'
        statuses.push({ name, status, age_ms: Math.floor(answer.ageMs / ageStepMs) * ageStepMs })
      }
      for (const name of absent) {
        if (!only || only === name) statuses.push({ name, status: 'not_configured', age_ms: null })
      }
      const { body } = answerOf(pageOf(found, search), statuses)
      return { body, result: farthest(results) }
    },
  }
}

/** A search that was not made, for want of a turn: when the next one is, in ms. */
export function untilTurn(error: unknown): number | undefined {
  const isOwn = error instanceof UpstreamFailure && error.details.reason === 'throttle_gate'
  return isOwn ? error.details.retryAfterMs : undefined
}

function settledValue(answer: Cached<Snapshot> | Promise<Cached<Snapshot>> | PromiseSettledResult<Cached<Snapshot>>) {
  if ('status' in answer) return answer.status === 'fulfilled' ? answer.value : undefined
  return 'value' in answer ? answer : undefined
}

export function whyMissing(answer: object): Omit<MarketStatus, 'name' | 'age_ms'> {
  const reason: unknown = 'reason' in answer ? answer.reason : undefined
  return (reason instanceof UpstreamFailure && reason.class === 'throttled') || untilTurn(reason) !== undefined
    ? { status: 'throttled', error: 'The market asks for fewer searches.' }
    : { status: 'down', error: 'The market could not be reached.' }
}

export const offerJson = ({ offer, price, asOf }: PricedOffer & { asOf: string }) => ({
  id: offer.id,
  provider: offer.market,
  gpu_model: offer.gpuModel,
  gpu_count: offer.gpuCount,
  vram_gb: vramGb(offer.vramMib),
  price_per_hour: usd(price.perHour),
  price_parts: { gpu: usd(price.parts.gpu), disk: usd(price.parts.disk), egress: usd(price.parts.egress) },
  ...(offer.disk && { stopped_per_hour: usd(price.parts.disk) }),
  ...(offer.minBid !== undefined && { min_bid: usd(offer.minBid) }),
  minimum_hours: offer.minimumHours ?? 0,
  interruptible: price.bid !== undefined,
  location: offer.location,
  reliability: offer.reliability,
  verified: offer.verified,
  gpu_frac: offer.gpuFraction,
  cuda: offer.cuda,
  inet_down: offer.inetDown,
  inet_up: offer.inetUp,
  disk_space_gb: offer.diskSpaceGb,
  available: offer.available,
  as_of: asOf,
})
