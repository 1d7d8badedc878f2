/** What the fake markets offer while nothing of them is rented, as the gateway reads it. */
import { createIonet } from '../../adapters/sandbox/ionet.ts'
import { createVast } from '../../adapters/sandbox/vast.ts'
import type { MarketName, Offer } from '../../src/domain/offer.ts'
import { createIonetMarket } from '../../src/providers/ionet.ts'
import { createVastMarket } from '../../src/providers/vast.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createInProcessVendor } from '../../tests/support/in-process-vendor.ts'
import { marketParts } from '../../tests/support/market-control.ts'
import { silentMetrics } from './silent-metrics.ts'

export type Offered = Record<MarketName, Offer[]>

export async function loadOffers(): Promise<Offered> {
  const clock = new FakeClock()
  const random = () => 0
  const of = (name: MarketName) => {
    const origin = `http://${name}.test`
    const vendor = { vastai: createVast, ionet: createIonet }[name]({ clock })
    const { http } = createInProcessVendor({ origin, vendor, clock, random })
    const create = { vastai: createVastMarket, ionet: createIonetMarket }[name]
    return create(marketParts(name, { origin, clock, random, http, metrics: silentMetrics })).offers()
  }
  return { vastai: await of('vastai'), ionet: await of('ionet') }
}
