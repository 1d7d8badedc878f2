import type { MicroUsd } from './money.ts'

/** Who is calling: the account behind a credential, and what that credential may do. */
export interface Principal {
  accountId: string
  /** The API key's id, or the session's behind an access token; limits and logs name this, never the credential. */
  keyId: string
  role: Role
  scopes: readonly Scope[]
  limits: { key: KeyLimits; account: LimitSettings }
  /** Signed in with a password: the credential is an access token. @default false */
  session?: boolean
}

export type Role = 'user' | 'administrator'

export const scopes = ['inference', 'gpu', 'billing', 'admin'] as const
export type Scope = (typeof scopes)[number]

/** What somebody of this role may do at all, and does when signed in. */
export const scopesOf = (role: Role): Scope[] => scopes.filter((scope) => scope !== 'admin' || role === 'administrator')

/** What is undefined is not limited, but for a key's requests: there the gateway's default holds. */
export interface LimitSettings {
  requestsPerMinute?: number | undefined
  tokensPerMinute?: number | undefined
  maxConcurrent?: number | undefined
}

export interface KeyLimits extends LimitSettings {
  /** Models that may be asked for; undefined = all. */
  models?: readonly string[] | undefined
  /** What may be spent in a day and a month of UTC, in micro-dollars. */
  budgetPerDay?: MicroUsd | undefined
  budgetPerMonth?: MicroUsd | undefined
}

/** Keys of one account that work at the same time. */
export const maxApiKeys = 100
