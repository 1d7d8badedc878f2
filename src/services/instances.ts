/** An account's own rentals: looked at, stopped, started and ended. Those of others are not there. */
import type { MicroUsd } from '../domain/money.ts'
import type { MarketName } from '../domain/offer.ts'
import { accruedBy, isShown, type Rental, type RentalState } from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import type { Clock, Rentals } from '../ports.ts'
import type { MarketControl } from '../providers/market.ts'
import { toApiError } from '../upstream/api-error.ts'
import type { RentalDesk } from './rental-desk.ts'

export interface InstancesOptions {
  clock: Clock
  rentals: Rentals
  desk: RentalDesk
  controls: ReadonlyMap<MarketName, MarketControl>
}

export interface Instances {
  /** @throws ApiError `instance_not_found` */
  find(accountId: string, id: string): Promise<Rental>
  list(accountId: string, page: { limit: number; before?: string | undefined }): Promise<Rental[]>
  /** @throws ApiError where its state or its market does not allow it */
  setRunning(accountId: string, id: string, running: boolean, signal: AbortSignal): Promise<Rental>
  logs(accountId: string, id: string, signal: AbortSignal): Promise<string>
  end(accountId: string, id: string): Promise<Rental>
  /** Up to now. */
  costOf(rental: Rental): MicroUsd
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const stoppable: readonly RentalState[] = ['starting', 'running']

export function createInstances({ clock, rentals, desk, controls }: InstancesOptions): Instances {
  async function find(accountId: string, id: string): Promise<Rental> {
    const rental = uuid.test(id) ? await rentals.find(accountId, id) : undefined
    if (!rental || !isShown(rental)) throw new ApiError('instance_not_found')
    return rental
  }

  /** The machine of a rental that has one. */
  async function machineOf(accountId: string, id: string) {
    const rental = await find(accountId, id)
    const control = controls.get(rental.offer.market)
    if (!control) throw new ApiError('provider_not_configured')
    if (rental.marketId === undefined) throw new ApiError('instance_state')
    return { rental, control, marketId: rental.marketId }
  }

  return {
    find,
    list: (accountId, page) => rentals.list(accountId, page),
    async setRunning(accountId, id, running, signal) {
      const { rental, control, marketId } = await machineOf(accountId, id)
      const { state } = rental
      const isThere = running ? stoppable.includes(state) : state === 'stopping' || state === 'stopped'
      if (isThere) return rental
      const isAllowed = running ? state === 'stopping' || state === 'stopped' : stoppable.includes(state)
      if (!isAllowed) throw new ApiError('instance_state')
      const outcome = await control.setRunning(marketId, running, signal).catch((error) => {
        throw toApiError(error)
      })
      if (outcome === 'unsupported') {
        throw new ApiError('unsupported_by_market', {
          message: `Machines of ${rental.offer.market} cannot be stopped and started. DELETE ends this one.`,
        })
      }
      if (typeof outcome === 'object') {
        throw new ApiError('market_refused', { message: `The market does not do that: ${outcome.refused}.` })
      }
      // The lists will say so too, and end it.
      if (outcome === 'gone') throw new ApiError('instance_state', { message: 'The market no longer has the machine.' })
      const accrual = accruedBy(rental, new Date(clock.wallNow()), control.billing)
      const changed = await rentals.change(rental, { state: running ? 'starting' : 'stopping', ...accrual })
      // It was changed meanwhile: what the market does now, its lists tell.
      return changed ?? find(accountId, id)
    },
    async logs(accountId, id, signal) {
      const { control, marketId } = await machineOf(accountId, id)
      return control.logs(marketId, signal).catch((error) => {
        throw toApiError(error)
      })
    },
    costOf(rental) {
      const billing = controls.get(rental.offer.market)?.billing ?? 'by_second'
      return rental.settled + accruedBy(rental, new Date(clock.wallNow()), billing).accrued
    },
    async end(accountId, id) {
      const rental = await find(accountId, id)
      // Nothing of it is left: it is shown no more.
      if (rental.state === 'failed') await rentals.change(rental, { state: 'gone' })
      const ended = await desk.end(rental, 'owner')
      // One that nothing was sent for is gone at once: it is shown as it was.
      return ended && ended.state !== 'gone' ? ended : rental
    },
  }
}
