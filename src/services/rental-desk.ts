/** What the rest of the gateway asks of rentals. */
import { usd } from '../domain/money.ts'
import { type MarketName, vramGb } from '../domain/offer.ts'
import {
  type EndReason,
  endingBy,
  isFinal,
  type NewRental,
  needsOf,
  type Rental,
  type RentalOffer,
  type RentalSearch,
  type RentalSpec,
} from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import type { Budgets, Clock, Rentals } from '../ports.ts'
import type { MarketControl } from '../providers/market.ts'
import type { OfferBook } from './offer-book.ts'
import { type CreateRental, maxOffers } from './rental-create.ts'
import { isRefusal, refusedHold } from './rental-money.ts'

/** Who pays for a rental: what is known of the credential that it was asked for with. */
export interface Payer {
  accountId: string
  keyId: string
  /** The account's id, or the key's where it has a budget of its own. */
  purseId: string
  budgets: Budgets | undefined
}

export interface RentOrder {
  /**
   * The id of the request, which becomes that of the rental, or of the first of several: by it an Idempotency-Key finds
   * out what came of an execution whose end nobody told. @default a new one
   */
  id?: string | undefined
  spec: RentalSpec
  search: RentalSearch
  /** Named by the caller: then another one is taken only of the same market, GPU and count, within the price. */
  offerId?: string | undefined
  reservationId?: string | undefined
  deploymentId?: string | undefined
  replaces?: string | undefined
}

export interface RentalDesk {
  /**
   * Rents one machine. Resolves when the market has made it, or when nobody knows whether it has (`unknown`).
   * @throws ApiError where nothing was rented
   */
  rent(payer: Payer, order: RentOrder): Promise<Rental>
  /**
   * `count` machines: the credit for all of them is held, or none is. Resolves at once, each `intended`; the background
   * creates them. @throws ApiError where there are not enough offers, or not enough credit
   */
  begin(payer: Payer, order: Omit<RentOrder, 'offerId'>, count: number): Promise<Rental[]>
  /** To be destroyed. Undefined: it is gone, or going already. */
  end(rental: Rental, reason: EndReason): Promise<Rental | undefined>
}

export interface RentalDeskOptions {
  clock: Clock
  newId: () => string
  rentals: Rentals
  offers: OfferBook
  controls: ReadonlyMap<MarketName, MarketControl>
  create: CreateRental
}

/** How often a change is tried that others are changing meanwhile. */
const maxTries = 5

