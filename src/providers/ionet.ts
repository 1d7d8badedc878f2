/**
 * io.net's container service (docs.io.net). The hardware catalogue is the closest thing to a list of offers: one row
 * per configuration and place, its price for the whole configuration and hour.
 */
import * as z from 'zod'
import { gpuName } from '../domain/gpu-names.ts'
import { microUsd } from '../domain/money.ts'
import type { Offer } from '../domain/offer.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'
import { listCall, type Market, type MarketOptions, parseOffers } from './market.ts'

/** Memory and storage in GB; dollars per hour. */
const row = z.object({
  id: z.union([z.number(), z.string()]),
  name: z.string().min(1),
  num_cards: z.number().int().min(1),
  vram_per_card: z.number().positive(),
  location: z.string().nullish(),
  sold_out: z.boolean().nullish(),
  available_replicas: z.number().nullish(),
  storage: z.number().nonnegative().nullish().catch(undefined),
  price: z.number().nonnegative(),
})

export function createIonetMarket(options: MarketOptions): Market {
  return {
    name: 'ionet',
    upstream: options.upstream,
    async offers() {
      const answer = await listCall(options, {
        method: 'GET',
        path: '/v1/io-cloud/caas/hardware',
        headers: options.apiKey ? { 'x-api-key': options.apiKey } : {},
      })
      const list = z.object({ data: z.object({ hardware: z.array(z.unknown()) }) }).safeParse(answer)
      if (!list.success) throw new UpstreamFailure('poison', { cause: list.error })
      return parseOffers(options, list.data.data.hardware, row, toOffer)
    },
  }
}

function toOffer(found: z.infer<typeof row>): Offer {
  return {
    id: `ionet:${found.id}`,
    market: 'ionet',
    gpuModel: gpuName(found.name),
    gpuCount: found.num_cards,
    vramMib: found.vram_per_card * 1024,
    priceMicroUsd: microUsd(found.price),
    location: found.location || null,
    reliability: null,
    diskSpaceGb: found.storage ?? undefined,
    minimumHours: 1,
    replicas: found.available_replicas ?? undefined,
    available: !found.sold_out && found.available_replicas !== 0,
  }
}
