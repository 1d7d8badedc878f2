/** What accounts have saved to look for machines by. One row each. */
import { maxPreferences, type Preference } from '../../../src/domain/preference.ts'
import { ApiError } from '../../../src/errors.ts'
import type { Preferences } from '../../../src/ports.ts'
import type { Sql } from './client.ts'
import type { ConnectedCluster } from './connect-cluster.ts'

export function createPreferences({ cluster }: { cluster: Pick<ConnectedCluster, 'read' | 'write'> }): Preferences {
  return {
    save: (accountId, preference) =>
      // Where COMMIT got no answer it is saved again.
      cluster.write<Awaited<ReturnType<Preferences['save']>>>('save preference', { accountId }, async (sql) => {
        // Those that are saved at the same moment are counted one after the other, and none outlives its account.
        const [account] = await lockAccount(sql, accountId)
        if (account?.closed_at) throw new ApiError('unknown_account')
        const [others] = await countOthers(sql, accountId, preference.name)
        if (others!.count >= maxPreferences) return 'too_many'
        const [row] = await upsertPreference(sql, accountId, preference)
        return row!.is_new ? 'created' : 'replaced'
      }),

    async find(accountId, name) {
      const rows = await cluster.read('find preference', { reads: 'own', accountId }, (sql) =>
        selectPreference(sql, accountId, name),
      )
      return rows.map(toPreference)[0]
    },

    async list(accountId) {
      const rows = await cluster.read('list preferences', { reads: 'own', accountId }, (sql) =>
        selectPreferences(sql, accountId),
      )
      return rows.map(toPreference)
    },

    async remove(accountId, name) {
      const rows = await cluster.write('remove preference', { accountId }, (sql) =>
        deletePreference(sql, accountId, name),
      )
      return rows.length > 0
    },
  }
}

type Wish = Pick<Preference, 'models' | 'filters' | 'maxPrice' | 'fallbackPricePercent'>

interface PreferenceRow {
  name: string
  wish: Wish
  updated_at: Date
}

const toPreference = ({ name, wish, updated_at }: PreferenceRow): Preference => ({
  name,
  models: wish.models,
  filters: wish.filters,
  // What is not there was left out of the JSON.
  maxPrice: wish.maxPrice,
  fallbackPricePercent: wish.fallbackPricePercent,
  updatedAt: updated_at,
})

const wishOf = ({ models, filters, maxPrice, fallbackPricePercent }: Preference): Wish => ({
  models,
  filters,
  maxPrice,
  fallbackPricePercent,
})

const lockAccount = (sql: Sql, accountId: string) => sql<{ closed_at: Date | null }[]>`
  select closed_at from accounts where account_id = ${accountId} for no key update`

const countOthers = (sql: Sql, accountId: string, name: string) => sql<{ count: number }[]>`
  select count(*)::int as count from gpu_preferences where account_id = ${accountId} and name <> ${name}`

/** `xmax` is 0 in a row that was there for nobody before. */
const upsertPreference = (sql: Sql, accountId: string, preference: Preference) => sql<{ is_new: boolean }[]>`
  insert into gpu_preferences (account_id, name, wish, updated_at)
  values (${accountId}, ${preference.name}, ${JSON.stringify(wishOf(preference))}::text::jsonb, ${preference.updatedAt})
  on conflict (account_id, name) do update set wish = excluded.wish, updated_at = excluded.updated_at
  returning xmax = 0 as is_new`

const selectPreference = (sql: Sql, accountId: string, name: string) => sql<PreferenceRow[]>`
  select name, wish, updated_at from gpu_preferences where account_id = ${accountId} and name = ${name}`

const selectPreferences = (sql: Sql, accountId: string) => sql<PreferenceRow[]>`
  select name, wish, updated_at from gpu_preferences
  where account_id = ${accountId} order by name collate "C" limit ${maxPreferences}`

const deletePreference = (sql: Sql, accountId: string, name: string) => sql<object[]>`
  delete from gpu_preferences where account_id = ${accountId} and name = ${name} returning name`
