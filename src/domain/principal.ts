import type { MicroUsd } from './money.ts'

/** Who is calling: the account behind a credential, and what that credential may do. */
export interface Principal {
  accountId: string
  /** The API key's id; limits and logs name this, never the key. */
  keyId: string
  role: 'user' | 'administrator'
  scopes: readonly Scope[]
  limits: { key: KeyLimits; account: LimitSettings }
}

export const scopes = ['inference', 'gpu', 'billing', 'admin'] as const
export type Scope = (typeof scopes)[number]

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
