/**
 * Two fake markets, one database and a few pods of the gateway in one process, by one clock that is told to go on. The
 * memory stores stand for the database: they outlive the pods.
 */
import { createMemoryBooks } from '../../adapters/memory/books.ts'
import { createMemoryPace } from '../../adapters/memory/pace.ts'
import { createMemoryRentals } from '../../adapters/memory/rentals.ts'
import { createMemorySightings } from '../../adapters/memory/sightings.ts'
import { createMemoryTurns } from '../../adapters/memory/turns.ts'
import { createIonet, type IonetVendor } from '../../adapters/sandbox/ionet.ts'
import { createVast, type VastVendor } from '../../adapters/sandbox/vast.ts'
import { type MarketName, marketNames } from '../../src/domain/offer.ts'
import { isFinal, type Rental } from '../../src/domain/rental.ts'
import type { ApiKey, Log, Metrics, RentalSeen, Rentals } from '../../src/ports.ts'
import { createOfferBook } from '../../src/services/offer-book.ts'
import { createRenting, type Renting } from '../../src/services/renting.ts'
import { instruments } from '../../src/telemetry/instruments.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createInProcessVendor, type InProcessVendor } from '../../tests/support/in-process-vendor.ts'
import { createControl } from '../../tests/support/market-control.ts'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import { type Bug, withBug } from './bugs.ts'
import { createLife, type Life } from './life.ts'
import type { Offered } from './offers.ts'
import { silentMetrics } from './silent-metrics.ts'
import { count, type Tally } from './tally.ts'

export const fleet = '0123abcd'

/** Counted by itself, as its budget of a day has to be kept. */
export const budgetedKey: ApiKey = {
  ...{ id: 'budgeted', name: 'budgeted', prefix: '', scopes: ['gpu'] },
  ...{ createdAt: new Date(0), expiresAt: undefined, lastUsedAt: undefined },
  limits: { budgetPerDay: 3_000_000 },
}

export interface Pod {
  life: Life
  renting: Renting
  /** Calls of users that it has not answered yet. */
  open: number
}

export interface FakeMarket {
  name: MarketName
  vendor: VastVendor | IonetVendor
  server: InProcessVendor
}

export interface World {
  random: () => number
  clock: FakeClock
  markets: FakeMarket[]
  offered: Offered
  books: ReturnType<typeof createMemoryBooks>
  rows(): Rental[]
  pods: Pod[]
  livePods(): Pod[]
  startPod(): void
  tally: Tally
  /** What the program did that it never may, whatever happens to it. */
  faults: string[]
  /** What happens, for who replays one history. */
  tell(what: string): void
}

export interface WorldOptions {
  seed: number
  offered: Offered
  bug?: Bug | undefined
  /** @default nobody hears it */
  trace?: ((line: string) => void) | undefined
}

const onTheWay = new Set(['creating', 'unknown', 'starting', 'stopping', 'ending'])
/** Rounds that find nothing to do come as rarely as in a fleet of thirty pods. */
const longestMs = 30_000

