/** Renting, wired: the desk, and what goes on in the background for it. */
import type { MarketName } from '../domain/offer.ts'
import type { Accounts, Clock, Log, Metrics, Rentals, Sightings, Turns } from '../ports.ts'
import type { MarketControl } from '../providers/market.ts'
import { createInstances, type Instances } from './instances.ts'
import { createMarketWatch } from './market-watch.ts'
import type { OfferBook } from './offer-book.ts'
import { createOrphans } from './orphans.ts'
import { createRentalCreate } from './rental-create.ts'
import { createRentalDesk, type RentalDesk } from './rental-desk.ts'
import { createRentalSteps } from './rental-steps.ts'
import { createReservations, endTogether, type Reservations } from './reservations.ts'

export interface RentingOptions {
  clock: Clock
  random: () => number
  newId: () => string
  rentals: Rentals
  turns: Turns
  sightings: Sightings
  accounts: Pick<Accounts, 'keyLimits'>
  offers: OfferBook
  controls: readonly MarketControl[]
  /** Eight hexadecimal digits, of all pods that share a database, for ever. */
  fleet: string
  /** Of this process. */
  holder: string
  /** Live pods, this one included. */
  pods: () => number
  /** How long what a pod is at is left to it, whether it lives or not. Longer than its calls to a market take together. */
  leaseMs: number
  mode: { readOnly: boolean }
  metrics: Metrics
  log: Log
}

export interface Renting {
  desk: RentalDesk
  instances: Instances
  reservations: Reservations
  /** One round of each thing that goes on in the background, for tests with a clock of their own. */
  step(): Promise<boolean>
  /** @default every market, one after the other */
  watch(market?: MarketName): Promise<void>
  start(): void
  stop(options: { timeoutMs: number }): Promise<void>
}

export function createRenting(options: RentingOptions): Renting {
  const controls = new Map<MarketName, MarketControl>(options.controls.map((control) => [control.name, control]))
  const rentals = endTogether(options.rentals, (rental) => desk.end(rental, 'group'))
  const all = { ...options, rentals, controls }
  const create = createRentalCreate(all)
  const desk: RentalDesk = createRentalDesk({ ...all, create })
  const steps = createRentalSteps({ ...all, create })
  const watches = options.controls.map((control) =>
    createMarketWatch({ ...all, control, orphans: createOrphans({ ...all, control }) }),
  )
  return {
    desk,
    instances: createInstances({ ...all, desk }),
    reservations: createReservations({ ...all, desk }),
    step: steps.round,
    async watch(market) {
      for (const each of watches) if (market === undefined || each.market === market) await each.round()
    },
    start() {
      for (const each of [steps, ...watches]) each.start()
    },
    async stop(limit) {
      await Promise.all([steps, ...watches].map((each) => each.stop(limit)))
    },
  }
}
