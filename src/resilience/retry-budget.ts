/**
 * Keeps retries a small share of the traffic, so that they cannot turn an upstream's bad minute into its outage.
 * A token bucket: each first try earns a part of a token, each retry costs one; a trickle keeps quiet upstreams
 * retryable. Besides, only a share of the calls under way may be retries.
 */
import type { Clock } from './clock.ts'

export interface RetryBudgetOptions {
  clock: Clock
  /** Tokens earned by each first try. @default 0.1 */
  ratio?: number
  /** Tokens at the start. @default 10 */
  initialTokens?: number
  /** Most tokens kept: what a good hour has earned must not be a storm when the outage comes. @default 75 */
  maxTokens?: number
  /** Tokens earned each second, whatever the traffic. @default 1 */
  perSecond?: number
}

export interface RetryBudget {
  /** A first try begins; its end must be told by calling the answer once. */
  firstTry(): () => void
  /** A retry begins, and its end must be told by calling the answer once; undefined = the budget refuses it. */
  retry(): (() => void) | undefined
  /** Whether a retry would be refused now: what waits before its retry need not wait for that. */
  readonly exhausted: boolean
}

const minRetriesUnderWay = 3
const maxRetryShare = 0.2

export function createRetryBudget(options: RetryBudgetOptions): RetryBudget {
  const { clock, ratio = 0.1, initialTokens = 10, maxTokens = 75, perSecond = 1 } = options
  if (!(ratio >= 0 && ratio <= 1)) throw new TypeError(`ratio must be 0 to 1, got ${ratio}`)
  let tokens = initialTokens
  let refilledAt = clock.now()
  let active = 0
  let retries = 0

  const refill = () => {
    const now = clock.now()
    tokens = Math.min(maxTokens, tokens + ((now - refilledAt) / 1000) * perSecond)
    refilledAt = now
  }

  const exhausted = () => {
    refill()
    return tokens < 1 || retries >= Math.max(minRetriesUnderWay, Math.floor(maxRetryShare * active))
  }

  return {
    firstTry() {
      tokens = Math.min(maxTokens, tokens + ratio)
      active++
      return () => void active--
    },
    retry() {
      if (exhausted()) return undefined
      tokens--
      active++
      retries++
      return () => {
        active--
        retries--
      }
    },
    get exhausted() {
      return exhausted()
    },
  }
}
