/**
 * Vast.ai (docs.vast.ai/api-reference, console.vast.ai). Searching is a POST; at most 10 searches a minute for all of
 * an operator's pods together, refused as plain text without Retry-After.
 */
import * as z from 'zod'
import { gpuName } from '../domain/gpu-names.ts'
import { microUsd } from '../domain/money.ts'
import { defaultDiskGb, type Offer } from '../domain/offer.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'
import { listCall, type Market, type MarketOptions, parseOffers } from './market.ts'

const hoursPerMonth = 720

/** One search for all that anybody may look for: its rows tell on-demand prices and lowest bids, checked or not. */
const search = {
  type: 'on-demand',
  external: { eq: false },
  rentable: { eq: true },
  rented: { eq: false },
  order: [['dph_total', 'asc']],
  limit: 4_000,
  allocated_storage: defaultDiskGb,
}

const optional = z.number().nonnegative().nullish().catch(undefined)
/** Money per hour in dollars; memory of one GPU in MiB. */
const row = z.object({
  id: z.number(),
  gpu_name: z.string().min(1),
  num_gpus: z.number().int().min(1),
  gpu_ram: z.number().positive(),
  dph_base: z.number().nonnegative().nullish(),
  dph_total: z.number().nonnegative(),
  geolocation: z.string().nullish(),
  reliability2: z.number().min(0).max(1).nullish(),
  rentable: z.boolean().nullish(),
  host_id: z.number().nullish(),
  /** Dollars a GB and month of 30 days. */
  storage_cost: optional,
  /** GB. */
  disk_space: optional,
  min_bid: optional,
  cuda_max_good: optional,
  /** Mb/s, and dollars a GB. */
  inet_down: optional,
  inet_up: optional,
  inet_up_cost: optional,
  gpu_frac: optional,
  verification: z.string().nullish().catch(undefined),
})

export function createVastMarket(options: MarketOptions): Market {
  return {
    name: 'vastai',
    upstream: options.upstream,
    async offers() {
      const answer = await listCall(options, {
        method: 'POST',
        path: '/api/v0/bundles/',
        headers: {
          'content-type': 'application/json',
          ...(options.apiKey && { authorization: `Bearer ${options.apiKey}` }),
        },
        body: JSON.stringify(search),
      })
      const offers = z.object({ offers: z.array(z.unknown()) }).safeParse(answer)
      if (!offers.success) throw new UpstreamFailure('poison', { cause: offers.error })
      return parseOffers(options, offers.data.offers, row, toOffer)
    },
  }
}

function toOffer(found: z.infer<typeof row>): Offer {
  const total = microUsd(found.dph_total)
  const beside = Math.max(0, total - microUsd(found.dph_base ?? found.dph_total))
  const { storage_cost: perMonth } = found
  const bid = found.min_bid ?? 0
  return {
    id: `vastai:${found.id}`,
    market: 'vastai',
    gpuModel: gpuName(found.gpu_name),
    gpuCount: found.num_gpus,
    vramMib: found.gpu_ram,
    priceMicroUsd: total,
    // "Texas, US"; rows without a region begin with the comma.
    location: found.geolocation?.replace(/^[,\s]+/, '') || null,
    reliability: found.reliability2 ?? null,
    available: found.rentable ?? true,
    hostId: found.host_id == null ? undefined : String(found.host_id),
    disk: {
      perGbHour: perMonth == null ? beside / defaultDiskGb : (perMonth * 1e6) / hoursPerMonth,
      includedGb: defaultDiskGb,
    },
    diskSpaceGb: found.disk_space ?? undefined,
    egressPerGb: (found.inet_up_cost ?? 0) * 1e6,
    // Rounded up: a bid below it is refused.
    minBid: bid > 0 ? Math.ceil(bid * 1e6) : undefined,
    cuda: found.cuda_max_good ?? undefined,
    inetDown: found.inet_down ?? undefined,
    inetUp: found.inet_up ?? undefined,
    verified: found.verification == null ? undefined : found.verification === 'verified',
    gpuFraction: found.gpu_frac ?? undefined,
  }
}
