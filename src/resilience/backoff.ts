/** How long to wait before the next try. Full jitter spreads a crowd of callers over the whole interval. */
export interface BackoffOptions {
  random: () => number
  /** The first wait's upper end. @default 100 */
  initialMs?: number
  /** The upper end of any wait. @default 10_000 */
  maxMs?: number
  /** @default 2 */
  multiplier?: number
}

export interface Backoff {
  /** Before try `retry` (1 = the first retry) of a call that failed: uniform in [0, min(max, initial x multiplier^(retry-1))). */
  afterFailure(retry: number): number
  /** Before trying again what asked us to slow down without saying for how long: half fixed, half random, from 1 s to 20 s. */
  afterThrottle(retry: number): number
  /** The wait for a Retry-After hint: never shorter than it, and up to a tenth longer, so that waiters do not return together. */
  afterHint(hintMs: number): number
  /**
   * What is waited besides where the event loop stood still and ended the wait so late. All waits that ended meanwhile end
   * at once then: over twice the time, they make half as much again of what comes in that time anyway.
   */
  afterStall(lateMs: number): number
}

/** A timer that is later than that had others fall due beside it. */
const leastStallMs = 20

export function createBackoff({ random, initialMs = 100, maxMs = 10_000, multiplier = 2 }: BackoffOptions): Backoff {
  if (!(initialMs >= 0)) throw new TypeError(`initialMs must be at least 0, got ${initialMs}`)
  if (!(multiplier >= 1)) throw new TypeError(`multiplier must be at least 1, got ${multiplier}`)
  return {
    afterFailure: (retry) => random() * Math.min(maxMs, initialMs * multiplier ** (retry - 1)),
    afterThrottle(retry) {
      const cap = Math.min(20_000, 1_000 * 2 ** (retry - 1))
      return cap / 2 + random() * (cap / 2)
    },
    afterHint: (hintMs) => hintMs * (1 + 0.1 * random()),
    afterStall: (lateMs) => (lateMs < leastStallMs ? 0 : random() * 2 * lateMs),
  }
}

const dayMs = 86_400_000

/**
 * A Retry-After value (RFC 9110, 10.2.3: seconds or an HTTP date) in milliseconds from now.
 * Undefined for what is absent, negative, not a number, or more than a day away: better no hint than a wrong one.
 */
export function parseRetryAfter(value: string | undefined, wallNowMs: number): number | undefined {
  if (value === undefined) return undefined
  const text = value.trim()
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : /^[A-Za-z]{3}/.test(text) ? parseDate(text) - wallNowMs : NaN
  return ms >= 0 && ms <= dayMs ? ms : undefined
}

/** The oldest of the three forms (`Sun Nov  6 08:49:37 1994`) does not name its zone, which is UTC all the same. */
const parseDate = (text: string) => Date.parse(/GMT$/i.test(text) ? text : `${text} GMT`)
