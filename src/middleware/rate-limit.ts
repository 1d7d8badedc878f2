/** Requests a minute per API key, told in the IETF's RateLimit headers and in OpenAI's own. */
import type { MiddlewareHandler } from 'hono'
import { ApiError } from '../errors.ts'
import type { Metrics, RateLimiter } from '../ports.ts'
import { instruments } from '../telemetry/instruments.ts'
import { principalOf } from './authenticate.ts'
import type { AppEnv } from './request-context.ts'

export interface RateLimitOptions {
  rateLimiter: RateLimiter
  /** For keys without a limit of their own. */
  perMinute: number
  metrics: Metrics
}

export const rateLimit = ({ rateLimiter, perMinute, metrics }: RateLimitOptions): MiddlewareHandler<AppEnv> =>
  async function rateLimit(c, next) {
    const principal = principalOf(c)
    const limit = principal.rateLimitPerMinute ?? perMinute
    const taken = rateLimiter.take(principal.keyId, limit)
    const { allowed, remaining, resetMs, retryAfterMs } = taken instanceof Promise ? await taken : taken
    const { headers } = c.get('request')
    const resetSeconds = Math.ceil(resetMs / 1000)
    headers['ratelimit-policy'] = `"default";q=${limit};w=60`
    headers.ratelimit = `"default";r=${remaining};t=${resetSeconds}`
    headers['x-ratelimit-limit-requests'] = String(limit)
    headers['x-ratelimit-remaining-requests'] = String(remaining)
    headers['x-ratelimit-reset-requests'] = `${resetSeconds}s`
    if (!allowed) {
      metrics.count(instruments.rateLimited, { scope: 'key' })
      throw new ApiError('rate_limited', {
        message: `This API key may make ${limit} requests a minute. Slow down, or ask for a higher limit.`,
        retryAfterMs,
      })
    }
    await next()
  }
