/** Prices by the hour: of the markets, and so of no account. */
import type { MarketName } from '../../../src/domain/offer.ts'
import type { PriceHistory, PriceHour } from '../../../src/ports.ts'
import type { Sql } from './client.ts'
import type { Cluster } from './cluster.ts'

export function createPriceHistory({ cluster }: { cluster: Pick<Cluster, 'note' | 'read'> }): PriceHistory {
  return {
    async note(hours) {
      if (hours.length > 0) await cluster.note('note prices', (sql) => upsertHours(sql, hours))
    },
    async names(since) {
      const rows = await cluster.read('list priced GPUs', { reads: 'any' }, (sql) => selectNames(sql, since))
      return rows.map(({ gpu_model }) => gpu_model)
    },
    async hours(ask) {
      const rows = await cluster.read('list prices', { reads: 'any' }, (sql) => selectHours(sql, ask))
      return rows.map(({ market, hour, cheapest, lowest_bid }) => ({
        market,
        hour,
        cheapest: Number(cheapest),
        lowestBid: lowest_bid === null ? undefined : Number(lowest_bid),
      }))
    },
    async forget(before) {
      await cluster.note('forget prices', (sql) => deleteOld(sql, before))
    },
  }
}

const upsertHours = (sql: Sql, hours: readonly PriceHour[]) => sql`
  insert into price_hours as known (market, gpu_model, region, hour, samples, cheapest, median, lowest_bid)
  select market, "gpuModel", region, hour, 1, cheapest, median, "lowestBid"
  from jsonb_to_recordset(${JSON.stringify(hours)}::text::jsonb) as seen (
    market text, "gpuModel" text, region text, hour timestamptz, cheapest bigint, median bigint, "lowestBid" bigint)
  order by "gpuModel", hour, market, region
  on conflict (gpu_model, hour, market, region) do update set
    samples = known.samples + 1, cheapest = least(known.cheapest, excluded.cheapest), median = excluded.median,
    lowest_bid = least(known.lowest_bid, excluded.lowest_bid)`

/** From name to name by the primary key: there are some dozens, and of each some thousand rows. */
const selectNames = (sql: Sql, since: Date) => sql<{ gpu_model: string }[]>`
  with recursive names as (
    (select gpu_model from price_hours order by gpu_model limit 1)
    union all
    select (select known.gpu_model from price_hours as known
      where known.gpu_model > names.gpu_model order by known.gpu_model limit 1)
    from names where names.gpu_model is not null
  )
  select gpu_model from names
  where exists (select from price_hours as known where known.gpu_model = names.gpu_model and known.hour >= ${since})
  order by gpu_model limit 500`

interface HourRow {
  market: MarketName
  hour: Date
  cheapest: string
  lowest_bid: string | null
}

type HoursAsked = Parameters<PriceHistory['hours']>[0]

const selectHours = (sql: Sql, { gpuModel, since, market, region }: HoursAsked) => sql<HourRow[]>`
  select market, hour, min(cheapest) as cheapest, min(lowest_bid) as lowest_bid from price_hours
  where gpu_model = ${gpuModel} and hour >= ${since}
    and (${market ?? null}::text is null or market = ${market ?? null})
    and (${region ?? null}::text is null or lower(region) = lower(${region ?? null}))
  group by market, hour order by market, hour limit 4400`

const deleteOld = (sql: Sql, before: Date) => sql`delete from price_hours where hour < ${before}`
