/** What is of time or memory, and so is measured here and asserted in no test. Each gives its bars. */
import type { Bar } from '../bars.ts'
import { measureTiming } from './timing.ts'

export type Measure = (show: (line: string) => void) => Promise<Bar[]>

export const measures = {
  timing: measureTiming,
} as const satisfies Record<string, Measure>

export type MeasureName = keyof typeof measures
