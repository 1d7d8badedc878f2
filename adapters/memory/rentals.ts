/** Rentals of one process and the money for them, in the steps of PostgreSQL's: for tests and simulations. */
import type { MicroUsd } from '../../src/domain/money.ts'
import { hourOperation, isFinal, type Rental } from '../../src/domain/rental.ts'
import { begunRental, changedRental, endedRental, nextHourOf } from '../../src/domain/rental-changes.ts'
import { dayOf } from '../../src/domain/statement.ts'
import type { Clock, RentalSeen, Rentals } from '../../src/ports.ts'
import type { MemoryBooks } from './books.ts'
import { momentOf, noteSpent } from './ledger-store.ts'

interface Hour {
  at: number
  amount: MicroUsd
}

export interface MemoryRentals extends Rentals {
  /** All there ever were, the oldest first. */
  rows(): Rental[]
}

const maxLive = 10_000
const minuteMs = 60_000
const modelOf = ({ offer }: Rental) => `gpu:${offer.gpuModel}`

export function createMemoryRentals(options: {
  clock: Pick<Clock, 'wallNow'>
  books: Pick<MemoryBooks, 'of' | 'ledgerStore'>
}): MemoryRentals {
  const { clock, books } = options
  const rows = new Map<string, Rental>()
  /** Those that are not final. */
  const live = new Map<string, Rental>()
  const ofAccount = new Map<string, string[]>()
  const settledHours = new Map<string, Hour[]>()
  /** Until when a pod is at it, by this clock: pods may disagree about theirs. */
  const takenUntil = new Map<string, number>()
  // What is handed out is the caller's own.
  const out = (rental: Rental): Rental => ({ ...rental })

  /** Whoever says when it is due is at it no more. */
  function put(rental: Rental): Rental {
    if (isFinal(rental.state) || rows.get(rental.id)?.dueAt.getTime() !== rental.dueAt.getTime()) {
      takenUntil.delete(rental.id)
    }
    rows.set(rental.id, rental)
    if (isFinal(rental.state)) live.delete(rental.id)
    else live.set(rental.id, rental)
    return out(rental)
  }

  const seenAs = ({ accountId, id, version }: RentalSeen) => {
    const found = rows.get(id)
    return found?.accountId === accountId && found.version === version && found.state !== 'gone' ? found : undefined
  }
  const liveAs = (seen: RentalSeen) => {
    const found = seenAs(seen)
    return found && !isFinal(found.state) ? found : undefined
  }

  function hold({ accountId, purseId }: Rental, amount: MicroUsd) {
    const book = books.of(accountId)
    book.available -= amount
    book.held += amount
    book.rented.set(purseId, (book.rented.get(purseId) ?? 0) + amount)
  }

  /** What the account cannot pay is written off. Answers how it is taken back, as by a transaction that fails. */
  function settle(rental: Rental, amount: MicroUsd, at: Date): () => void {
    const { id, accountId, keyId, hour } = rental
    const book = books.of(accountId)
    hold(rental, -rental.held)
    const paid = Math.min(amount, book.available - book.leased)
    book.available -= paid
    const operationId = hourOperation(id, hour)
    book.rentalHours.set(operationId, amount === 0 ? 'release' : 'settle')
    const moveBack = () => {
      book.rentalHours.set(operationId, 'hold')
      book.available += paid
      hold(rental, rental.held)
    }
    if (amount === 0) return moveBack
    const used = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, requests: hour === 0 ? 1 : 0 }
    const spending = { operationId, at: at.getTime(), amount, keyId, model: modelOf(rental) }
    const unnote = noteSpent(book, { ...spending, ...used, instanceId: id }, paid)
    const hours = settledHours.get(id) ?? []
    settledHours.set(id, hours)
    hours.push({ at: at.getTime(), amount })
    return () => {
      hours.pop()
      unnote()
      moveBack()
    }
  }

  /** Of the hours before, the newest first. */
  function refund(rental: Rental, amount: MicroUsd, at: Date) {
    const { id, accountId, keyId } = rental
    const book = books.of(accountId)
    const entry = { at: momentOf(at.getTime()), operationId: hourOperation(id, 0), note: undefined, instanceId: id }
    book.available += amount
    book.entries.push({ ...entry, kind: 'refund', amount })
    let left = amount
    for (const hour of (settledHours.get(id) ?? []).toReversed()) {
      const back = Math.min(left, hour.amount)
      const minute = Math.floor(hour.at / minuteMs)
      const day = dayOf(hour.at)
      left -= back
      book.spent.set(minute, Math.max(0, (book.spent.get(minute) ?? 0) - back))
      const row = book.usage.find((each) => each.day === day && each.keyId === keyId && each.model === modelOf(rental))
      if (row) row.cost -= back
    }
  }

  return {
    rows: () => [...rows.values()].map(out),
    async begin(wanted, terms) {
      const { accountId } = terms
      const there = wanted.map(({ rental }) => rows.get(rental.id))
      if (there.some(Boolean)) {
        return there.map((found, n) => {
          if (!found) throw new TypeError(`rental ${wanted[n]!.rental.id} was not begun together with the others`)
          return out(found)
        })
      }
      const total = wanted.reduce((sum, each) => sum + each.hold, 0)
      const refusal = books.ledgerStore.refusalOf(terms, total)
      if (refusal) return refusal
      const at = new Date(clock.wallNow())
      const own = ofAccount.get(accountId) ?? []
      ofAccount.set(accountId, own)
      return wanted.map((each) => {
        const rental = begunRental({ ...each.rental, accountId }, each.hold, at)
        own.push(rental.id)
        hold(rental, each.hold)
        books.of(accountId).rentalHours.set(rental.id, 'hold')
        return put(rental)
      })
    },
    async find(accountId, id) {
      const found = rows.get(id)
      return found?.accountId === accountId ? out(found) : undefined
    },
    async list(accountId, { limit, before = 'g', reservationId, deploymentId, withGone = false }) {
      const own = (ofAccount.get(accountId) ?? []).map((id) => rows.get(id)!)
      return own
        .filter(({ id, state }) => id < before && (withGone || state !== 'gone'))
        .filter((each) => reservationId === undefined || each.reservationId === reservationId)
        .filter((each) => deploymentId === undefined || each.deploymentId === deploymentId)
        .sort((a, b) => (a.id < b.id ? 1 : -1))
        .slice(0, limit)
        .map(out)
    },
    async change(seen, change) {
      const found = seenAs(seen)
      return found && put(changedRental(found, change))
    },
    async nextHour(seen, hour, terms) {
      const found = liveAs(seen)
      if (!found) return undefined
      const takeBack = settle(found, hour.settle, hour.at)
      const refusal = books.ledgerStore.refusalOf(terms, hour.next)
      if (refusal) {
        takeBack()
        return refusal
      }
      const next = nextHourOf(found, hour)
      hold(next, hour.next)
      books.of(next.accountId).rentalHours.set(hourOperation(next.id, next.hour), 'hold')
      return put(next)
    },
    async end(seen, end) {
      const found = liveAs(seen)
      if (!found) return undefined
      const ended = endedRental(found, end)
      if (end.refund > 0) refund(found, end.refund, end.at)
      settle(found, end.settle, end.at)
      return put(ended)
    },
    async takeDue({ now, max, forMs }) {
      const isFree = (id: string) => (takenUntil.get(id) ?? Number.NEGATIVE_INFINITY) <= clock.wallNow()
      const due = [...live.values()].filter(({ id, dueAt }) => dueAt <= now && isFree(id))
      due.sort((a, b) => a.dueAt.getTime() - b.dueAt.getTime())
      return due.slice(0, max).map((each) => {
        const taken = put({ ...each, dueAt: new Date(now.getTime() + forMs), version: each.version + 1 })
        takenUntil.set(each.id, clock.wallNow() + forMs)
        return taken
      })
    },
    live: async (market) =>
      [...live.values()]
        .filter(({ offer }) => offer.market === market)
        .slice(0, maxLive)
        .map(out),
    byIds: async (ids) => ids.flatMap((id) => rows.get(id) ?? []).map(out),
    newest: async ({ limit, before }) =>
      [...rows.values()]
        .filter(({ id, state }) => state !== 'gone' && (before === undefined || id < before))
        .sort((a, b) => (a.id < b.id ? 1 : -1))
        .slice(0, limit)
        .map(out),
    async counts() {
      const counts = new Map<string, Awaited<ReturnType<Rentals['counts']>>[number]>()
      for (const { offer, state } of rows.values()) {
        if (state === 'gone') continue
        const key = `${offer.market} ${state}`
        counts.set(key, { market: offer.market, state, count: (counts.get(key)?.count ?? 0) + 1 })
      }
      return [...counts.values()]
    },
  }
}
