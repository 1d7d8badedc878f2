/** The instant by which a request must be answered, whatever is tried on the way. */
import type { Clock } from './clock.ts'

export interface Deadline {
  remainingMs(): number
  /** The caller asked for less time than the gateway gives: a try that it cuts short is not the upstream's fault. */
  byCaller: boolean
}

export function createDeadline(
  clock: Clock,
  { limitMs, callerMs }: { limitMs: number; callerMs?: number | undefined },
) {
  const byCaller = callerMs !== undefined && callerMs < limitMs
  const end = clock.now() + (byCaller ? callerMs : limitMs)
  return { byCaller, remainingMs: () => end - clock.now() } satisfies Deadline
}
