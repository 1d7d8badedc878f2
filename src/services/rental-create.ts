/**
 * From the intent to a machine: one offer after the other, each asked for by one call that is never sent again. What is
 * not known to have had no effect stays `unknown`, and the market's lists tell (market-watch.ts).
 */
import type { MarketName } from '../domain/offer.ts'
import { labelOf, needsOf, type Rental, type RentalOffer } from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import type { Clock, RentalChange, Rentals } from '../ports.ts'
import type { CreateOutcome, MarketControl } from '../providers/market.ts'
import type { OfferBook } from './offer-book.ts'

export interface RentalCreateOptions {
  clock: Clock
  rentals: Rentals
  offers: OfferBook
  controls: ReadonlyMap<MarketName, MarketControl>
  /** Eight hexadecimal digits, of all pods that share a database. */
  fleet: string
  /** Longer than the wait for its turn and the call take: who finds it `creating` after it knows that its pod is gone. */
  leaseMs: number
}

/** `failed`: nothing came of it; where the rental is `intended` still, it may be tried again later. */
export interface Creation {
  rental: Rental
  failed?: ApiError | undefined
}

export type CreateRental = (rental: Rental) => Promise<Creation>

export const maxOffers = 5
/** After it is known that it has come about, it is looked at as soon as that. */
const soonMs = 1_000
/** Nobody's leaving may cut off a call that creates: it bounds itself in time. */
const nobody = new AbortController().signal

export function createRentalCreate(options: RentalCreateOptions): CreateRental {
  const { clock, rentals, offers, controls, fleet, leaseMs } = options
  const now = () => new Date(clock.wallNow())
  const inMs = (ms: number) => new Date(clock.wallNow() + ms)

  async function change(rental: Rental, to: RentalChange): Promise<Rental> {
    const changed = await rentals.change(rental, to)
    if (changed) return changed
    // Somebody else has it by now, as where this pod was taken for dead.
    const current = await rentals.find(rental.accountId, rental.id)
    throw new Superseded(current ?? rental)
  }

  async function order(rental: Rental, control: MarketControl): Promise<CreateOutcome> {
    const { id, offer, spec } = rental
    return control.create(
      {
        offerId: offer.id.slice(offer.market.length + 1),
        label: labelOf(fleet, id),
        spec,
        hours: 1,
        pricePerHour: offer.pricePerHour,
        bid: offer.bid,
        gpuCount: offer.gpuCount,
      },
      nobody,
    )
  }

  /** No dearer than what is held, so that nothing has to be asked of the account again. */
  async function nextOffer({ spec, search, held, offer }: Rental, tried: readonly string[], notOf?: MarketName) {
    if (tried.length >= maxOffers) return undefined
    const dearest = Math.min(held, search.filter.maxPriceMicroUsd ?? held)
    const filter = { ...search.filter, maxPriceMicroUsd: dearest }
    const limit = search.sameModel || notOf ? Infinity : maxOffers
    const found = await offers.pick(filter, { ...needsOf(spec), limit, without: tried })
    const fits = ({ gpuModel }: RentalOffer) => !search.sameModel || gpuModel === offer.gpuModel
    return found.find((each) => each.market !== notOf && each.pricePerHour <= held && fits(each))
  }

  /** On to another offer, or the end of it. */
  async function goOn(rental: Rental, next: RentalOffer | undefined, failed: ApiError): Promise<Creation> {
    const tried = [...rental.tried, rental.offer.id]
    if (next) {
      return { rental: await change(rental, { state: 'intended', tried, offer: next, dueAt: inMs(leaseMs) }) }
    }
    const reason = failed.code === 'offer_gone' ? 'no_offer' : 'not_created'
    const ended = await rentals.end(rental, { at: now(), state: 'gone', reason, settle: 0, refund: 0 })
    return { rental: ended ?? rental, failed }
  }

  async function conclude(rental: Rental, control: MarketControl, outcome: CreateOutcome): Promise<Creation> {
    const { offer } = rental
    switch (outcome.outcome) {
      case 'created': {
        offers.taken(offer.id)
        const at = now()
        return {
          rental: await change(rental, {
            state: 'starting',
            marketId: outcome.machineId,
            startedAt: at,
            heardAt: at,
            accrued: control.billing === 'hours_ahead' ? offer.pricePerHour : 0,
            accruedAt: at,
            failures: 0,
            dueAt: inMs(soonMs),
          }),
        }
      }
      case 'gone':
        offers.taken(offer.id)
        return goOn(rental, await nextOffer(rental, [...rental.tried, offer.id]), new ApiError('offer_gone'))
      case 'refused': {
        const failed = outcome.credential
          ? new ApiError('upstream_credential')
          : new ApiError('market_refused', {
              message: `The market does not take this order: ${outcome.message} Nothing was rented and nothing is charged. Change the order, or take another offer.`,
            })
        return goOn(rental, await nextOffer(rental, [...rental.tried, offer.id], offer.market), failed)
      }
      case 'busy':
      case 'not_sent': {
        const { retryAfterMs } = outcome
        const code = outcome.outcome === 'busy' ? 'upstream_throttled' : 'upstream_unavailable'
        const back = { state: 'intended', failures: rental.failures + 1, dueAt: inMs(retryAfterMs) } as const
        return { rental: await change(rental, back), failed: new ApiError(code, { retryAfterMs }) }
      }
      case 'unknown':
        return { rental: await change(rental, { state: 'unknown', dueAt: inMs(leaseMs) }) }
    }
  }

  return async function create(intended) {
    let rental = intended
    try {
      for (;;) {
        const control = controls.get(rental.offer.market)
        if (!control) return await goOn(rental, undefined, new ApiError('provider_not_configured'))
        rental = await change(rental, { state: 'creating', createSentAt: now(), dueAt: inMs(leaseMs) })
        const creation = await conclude(rental, control, await order(rental, control))
        if (creation.failed || creation.rental.state !== 'intended') return creation
        rental = creation.rental
      }
    } catch (error) {
      if (error instanceof Superseded) return { rental: error.current }
      throw error
    }
  }
}

class Superseded extends Error {
  override name = 'Superseded'
  readonly current: Rental
  constructor(current: Rental) {
    super('the rental was changed meanwhile')
    this.current = current
  }
}
