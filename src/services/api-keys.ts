/** An account's keys, and the rule that nothing begets more than it is: what a key makes is at most what it may itself. */
import type { KeyLimits, Principal, Scope } from '../domain/principal.ts'
import { ApiError } from '../errors.ts'
import type { Accounts, ApiKey } from '../ports.ts'

export interface KeyWish {
  name: string
  /** @default all of the caller's but `admin` */
  scopes?: readonly Scope[] | undefined
  /** What is left out is as the caller's own. */
  limits: KeyLimits
  /** @default never, or with the caller's own key */
  expiresAt?: Date | undefined
}

export interface ApiKeys {
  list(who: Principal): Promise<ApiKey[]>
  create(who: Principal, wish: KeyWish): Promise<ApiKey & { apiKey: string }>
  rotate(who: Principal, keyId: string, overlapMs: number): Promise<ApiKey & { apiKey: string }>
  revoke(who: Principal, keyId: string): Promise<void>
}

export interface ApiKeysOptions {
  accounts: Accounts
  /** Requests a minute of keys that say nothing: no user makes one that may more. */
  requestsPerMinute: number
}

const numbers = ['requestsPerMinute', 'tokensPerMinute', 'maxConcurrent', 'budgetPerDay', 'budgetPerMonth'] as const
const fieldOf: Record<(typeof numbers)[number], string> = {
  requestsPerMinute: 'limits.requests_per_minute',
  tokensPerMinute: 'limits.tokens_per_minute',
  maxConcurrent: 'limits.max_concurrent',
  budgetPerDay: 'limits.budget_per_day',
  budgetPerMonth: 'limits.budget_per_month',
}

export function createApiKeys({ accounts, requestsPerMinute }: ApiKeysOptions): ApiKeys {
  /** What the caller may hand on at most. */
  async function ceilingOf({ accountId, keyId, role, limits, session }: Principal) {
    const own = session ? undefined : await accounts.findApiKey(accountId, keyId)
    // It was revoked a moment ago.
    if (!own && !session) throw new ApiError('invalid_credential')
    const byRole = role === 'administrator' ? undefined : (limits.account.requestsPerMinute ?? requestsPerMinute)
    const limit: KeyLimits = { ...limits.key, requestsPerMinute: limits.key.requestsPerMinute ?? byRole }
    return { limits: limit, expiresAt: own?.expiresAt }
  }
  type Ceiling = Awaited<ReturnType<typeof ceilingOf>>

  const refuse = (param: string, rule: string) => new ApiError('invalid_body', { message: `${param}: ${rule}.`, param })

  function checkHandedOn(who: Principal, ceiling: Ceiling, key: Pick<ApiKey, 'scopes' | 'limits' | 'expiresAt'>) {
    const beyond = key.scopes.find((scope) => !who.scopes.includes(scope))
    if (beyond !== undefined) throw refuse('scopes', `must be among your own, which "${beyond}" is not`)
    for (const each of numbers) {
      const most = ceiling.limits[each]
      if (most !== undefined && (key.limits[each] ?? Infinity) > most) {
        throw refuse(fieldOf[each], 'must not be looser than your own')
      }
    }
    const { models } = ceiling.limits
    if (models && !(key.limits.models ?? ['']).every((name) => models.includes(name))) {
      throw refuse('limits.models', 'must be among those that your own key may use')
    }
    if (ceiling.expiresAt && (key.expiresAt?.getTime() ?? Infinity) > ceiling.expiresAt.getTime()) {
      throw refuse('expires_at', 'must not be later than that of your own key')
    }
  }

  return {
    list: ({ accountId }) => accounts.listApiKeys(accountId),

    async create(who, { name, limits, ...wish }) {
      const ceiling = await ceilingOf(who)
      const key = {
        name,
        scopes: wish.scopes ?? who.scopes.filter((scope) => scope !== 'admin'),
        // A user's key without a limit has the gateway's, whatever that will be.
        limits: { ...who.limits.key, ...defined(limits) },
        expiresAt: wish.expiresAt ?? ceiling.expiresAt,
      }
      const { requestsPerMinute: ofKey, ...others } = key.limits
      const checked =
        ofKey === undefined ? { ...others, requestsPerMinute: ceiling.limits.requestsPerMinute } : key.limits
      checkHandedOn(who, ceiling, { ...key, limits: checked })
      return accounts.createApiKey(who.accountId, key)
    },

    async rotate(who, keyId, overlapMs) {
      const found = await accounts.findApiKey(who.accountId, keyId)
      if (!found) throw new ApiError('unknown_api_key')
      // Whoever rotates a key gets to know it. One's own session was there before any limit of its keys.
      if (!who.session) checkHandedOn(who, await ceilingOf(who), found)
      const made = await accounts.rotateApiKey(who.accountId, keyId, overlapMs)
      if (!made) throw new ApiError('unknown_api_key')
      return made
    },

    async revoke({ accountId }, keyId) {
      if (!(await accounts.revokeApiKey(accountId, keyId))) throw new ApiError('unknown_api_key')
    },
  }
}

/** Without the fields that say nothing, which would cover others. */
const defined = (limits: KeyLimits): KeyLimits =>
  Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined))
