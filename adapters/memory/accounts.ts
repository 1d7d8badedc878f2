/** Accounts that live as long as the process: for tests and benches that are about something else. */
import type { LimitSettings, Principal } from '../../src/domain/principal.ts'
import type { Accounts, ApiKey, Clock } from '../../src/ports.ts'
import { systemClock } from '../../src/resilience/clock.ts'

export interface MemoryAccounts extends Accounts {
  add(apiKey: string, principal: Principal): void
  revoke(apiKey: string): void
}

interface Stored {
  principal: Principal
  key: ApiKey
}

export function createMemoryAccounts({ clock = systemClock }: { clock?: Clock } = {}): MemoryAccounts {
  const accounts = new Map<string, { role: Principal['role']; limits: LimitSettings }>()
  /** By the key itself, in the order in which they were made. */
  const stored = new Map<string, Stored>()

  const isValid = ({ key: { expiresAt } }: Stored) => !expiresAt || expiresAt.getTime() > clock.wallNow()
  const store = (apiKey: string, principal: Principal, own: Partial<ApiKey> = {}) => {
    const key: ApiKey = {
      id: principal.keyId,
      name: 'a key',
      prefix: apiKey.replace(/^ak_live_/, '').slice(0, 4),
      scopes: principal.scopes,
      limits: principal.limits.key,
      createdAt: new Date(clock.wallNow()),
      expiresAt: undefined,
      lastUsedAt: undefined,
      ...own,
    }
    stored.set(apiKey, { principal, key })
    return key
  }

  return {
    async findByApiKey(apiKey) {
      const found = stored.get(apiKey)
      return found && isValid(found) ? found.principal : undefined
    },
    async createAccount({ role = 'user', limits = {} }) {
      const accountId = crypto.randomUUID()
      accounts.set(accountId, { role, limits })
      return { accountId }
    },
    async createApiKey(accountId, { name, scopes, limits = {}, expiresAt }) {
      const account = accounts.get(accountId)
      if (!account) throw new Error('there is no such account')
      const apiKey = `ak_live_${crypto.randomUUID().replaceAll('-', '')}`
      const { role, limits: ofAccount } = account
      const principal: Principal = {
        accountId,
        keyId: crypto.randomUUID(),
        role,
        scopes,
        limits: { key: limits, account: ofAccount },
      }
      return { ...store(apiKey, principal, { name, expiresAt }), apiKey }
    },
    async listApiKeys(accountId) {
      const own = [...stored.values()].filter(({ principal }) => principal.accountId === accountId)
      return own.map(({ key }) => key).reverse()
    },
    async revokeApiKey(accountId, keyId) {
      for (const [apiKey, { principal }] of stored) {
        if (principal.accountId === accountId && principal.keyId === keyId) return stored.delete(apiKey)
      }
      return false
    },
    add: (apiKey, principal) => void store(apiKey, principal),
    revoke: (apiKey) => void stored.delete(apiKey),
  }
}
