/** Whether an account would pay less for its own traffic on rented machines. */
import type { OfferFilter } from '../domain/offer.ts'
import { compareOffers, type PricedOffer, pricedOffers } from '../domain/offer-price.ts'
import { type Comparison, compare } from '../domain/rent-or-buy.ts'
import { billionsOf, servingOf } from '../domain/serving.ts'
import { type ServingRate, servingRate } from '../domain/serving-rate.ts'
import { dayOf, daysAfter, type UsageGroup } from '../domain/statement.ts'
import type { Clock, Statements } from '../ports.ts'
import type { MarketLists, ReadMarketLists } from './market-lists.ts'

export interface Advice {
  from: string
  to: string
  models: ModelAdvice[]
  providers: MarketLists['providers']
}

export interface ModelAdvice {
  usage: UsageGroup
  verdict: 'rent' | 'buy' | 'unknown'
  why: 'cheaper' | 'too_little' | 'never' | 'no_traffic' | 'nothing_paid' | 'no_machine' | 'not_served'
  /** The cheapest machine that it fits on, and how it compares. */
  rented?: { machine: PricedOffer; rate: ServingRate; billions: number | undefined; comparison: Comparison }
}

/** `model`: that one alone, whether it was used or not. */
export type Advise = (accountId: string, model: string | undefined) => Promise<Advice>

export interface AdviceOptions {
  clock: Pick<Clock, 'wallNow'>
  statements: Pick<Statements, 'usage'>
  lists: ReadMarketLists
}

export const adviceDays = 30
/** In one answer; the dearest come first. */
const maxModels = 20
const hourMs = 3_600_000
const byPrice = compareOffers('price')

export function createAdvise({ clock, statements, lists }: AdviceOptions): Advise {
  return async function advise(accountId, model) {
    const now = clock.wallNow()
    const to = dayOf(now)
    const from = daysAfter(to, 1 - adviceDays)
    const [{ offers, providers }, usage] = await Promise.all([
      lists(),
      statements.usage(accountId, { groupBy: 'model', from, to }),
    ])
    const hours = (now - Date.parse(from)) / hourMs

    function adviceOn(used: UsageGroup): ModelAdvice {
      const serving = servingOf(used.group)
      if (typeof serving === 'string') return { usage: used, verdict: 'buy', why: 'not_served' }
      const { gpuCount, minVramGb, diskGb } = serving
      const filter: OfferFilter = { gpuCount, minVramGb, diskGb }
      const machine = pricedOffers(offers, filter).sort(byPrice)[0]
      if (!machine) return { usage: used, verdict: 'unknown', why: 'no_machine' }
      const billions = billionsOf(used.group)
      const rate = servingRate(machine.offer, billions)
      const { outputTokensPerSecond } = rate
      const pricePerHour = machine.price.perHour
      const comparison = compare({ ...used, paid: used.cost, hours }, { pricePerHour, outputTokensPerSecond })
      return { usage: used, ...verdictOf(comparison), rented: { machine, rate, billions, comparison } }
    }

    const found = usage.filter(({ group }) => isModel(group) && (model === undefined || group === model))
    const asked = model !== undefined && found.length === 0 ? [unused(model)] : found
    const talked = asked.filter((used) => model !== undefined || used.inputTokens + used.outputTokens > 0)
    return { from, to, providers, models: talked.slice(0, maxModels).map(adviceOn) }
  }
}

function verdictOf(comparison: Comparison): Pick<ModelAdvice, 'verdict' | 'why'> {
  const { tokens, boughtPerMonth, worthRenting, breakEvenPerHour } = comparison
  if (tokens === 0) return { verdict: 'buy', why: 'no_traffic' }
  if (boughtPerMonth === 0) return { verdict: 'buy', why: 'nothing_paid' }
  if (worthRenting > 0) return { verdict: 'rent', why: 'cheaper' }
  return { verdict: 'buy', why: breakEvenPerHour === undefined ? 'never' : 'too_little' }
}

/** The hours of rented machines stand among the models. */
const isModel = (group: string) => !group.startsWith('gpu:')

const unused = (group: string): UsageGroup => ({
  ...{ group, requests: 0, inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, cost: 0 },
})
