/** Bounds what strangers may ask, by where they ask from: they have no key whose limit could hold. */
import { ApiError } from '../errors.ts'
import type { Metrics } from '../ports.ts'
import type { Claim, Limits } from '../resilience/limits.ts'
import { instruments } from '../telemetry/instruments.ts'
import { clientAddress } from './client-address.ts'
import type { Check } from './guard.ts'

export interface AddressLimitOptions {
  limits: Limits
  metrics: Metrics
  /** What is counted together. */
  purpose: string
  /** Requests a minute of one address. */
  perMinute: number
  trustedHops: number
}

export const addressLimit = ({ limits, metrics, purpose, perMinute, trustedHops }: AddressLimitOptions): Check =>
  function addressLimit(c) {
    const address = clientAddress(c, trustedHops)
    const key = `requests:${purpose}:${address}`
    const claim: Claim = { scope: 'address', unit: 'requests', limit: perMinute, key }
    const decide = (decision: Awaited<ReturnType<Limits['take']>>): undefined => {
      if (!decision.refusedBy) return
      metrics.count(instruments.rateLimited, { scope: 'address' })
      throw new ApiError('rate_limited', {
        message: `Your address may do this ${perMinute} times a minute. Slow down.`,
        retryAfterMs: decision.retryAfterMs,
      })
    }
    const taken = limits.take({ group: address, claims: [claim] }, c.get('request').id)
    return taken instanceof Promise ? taken.then(decide) : decide(taken)
  }
