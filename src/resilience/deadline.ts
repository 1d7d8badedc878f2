/** The instant by which a request must be answered, whatever is tried on the way. */
import type { Clock } from './clock.ts'

export interface Deadline {
  remainingMs(): number
  /** The caller asked for less time than the gateway gives: a try that it cuts short is not the upstream's fault. */
  readonly byCaller: boolean
  /** A stream's first words are there: what the caller allows for the beginning has been kept. */
  begun(): void
}

/** In ms, from now on. */
export interface Limits {
  limitMs: number
  /** The caller's own, for the whole answer. */
  callerMs?: number | undefined
  /** The caller's own, for the beginning of a stream, or for an answer in one piece. */
  beginMs?: number | undefined
}

export function createDeadline(clock: Clock, { limitMs, callerMs = Infinity, beginMs = Infinity }: Limits): Deadline {
  const since = clock.now()
  let byCallerMs = Math.min(callerMs, beginMs)
  return {
    get byCaller() {
      return byCallerMs < limitMs
    },
    remainingMs: () => since + (byCallerMs < limitMs ? byCallerMs : limitMs) - clock.now(),
    begun() {
      byCallerMs = callerMs
    },
  }
}
