/** Holds the rentals and the books against the markets' own records, and says what is wrong: nothing, where all is well. */
import type { MachineBill } from '../../adapters/sandbox/market-controls.ts'
import type { MarketName } from '../../src/domain/offer.ts'
import { isFinal, parseLabel, priceOfTime, type Rental } from '../../src/domain/rental.ts'
import type { Mischief } from './mischief.ts'
import { count } from './tally.ts'
import { fleet, type World } from './world.ts'

type Told = Pick<Mischief, 'omitted' | 'uncharged' | 'dearer' | 'duplicates'>
type Billed = MachineBill & { market: MarketName; rental: Rental | undefined }

/** Its hours are bought at the price that was agreed, whatever they cost. */
const isPrepaid = (market: MarketName) => market === 'ionet'
/** Each part of a bill is rounded by itself, and what is written down is of whole milliseconds. */
const rounding = (perHour: number) => 4 + priceOfTime(perHour, 1)

export const accounts = ['rich', 'other', 'poor'] as const

/** While machines may still be rented: those there are, and what is held. */
export function checkMachines(world: World): string[] {
  const rentals = world.rows()
  const wrong: string[] = []
  const byId = new Map(rentals.map((rental) => [rental.id, rental]))
  const there = world.markets.flatMap(({ name, vendor }) =>
    vendor.controls.machines().map((each) => ({ ...each, name })),
  )
  for (const { id, label, ending, name } of there) {
    const rental = byId.get(parseLabel(label)?.rentalId ?? '')
    const isHis = rental && !isFinal(rental.state) && rental.marketId === id && rental.offer.market === name
    if (!isHis && !ending) wrong.push(`orphan: ${name} has ${id}, whose rental is ${nameOf(rental)}`)
  }
  const ids = new Set(there.map(({ id, name }) => `${name} ${id}`))
  for (const rental of rentals) {
    // Where it is ending its machine may be gone already.
    if (isFinal(rental.state) || rental.state === 'ending') continue
    if (rental.marketId === undefined || !ids.has(`${rental.offer.market} ${rental.marketId}`)) {
      wrong.push(`no machine: rental ${nameOf(rental)}`)
    }
  }
  return [...wrong, ...checkHeld(world, rentals)]
}

function checkHeld({ books }: World, rentals: readonly Rental[]): string[] {
  return accounts.flatMap((account) => {
    const { available, held } = books.of(account)
    const own = rentals.filter(({ accountId }) => accountId === account)
    const holding = own.reduce((sum, rental) => sum + rental.held, 0)
    const wrong = held === holding ? [] : [`hold: account ${account} has ${held} held, its rentals ${holding}`]
    if (available < 0 || held < 0) wrong.push(`negative: account ${account} has ${available} and ${held} held`)
    for (const { id, state, held: left, settled, accrued } of own) {
      if (left < 0 || settled < 0 || accrued < 0)
        wrong.push(`negative: rental ${id} has ${left}, ${settled}, ${accrued}`)
      if (isFinal(state) && left !== 0) wrong.push(`hold: rental ${id} is ${state} and holds ${left}`)
    }
    return wrong
  })
}

/** When all has ended. */
export function checkBooks(world: World, told: Told, credits: Readonly<Record<string, number>>): string[] {
  const rentals = world.rows()
  const wrong = rentals.filter(({ state }) => !isFinal(state)).map((rental) => `not ended: rental ${nameOf(rental)}`)
  wrong.push(...checkHeld(world, rentals), ...checkEntries(world, rentals, credits))
  const byId = new Map(rentals.map((rental) => [rental.id, rental]))
  const billed = world.markets.flatMap(({ name, vendor }) =>
    vendor.controls.bill().map((bill): Billed => {
      const label = parseLabel(bill.label)
      return { ...bill, market: name, rental: label?.fleet === fleet ? byId.get(label.rentalId) : undefined }
    }),
  )
  const accountedFor = new Set<string>()
  const made = new Map<string, number>()
  for (const bill of billed) {
    const { id, rental, market } = bill
    if (!rental) {
      wrong.push(`bill: ${market} has ${id}, of no rental`)
      continue
    }
    if (!told.duplicates.has(id)) made.set(rental.id, (made.get(rental.id) ?? 0) + 1)
    if (rental.marketId === id && rental.offer.market === market) {
      accountedFor.add(rental.id)
      wrong.push(...checkBill(bill, rental, told))
    } else if (isExcused(bill, rental, billed, told)) count(world.tally, 'machines written off')
    else wrong.push(`bill: ${market} charges ${bill.microUsd} for ${id}, not that of rental ${nameOf(rental)}`)
  }
  for (const [id, n] of made)
    if (n > 1) wrong.push(`duplicate: ${n} machines were made for rental ${nameOf(byId.get(id))}`)
  for (const rental of rentals) {
    if (rental.settled > 0 && !accountedFor.has(rental.id))
      wrong.push(`charge: rental ${nameOf(rental)} had no machine`)
  }
  return wrong
}

function checkBill({ microUsd, id, market }: Billed, rental: Rental, told: Told): string[] {
  const { settled, offer, createdAt, createSentAt, endedAt } = rental
  if (settled === microUsd) return []
  // Nobody pays more than was agreed, nor less: a machine that somebody else made by our label may be any offer's...
  const maybeDearer = told.dearer.has(id) || told.dearer.has(offer.id) || told.duplicates.has(id)
  const agreed = priceOfTime(offer.pricePerHour, endedAt!.getTime() - (createSentAt ?? createdAt).getTime())
  const isAgreed = isPrepaid(market) || Math.abs(settled - agreed) <= rounding(offer.pricePerHour)
  if (maybeDearer && settled < microUsd && isAgreed) return []
  // ...and what the market does not tell of is metered by our own clock.
  const most = priceOfTime(offer.pricePerHour, (endedAt ?? createdAt).getTime() - createdAt.getTime())
  if (told.uncharged.has(id) && settled <= most) return []
  return [`bill: ${market} charges ${microUsd} for ${id}, and ${settled} was settled for rental ${nameOf(rental)}`]
}

/** Somebody else made it, or the market's lists have denied it for so long that its rental was ended without it. */
function isExcused({ id }: Billed, rental: Rental, billed: readonly Billed[], told: Told): boolean {
  if (told.duplicates.has(id) || told.omitted.has(id)) return true
  return billed.some(
    (other) => other.rental === rental && told.duplicates.has(other.id) && rental.marketId === other.id,
  )
}

function checkEntries(
  { books }: World,
  rentals: readonly Rental[],
  credits: Readonly<Record<string, number>>,
): string[] {
  return accounts.flatMap((account) => {
    const { available, held, entries } = books.of(account)
    const paid = -entries.reduce((sum, { amount }) => sum + amount, 0)
    const settled = rentals
      .filter(({ accountId }) => accountId === account)
      .reduce((sum, each) => sum + each.settled, 0)
    const wrong = available + held + paid === credits[account] ? [] : [`books: account ${account} does not add up`]
    // What the last of an account's credit does not pay for is written off.
    const isEven = account === 'poor' ? paid <= settled : paid === settled
    return isEven ? wrong : [...wrong, `books: account ${account} paid ${paid} for ${settled}`]
  })
}

const nameOf = (rental: Rental | undefined) =>
  rental
    ? `${rental.id} (${rental.state}, ${rental.reason ?? 'no reason'}, machine ${rental.marketId ?? 'none'})`
    : 'unknown'
