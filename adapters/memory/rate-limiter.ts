/**
 * GCRA in the process: each subject is one number, the time at which its allowance would be whole again. An idle
 * subject may spend its minute at once; after that one request is allowed every 60 s / limit.
 */
import type { Clock, RateLimiter } from '../../src/ports.ts'

/** Subjects kept; those whose allowance is whole again need no entry and go first. */
const maxSubjects = 100_000
const minuteMs = 60_000
/** Sums of fractions must not cost the last request of a whole allowance. */
const roundingMs = 1e-3

export function createRateLimiter({ clock }: { clock: Clock }): RateLimiter {
  const wholeAt = new Map<string, number>()

  const makeRoom = (now: number) => {
    for (const [subject, at] of wholeAt) if (at <= now) wholeAt.delete(subject)
    for (const subject of wholeAt.keys()) {
      if (wholeAt.size < maxSubjects) break
      wholeAt.delete(subject)
    }
  }

  return {
    take(subject, perMinute) {
      const now = clock.now()
      const intervalMs = minuteMs / perMinute
      const from = Math.max(wholeAt.get(subject) ?? now, now)
      const usedMs = from - now + intervalMs
      if (usedMs > minuteMs + roundingMs) {
        return { allowed: false, remaining: 0, resetMs: from - now, retryAfterMs: usedMs - minuteMs }
      }
      if (!wholeAt.has(subject) && wholeAt.size >= maxSubjects) makeRoom(now)
      wholeAt.set(subject, from + intervalMs)
      const remaining = Math.floor((minuteMs - usedMs + roundingMs) / intervalMs)
      return { allowed: true, remaining, resetMs: usedMs, retryAfterMs: 0 }
    },
  }
}
