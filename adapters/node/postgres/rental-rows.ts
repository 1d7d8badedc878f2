/** How a rental is a row. */
import type { MarketName } from '../../../src/domain/offer.ts'
import type { Rental } from '../../../src/domain/rental.ts'
import type { RentalSeen, Rentals } from '../../../src/ports.ts'
import type { Sql } from './client.ts'

interface RentalRow {
  account_id: string
  rental_id: string
  key_id: string
  purse_id: string
  reservation_id: string | null
  deployment_id: string | null
  replaces: string | null
  replaced_by: string | null
  market_id: string | null
  offer: Rental['offer']
  spec: Rental['spec']
  search: Rental['search']
  tried: Rental['tried']
  endpoints: Rental['endpoints']
  state: Rental['state']
  version: number
  reason: Rental['reason'] | null
  created_at: Date
  create_sent_at: Date | null
  started_at: Date | null
  heard_at: Date | null
  ended_at: Date | null
  due_at: Date
  failures: number
  hour: number
  held: string
  accrued: string
  accrued_at: Date | null
  settled: string
  paid: Rental['paid'] | null
}

export const toRental = (row: RentalRow): Rental => ({
  id: row.rental_id,
  accountId: row.account_id,
  keyId: row.key_id,
  purseId: row.purse_id,
  reservationId: row.reservation_id ?? undefined,
  deploymentId: row.deployment_id ?? undefined,
  replaces: row.replaces ?? undefined,
  replacedBy: row.replaced_by ?? undefined,
  marketId: row.market_id ?? undefined,
  offer: row.offer,
  spec: row.spec,
  search: row.search,
  tried: row.tried,
  endpoints: row.endpoints,
  state: row.state,
  version: row.version,
  reason: row.reason ?? undefined,
  createdAt: row.created_at,
  createSentAt: row.create_sent_at ?? undefined,
  startedAt: row.started_at ?? undefined,
  heardAt: row.heard_at ?? undefined,
  endedAt: row.ended_at ?? undefined,
  dueAt: row.due_at,
  failures: row.failures,
  hour: row.hour,
  held: Number(row.held),
  accrued: Number(row.accrued),
  accruedAt: row.accrued_at ?? undefined,
  settled: Number(row.settled),
  paid: row.paid ?? undefined,
})

const columns = (sql: Sql) => sql`
  account_id, rental_id, key_id, purse_id, reservation_id, deployment_id, replaces, replaced_by, market_id, offer, spec,
  search, tried, endpoints, state, version, reason, created_at, create_sent_at, started_at, heard_at, ended_at, due_at,
  failures, hour, held, accrued, accrued_at, settled, paid`

export const insertRental = (sql: Sql, rental: Rental, changeId: string) => sql`
  insert into rentals (account_id, rental_id, key_id, purse_id, reservation_id, deployment_id, replaces, market, offer,
    spec, search, state, version, change_id, created_at, due_at, held)
  values (${rental.accountId}, ${rental.id}, ${rental.keyId}, ${rental.purseId}, ${rental.reservationId ?? null},
    ${rental.deploymentId ?? null}, ${rental.replaces ?? null}, ${rental.offer.market},
    ${JSON.stringify(rental.offer)}::text::jsonb, ${JSON.stringify(rental.spec)}::text::jsonb,
    ${JSON.stringify(rental.search)}::text::jsonb, ${rental.state}, ${rental.version}, ${changeId}, ${rental.createdAt},
    ${rental.dueAt}, ${rental.held})`

