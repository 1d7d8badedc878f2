/** Prices by the hour: of the markets, and so of no account. */
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
    async cheapest(gpuModel, since) {
      const rows = await cluster.read('list prices', { reads: 'any' }, (sql) => selectCheapest(sql, gpuModel, since))
      return rows.map(({ hour, cheapest }) => ({ hour, price: Number(cheapest) }))
    },
    async forget(before) {
      await cluster.note('forget prices', (sql) => deleteOld(sql, before))
    },
  }
}

const upsertHours = (sql: Sql, hours: readonly PriceHour[]) => sql`
  insert into price_hours as known (market, gpu_model, region, hour, samples, cheapest, median)
  select market, "gpuModel", region, hour, 1, cheapest, median
  from jsonb_to_recordset(${JSON.stringify(hours)}::text::jsonb)
    as seen (market text, "gpuModel" text, region text, hour timestamptz, cheapest bigint, median bigint)
  order by "gpuModel", hour, market, region
  on conflict (gpu_model, hour, market, region) do update set
    samples = known.samples + 1, cheapest = least(known.cheapest, excluded.cheapest), median = excluded.median`

const selectNames = (sql: Sql, since: Date) => sql<{ gpu_model: string }[]>`
  select distinct gpu_model from price_hours where hour >= ${since} order by gpu_model limit 500`

const selectCheapest = (sql: Sql, gpuModel: string, since: Date) => sql<{ hour: Date; cheapest: string }[]>`
  select hour, min(cheapest) as cheapest from price_hours
  where gpu_model = ${gpuModel} and hour >= ${since} group by hour order by hour limit 2200`

const deleteOld = (sql: Sql, before: Date) => sql`delete from price_hours where hour < ${before}`
