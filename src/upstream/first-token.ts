/** How long a circuit's streams lately took to begin. What was measured long ago says little: it is looked at anew. */
import type { Clock } from '../ports.ts'

export interface FirstToken {
  /** Undefined = not known of late, and nobody has gone to see. */
  ms(): number | undefined
  /** A request goes there; while it may still tell, the others need not go and see. */
  asked(): void
  began(ms: number): void
}

/** How much the latest stream says about the next. */
const latestWeight = 0.2
/** How long a measurement counts, and how long one who went to see is waited for. */
const freshMs = 60_000

export function createFirstToken({ clock }: { clock: Clock }): FirstToken {
  let recent: number | undefined
  let measuredAt = -Infinity
  let askedAt = -Infinity
  const isFresh = (at: number) => clock.now() - at < freshMs
  return {
    ms: () => (isFresh(measuredAt) || isFresh(askedAt) ? recent : undefined),
    asked() {
      if (!isFresh(measuredAt) && !isFresh(askedAt)) askedAt = clock.now()
    },
    began(ms) {
      recent = recent !== undefined && isFresh(measuredAt) ? recent + latestWeight * (ms - recent) : ms
      measuredAt = clock.now()
    },
  }
}
