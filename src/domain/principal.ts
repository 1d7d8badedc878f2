/** Who is calling: the account behind a credential, and what that credential may do. */
export interface Principal {
  accountId: string
  /** The API key's id; limits and logs name this, never the key. */
  keyId: string
  role: 'user' | 'administrator'
  scopes: readonly Scope[]
  /** Requests a minute; undefined = the gateway's default. */
  rateLimitPerMinute: number | undefined
}

export const scopes = ['inference', 'gpu', 'billing', 'admin'] as const
export type Scope = (typeof scopes)[number]
