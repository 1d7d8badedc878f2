/**
 * What the pod stops doing, in steps, so that what it goes on doing is done well. A step up needs evidence twice in a
 * row; a step down needs calm for a while, well below what led up, so that the level does not flap.
 */
import type { Clock } from './clock.ts'

/** How busy the process was since it was last asked. */
export interface Load {
  /** Share of time the event loop was not idle, 0 to 1. */
  utilisation: number
  /** How late its timers were: the median, in ms. What most turns of the loop take. */
  delayP50Ms: number
  /** The 99th percentile: also what a single long turn took. */
  delayP99Ms: number
  /** Resident memory as a share of what the process may use, 0 to 1. */
  memoryShare: number
}

export type Work = 'search' | 'low_inference' | 'inference'
export type BrownoutLevel = 0 | 1 | 2 | 3

interface Level {
  /** Not taken on any more. What runs goes on, and probes and metrics are answered, at every level. */
  sheds: readonly Work[]
  /** Up to it: the loop is this late and hardly ever idle, or memory is this full. */
  enter: { delayMs: number; memoryShare: number }
  /** Down from it: both are below. Memory is given back slowly, so that half of it would mean never. */
  leave: { delayMs: number; memoryShare: number }
}

const never = { delayMs: Infinity, memoryShare: Infinity }

export const brownoutLevels: Record<BrownoutLevel, Level> = {
  0: { sheds: [], enter: never, leave: never },
  1: {
    sheds: ['search'],
    enter: { delayMs: 70, memoryShare: Infinity },
    leave: { delayMs: 35, memoryShare: Infinity },
  },
  2: {
    sheds: ['search', 'low_inference'],
    enter: { delayMs: 200, memoryShare: 0.8 },
    leave: { delayMs: 100, memoryShare: 0.72 },
  },
  3: {
    sheds: ['search', 'low_inference', 'inference'],
    enter: { delayMs: Infinity, memoryShare: 0.92 },
    leave: { delayMs: Infinity, memoryShare: 0.83 },
  },
}

/** A loop that is late and yet idle was kept waiting by another process: doing less here would not help. */
const busyUtilisation = 0.9
const calmMs = 5_000

export interface Brownout {
  /** The level from now on. */
  sample(load: Load): BrownoutLevel
  readonly level: BrownoutLevel
  sheds(work: Work): boolean
}

export function createBrownout({ clock }: { clock: Clock }): Brownout {
  let level: BrownoutLevel = 0
  let lastEvidence: BrownoutLevel = 0
  let lastAt = clock.now()
  let calmSince: number | undefined

  return {
    sample(load) {
      const evidence = levelOf(load)
      const twice = Math.min(evidence, lastEvidence) as BrownoutLevel
      if (twice > level) level = twice
      lastEvidence = evidence

      const now = clock.now()
      // A sample speaks for the time since the one before: after a long silence one may lead down several steps.
      if (isCalm(load, level)) calmSince ??= lastAt
      else calmSince = undefined
      while (calmSince !== undefined && level > 0 && now - calmSince >= calmMs) {
        level = (level - 1) as BrownoutLevel
        calmSince = isCalm(load, level) ? calmSince + calmMs : undefined
      }
      lastAt = now
      return level
    },
    get level() {
      return level
    },
    sheds: (work) => brownoutLevels[level].sheds.includes(work),
  }
}

function levelOf({ utilisation, delayP99Ms, memoryShare }: Load): BrownoutLevel {
  const reaches = ({ enter }: Level) =>
    (delayP99Ms > enter.delayMs && utilisation > busyUtilisation) || memoryShare > enter.memoryShare
  for (const level of [3, 2, 1] as const) if (reaches(brownoutLevels[level])) return level
  return 0
}

function isCalm({ delayP99Ms, memoryShare }: Load, level: BrownoutLevel): boolean {
  const { leave } = brownoutLevels[level]
  return delayP99Ms < leave.delayMs && memoryShare < leave.memoryShare
}
