/** What every history of prices does. */
import { expect, test } from 'vitest'
import type { PriceHistory, PriceHour } from '../../src/ports.ts'

export function priceHistoryContract(create: () => Promise<PriceHistory>) {
  const hour = (at: string, more: Partial<PriceHour> = {}): PriceHour => ({
    ...{ market: 'vastai', gpuModel: 'RTX 4090', region: 'United States', hour: new Date(`2026-11-${at}:00:00Z`) },
    ...{ cheapest: 400_000, median: 500_000, lowestBid: undefined },
    ...more,
  })

  const start = new Date('2026-11-01T00:00:00Z')
  const at = (text: string) => new Date(`2026-11-${text}:00:00Z`)
  const ask = { gpuModel: 'RTX 4090', since: start }

  test('an hour keeps its cheapest price and its lowest bid, over the regions of its market', async () => {
    const history = await create()
    await history.note([hour('20T10'), hour('20T10', { region: 'Germany', cheapest: 350_000 }), hour('20T11')])
    await history.note([
      hour('20T10', { cheapest: 450_000, lowestBid: 200_000 }),
      hour('20T11', { cheapest: 300_000, lowestBid: 210_000 }),
    ])
    await history.note([hour('20T11', { lowestBid: 190_000 }), hour('20T10', { lowestBid: 250_000 })])
    await history.note([hour('20T10', { gpuModel: 'H100 SXM', cheapest: 2_000_000, market: 'ionet' })])
    await history.note([])
    expect(await history.names(start)).toEqual(['H100 SXM', 'RTX 4090'])
    expect(await history.hours(ask)).toEqual([
      { market: 'vastai', hour: at('20T10'), cheapest: 350_000, lowestBid: 200_000 },
      { market: 'vastai', hour: at('20T11'), cheapest: 300_000, lowestBid: 190_000 },
    ])
    await history.forget(at('20T11'))
    expect(await history.names(start)).toEqual(['RTX 4090'])
    expect(await history.hours(ask)).toHaveLength(1)
  })

  test('hours are told by market, and of one market and region where that is asked for', async () => {
    const history = await create()
    await history.note([
      hour('20T11', { market: 'ionet', region: 'France', cheapest: 1 }),
      hour('20T11', { cheapest: 2 }),
      hour('20T10', { market: 'ionet', cheapest: 3 }),
      hour('20T10', { region: 'France', cheapest: 4, lowestBid: 1 }),
    ])
    const told = async (more: object) =>
      (await history.hours({ ...ask, ...more })).map(({ market, cheapest }) => [market, cheapest])
    expect(await told({})).toEqual([
      ['ionet', 3],
      ['ionet', 1],
      ['vastai', 4],
      ['vastai', 2],
    ])
    expect(await told({ market: 'ionet' })).toEqual([
      ['ionet', 3],
      ['ionet', 1],
    ])
    expect(await told({ region: 'FRANCE' })).toEqual([
      ['ionet', 1],
      ['vastai', 4],
    ])
    expect(await told({ market: 'vastai', region: 'Peru' })).toEqual([])
    expect(await told({ since: at('20T11'), market: 'vastai' })).toEqual([['vastai', 2]])
  })
}
