/** What every history of prices does. */
import { expect, test } from 'vitest'
import type { PriceHistory, PriceHour } from '../../src/ports.ts'

export function priceHistoryContract(create: () => Promise<PriceHistory>) {
  const hour = (at: string, more: Partial<PriceHour> = {}): PriceHour => ({
    ...{ market: 'vastai', gpuModel: 'RTX 4090', region: 'US', hour: new Date(`2026-11-${at}:00:00Z`) },
    ...{ cheapest: 400_000, median: 500_000 },
    ...more,
  })

  test('an hour keeps its cheapest price, over markets and regions', async () => {
    const history = await create()
    const start = new Date('2026-11-01T00:00:00Z')
    await history.note([hour('20T10'), hour('20T10', { region: 'DE', cheapest: 350_000 }), hour('20T11')])
    await history.note([hour('20T10', { cheapest: 450_000 }), hour('20T11', { cheapest: 300_000 })])
    await history.note([hour('20T10', { gpuModel: 'H100 SXM', cheapest: 2_000_000, market: 'ionet' })])
    await history.note([])
    expect(await history.names(start)).toEqual(['H100 SXM', 'RTX 4090'])
    expect(await history.cheapest('RTX 4090', start)).toEqual([
      { hour: new Date('2026-11-20T10:00:00Z'), price: 350_000 },
      { hour: new Date('2026-11-20T11:00:00Z'), price: 300_000 },
    ])
    await history.forget(new Date('2026-11-20T11:00:00Z'))
    expect(await history.names(start)).toEqual(['RTX 4090'])
    expect(await history.cheapest('RTX 4090', start)).toHaveLength(1)
  })
}
