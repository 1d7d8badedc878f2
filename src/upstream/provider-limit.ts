/** What a provider allows the whole fleet, by the routing file: requests and tokens a minute, calls at once. */
import type { Claim, ClaimSet, Decision, Limits } from '../resilience/limits.ts'

export interface ProviderLimitOptions {
  /** The provider's. */
  name: string
  requestsPerMinute: number | undefined
  tokensPerMinute: number | undefined
  maxConcurrent: number | undefined
  limits: Limits
  newId: () => string
}

export interface ProviderLimit {
  /** `end` must be called when the call has ended. */
  take(tokens: number): Promise<{ end: () => void } | { retryAfterMs: number }>
}

/** Undefined where nothing is limited. */
export function createProviderLimit({ name, limits, newId, ...most }: ProviderLimitOptions): ProviderLimit | undefined {
  const claim = (unit: Claim['unit'], limit: number | undefined): Claim[] =>
    limit === undefined ? [] : [{ scope: 'provider', unit, limit, key: `${unit}:provider:${name}` }]
  const claims = [
    ...claim('requests', most.requestsPerMinute),
    ...claim('tokens', most.tokensPerMinute),
    ...claim('places', most.maxConcurrent),
  ]
  if (claims.length === 0) return undefined
  const set: ClaimSet = { group: `provider:${name}`, claims }
  return {
    async take(tokens) {
      const id = newId()
      const decision: Decision = await limits.take(set, id, tokens)
      if (decision.refusedBy) return { retryAfterMs: decision.retryAfterMs }
      return { end: () => limits.end(set, id) }
    },
  }
}
