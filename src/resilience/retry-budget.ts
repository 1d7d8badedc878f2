/**
 * Keeps retries a small share of the traffic, so that they cannot turn an upstream's bad minute into its outage.
 * A token bucket: each first try earns a part of a token, each retry costs one; a trickle keeps quiet upstreams
 * retryable. Besides, only a share of the calls under way may be retries.
 *
 * What a bucket begins with, keeps and is given is the fleet's, and each of its pods has an even share; what first tries
 * earn is each pod's own. A share may be less than one token: then a pod that was refused a retry may save up for one.
 */
import type { Clock } from './clock.ts'

export interface RetryBudgetOptions {
  clock: Clock
  /** Tokens earned by each first try. @default 0.1 */
  ratio?: number
  /** Tokens at the start, of all pods together. @default 10 */
  initialTokens?: number
  /** Most tokens kept by all pods together: what a good hour has earned must not be a storm when the outage comes. @default 75 */
  maxTokens?: number
  /** Tokens earned each second by all pods together, whatever the traffic. @default 1 */
  perSecond?: number
  /** Pods that share the upstream now; more of them make the share of this one smaller at once. @default 1 */
  pods?: () => number
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
const savingMs = 60_000

export function createRetryBudget(options: RetryBudgetOptions): RetryBudget {
  const { clock, ratio = 0.1, initialTokens = 10, maxTokens = 75, perSecond = 1, pods = () => 1 } = options
  if (!(ratio >= 0 && ratio <= 1)) throw new TypeError(`ratio must be 0 to 1, got ${ratio}`)
  let tokens = initialTokens / pods()
  /** So long after a refusal a share of less than one may grow to one: what an outage earns may be spent in it. */
  let savesUntil = -Infinity
  let refilledAt = clock.now()
  let active = 0
  let retries = 0

  const refill = () => {
    const now = clock.now()
    earn(((now - refilledAt) / 1000) * (perSecond / pods()))
    refilledAt = now
  }

  const earn = (earned: number) => {
    const share = maxTokens / pods()
    tokens = Math.min(clock.now() < savesUntil ? Math.max(share, 1) : share, tokens + earned)
  }

  const exhausted = () => {
    refill()
    if (tokens < 1) savesUntil = clock.now() + savingMs
    return tokens < 1 || retries >= Math.max(minRetriesUnderWay, Math.floor(maxRetryShare * active))
  }

  return {
    firstTry() {
      earn(ratio)
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
