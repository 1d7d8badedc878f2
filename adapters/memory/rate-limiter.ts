/**
 * GCRA in the process: each subject is one number, the time at which its allowance would be whole again. An idle
 * subject may spend its minute at once; after that one request is allowed every 60 s / limit.
 */
import type { Clock, RateLimiter } from '../../src/ports.ts'

/** Subjects kept; the one that has been quiet longest goes, and has a whole allowance if it ever comes back. */
const maxSubjects = 100_000
const minuteMs = 60_000
/** Sums of fractions must not cost the last request of a whole allowance. */
const roundingMs = 1e-3

export function createRateLimiter({ clock }: { clock: Clock }): RateLimiter {
  const wholeAt = new Map<string, number>()

  return {
    take(subject, perMinute) {
      const now = clock.now()
      const intervalMs = minuteMs / perMinute
      const from = Math.max(wholeAt.get(subject) ?? now, now)
      const usedMs = from - now + intervalMs
      if (usedMs > minuteMs + roundingMs) {
        return { allowed: false, remaining: 0, resetMs: from - now, retryAfterMs: usedMs - minuteMs }
      }
      // The map's order is that of use.
      wholeAt.delete(subject)
      wholeAt.set(subject, from + intervalMs)
      if (wholeAt.size > maxSubjects) wholeAt.delete(wholeAt.keys().next().value!)
      const remaining = Math.floor((minuteMs - usedMs + roundingMs) / intervalMs)
      return { allowed: true, remaining, resetMs: usedMs, retryAfterMs: 0 }
    },
  }
}
