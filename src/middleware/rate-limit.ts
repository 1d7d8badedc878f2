/**
 * What a request may draw on: requests a minute, and where the key or its account has such limits, tokens a minute and
 * requests at once. All of them or none; told in the IETF's RateLimit headers and in OpenAI's own.
 */
import type { LimitSettings, Principal } from '../domain/principal.ts'
import { ApiError } from '../errors.ts'
import type { Metrics } from '../ports.ts'
import type { Claim, ClaimSet, Decision, Limits } from '../resilience/limits.ts'
import { instruments } from '../telemetry/instruments.ts'
import { principalOf } from './authenticate.ts'
import type { Check } from './guard.ts'
import { type AppContext, header } from './request-context.ts'

export interface RateLimitOptions {
  limits: Limits
  /** Requests a minute for keys without a limit of their own. */
  perMinute: number
  metrics: Metrics
}

/** Of a prompt in JSON, roughly. What it was in truth is settled at the end. */
const bytesPerToken = 4
/** For bodies of unknown length. */
const usualTokens = 1_000

/** Before the body is read, by its length alone; a file says nothing about its tokens. */
export function expectedTokens(c: AppContext): number {
  if (header(c, 'content-type')?.startsWith('multipart/')) return 1
  const length = header(c, 'content-length')
  return length === undefined ? usualTokens : Math.ceil(Number(length) / bytesPerToken) || 1
}

const words: Record<Claim['unit'], (limit: number) => string> = {
  requests: (limit) => `make ${limit} requests a minute`,
  tokens: (limit) => `use ${limit} tokens a minute`,
  places: (limit) => `have ${limit} requests under way at once`,
}
const owner: Record<Claim['scope'], string> = {
  key: 'This API key',
  account: 'This account',
  provider: 'The provider',
  address: 'Your address',
}
const advice = 'Slow down, or ask for a higher limit.'

export const rateLimit = ({ limits, perMinute, metrics }: RateLimitOptions): Check => {
  // Principals are remembered for seconds, and their claims with them.
  const sets = new WeakMap<Principal, { model: PrincipalClaims; other: PrincipalClaims }>()
  const setsOf = (principal: Principal) => {
    let found = sets.get(principal)
    if (!found) {
      const claims = claimsOf(principal, perMinute)
      const other = claims.filter(({ unit }) => unit !== 'tokens')
      found = { model: setOf(principal, claims), other: setOf(principal, other) }
      sets.set(principal, found)
    }
    return found
  }

  return function rateLimit(c) {
    const request = c.get('request')
    const { model, other } = setsOf(principalOf(c))
    const set = asksModel(c) ? model : other
    const expected = set.countsTokens ? expectedTokens(c) : 0
    const decide = (decision: Decision): undefined => {
      tell(request.headers, set, decision)
      if (decision.refusedBy) {
        const { scope, unit, limit } = decision.refusedBy
        metrics.count(instruments.rateLimited, { scope })
        throw new ApiError('rate_limited', {
          message: `${owner[scope]} may ${words[unit](limit)}. ${advice}`,
          retryAfterMs: decision.retryAfterMs,
        })
      }
      if (!set.ends) return
      request.onEnd((status) => {
        // What failed has cost nothing; what a caller broke off has cost nobody knows how much.
        const failed = status >= 400 && status !== 499
        const used = request.tokensUsed ?? (failed ? 0 : undefined)
        limits.end(set, request.id, used === undefined ? undefined : { expected, used })
      })
    }
    const taken = limits.take(set, request.id, expected)
    return taken instanceof Promise ? taken.then(decide) : decide(taken)
  }
}

/** What may use tokens; lists, deletions and the rest of the API do not. */
const asksModel = ({ req }: AppContext) => req.method === 'POST' && req.path.startsWith('/v1/')

interface PrincipalClaims extends ClaimSet {
  countsTokens: boolean
  /** Whether the end of a request changes anything. */
  ends: boolean
}

function claimsOf(principal: Principal, perMinute: number): Claim[] {
  const { accountId, keyId, limits } = principal
  const of = (scope: Claim['scope'], owner: string, settings: LimitSettings): Claim[] => {
    const { requestsPerMinute, tokensPerMinute, maxConcurrent } = settings
    const claim = (unit: Claim['unit'], limit: number | undefined, of: string): Claim[] =>
      limit === undefined ? [] : [{ scope, unit, limit, key: `${unit}:${of}` }]
    return [
      ...claim('requests', requestsPerMinute, owner),
      // What is owed was reckoned by the limit that it exceeded, and is not owed under another.
      ...claim('tokens', tokensPerMinute, `${owner}:${tokensPerMinute}`),
      ...claim('places', maxConcurrent, owner),
    ]
  }
  return [
    ...of('key', keyId, { ...limits.key, requestsPerMinute: limits.key.requestsPerMinute ?? perMinute }),
    ...of('account', accountId, limits.account),
  ]
}

function setOf({ accountId }: Principal, claims: readonly Claim[]): PrincipalClaims {
  const countsTokens = claims.some(({ unit }) => unit === 'tokens')
  return { group: accountId, claims, countsTokens, ends: claims.some(({ unit }) => unit !== 'requests') }
}

/** Of the key's claims on one unit, and where there is none of the account's. */
function tell(headers: Record<string, string>, { claims }: ClaimSet, { allowances }: Decision) {
  for (let i = claims.length - 1; i >= 0; i--) {
    const { unit, limit } = claims[i]!
    const { remaining, resetMs } = allowances[i]!
    const resetSeconds = Math.ceil(resetMs / 1000)
    if (unit === 'places') continue
    // The key's claims come first, so they are told last and stand.
    if (unit === 'requests') {
      headers['ratelimit-policy'] = `"default";q=${limit};w=60`
      headers.ratelimit = `"default";r=${remaining};t=${resetSeconds}`
    }
    headers[`x-ratelimit-limit-${unit}`] = String(limit)
    headers[`x-ratelimit-remaining-${unit}`] = String(remaining)
    headers[`x-ratelimit-reset-${unit}`] = `${resetSeconds}s`
  }
}
