/** A part of `npm run bench` that is judged by bars of its own. */
import type { Bar } from '../bars.ts'
import type { Progress } from '../progress.ts'

export interface SectionContext {
  /** For files of the run. */
  folder: string
  progress: Progress
  rounds: number
}

export interface Section {
  name: string
  /** What is done, in a few words. */
  title: string
  run(context: SectionContext): Promise<Bar[]>
}
