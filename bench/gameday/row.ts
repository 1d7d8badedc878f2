/** One row of the fault matrix: what must hold while something behind the gateway fails. */
import type { Bar } from '../bars.ts'

export type { Bar }

export interface GamedayRow {
  id: string
  title: string
  run(say: (line: string) => void, day: Day): Promise<Bar[]>
}

/** In seconds: all is well, the fault, and all is well again. */
export interface Phases {
  good: number
  fault: number
  after: number
}

/** What so many gateways on one core can do, in answers a second, and what the provider does without one. */
export interface Capacity {
  chats: number
  /** Of 200 tokens, as fast as they are read. */
  streams: number
  provider: number
}

/** How a run is made: `full` is what the matrix asks for, `fast` fits into a test. */
export interface Day {
  name: 'full' | 'fast'
  phases: Phases
  /** Of so many gateways, which share a core; measured once in a run, when first asked for. */
  capacity(size: number): Promise<Capacity>
}