/** All that may change. The row is locked, as the version that was seen. Whoever says when it is due is at it no more. */
export const updateRental = (sql: Sql, rental: Rental, changeId: string) => sql`
  update rentals set
    replaced_by = ${rental.replacedBy ?? null}, market = ${rental.offer.market}, market_id = ${rental.marketId ?? null},
    offer = ${JSON.stringify(rental.offer)}::text::jsonb, spec = ${JSON.stringify(rental.spec)}::text::jsonb,
    tried = ${JSON.stringify(rental.tried)}::text::jsonb, endpoints = ${JSON.stringify(rental.endpoints)}::text::jsonb,
    state = ${rental.state}, version = ${rental.version}, change_id = ${changeId}, reason = ${rental.reason ?? null},
    create_sent_at = ${rental.createSentAt ?? null}, started_at = ${rental.startedAt ?? null},
    heard_at = ${rental.heardAt ?? null}, ended_at = ${rental.endedAt ?? null}, due_at = ${rental.dueAt},
    taken_until = case when due_at = ${rental.dueAt} then taken_until end,
    failures = ${rental.failures}, hour = ${rental.hour}, held = ${rental.held}, accrued = ${rental.accrued},
    accrued_at = ${rental.accruedAt ?? null}, settled = ${rental.settled},
    paid = ${rental.paid ? JSON.stringify(rental.paid) : null}::text::jsonb
  where account_id = ${rental.accountId} and rental_id = ${rental.id}`

/** A rental that has failed may still be dismissed; one that is gone changes no more. */
export const lockSeen = (sql: Sql, { accountId, id, version }: RentalSeen) => sql<RentalRow[]>`
  select ${columns(sql)} from rentals
  where account_id = ${accountId} and rental_id = ${id} and version = ${version} and state <> 'gone'
  for update`

export const selectByChange = (sql: Sql, { accountId, id }: RentalSeen, changeId: string) => sql<RentalRow[]>`
  select ${columns(sql)} from rentals
  where account_id = ${accountId} and rental_id = ${id} and change_id = ${changeId}`

export const selectRental = (sql: Sql, accountId: string, id: string) => sql<RentalRow[]>`
  select ${columns(sql)} from rentals where account_id = ${accountId} and rental_id = ${id}`

export const selectOwn = (sql: Sql, accountId: string, ids: readonly string[]) => sql<RentalRow[]>`
  select ${columns(sql)} from rentals where account_id = ${accountId} and rental_id = any(${ids as string[]}::uuid[])`

const lastId = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

export const selectRentals = (sql: Sql, accountId: string, page: Parameters<Rentals['list']>[1]) => {
  const { limit, before = lastId, reservationId = null, deploymentId = null, withGone = false } = page
  return sql<RentalRow[]>`
  select ${columns(sql)} from rentals
  where account_id = ${accountId} and rental_id < ${before} ${withGone ? sql`` : sql`and state <> 'gone'`}
    and (${reservationId}::uuid is null or reservation_id = ${reservationId}::uuid)
    and (${deploymentId}::uuid is null or deployment_id = ${deploymentId}::uuid)
  order by rental_id desc limit ${limit}`
}

export const selectNewest = (sql: Sql, { limit, before = lastId }: Parameters<Rentals['newest']>[0]) => sql<
  RentalRow[]
>`
  select ${columns(sql)} from rentals
  where rental_id < ${before} and state <> 'gone' order by rental_id desc limit ${limit}`

/** What another pod is at is passed over: by this clock, since pods may disagree about theirs. */
export const updateDueRentals = (sql: Sql, ask: Parameters<Rentals['takeDue']>[0], changeId: string) => sql<
  RentalRow[]
>`
  update rentals
  set due_at = ${new Date(ask.now.getTime() + ask.forMs)}, taken_until = now() + ${ask.forMs} * interval '1 ms',
    version = version + 1, change_id = ${changeId}
  where (account_id, rental_id) in (
    select account_id, rental_id from rentals
    where state not in ('gone', 'failed') and due_at <= ${ask.now} and coalesce(taken_until <= now(), true)
    order by due_at limit ${ask.max} for update skip locked
  )
  returning ${columns(sql)}`

export const selectLive = (sql: Sql, market: MarketName, max: number) => sql<RentalRow[]>`
  select ${columns(sql)} from rentals where market = ${market} and state not in ('gone', 'failed')
  order by rental_id limit ${max}`

export const selectByIds = (sql: Sql, ids: readonly string[]) => sql<RentalRow[]>`
  select ${columns(sql)} from rentals where rental_id = any(${ids as string[]}::uuid[])`

export const countRentals = (sql: Sql) => sql<{ market: MarketName; state: Rental['state']; count: number }[]>`
  select market, state, count(*)::int as count from rentals where state <> 'gone' group by market, state`
