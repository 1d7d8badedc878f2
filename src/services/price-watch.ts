/**
 * Has each market's list looked at a few times an hour though nobody searches, so that its price is known of every hour.
 * One pod at a time does, and takes the list out of the cache where another has just brought it there.
 */
import type { MarketName } from '../domain/offer.ts'
import type { Clock, Log, Turns, WriteMode } from '../ports.ts'
import type { Offers } from './offers.ts'

export interface PriceWatchOptions {
  clock: Pick<Clock, 'setTimer'>
  random: () => number
  /** What it brings is noted where it is brought. */
  offers: Pick<Offers, 'snapshot'>
  markets: readonly MarketName[]
  turns: Turns
  /** This process. */
  holder: string
  mode: Pick<WriteMode, 'readOnly'>
  log: Log
}

export interface PriceWatch {
  start(): void
  stop(): void
}

const everyMs = 20 * 60_000
/** How long no other pod does it then. */
const turnMs = 10 * 60_000

export function createPriceWatch(options: PriceWatchOptions): PriceWatch {
  const { clock, random, offers, markets, turns, holder, mode, log } = options
  let stopped = false
  let cancel = () => {}

  async function round() {
    if (mode.readOnly || !(await turns.take('prices', holder, turnMs))) return
    // A market that does not answer has no price now; its breaker and its metrics tell of it.
    await Promise.allSettled(markets.map((name) => offers.snapshot(name)))
  }

  const again = () => {
    if (stopped) return
    cancel = clock.setTimer(everyMs * (0.5 + random()), () => {
      void round()
        .catch((error) => log.warn('prices could not be looked at', { error: String(error) }))
        .then(again)
    })
  }

  return {
    start: again,
    stop() {
      stopped = true
      cancel()
    },
  }
}
