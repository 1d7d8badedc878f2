/**
 * How many requests the pod works on at once, learned from its event loop. There is no limit until two looks in a row
 * find the loop both busy and late. Then it falls, from what is in flight, the further the later the loop is, and grows
 * again while the loop is in time and the limit is felt. Busy alone is no overload: a core that is used up to the last
 * percent and answers in time is a good thing. Late alone is none either: another process may have had the core. And the
 * median counts: one long turn, which collecting garbage takes now and then, is no evidence. What an overload has taught
 * is forgotten when it is over: a pod that warmed up with a few requests must not turn a crowd away an hour later.
 */
import type { Load } from './brownout.ts'
import type { Clock } from './clock.ts'

export interface LoadLimitOptions {
  clock: Pick<Clock, 'now'>
  /** Requests at once, at least. Few, for an answer may cost the core 3 ms as well as 0.1 ms. @default 8 */
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
const overloaded = { utilisation: 0.95, delayMs: 12 }
/** Less late than this is too little to ask of the loop, however busy: the more is in flight, the more each turn does. */
const calmDelayMs = 7
/** What the limit falls to, as a share: of a loop that is just too late, and of one that is late beyond measure. */
const decrease = { least: 0.95, most: 0.7 }
/** The limit is felt when this share of it was in use. */
const feltShare = 0.9
/** What it grows by: where the loop is just in time, where it is hardly late, and where it has nothing to do. */
const increase = { busy: 1.06, prompt: 1.15, idle: 1.25 }
const promptDelayMs = 2
const idleUtilisation = 0.7
/** How long after the last look that found overload a loop with nothing to do has no limit any more. */
const forgottenAfterMs = 10_000

export function createLoadLimit({ clock, minLimit = 8 }: LoadLimitOptions): LoadLimit {
  if (!(minLimit >= 1)) throw new TypeError(`minLimit must be at least 1, got ${minLimit}`)
  let limit = Infinity
  /** Looks in a row that found overload. */
  let found = 0
  let foundAt = -Infinity
  return {
    sample({ utilisation, delayP50Ms }, { inFlight, peak }) {
      if (utilisation > overloaded.utilisation && delayP50Ms > overloaded.delayMs) {
        foundAt = clock.now()
        if (++found < 2 && limit === Infinity) return limit
        // A lower limit shows when it is reached, as answers end: until then a still lower one would do nothing more.
        if (inFlight > limit) return limit
        const factor = Math.max(Math.min(Math.sqrt(overloaded.delayMs / delayP50Ms), decrease.least), decrease.most)
        limit = Math.max(Math.floor(Math.min(limit, peak) * factor), minLimit)
        return limit
      }
      found = 0
      const isIdle = utilisation < idleUtilisation && delayP50Ms < calmDelayMs
      if (isIdle && clock.now() - foundAt >= forgottenAfterMs) limit = Infinity
      else if (delayP50Ms < calmDelayMs && peak >= limit * feltShare) {
        const pace = isIdle ? 'idle' : delayP50Ms < promptDelayMs ? 'prompt' : 'busy'
        limit = Math.ceil(limit * increase[pace])
      }
      return limit
    },
    get limit() {
      return limit
    },
  }
}
