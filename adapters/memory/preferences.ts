/** Preferences of one process, for tests. */
import { maxPreferences, type Preference } from '../../src/domain/preference.ts'
import type { Preferences } from '../../src/ports.ts'

export function createMemoryPreferences(): Preferences {
  const accounts = new Map<string, Map<string, Preference>>()
  const of = (accountId: string) => accounts.get(accountId) ?? new Map<string, Preference>()
  return {
    async save(accountId, preference) {
      const own = of(accountId)
      const isNew = !own.has(preference.name)
      if (isNew && own.size >= maxPreferences) return 'too_many'
      accounts.set(accountId, own.set(preference.name, preference))
      return isNew ? 'created' : 'replaced'
    },
    find: async (accountId, name) => of(accountId).get(name),
    list: async (accountId) => [...of(accountId).values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    remove: async (accountId, name) => of(accountId).delete(name),
  }
}
