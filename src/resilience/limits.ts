/** What a request may draw on, whoever keeps the counts: in the process (`local-limits`) or over the fleet (`leased-limits`). */

export interface Claim {
  /** Whose limit it is, where it refuses. */
  scope: 'key' | 'account' | 'provider' | 'address'
  /**
   * `requests` and `tokens` are spent, and come back over a minute: an idle subject may spend its minute at once, then it
   * refills evenly (GCRA). `places` are taken until the request ends.
   */
  unit: 'requests' | 'tokens' | 'places'
  /** Unique among all claims. */
  key: string
  /** A minute, or of places at once. */
  limit: number
}

/** Claims that are taken together: all of them, or none. */
export interface ClaimSet {
  /** Those of one group are kept in one place, so that they can be taken in one step. */
  group: string
  claims: readonly Claim[]
}

export interface Allowance {
  /** What is left after this request. */
  remaining: number
  /** Until it is whole again, if nothing more is taken; 0 for places. */
  resetMs: number
}

/** `allowances` in the order of the claims. */
export type Decision =
  | { refusedBy: undefined; allowances: readonly Allowance[] }
  | { refusedBy: Claim; retryAfterMs: number; allowances: readonly Allowance[] }

export interface Limits {
  /** `id` is the request's own; `tokens` is what it is expected to cost. A refused call takes nothing. */
  take(set: ClaimSet, id: string, tokens?: number): Decision | Promise<Decision>
  /** The request has ended: its places are free, and what it cost in truth replaces what was expected. */
  end(set: ClaimSet, id: string, tokens?: { expected: number; used: number }): void
}

export const minuteMs = 60_000
/**
 * What a request cost beyond the whole allowance is owed, and keeps the subject out for this long at most: one answer of
 * a million tokens under a limit of a thousand must not do so for a day.
 */
export const maxOwedMs = 60 * minuteMs

/** How much of a claim one request takes. What is larger than the whole allowance waits for the whole. */
export const amountOf = ({ unit, limit }: Claim, tokens: number) =>
  unit === 'tokens' ? Math.min(Math.max(tokens, 1), limit) : 1
