/** An account's own preferences. Those of others are not there. */
import type { OfferFilter } from '../domain/offer.ts'
import { findByPreference, type ModelFound, type Preference } from '../domain/preference.ts'
import { ApiError } from '../errors.ts'
import type { Clock, Preferences } from '../ports.ts'
import type { MarketLists, ReadMarketLists } from './market-lists.ts'

export interface SavedPreferences {
  /** @throws ApiError `preference_not_found` */
  find(accountId: string, name: string): Promise<Preference>
  list(accountId: string): Promise<Preference[]>
  /** @throws ApiError `too_many_preferences` */
  save(
    accountId: string,
    preference: Omit<Preference, 'updatedAt'>,
  ): Promise<{ preference: Preference; isNew: boolean }>
  /** @throws ApiError `preference_not_found` */
  remove(accountId: string, name: string): Promise<void>
  /** What it would find now, of each of its models. Nothing is rented. */
  tryOut(filter: OfferFilter): Promise<Pick<MarketLists, 'providers' | 'asOf'> & { models: ModelFound[] }>
}

export interface SavedPreferencesOptions {
  clock: Pick<Clock, 'wallNow'>
  store: Preferences
  lists: ReadMarketLists
}

export function createSavedPreferences({ clock, store, lists }: SavedPreferencesOptions): SavedPreferences {
  return {
    async find(accountId, name) {
      const found = await store.find(accountId, name)
      if (!found) throw new ApiError('preference_not_found')
      return found
    },
    list: (accountId) => store.list(accountId),
    async save(accountId, given) {
      const preference = { ...given, updatedAt: new Date(clock.wallNow()) }
      const saved = await store.save(accountId, preference)
      if (saved === 'too_many') throw new ApiError('too_many_preferences')
      return { preference, isNew: saved === 'created' }
    },
    async remove(accountId, name) {
      if (!(await store.remove(accountId, name))) throw new ApiError('preference_not_found')
    },
    async tryOut({ preferred = { models: [] }, ...filter }) {
      const { offers, asOf, providers } = await lists()
      return { models: findByPreference(offers, filter, preferred), asOf, providers }
    },
  }
}
