/** What the clients of both markets make of the sandbox's catalogues, without a socket. */
import { createIonet } from '../../adapters/sandbox/ionet.ts'
import { createVast } from '../../adapters/sandbox/vast.ts'
import type { Offer } from '../../src/domain/offer.ts'
import { createIonetMarket } from '../../src/providers/ionet.ts'
import { createVastMarket } from '../../src/providers/vast.ts'
import { FakeClock } from './fake-clock.ts'
import { createInProcessVendor } from './in-process-vendor.ts'

export async function listedOffers(priceFactor = 1): Promise<Offer[]> {
  const clock = new FakeClock()
  const markets = [
    [createVastMarket, createVast({ clock })],
    [createIonetMarket, createIonet({ clock })],
  ] as const
  const lists = markets.map(([create, vendor], n) => {
    const { http, origin: baseUrl } = createInProcessVendor({
      ...{ origin: `http://market${n}.test`, vendor, clock, random: () => 0 },
    })
    // One call that nothing can go wrong with: the guards have their own tests.
    const guardedCall = async ([target]: readonly { send(signal: AbortSignal, at: object): Promise<unknown> }[]) => ({
      value: await target!.send(new AbortController().signal, {}),
    })
    const upstream = { circuit: () => ({}) }
    return create({
      ...{ baseUrl, apiKey: undefined, http, clock, priceFactor: () => priceFactor },
      ...({ upstream, guardedCall } as never as Pick<Parameters<typeof create>[0], 'upstream' | 'guardedCall'>),
    }).offers()
  })
  return (await Promise.all(lists)).flat()
}
