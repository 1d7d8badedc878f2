/** What an account has saved to look for machines by. */
import { Hono } from 'hono'
import * as z from 'zod'
import { type MicroUsd, microUsd, usd } from '../domain/money.ts'
import type { ModelFound, Preference } from '../domain/preference.ts'
import { ApiError } from '../errors.ts'
import { principalOf } from '../middleware/authenticate.ts'
import type { ReadJson } from '../middleware/json-body.ts'
import { type AppContext, type AppEnv, respond, respondJson } from '../middleware/request-context.ts'
import { offerJson } from '../services/offers.ts'
import type { SavedPreferences } from '../services/preferences.ts'
import { parseOr400 } from './parse.ts'
import { filterOfPreference, preferenceFilters, preferenceName } from './preference-filter.ts'
import { printable } from './sign-in.ts'

export interface PreferenceRouteOptions {
  preferences: SavedPreferences
  readJson: ReadJson
}

export const body = z.strictObject({
  name: z.string().optional(),
  models: z
    .array(printable(z.string().min(1).max(100)))
    .min(1)
    .max(20),
  filters: preferenceFilters.default({}),
  max_price: z.number().positive().max(1e9).transform(microUsd).optional(),
  fallback_price_percent: z.number().min(0).max(1_000).optional(),
})

export function preferenceRoutes({ preferences, readJson }: PreferenceRouteOptions) {
  const app = new Hono<AppEnv>()

  app.get('/', async (c) => {
    const found = await preferences.list(principalOf(c).accountId)
    return respondJson(c, 200, { preferences: found.map(preferenceJson) })
  })
  app.get('/:name', async (c) => {
    return respondJson(c, 200, preferenceJson(await preferences.find(principalOf(c).accountId, nameIn(c))))
  })
  app.put('/:name', async (c) => {
    const { name } = parseOr400(z.object({ name: preferenceName }), { name: c.req.param('name') })
    const asked = parseOr400(body, (await readJson(c)).value)
    if (asked.name !== undefined && asked.name !== name) {
      throw new ApiError('invalid_body', { message: 'name: must be the name in the path.', param: 'name' })
    }
    const { preference, isNew } = await preferences.save(principalOf(c).accountId, {
      name,
      models: asked.models,
      filters: asked.filters,
      maxPrice: asked.max_price,
      fallbackPricePercent: asked.fallback_price_percent,
    })
    return respondJson(c, isNew ? 201 : 200, preferenceJson(preference))
  })
  app.delete('/:name', async (c) => {
    await preferences.remove(principalOf(c).accountId, nameIn(c))
    return respond(c, 204, {}, null)
  })
  app.get('/:name/offers', async (c) => {
    const preference = await preferences.find(principalOf(c).accountId, nameIn(c))
    const { models, asOf, providers } = await preferences.tryOut(filterOfPreference(preference))
    return respondJson(c, 200, {
      preference: preference.name,
      taken: models.find(({ outcome }) => outcome === 'taken')?.model ?? null,
      models: models.map((found) => ({
        gpu_model: found.model,
        outcome: found.outcome,
        reason: reasonOf(found, preference),
        ...found.counts,
        ...(found.limit && { price_limit: usd(found.limit.price) }),
        ...(found.cheapest && {
          cheapest: offerJson({ ...found.cheapest, asOf: asOf.get(found.cheapest.offer.market)! }),
        }),
      })),
      providers,
    })
  })
  return app
}

/** What cannot be a name is the name of nothing, and no question for the database. */
function nameIn(c: AppContext): string {
  const { success, data } = preferenceName.safeParse(c.req.param('name'))
  if (!success) throw new ApiError('preference_not_found')
  return data
}

const preferenceJson = ({ name, models, filters, maxPrice, fallbackPricePercent, updatedAt }: Preference) => ({
  name,
  models,
  filters,
  ...(maxPrice !== undefined && { max_price: usd(maxPrice) }),
  ...(fallbackPricePercent !== undefined && { fallback_price_percent: fallbackPricePercent }),
  updated_at: updatedAt.toISOString(),
})

const dollars = (price: MicroUsd) => `$${usd(price)} an hour`

function reasonOf({ outcome, counts, cheapest, limit }: ModelFound, { fallbackPricePercent }: Preference): string {
  switch (outcome) {
    case 'taken':
      return `Taken: the cheapest costs ${dollars(cheapest!.price.perHour)}.`
    case 'next':
      return 'It would do, and a model before it is taken.'
    case 'too_dear':
      return `The cheapest costs ${dollars(cheapest!.price.perHour)}, which is more than ${fallbackPricePercent} % above the cheapest ${limit!.than}: up to ${dollars(limit!.price)} would be taken.`
    case 'over_max_price':
      return `${counts.fitting} would fit, and the cheapest costs ${dollars(cheapest!.price.perHour)}: more than max_price.`
    case 'no_fit':
      return `${counts.listed} are listed, and none of them passes the filters.`
    case 'not_listed':
      return 'No market that answers lists it now.'
  }
}
