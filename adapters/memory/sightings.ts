/** Sightings of one process, for tests. */
import type { MarketName } from '../../src/domain/offer.ts'
import type { Sighting, Sightings } from '../../src/ports.ts'

type Row = Sighting & { label: string | undefined; lastSeenAt: Date }

export function createMemorySightings(): Sightings {
  const markets = new Map<MarketName, Map<string, Row>>()
  const of = (market: MarketName) => {
    const rows = markets.get(market) ?? new Map<string, Row>()
    markets.set(market, rows)
    return rows
  }
  return {
    async note(market, seen) {
      const rows = of(market)
      const byMachine = new Map(seen.map((each) => [each.machineId, each]))
      return [...byMachine.values()].map(({ machineId, label, at }) => {
        const known = rows.get(machineId)
        const row =
          known?.label === label && known
            ? {
                ...known,
                times: known.times + (known.lastSeenAt < at ? 1 : 0),
                lastSeenAt: known.lastSeenAt < at ? at : known.lastSeenAt,
              }
            : { machineId, label, firstSeenAt: at, lastSeenAt: at, times: 1 }
        rows.set(machineId, row)
        return { machineId, firstSeenAt: row.firstSeenAt, times: row.times }
      })
    },
    async forget(market, notSeenSince) {
      const rows = of(market)
      for (const [id, { lastSeenAt }] of rows) if (lastSeenAt < notSeenSince) rows.delete(id)
    },
  }
}
