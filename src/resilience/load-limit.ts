/**
 * How many requests the pod works on at once, learned from its event loop. There is no limit until the first evidence;
 * then it falls by a tenth of what is in flight for as long as the loop is both busy and late, and grows again while
 * the loop has time to spare and the limit is felt. Busy alone is no overload: a core that is used up to the last
 * percent and answers in time is a good thing. Late alone is none either: another process may have had the core.
 */
import type { Load } from './brownout.ts'

export interface LoadLimitOptions {
  /** Requests at once, at least. @default 32 */
  minLimit?: number
}

export interface RequestsInFlight {
  inFlight: number
  /** The most since the last sample. */
  peak: number
}

export interface LoadLimit {
  /** The limit from now on. */
  sample(load: Load, requests: RequestsInFlight): number
  readonly limit: number
}

/** Busy and this late is too much. */
const overloaded = { utilisation: 0.95, delayMs: 40 }
/** Less late than this is too little to ask of the loop, however busy: the more is in flight, the more each turn does. */
const calmDelayMs = 16
const decrease = 0.9
const increase = 1.05

export function createLoadLimit({ minLimit = 32 }: LoadLimitOptions = {}): LoadLimit {
  if (!(minLimit >= 1)) throw new TypeError(`minLimit must be at least 1, got ${minLimit}`)
  let limit = Infinity
  return {
    sample({ utilisation, delayP99Ms }, { inFlight, peak }) {
      if (utilisation > overloaded.utilisation && delayP99Ms > overloaded.delayMs) {
        // What a lower limit does shows when it is reached, which takes as long as answers take.
        if (inFlight <= limit) limit = Math.max(Math.floor(Math.min(limit, peak) * decrease), minLimit)
      } else if (delayP99Ms < calmDelayMs && peak >= limit * decrease) {
        limit = Math.ceil(limit * increase)
      }
      return limit
    },
    get limit() {
      return limit
    },
  }
}
