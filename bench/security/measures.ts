/** What is of time or memory, and so is measured here and asserted in no test. Each gives its bars. */
import type { Bar } from '../bars.ts'
import { measureBodies, measureBombs, measureLeaving, measureSlowCallers } from './pressure.ts'
import { measureRegexes } from './regexes.ts'
import { measureTiming } from './timing.ts'

type Measure = (show: (line: string) => void) => Promise<Bar[]>

export const measures = {
  slow: measureSlowCallers,
  bodies: measureBodies,
  bombs: measureBombs,
  regexes: measureRegexes,
  leaving: measureLeaving,
  timing: measureTiming,
} as const satisfies Record<string, Measure>

export type MeasureName = keyof typeof measures
