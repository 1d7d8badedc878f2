/** What GPUs have cost. */
import { Hono } from 'hono'
import * as z from 'zod'
import { usd } from '../domain/money.ts'
import { bidHolds, fewestHours } from '../domain/price-history.ts'
import { forAll } from '../middleware/for-all.ts'
import { type AppEnv, respondJson, wantsFresh } from '../middleware/request-context.ts'
import { currency } from '../services/money-shapes.ts'
import { keptDays, type PriceLook, type Prices } from '../services/prices.ts'
import { queryFields } from './offer-filters.ts'
import { count, parseOr400 } from './parse.ts'
import { printable } from './sign-in.ts'

export const query = z
  .strictObject({
    gpu_model: queryFields.gpu_model,
    provider: queryFields.provider,
    market: queryFields.provider,
    region: printable(z.string().min(1).max(60)).optional(),
    days: count(keptDays, 30),
  })
  .refine(({ provider, market }) => provider === undefined || market === undefined, {
    message: 'provider and market are one and the same; give one of them',
    path: ['market'],
  })

/** They change by the hour. */
const forTheEdge = forAll('prices', 60)

export function priceRoutes({ prices }: { prices: Prices }) {
  const app = new Hono<AppEnv>()
  app.get('/', async (c) => {
    const asked = parseOr400(query, c.req.query(), 'invalid_query')
    const { gpu_model: gpuModel, region, days, market = asked.provider } = asked
    const { looks, result } = await prices.look({ gpuModel, market, region, days }, wantsFresh(c))
    Object.assign(c.get('request').headers, { 'x-cache': result, ...forTheEdge })
    const none = 'No hour of such a GPU is known yet.'
    return respondJson(c, 200, {
      days,
      currency,
      prices: looks.map((look) => priceJson(look, days)),
      ...(looks.length === 0 && { summary: none }),
    })
  })
  return app
}

/** Dollars for one GPU and hour: the cheapest offer of a market, in a region or over all. */
const priceJson = (look: PriceLook, days: number) => ({
  gpu_model: look.gpuModel,
  provider: look.market,
  ...(look.region !== undefined && { region: look.region }),
  price_per_gpu_hour: usd(look.current),
  as_of: look.asOf.toISOString(),
  percentile: look.percentile,
  summary: summaryOf(look, days),
  hours: look.hours,
  percentiles: Object.fromEntries(Object.entries(look.percentiles).map(([name, price]) => [name, usd(price)])),
  bid: bidJson(look),
  interval: look.interval,
  history: look.history.map(({ at, price }) => ({ at: at.toISOString(), price: usd(price) })),
})

function summaryOf({ percentile, hours, asOf, isCurrent }: PriceLook, days: number): string {
  const known = `${countOf(hours)} known`
  if (!isCurrent)
    return `not offered today; at ${asOf.toISOString()} it was p${percentile} of ${days} days, of which ${known}`
  const stands = `today is p${percentile} of ${days} days, of which ${known}`
  return hours < fewestHours ? `${stands}: too few to rely on` : stands
}

const countOf = (hours: number) => `${hours} ${hours === 1 ? 'hour is' : 'hours are'}`

function bidJson({ bid: { price, hours } }: PriceLook) {
  if (price === undefined) {
    const basis =
      hours === 0
        ? 'No bids were taken in the hours that are known.'
        : `The lowest bid of ${countOf(hours)} known: too few, of ${fewestHours} that it takes.`
    return { price_per_gpu_hour: null, hours, basis }
  }
  return {
    price_per_gpu_hour: usd(price),
    hours,
    holds_in_percent: bidHolds,
    basis: `In ${bidHolds} % of ${hours} hours at least one machine took a bid no higher. Others may bid more for the machine that you get.`,
  }
}
