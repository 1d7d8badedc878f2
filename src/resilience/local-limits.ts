/**
 * Limits in the process. Of a rate each subject is one number, the time at which its allowance would be whole again
 * (GCRA); of places, which requests are in them.
 */
import type { Clock } from './clock.ts'
import {
  type Allowance,
  amountOf,
  type Claim,
  type ClaimSet,
  type Decision,
  type Limits,
  maxOwedMs,
  minuteMs,
} from './limits.ts'

/** Subjects kept; the one that has been quiet longest goes, and has a whole allowance if it ever comes back. */
const maxSubjects = 100_000
/** Sums of fractions must not cost the last request of a whole allowance. */
const roundingMs = 1e-3
/** When to ask again for a place: nobody knows. */
const placeRetryMs = 1_000

/** These never have to wait. */
export interface LocalLimits extends Limits {
  take(set: ClaimSet, id: string, tokens?: number): Decision
}

export function createLocalLimits({ clock }: { clock: Clock }): LocalLimits {
  const wholeAt = new Map<string, number>()
  const taken = new Map<string, Set<string>>()

  /** How long the claim has to wait; 0 = not at all. */
  function waitFor(claim: Claim, amount: number, now: number): number {
    const { unit, key, limit } = claim
    if (unit === 'places') return (taken.get(key)?.size ?? 0) < limit ? 0 : placeRetryMs
    const usedMs = Math.max((wholeAt.get(key) ?? now) - now, 0) + (amount * minuteMs) / limit
    return usedMs > minuteMs + roundingMs ? usedMs - minuteMs : 0
  }

  function allowanceOf({ unit, key, limit }: Claim, now: number): Allowance {
    if (unit === 'places') return { remaining: Math.max(limit - (taken.get(key)?.size ?? 0), 0), resetMs: 0 }
    const usedMs = Math.max((wholeAt.get(key) ?? now) - now, 0)
    const remaining = Math.max(Math.floor(((minuteMs - usedMs + roundingMs) * limit) / minuteMs), 0)
    return { remaining, resetMs: usedMs }
  }

  function spend(key: string, ms: number, now: number) {
    const from = Math.max(wholeAt.get(key) ?? now, now)
    // The map's order is that of use.
    wholeAt.delete(key)
    wholeAt.set(key, Math.min(from + ms, now + minuteMs + maxOwedMs))
    if (wholeAt.size > maxSubjects) wholeAt.delete(wholeAt.keys().next().value!)
  }

  function enter(key: string, id: string) {
    const requests = taken.get(key) ?? new Set()
    taken.set(key, requests.add(id))
  }

  return {
    take({ claims }: ClaimSet, id, tokens = 0): Decision {
      const now = clock.now()
      for (const claim of claims) {
        const retryAfterMs = waitFor(claim, amountOf(claim, tokens), now)
        if (retryAfterMs === 0) continue
        return { refusedBy: claim, retryAfterMs, allowances: claims.map((each) => allowanceOf(each, now)) }
      }
      for (const claim of claims) {
        if (claim.unit === 'places') enter(claim.key, id)
        else spend(claim.key, (amountOf(claim, tokens) * minuteMs) / claim.limit, now)
      }
      return { refusedBy: undefined, allowances: claims.map((each) => allowanceOf(each, now)) }
    },
    end({ claims }, id, tokens) {
      for (const claim of claims) {
        if (claim.unit === 'places') {
          const requests = taken.get(claim.key)
          requests?.delete(id)
          if (requests?.size === 0) taken.delete(claim.key)
        } else if (claim.unit === 'tokens' && tokens) {
          const more = tokens.used - amountOf(claim, tokens.expected)
          spend(claim.key, (more * minuteMs) / claim.limit, clock.now())
        }
      }
    },
  }
}
