/** A fleet's board that says what a test puts on it, and keeps what it is told. */
import type { CircuitReport, FleetBoard, FleetListener, Word } from '../../src/resilience/fleet-board.ts'

type Answer = Awaited<ReturnType<FleetBoard['claim']>>

export class FakeBoard implements FleetBoard {
  count = 50
  inReach = true
  readonly reports = new Map<string, Map<string, CircuitReport>>()
  readonly told: [circuit: string, report: CircuitReport | undefined][] = []
  readonly claims: { what: string; ms: number; answer: (answer: Answer) => void }[] = []
  /** How claims are answered; 'later' = by the test. */
  answers: Answer | 'later' = 'granted'
  readonly given = new Map<string, Word>()
  readonly listeners = new Set<FleetListener>()

  pods = () => this.count
  reachable = () => this.inReach
  said = (circuit: string) =>
    [...this.reports].flatMap(([pod, column]) => {
      const report = column.get(circuit)
      return report ? [[pod, report] as const] : []
    })
  others = () => this.reports
  tell = (circuit: string, report: CircuitReport | undefined) => void this.told.push([circuit, report])
  claim = (what: string, ms: number) =>
    new Promise<Answer>((answer) => {
      this.claims.push({ what, ms, answer })
      if (this.answers !== 'later') answer(this.answers)
    })
  words = () => this.given
  setWord = (name: string, word: Word | 'auto') => {
    if (word === 'auto') this.given.delete(name)
    else this.given.set(name, word)
  }
  listen = (listener: FleetListener) => {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  /** Another pod says this, and the listeners hear of it. */
  say(pod: string, circuit: string, report: CircuitReport | undefined) {
    const column = this.reports.get(pod) ?? new Map<string, CircuitReport>()
    this.reports.set(pod, column)
    if (report) column.set(circuit, report)
    else column.delete(circuit)
    for (const listener of this.listeners) listener.onReports?.(new Set([circuit]))
  }
}
