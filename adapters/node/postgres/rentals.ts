/** Rentals, one row each. Whoever changes money locks the balance first, then the rental, as all do. */
import { randomUUID } from 'node:crypto'
import type { WindowLimits } from '../../../src/domain/guardrails.ts'
import { isFinal, type NewRental, type Rental } from '../../../src/domain/rental.ts'
import { begunRental, changedRental, endedRental, nextHourOf } from '../../../src/domain/rental-changes.ts'
import type { Clock, HoldRefusal, HoldTerms, RentalSeen, Rentals } from '../../../src/ports.ts'
import type { Sql } from './client.ts'
import type { ConnectedCluster } from './connect-cluster.ts'
import { lockBalances } from './ledger-entry.ts'
import { blockOf, booksIn, selectPurse } from './purse.ts'
import { holdHour, refundHours, settleHour } from './rental-ledger.ts'
import {
  countRentals,
  insertRental,
  lockSeen,
  selectByChange,
  selectByIds,
  selectLive,
  selectNewest,
  selectOwn,
  selectRental,
  selectRentals,
  toRental,
  updateDueRentals,
  updateRental,
} from './rental-rows.ts'

export interface RentalsOptions {
  cluster: Pick<ConnectedCluster, 'read' | 'write'>
  clock: Pick<Clock, 'wallNow'>
  /** Of every account; its own may only be stricter. Undefined = guard rails are off. */
  windowLimits: WindowLimits | undefined
}

const maxLive = 10_000

export function createRentals({ cluster, clock, windowLimits }: RentalsOptions): Rentals {
  /**
   * The next version in the place of the one that was seen. Where COMMIT got no answer, a change of this id tells that
   * it was this call that made it, and not another who saw the same.
   */
  async function replace(
    seen: RentalSeen,
    label: string,
    locked: 'balance' | 'rental',
    make: (sql: Sql, rental: Rental) => Promise<Rental>,
  ): Promise<Rental | undefined> {
    const { accountId } = seen
    const changeId = randomUUID()
    const run = async (sql: Sql) => {
      if (locked === 'balance') await lockBalances(sql, [accountId])
      const [row] = await lockSeen(sql, seen)
      if (!row || (locked === 'balance' && isFinal(row.state))) return undefined
      const next = await make(sql, toRental(row))
      await updateRental(sql, next, changeId)
      return next
    }
    const lookup = async () => {
      const rows = await cluster.read('find change', { reads: 'primary' }, (sql) => selectByChange(sql, seen, changeId))
      return rows.map(toRental)[0]
    }
    const pool = locked === 'balance' ? 'ledger' : 'general'
    return cluster.write(label, { accountId, pool }, run, { lookup })
  }

  return {
    async begin(wanted, terms) {
      const { accountId } = terms
      const run = async (sql: Sql) => {
        const ids = wanted.map(({ rental }) => rental.id)
        const [purse] = await selectPurse(sql, accountId)
        const there = await selectOwn(sql, accountId, ids)
        if (there.length > 0) return inOrder(ids, there.map(toRental))
        if (await isEnded(sql, accountId, wanted)) return { refused: 'ended' } as const
        const total = wanted.reduce((sum, { hold }) => sum + hold, 0)
        const refusal = await refusalOf(sql, terms, total, purse, windowLimits)
        if (refusal) return refusal
        const at = new Date(clock.wallNow())
        const begun = wanted.map(({ rental, hold }) => begunRental({ ...rental, accountId }, hold, at))
        for (const rental of begun) {
          await insertRental(sql, rental, randomUUID())
          await holdHour(sql, rental, at)
        }
        return begun
      }
      // Where COMMIT got no answer it is told again: once they are there, that changes nothing.
      const lookup = () => cluster.write('begin rentals again', { accountId, pool: 'ledger' }, run)
      return cluster.write('begin rentals', { accountId, pool: 'ledger' }, run, { lookup })
    },

    async find(accountId, rentalId) {
      // Whoever came too late looks here for what another pod has made of it.
      const rows = await cluster.read('find rental', { reads: 'primary' }, (sql) =>
        selectRental(sql, accountId, rentalId),
      )
      return rows.map(toRental)[0]
    },

    async list(accountId, page) {
      const rows = await cluster.read('list rentals', { reads: 'own', accountId }, (sql) =>
        selectRentals(sql, accountId, page),
      )
      return rows.map(toRental)
    },

    change: (seen, change) =>
      replace(seen, 'change rental', 'rental', async (_sql, rental) => changedRental(rental, change)),

    async nextHour(seen, hour, terms) {
      try {
        return await replace(seen, 'next hour of rental', 'balance', async (sql, rental) => {
          await settleHour(sql, rental, hour.settle, hour.at)
          const [purse] = await selectPurse(sql, seen.accountId)
          const refusal = await refusalOf(sql, terms, hour.next, purse, windowLimits)
          if (refusal) throw new Refused(refusal)
          const next = nextHourOf(rental, hour)
          await holdHour(sql, next, hour.at)
          return next
        })
      } catch (error) {
        if (error instanceof Refused) return error.refusal
        throw error
      }
    },

    end: (seen, end) =>
      replace(seen, 'end rental', 'balance', async (sql, rental) => {
        const ended = endedRental(rental, end)
        if (end.refund > 0) await refundHours(sql, rental, end.refund, end.at)
        await settleHour(sql, rental, end.settle, end.at)
        return ended
      }),

    async takeDue(ask) {
      // Of all accounts: nobody reads his own write there. Where COMMIT got no answer they are due again by themselves.
      const rows = await cluster.write('take due rentals', { accountId: nobody }, (sql) =>
        updateDueRentals(sql, ask, randomUUID()),
      )
      return rows.map(toRental)
    },

    async live(market) {
      const rows = await cluster.read('live rentals', { reads: 'primary' }, (sql) => selectLive(sql, market, maxLive))
      return rows.map(toRental)
    },

    async byIds(rentalIds) {
      // By this machines are destroyed: a replica may not have heard of a rental yet.
      const rows = await cluster.read('rentals by id', { reads: 'primary' }, (sql) => selectByIds(sql, rentalIds))
      return rows.map(toRental)
    },

    async newest(page) {
      const rows = await cluster.read('newest rentals', { reads: 'any' }, (sql) => selectNewest(sql, page))
      return rows.map(toRental)
    },

    async counts() {
      const rows = await cluster.read('count rentals', { reads: 'any' }, (sql) => countRentals(sql))
      return [...rows]
    },
  }
}

