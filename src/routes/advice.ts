/** Rent or buy, for the caller's own traffic. */
import { Hono } from 'hono'
import * as z from 'zod'
import { formatUsd, usd } from '../domain/money.ts'
import { hoursPerMonth } from '../domain/rent-or-buy.ts'
import { usualBillions } from '../domain/serving-rate.ts'
import { principalOf } from '../middleware/authenticate.ts'
import { type AppEnv, respondJson } from '../middleware/request-context.ts'
import { type Advise, adviceDays, type ModelAdvice } from '../services/advice.ts'
import { currency } from '../services/money-shapes.ts'
import { parseOr400 } from './parse.ts'

export const query = z.strictObject({ model: z.string().min(1).max(200).optional() })

export function adviceRoutes({ advise }: { advise: Advise }) {
  const app = new Hono<AppEnv>()
  app.get('/', async (c) => {
    const { model } = parseOr400(query, c.req.query(), 'invalid_query')
    const { from, to, models, providers } = await advise(principalOf(c).accountId, model)
    return respondJson(c, 200, {
      ...{ from, to, currency },
      summary: summaryOf(models),
      models: models.map(modelJson),
      providers,
    })
  })
  return app
}

function summaryOf(models: readonly ModelAdvice[]): string {
  if (models.length === 0) return `No tokens were used in ${adviceDays} days: there is nothing to compare.`
  const rent = models.filter(({ verdict }) => verdict === 'rent').map(({ usage }) => usage.group)
  return rent.length > 0
    ? `By these estimates it is cheaper to rent for ${rent.join(', ')}.`
    : 'By these estimates it is cheaper to buy all of it.'
}

const orNull = (micro: number | undefined) => (micro === undefined ? null : formatUsd(micro))

function modelJson(advice: ModelAdvice) {
  const { usage, verdict, rented } = advice
  const { inputTokens, cachedInputTokens, outputTokens } = usage
  const total = inputTokens + outputTokens
  return {
    model: usage.group,
    ...{ verdict, reason: reasonOf(advice) },
    tokens: { input: inputTokens, cached_input: cachedInputTokens, output: outputTokens, total },
    paid: formatUsd(usage.cost),
    bought_per_million: total > 0 ? formatUsd(Math.round((usage.cost / total) * 1e6)) : null,
    ...(rented && rentedJson(rented)),
  }
}

function rentedJson({ machine, rate, billions, comparison }: NonNullable<ModelAdvice['rented']>) {
  const { id, market, gpuModel, gpuCount } = machine.offer
  const { breakEvenPerHour: breakEven } = comparison
  return {
    rented_per_million: orNull(comparison.rentedPerMillion),
    rented_per_million_busy: formatUsd(comparison.rentedPerMillionBusy),
    per_month: {
      bought: formatUsd(comparison.boughtPerMonth),
      rented: formatUsd(comparison.rentedPerMonth),
      best: formatUsd(comparison.bestPerMonth),
    },
    break_even:
      breakEven === undefined ? null : { tokens_per_hour: breakEven, tokens_per_month: breakEven * hoursPerMonth },
    machine: {
      ...{ offer_id: id, provider: market, gpu_model: gpuModel, gpu_count: gpuCount },
      price_per_hour: usd(machine.price.perHour),
      machines: comparison.machines,
      worth_renting: comparison.worthRenting,
      utilisation: Number(comparison.utilisation.toPrecision(3)),
      tokens_per_hour: Math.round(comparison.tokensPerHour),
      capacity_tokens_per_hour: Math.round(comparison.capacityPerHour),
      estimate: {
        output_tokens_per_second: Math.round(rate.outputTokensPerSecond),
        billions_of_parameters: billions ?? usualBillions,
        basis: basisOf(rate.isKnown, billions),
      },
    },
  }
}

function basisOf(isKnown: boolean, billions: number | undefined): string {
  const card = isKnown ? 'a table of GPUs and sizes of models' : 'a cautious guess, since this GPU is not in the table'
  const size =
    billions === undefined ? `; the name tells no size, so ${usualBillions} billion parameters are taken` : ''
  return `An estimate, not a measurement: ${card}${size}. Many requests at once, spread evenly over the hours.`
}

function reasonOf({ why, rented }: ModelAdvice): string {
  const { comparison } = rented ?? {}
  switch (why) {
    case 'cheaper':
      return `${comparison!.worthRenting} of these machines, with the rest bought, cost $${formatUsd(comparison!.bestPerMonth)} a month; all of it bought costs $${formatUsd(comparison!.boughtPerMonth)}.`
    case 'too_little':
      return `Too few tokens: a machine pays from ${comparison!.breakEvenPerHour} an hour on, and there are ${Math.round(comparison!.tokensPerHour)}.`
    case 'never':
      return `Even a machine that is always busy costs $${formatUsd(comparison!.rentedPerMillionBusy)} a million tokens, more than they are bought for.`
    case 'no_traffic':
      return `No tokens of it were used in ${adviceDays} days: a machine would stand idle.`
    case 'nothing_paid':
      return 'Nothing was paid for these tokens.'
    case 'no_machine':
      return 'No market that answers lists a machine that it fits on.'
    case 'not_served':
      return 'It is no open model that is known here, so it cannot be served on a rented machine.'
  }
}
