/**
 * How many requests the pod works on at once, learned from its event loop. There is no limit until the first evidence:
 * from the second look in a row that finds the loop both busy and late it falls, each time by a tenth of what is in
 * flight, and it grows again while the loop is in time and the limit is felt. Busy alone is no overload: a core that is
 * used up to the last percent and answers in time is a good thing. Late alone is none either: another process may have
 * had the core.
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
const overloaded = { utilisation: 0.95, delayMs: 32 }
/** Less late than this is too little to ask of the loop, however busy: the more is in flight, the more each turn does. */
const calmDelayMs = 14
const decrease = 0.9
/** Samples until the limit falls again, though it is not reached. */
const maxHeld = 4
const increase = { busy: 1.05, idle: 1.25 }
const idleUtilisation = 0.7

export function createLoadLimit({ minLimit = 32 }: LoadLimitOptions = {}): LoadLimit {
  if (!(minLimit >= 1)) throw new TypeError(`minLimit must be at least 1, got ${minLimit}`)
  let limit = Infinity
  /** Looks in a row that found overload. */
  let found = 0
  /** Of them, those since the limit fell. */
  let held = 0
  return {
    sample({ utilisation, delayP99Ms }, { inFlight, peak }) {
      if (utilisation > overloaded.utilisation && delayP99Ms > overloaded.delayMs) {
        if (++found < 2) return limit
        // What a lower limit does shows when it is reached: as answers end, which may take longer than there is time.
        if (inFlight > limit && ++held < maxHeld) return limit
        held = 0
        limit = Math.max(Math.floor(Math.min(limit, peak) * decrease), minLimit)
        return limit
      }
      found = 0
      if (delayP99Ms < calmDelayMs && peak >= limit * decrease) {
        limit = Math.ceil(limit * (utilisation < idleUtilisation ? increase.idle : increase.busy))
      }
      return limit
    },
    get limit() {
      return limit
    },
  }
}
