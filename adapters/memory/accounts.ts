/** Accounts that live as long as the process: for tests and benches that are about something else. */
import {
  type KeyLimits,
  type LimitSettings,
  maxApiKeys,
  type Principal,
  type Role,
} from '../../src/domain/principal.ts'
import { ApiError } from '../../src/errors.ts'
import type { Accounts, ApiKey, Clock } from '../../src/ports.ts'
import { systemClock } from '../../src/resilience/clock.ts'

export interface MemoryAccounts extends Accounts {
  /** With the account whose it is. */
  add(apiKey: string, principal: Principal): void
  revoke(apiKey: string): void
  /** By id; what is changed there holds. */
  table: Map<string, MemoryAccount>
}

export interface MemoryAccount {
  name: string
  role: Role
  limits: LimitSettings
  createdAt: Date
  email?: string | undefined
  passwordHash?: string | undefined
  passwordExpiresAt?: Date | undefined
  disabledAt?: Date | undefined
  closed?: boolean
}

interface Stored {
  principal: Principal
  key: ApiKey
}

export function createMemoryAccounts({ clock = systemClock }: { clock?: Clock } = {}): MemoryAccounts {
  const table = new Map<string, MemoryAccount>()
  /** By the key itself, in the order in which they were made. */
  const stored = new Map<string, Stored>()

  const isValid = ({ key: { expiresAt } }: Stored) => !expiresAt || expiresAt.getTime() > clock.wallNow()
  const keysOf = (accountId: string) =>
    [...stored]
      .filter(([, { principal }]) => principal.accountId === accountId)
      .map(([apiKey, own]) => ({ apiKey, ...own }))
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
  const make = (
    accountId: string,
    own: Pick<ApiKey, 'name' | 'scopes' | 'expiresAt'>,
    limits: KeyLimits,
    most: number,
  ) => {
    const account = table.get(accountId)
    const live = keysOf(accountId).filter(isValid)
    if (!account || account.closed) throw new ApiError('unknown_account')
    if (live.length >= most) throw new ApiError('too_many_api_keys')
    const apiKey = `ak_live_${crypto.randomUUID().replaceAll('-', '')}`
    const principal: Principal = {
      accountId,
      keyId: crypto.randomUUID(),
      role: account.role,
      scopes: own.scopes,
      limits: { key: limits, account: account.limits },
    }
    return { ...store(apiKey, principal, own), apiKey }
  }
  /** Of keys that are gone. */
  const dropped = new Map<string, KeyLimits>()
  const drop = ({ apiKey, key, principal }: Stored & { apiKey: string }) => {
    dropped.set(`${principal.accountId}/${key.id}`, key.limits)
    return stored.delete(apiKey)
  }
  const find = (accountId: string, keyId: string) => keysOf(accountId).find(({ key }) => key.id === keyId)

  return {
    table,
    async findByApiKey(apiKey) {
      const found = stored.get(apiKey)
      if (!found || !isValid(found)) return undefined
      const { principal } = found
      const account = table.get(principal.accountId)
      if (!account || account.disabledAt) return undefined
      return { ...principal, role: account.role, limits: { ...principal.limits, account: account.limits } }
    },
    async createAccount({ name, role = 'user', limits = {} }) {
      const accountId = crypto.randomUUID()
      table.set(accountId, { name, role, limits, createdAt: new Date(clock.wallNow()) })
      return { accountId }
    },
    async createApiKey(accountId, { name, scopes, limits = {}, expiresAt }) {
      return make(accountId, { name, scopes, expiresAt }, limits, maxApiKeys)
    },
    async rotateApiKey(accountId, keyId, overlapMs) {
      const found = find(accountId, keyId)
      if (!found || !isValid(found)) return undefined
      const { name, scopes, limits, expiresAt } = found.key
      const made = make(accountId, { name, scopes, expiresAt }, limits, 2 * maxApiKeys)
      if (overlapMs === 0) drop(found)
      else found.key.expiresAt = new Date(Math.min(expiresAt?.getTime() ?? Infinity, clock.wallNow() + overlapMs))
      return made
    },
    findApiKey: async (accountId, keyId) => find(accountId, keyId)?.key,
    async listApiKeys(accountId) {
      return keysOf(accountId)
        .map(({ key }) => key)
        .reverse()
    },
    async keyLimits(accountId, keyId) {
      return find(accountId, keyId)?.key.limits ?? dropped.get(`${accountId}/${keyId}`)
    },
    async revokeApiKey(accountId, keyId) {
      const found = find(accountId, keyId)
      return found !== undefined && drop(found)
    },
    async recordKeyUse(uses) {
      for (const { accountId, keyId, at } of uses) {
        const key = find(accountId, keyId)?.key
        if (key && !(key.lastUsedAt && key.lastUsedAt > at)) key.lastUsedAt = at
      }
    },
    add(apiKey, principal) {
      const { accountId, role, limits } = principal
      const known = table.get(accountId) ?? { name: 'someone', createdAt: new Date(clock.wallNow()) }
      table.set(accountId, { ...known, role, limits: limits.account })
      store(apiKey, principal)
    },
    revoke: (apiKey) => void stored.delete(apiKey),
  }
}
