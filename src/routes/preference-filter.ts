/** What a saved preference looks for. Whatever takes a search takes one by its name. */
import * as z from 'zod'
import type { OfferFilter } from '../domain/offer.ts'
import type { Preference } from '../domain/preference.ts'
import type { SavedPreferences } from '../services/preferences.ts'
import { filterFields, filterOf } from './offer-filters.ts'
import { parseOr400 } from './parse.ts'

/** The preference has its own models and its own price. */
export const preferenceFilters = z.strictObject(filterFields).omit({ gpu_model: true, max_price: true })

export const preferenceName = z
  .string()
  .regex(/^[A-Za-z0-9][\w.-]{0,63}$/, 'must be 1 to 64 letters, digits and ._-, the first a letter or digit')

export function filterOfPreference({ models, filters, maxPrice, fallbackPricePercent }: Preference): OfferFilter {
  return {
    ...filterOf(parseOr400(preferenceFilters, filters)),
    maxPriceMicroUsd: maxPrice,
    preferred: { models, fallbackPercent: fallbackPricePercent },
  }
}

/** By name, where one is named; what is asked for beside it goes before what it says itself. */
export async function withPreference(
  preferences: Pick<SavedPreferences, 'find'>,
  accountId: string,
  name: string | undefined,
  filter: OfferFilter,
): Promise<OfferFilter> {
  if (name === undefined) return filter
  const saved = filterOfPreference(await preferences.find(accountId, name))
  const asked = Object.entries(filter).filter(([, value]) => value !== undefined)
  return { ...saved, ...Object.fromEntries(asked) }
}
