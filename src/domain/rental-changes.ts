/** How one version of a rental becomes the next. Wherever rentals are kept, these alone make versions. */
import type { MicroUsd } from './money.ts'
import { type EndReason, isFinal, type NewRental, type Rental, type RentalState, transitions } from './rental.ts'

/**
 * Whoever asks for one machine alone is at it himself: the background comes to it when he must have had his answer, and
 * finds it abandoned. Any sooner it would take it from him between two of his steps.
 */
export const abandonedMs = 60_000

const isAlone = ({ reservationId, deploymentId, replaces }: NewRental) =>
  reservationId === undefined && deploymentId === undefined && replaces === undefined

export function begunRental(rental: NewRental, hold: MicroUsd, at: Date): Rental {
  return {
    ...rental,
    state: 'intended',
    version: 1,
    marketId: undefined,
    reason: undefined,
    endpoints: [],
    tried: [],
    createdAt: at,
    createSentAt: undefined,
    startedAt: undefined,
    heardAt: undefined,
    endedAt: undefined,
    dueAt: isAlone(rental) ? new Date(at.getTime() + abandonedMs) : at,
    failures: 0,
    hour: 0,
    held: hold,
    accrued: 0,
    accruedAt: undefined,
    settled: 0,
    paid: undefined,
    replacedBy: undefined,
  }
}

/** The hour came to `settle`, and `next` is held for the following one. `dueAt`: undefined = who is at it stays so. `paid`: see `Rental`. */
export interface NextHour {
  at: Date
  settle: MicroUsd
  next: MicroUsd
  dueAt?: Date | undefined
  paid?: MicroUsd | undefined
}

/**
 * What is left out, or undefined, stays. One that has failed can still become `gone`, and nothing else of it changes.
 * @throws TypeError where the state may not follow, or the change is one of the end's own
 */
export function changedRental(rental: Rental, change: { [K in keyof Rental]?: Rental[K] | undefined }): Rental {
  const { state = rental.state } = change
  assertMayBecome(rental, state)
  if (isFinal(rental.state)) return { ...rental, state, version: rental.version + 1 }
  if (isFinal(state)) throw new TypeError(`a rental becomes ${state} by its end, which settles what is held`)
  const set = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
  return { ...rental, ...set, version: rental.version + 1 }
}

export function nextHourOf(rental: Rental, hour: NextHour): Rental {
  return {
    ...rental,
    version: rental.version + 1,
    hour: rental.hour + 1,
    held: hour.next,
    accrued: 0,
    accruedAt: hour.at,
    settled: rental.settled + hour.settle,
    paid: hour.paid === undefined ? undefined : { hour: rental.hour + 1, amount: hour.paid },
    dueAt: hour.dueAt ?? rental.dueAt,
  }
}

/** What may hold secrets is forgotten. @throws TypeError where the state may not follow, or more is given back than was paid */
export function endedRental(
  rental: Rental,
  end: { at: Date; state: 'gone' | 'failed'; reason: EndReason; settle: MicroUsd; refund: MicroUsd },
): Rental {
  assertMayBecome(rental, end.state)
  if (end.refund > rental.settled) throw new TypeError(`rental ${rental.id}: more is given back than it came to`)
  return {
    ...rental,
    state: end.state,
    version: rental.version + 1,
    reason: end.reason,
    endedAt: rental.endedAt ?? end.at,
    held: 0,
    accrued: 0,
    settled: rental.settled + end.settle - end.refund,
    spec: { ...rental.spec, env: {}, args: [], onstart: undefined },
  }
}

function assertMayBecome(rental: Rental, state: RentalState): void {
  if (state === rental.state && !isFinal(state)) return
  if (transitions[rental.state].includes(state)) return
  throw new TypeError(`a rental that is ${rental.state} cannot become ${state}`)
}