const nobody = '00000000-0000-0000-0000-000000000000'

/** Takes the transaction back with it. */
class Refused extends Error {
  override name = 'Refused'
  readonly refusal: HoldRefusal
  constructor(refusal: HoldRefusal) {
    super('no hold')
    this.refusal = refusal
  }
}

/** Why so much may not be held. A guard rail that only watches refuses nothing. */
async function refusalOf(
  sql: Sql,
  terms: HoldTerms,
  asked: number,
  purse: Awaited<ReturnType<typeof selectPurse>>[number] | undefined,
  windowLimits: WindowLimits | undefined,
): Promise<HoldRefusal | undefined> {
  if (asked === 0) return undefined
  const { available, leased } = booksIn(purse)
  const spendable = available - leased
  if (!purse || spendable < asked) return { refused: 'credit', asked, spendable, elsewhere: leased }
  const block = (await blockOf(sql, terms, purse, windowLimits))(asked)
  if (!block || (block.by === 'window' && purse.shadow)) return undefined
  return { refused: 'block', block }
}

/** Both rows stay as they are until what is begun is there to be seen: whoever ends them ends it with them. */
async function isEnded(sql: Sql, accountId: string, wanted: readonly { rental: NewRental }[]): Promise<boolean> {
  const [account] = await sql<{ open: boolean }[]>`
    select closed_at is null as open from accounts where account_id = ${accountId} for share`
  if (account?.open === false) return true
  const ids = [...new Set(wanted.flatMap(({ rental }) => rental.deploymentId ?? []))]
  if (ids.length === 0) return false
  const rows = await sql`
    select 1 from deployments
    where account_id = ${accountId} and deployment_id = any(${ids}::uuid[]) and end_asked_at is null for share`
  return rows.length < ids.length
}

function inOrder(ids: readonly string[], rentals: readonly Rental[]): Rental[] {
  const byId = new Map(rentals.map((rental) => [rental.id, rental]))
  return ids.map((id) => {
    const rental = byId.get(id)
    if (!rental) throw new TypeError(`rental ${id} was not begun together with the others`)
    return rental
  })
}