export function createRentalDesk(options: RentalDeskOptions): RentalDesk {
  const { clock, newId, rentals, offers, controls, create } = options
  const now = () => new Date(clock.wallNow())

  /** The offer that was named and those that may stand in for it; or the cheapest that fit. */
  async function choose({ spec, search, offerId }: RentOrder): Promise<{ search: RentalSearch; found: RentalOffer[] }> {
    const terms = { ...needsOf(spec), limit: maxOffers }
    if (offerId === undefined) {
      const filter = { ...search.filter, maxPriceMicroUsd: lower(search.filter.maxPriceMicroUsd, spec.maxPrice) }
      const found = await offers.pick(filter, { ...terms, without: [] })
      if (found.length === 0) throw new ApiError('not_enough_offers')
      return { search: { ...search, filter }, found }
    }
    const named = await offers.find(offerId, terms)
    if (!named) throw new ApiError('offer_not_found')
    const limit = spec.maxPrice ?? named.pricePerHour
    if (named.pricePerHour > limit) {
      const message = `That offer costs ${usd(named.pricePerHour)} dollars an hour, more than max_price. Raise it, or take another offer.`
      throw new ApiError('offer_gone', { message, param: 'max_price' })
    }
    const { market, gpuModel, gpuCount, vramMib } = named
    const filter = { market, gpuModel, gpuCount, minVramGb: vramGb(vramMib), maxPriceMicroUsd: limit }
    const others = await offers.pick(filter, { ...terms, limit: Infinity, without: [offerId] })
    const same = others.filter((offer) => offer.gpuModel === gpuModel).slice(0, maxOffers - 1)
    return { search: { ...search, filter, sameModel: true }, found: [named, ...same] }
  }

  const intent = (payer: Payer, order: RentOrder, search: RentalSearch, offer: RentalOffer): NewRental => ({
    id: order.id ?? newId(),
    accountId: payer.accountId,
    keyId: payer.keyId,
    purseId: payer.purseId,
    reservationId: order.reservationId,
    deploymentId: order.deploymentId,
    replaces: order.replaces,
    spec: order.spec,
    search,
    offer,
  })

  async function hold({ accountId, purseId, budgets }: Payer, wanted: readonly { rental: NewRental; hold: number }[]) {
    const begun = await rentals.begin(wanted, { accountId, purseId, budgets })
    if (!isRefusal(begun)) return begun
    throw refusedHold(begun, sum(wanted.map((each) => each.hold)), clock.wallNow())
  }

  async function end(rental: Rental, reason: EndReason): Promise<Rental | undefined> {
    let seen: Rental | undefined = rental
    for (let n = 0; n < maxTries && seen; n++) {
      if (isFinal(seen.state)) return undefined
      const isEnding: boolean = seen.state === 'ending'
      // What was lost is not replaced any more once nobody wants it.
      if (isEnding && (!isWanted(seen.reason) || isWanted(reason))) return undefined
      const changed: Rental | undefined =
        seen.state === 'intended'
          ? await rentals.end(seen, { at: now(), state: 'gone', reason, settle: 0, refund: 0 })
          : await rentals.change(seen, isEnding ? { reason } : ending(seen, reason))
      if (changed) return changed
      seen = await rentals.find(rental.accountId, rental.id)
    }
    if (seen) throw new ApiError('overloaded', { retryAfterMs: 1_000 })
    return undefined
  }

  const ending = (rental: Rental, reason: EndReason) =>
    endingBy(rental, reason, now(), controls.get(rental.offer.market)?.billing ?? 'by_second')

  return {
    end,
    async rent(payer, order) {
      const { search, found } = await choose(order)
      const most = dearest(found, 1, search)
      const rental = intent(payer, order, search, found[0]!)
      const [begun] = await hold(payer, [{ rental, hold: most }])
      const created = await create(begun!)
      if (created.failed) {
        if (created.rental.state === 'intended') await end(created.rental, 'not_created')
        throw created.failed
      }
      // Somebody else has it, and sends nothing for it: it must not be told of as a machine.
      if (created.rental.state === 'intended') {
        await end(created.rental, 'not_created')
        throw new ApiError('overloaded', { retryAfterMs: 1_000 })
      }
      return created.rental
    },
    async begin(payer, order, count) {
      const { spec, search: asked } = order
      const filter = { ...asked.filter, maxPriceMicroUsd: lower(asked.filter.maxPriceMicroUsd, spec.maxPrice) }
      const search = { ...asked, filter }
      // Some may be gone by the time they are asked for; one host may have all of the cheapest.
      const many = asked.spread ? { limit: Infinity } : { limit: count + maxOffers, machines: true }
      const found = await offers.pick(filter, { ...needsOf(spec), ...many, without: [] })
      const chosen = asked.spread ? oneOfEachHost(found) : found
      if (chosen.length < count) throw new ApiError('not_enough_offers')
      const most = dearest(chosen, count, search)
      const wanted = chosen.slice(0, count).map((offer, nth) => ({
        rental: intent(payer, nth === 0 ? order : { ...order, id: undefined }, search, offer),
        hold: most,
      }))
      return hold(payer, wanted)
    },
  }
}

const sum = (amounts: readonly number[]) => amounts.reduce((total, each) => total + each, 0)

/**
 * Enough for any of them, so that the next may be taken where one has gone. A preference may end in a model ten times as
 * dear, for which nobody's credit should be needed: then for those that cost at most twice what the first ones do.
 */
function dearest(found: readonly RentalOffer[], count: number, { filter }: RentalSearch): number {
  const prices = found.slice(0, count + maxOffers).map(({ pricePerHour }) => pricePerHour)
  const most = filter.preferred ? 2 * Math.max(...prices.slice(0, count)) : Number.POSITIVE_INFINITY
  return Math.max(...prices.filter((price) => price <= most))
}

/** By somebody: these are the reasons of those who do not. */
const isWanted = (reason: EndReason | undefined) =>
  reason !== 'owner' && reason !== 'group' && reason !== 'account_closed'

const lower = (a: number | undefined, b: number | undefined) =>
  a === undefined || b === undefined ? (a ?? b) : Math.min(a, b)

/** Those whose host is not told each count as a host of their own. */
function oneOfEachHost(found: readonly RentalOffer[]): RentalOffer[] {
  const hosts = new Set<string>()
  return found.filter(({ market, hostId, id }) => {
    const host = `${market}:${hostId ?? id}`
    const isNew = !hosts.has(host)
    hosts.add(host)
    return isNew
  })
}
