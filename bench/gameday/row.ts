/** One row of the fault matrix: what must hold while something behind the gateway fails. */
import type { Bar } from '../bars.ts'

export type { Bar }

export interface GamedayRow {
  id: string
  title: string
  run(say: (line: string) => void): Promise<Bar[]>
}
