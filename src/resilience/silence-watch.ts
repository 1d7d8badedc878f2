/**
 * Notices that a circuit has gone silent before the timeouts of its calls do: several calls wait, and nobody has been
 * answered for far longer than any answer took lately. Those who come then had better ask elsewhere first. It is no
 * verdict: the calls that wait are the trial, and the first that is answered ends it.
 */
import type { Clock } from './clock.ts'

export interface SilenceWatch {
  /** A call has gone out; `heard` or `unheard` must follow. */
  sent(): void
  /** It was answered, with whatever; `ms` after it was sent. */
  heard(ms: number): void
  /** It ended without a word of the upstream's. */
  unheard(): void
  /** For how long nobody has been answered, where that is unusual; else 0. */
  silentForMs(): number
}

/** Fewer that wait may all have asked for something long. */
const minWaiting = 10
const minSilenceMs = 1_000
/** Of the longest answer in this window and the one before. */
const longestFactor = 3
const windowMs = 60_000

export function createSilenceWatch({ clock }: { clock: Clock }): SilenceWatch {
  let waiting = 0
  /** Of the latest answer, or of the call before which nobody waited. */
  let quietSince = 0
  let longest = 0
  let longestBefore = 0
  /** Undefined: nothing has been answered yet, so nobody knows how long it takes. */
  let windowEnd: number | undefined

  return {
    sent() {
      if (waiting++ === 0) quietSince = clock.now()
    },
    heard(ms) {
      waiting--
      quietSince = clock.now()
      windowEnd ??= quietSince + windowMs
      if (quietSince >= windowEnd) {
        longestBefore = longest
        longest = 0
        windowEnd = quietSince + windowMs
      }
      if (ms > longest) longest = ms
    },
    unheard() {
      waiting--
    },
    silentForMs() {
      if (waiting < minWaiting || windowEnd === undefined) return 0
      const quietMs = clock.now() - quietSince
      return quietMs > Math.max(minSilenceMs, longestFactor * Math.max(longest, longestBefore)) ? quietMs : 0
    },
  }
}
