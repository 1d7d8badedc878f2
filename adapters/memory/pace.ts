/** Turns of one process. */
import type { Clock, Pace } from '../../src/ports.ts'

/** Kinds of calls there are: markets times what they are asked. */
const maxKeys = 1_000

export function createMemoryPace({ clock }: { clock: Pick<Clock, 'now'> }): Pace {
  /** When all that was taken is earned again. */
  const earnedAt = new Map<string, number>()
  return {
    async take(key, intervalMs, burst = 1) {
      const now = clock.now()
      const earned = Math.max(earnedAt.get(key) ?? 0, now)
      const waitMs = earned - now - (burst - 1) * intervalMs
      if (waitMs > 0) return waitMs
      if (earnedAt.size >= maxKeys) for (const [known, at] of earnedAt) if (at <= now) earnedAt.delete(known)
      earnedAt.set(key, earned + intervalMs)
      return 0
    },
  }
}
