/** Turns of one process. */
import type { Clock, Pace } from '../../src/ports.ts'

/** Kinds of calls there are: markets times what they are asked. */
const maxKeys = 1_000

export function createMemoryPace({ clock }: { clock: Pick<Clock, 'now'> }): Pace {
  const freeAt = new Map<string, number>()
  return {
    async take(key, intervalMs) {
      const now = clock.now()
      const waitMs = (freeAt.get(key) ?? 0) - now
      if (waitMs > 0) return waitMs
      if (freeAt.size >= maxKeys) for (const [known, at] of freeAt) if (at <= now) freeAt.delete(known)
      freeAt.set(key, now + intervalMs)
      return 0
    },
  }
}