export function createWorld({ seed, offered, bug, trace }: WorldOptions): World {
  const random = seededRandom(seed)
  const clock = new FakeClock()
  const markets = marketNames.map((name): FakeMarket => {
    const vendor = { vastai: createVast, ionet: createIonet }[name]({ clock })
    const latencyMs = () => 10 + random() * 200
    return {
      name,
      vendor,
      server: createInProcessVendor({ origin: `http://${name}.test`, vendor, clock, random, latencyMs }),
    }
  })
  const books = createMemoryBooks({ clock, everyoneHas: 1e9 })
  const store = createMemoryRentals({ clock, books })
  const turns = createMemoryTurns({ clock })
  const sightings = withBug(bug, 'sightings', createMemorySightings())
  const pace = createMemoryPace({ clock })
  const tally: Tally = new Map()
  const faults: string[] = []
  const pods: Pod[] = []
  const begun = clock.wallNow()
  const tell = (what: string) => trace?.(`${((clock.wallNow() - begun) / 1000).toFixed(1).padStart(9)} s  ${what}`)
  const live = () => store.rows().filter(({ state }) => !isFinal(state))

  const hex = (digits: number) => Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join('')
  const newId = () => `0198c0de-${hex(4)}-7${hex(3)}-8${hex(3)}-${hex(12)}`
  const rentals = withBug(bug, 'rentals', watched(store, tally, tell))

  const metrics: Metrics = {
    ...silentMetrics,
    count(instrument, labels) {
      if (instrument.name === instruments.gpuOrphans.name)
        count(tally, `orphans ${(labels as Record<string, string>).action}`)
    },
  }
  const warn: Log['warn'] = (message, { error, detail } = {}) => {
    tell(`  warns: ${message}: ${error ?? ''} ${detail ?? ''}`)
    if (/^(Type|Range|Reference)Error/.test(String(error ?? ''))) faults.push(`${message}: ${error} (${detail ?? ''})`)
  }
  const log: Log = { debug() {}, info() {}, warn, error: warn }

  function startPod() {
    const name = `pod-${pods.length + 1}`
    const life = createLife(clock, () => {
      tell(`${name} dies`)
      count(tally, 'crashes')
      for (const { state } of live()) count(tally, `crash while ${state}`)
      clock.setTimer(random() * 60_000, startPod)
    })
    const shared = { clock: life.clock, random, metrics }
    const controls = markets.map(({ name: market, server: { origin, http } }) =>
      withBug(
        bug,
        'control',
        createControl(market, { ...shared, origin, http: life.portOf(http), pace: life.portOf(pace) }),
      ),
    )
    const snapshot = async (market: MarketName) => ({ offers: offered[market], asOf: '' })
    const renting = createRenting({
      ...shared,
      newId,
      controls,
      fleet,
      log,
      holder: name,
      rentals: life.portOf(rentals),
      turns: life.portOf(turns),
      sightings: life.portOf(sightings),
      accounts: { keyLimits: async () => budgetedKey.limits },
      offers: createOfferBook({ clock, offers: life.portOf({ snapshot }), markets: marketNames }),
      pods: () => pods.filter((each) => !each.life.isOver()).length,
      leaseMs: 180_000,
      mode: { readOnly: false },
    })
    const pod = { life, renting, open: 0 }
    pods.push(pod)
    repeat(pod, () => renting.step(), untilDueMs)
    for (const each of marketNames) repeat(pod, () => renting.watch(each), untilListMs)
  }

  /** Rounds, as the background makes them. Those that fail were told of. */
  function repeat({ life }: Pod, round: () => Promise<unknown>, everyMs: () => number) {
    const again = () => void life.clock.setTimer(everyMs() * (0.5 + random()), () => void run())
    async function run() {
      await round().catch((error) => {
        if (error instanceof TypeError) faults.push(String(error.stack))
      })
      again()
    }
    again()
  }

  const untilDueMs = () => {
    const next = Math.min(...live().map(({ dueAt }) => dueAt.getTime()))
    return Math.min(Math.max(next - clock.wallNow(), 1_000), longestMs)
  }
  const untilListMs = () => (live().some(({ state }) => onTheWay.has(state)) ? 3_000 : longestMs)

  return {
    ...{ random, clock, markets, offered, books, pods, tally, faults, startPod, tell },
    rows: store.rows,
    livePods: () => pods.filter(({ life }) => !life.isOver()),
  }
}

/** What became of rentals, counted and told. */
function watched(rentals: Rentals, tally: Tally, tell: World['tell']): Rentals {
  const note = (how: string, before: RentalSeen & Partial<Rental>, after: Rental | undefined) => {
    if (!after) return undefined
    const { id, state, version, reason, hour, held, accrued, settled, marketId, offer } = after
    const isOut = before.state === 'unknown' && state !== 'unknown'
    if (isOut)
      count(tally, state === 'starting' ? 'unknown adopted' : state === 'failed' ? 'unknown released' : 'unknown ended')
    const money = `hour ${hour}, ${held} held, ${accrued} accrued, ${settled} settled`
    tell(
      `${id} v${version} ${how} ${before.state ?? ''} -> ${state} ${reason ?? ''} ${offer.id} ${marketId ?? ''}: ${money}`,
    )
    return after
  }
  return {
    ...rentals,
    change: async (seen, change) => note('change', { ...seen }, await rentals.change(seen, change)),
    end: async (seen, end) => note('end', { ...seen }, await rentals.end(seen, end)),
    async nextHour(seen, hour, terms) {
      const turned = await rentals.nextHour(seen, hour, terms)
      if (!turned || !('state' in turned)) return turned
      count(tally, 'hours turned')
      return note('hour', { ...seen }, turned)
    },
  }
}
