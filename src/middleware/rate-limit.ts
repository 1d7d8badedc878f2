/** Requests a minute per API key, told in the IETF's RateLimit headers and in OpenAI's own. */
import { ApiError } from '../errors.ts'
import type { Metrics, RateDecision, RateLimiter } from '../ports.ts'
import { instruments } from '../telemetry/instruments.ts'
import { principalOf } from './authenticate.ts'
import type { Check } from './guard.ts'

export interface RateLimitOptions {
  rateLimiter: RateLimiter
  /** For keys without a limit of their own. */
  perMinute: number
  metrics: Metrics
}

export const rateLimit = ({ rateLimiter, perMinute, metrics }: RateLimitOptions): Check =>
  function rateLimit(c) {
    const principal = principalOf(c)
    const limit = principal.rateLimitPerMinute ?? perMinute
    const decide = ({ allowed, remaining, resetMs, retryAfterMs }: RateDecision): undefined => {
      const { headers } = c.get('request')
      const resetSeconds = Math.ceil(resetMs / 1000)
      headers['ratelimit-policy'] = `"default";q=${limit};w=60`
      headers.ratelimit = `"default";r=${remaining};t=${resetSeconds}`
      headers['x-ratelimit-limit-requests'] = String(limit)
      headers['x-ratelimit-remaining-requests'] = String(remaining)
      headers['x-ratelimit-reset-requests'] = `${resetSeconds}s`
      if (allowed) return undefined
      metrics.count(instruments.rateLimited, { scope: 'key' })
      throw new ApiError('rate_limited', {
        message: `This API key may make ${limit} requests a minute. Slow down, or ask for a higher limit.`,
        retryAfterMs,
      })
    }
    const taken = rateLimiter.take(principal.keyId, limit)
    return taken instanceof Promise ? taken.then(decide) : decide(taken)
  }
