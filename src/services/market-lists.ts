/** What all markets list now, from the same snapshots as the search. A market that is down is missing, and said to be. */
import type { MarketName, Offer } from '../domain/offer.ts'
import { type Offers, whyMissing } from './offers.ts'

export interface MarketLists {
  offers: Offer[]
  /** When a market was asked. */
  asOf: ReadonlyMap<MarketName, string>
  providers: { name: MarketName; status: string; as_of?: string; error?: string }[]
}

export interface MarketListsOptions {
  offers: Pick<Offers, 'snapshot'>
  markets: readonly MarketName[]
  /** Names of the markets that are not configured. */
  absent: readonly MarketName[]
}

export type ReadMarketLists = () => Promise<MarketLists>

export const createMarketLists = ({ offers, markets, absent }: MarketListsOptions): ReadMarketLists =>
  async function readMarketLists() {
    const answers = await Promise.allSettled(markets.map((name) => offers.snapshot(name)))
    const lists: MarketLists & { asOf: Map<MarketName, string> } = { offers: [], asOf: new Map(), providers: [] }
    for (const [i, name] of markets.entries()) {
      const answer = answers[i]!
      if (answer.status === 'rejected') {
        lists.providers.push({ name, ...whyMissing(answer) })
        continue
      }
      lists.offers.push(...answer.value.offers)
      lists.asOf.set(name, answer.value.asOf)
      lists.providers.push({ name, status: 'ok', as_of: answer.value.asOf })
    }
    for (const name of absent) lists.providers.push({ name, status: 'not_configured' })
    return lists
  }
