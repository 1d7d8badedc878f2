/** Machines that markets list and no rental accounts for. */
import type { Sightings } from '../../../src/ports.ts'
import type { Sql } from './client.ts'
import type { Cluster } from './cluster.ts'

export const createSightings = ({ cluster }: { cluster: Pick<Cluster, 'note'> }): Sightings => ({
  async note(market, seen) {
    if (seen.length === 0) return []
    const rows = await cluster.note('note sightings', (sql) => upsertSightings(sql, market, seen))
    return rows.map((row) => ({ machineId: row.machine_id, firstSeenAt: row.first_seen_at, times: row.times }))
  },
  async forget(market, notSeenSince) {
    await cluster.note('forget sightings', (sql) => deleteUnseen(sql, market, notSeenSince))
  },
})

/** Told again of one list it counts once. A machine with another label is another: it is seen for the first time. */
const upsertSightings = (sql: Sql, market: string, seen: readonly object[]) => sql<
  { machine_id: string; first_seen_at: Date; times: number }[]
>`
  insert into market_sightings as known (market, machine_id, label, first_seen_at, last_seen_at, times)
  select distinct on ("machineId") ${market}, "machineId", label, at, at, 1
  from jsonb_to_recordset(${JSON.stringify(seen)}::text::jsonb) as seen ("machineId" text, label text, at timestamptz)
  order by "machineId"
  on conflict (market, machine_id) do update set
    label = excluded.label,
    first_seen_at = case when known.label is distinct from excluded.label then excluded.first_seen_at
      else known.first_seen_at end,
    times = case when known.label is distinct from excluded.label then 1
      when known.last_seen_at < excluded.last_seen_at then known.times + 1 else known.times end,
    last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at)
  returning machine_id, first_seen_at, times`

const deleteUnseen = (sql: Sql, market: string, notSeenSince: Date) => sql`
  delete from market_sightings where market = ${market} and last_seen_at < ${notSeenSince}`
