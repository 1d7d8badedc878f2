/**
 * What the pods of a fleet know of each other's circuits: a notice-board on which each writes its own column. Everything
 * read here is a snapshot in memory, so that a request asks no network; where nobody can be reached it grows old, and
 * every pod decides by itself.
 */
import type { BreakerState } from './circuit-breaker.ts'

/** What one pod says of one of its circuits. Unchanged, it is the same object at every reading. */
export interface CircuitReport {
  /** What the circuit is called in metrics. */
  readonly name: string
  readonly state: BreakerState
  /** It came to this by its own calls, not on the word of others. */
  readonly own: boolean
  /** It came to this by trial calls: they failed where it is open, and succeeded where it is closed. */
  readonly byTrials: boolean
  /** When, on this process's clock: told as an age, so late by what the message took. */
  readonly at: number
  /** When an open circuit has waited long enough, on this process's clock. */
  readonly until: number
}

/** An operator's word on all circuits of a name. */
export type Word = 'open' | 'closed'

export interface FleetListener {
  /** Other pods say something else of these circuits. */
  onReports?(circuits: ReadonlySet<string>): void
  onWord?(name: string, word: Word | 'auto'): void
}

export interface FleetBoard {
  /** Live pods at the last count, this one included. */
  pods(): number
  /** False: nothing has been heard for seconds, and what is said here may no longer hold. */
  reachable(): boolean
  /** What the other live pods say of a circuit. */
  said(circuit: string): Iterable<readonly [pod: string, report: CircuitReport]>
  /** All that the other live pods say; a pod with nothing to tell is there too. */
  others(): ReadonlyMap<string, ReadonlyMap<string, CircuitReport>>
  /** Says it to the others as soon as may be; undefined takes it back. A circuit that nothing is said of is closed. */
  tell(circuit: string, report: CircuitReport | undefined): void
  /**
   * Asks to be the only one to do `what` for `ms` from the asking; asked again by the one who is, it begins anew.
   * Settles in about the time of one message and never rejects. `unknown`: no answer, so another may be at it.
   */
  claim(what: string, ms: number): Promise<'granted' | 'held' | 'unknown'>
  words(): ReadonlyMap<string, Word>
  setWord(name: string, word: Word | 'auto'): void
  /** The answer ends it. */
  listen(listener: FleetListener): () => void
}

/** A fleet of one. */
export const alone: FleetBoard = {
  pods: () => 1,
  reachable: () => false,
  said: () => [],
  others: () => new Map(),
  tell() {},
  claim: async () => 'unknown',
  words: () => new Map(),
  setWord() {},
  listen: () => () => {},
}
