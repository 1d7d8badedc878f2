/**
 * Holds the books against the provider's own record and the callers' history, and says what is lost, what is there twice
 * and what is wrong otherwise: nothing, where all is well.
 */
import { markEveryTokens } from '../../src/services/ledger.ts'
import type { BookedEnd } from '../crash/check.ts'
import type { Sent } from './load.ts'
import { answerTokens, type Call, promptTokens, type Records } from './provider.ts'

export interface Evidence {
  history: readonly Sent[]
  records: Pick<Records, 'calls' | 'charges' | 'contradictions'>
  ends: readonly BookedEnd[]
  /** What is left when nothing is under way: operations that are not billed, holds, and sums that do not agree. */
  left: { outbox: number; holds: number; faults: readonly string[] }
  streamTokens: number
}

export interface Findings {
  lost: string[]
  doubled: string[]
  wrong: string[]
  /** Calls in the provider's record, and ends in the books. */
  calls: number
  settled: number
  released: number
}

/** In micro-dollars, at the prices of the game day's models. */
const costOf = ({ inputTokens, outputTokens }: BookedEnd) => Math.ceil(inputTokens / 10_000 + 4 * outputTokens)

export function checkBooks({ history, records, ends, left, streamTokens }: Evidence): Findings {
  const calls = records.calls.filter(({ upstream }) => upstream !== 'direct')
  const settles = ends.filter(({ kind }) => kind === 'settle')
  const counts = { calls: calls.length, settled: settles.length, released: ends.length - settles.length }
  const findings: Findings = { lost: [], doubled: [], wrong: [...left.faults], ...counts }
  const { lost, doubled, wrong } = findings
  if (left.holds > 0) wrong.push(`${left.holds} holds are open`)
  if (left.outbox > 0) lost.push(`${left.outbox} operations have not been billed`)

  const callsOf = Map.groupBy(calls, ({ number }) => number)
  const endsOf = Map.groupBy(ends, ({ operationId }) => operationId)
  for (const [id, all] of endsOf) if (all.length > 1) doubled.push(`operation ${id} has ${all.length} ends`)

  // Who was answered knows the id of the operation; the provider's usage names the call, whoever knows.
  const known = new Set<string>()
  const unanswered: number[] = []
  for (const sent of history) {
    if (sent.number === undefined) continue
    const own = callsOf.get(sent.number) ?? []
    if (sent.requestId === undefined) {
      if (own.some(delivered)) unanswered.push(sent.number)
      continue
    }
    known.add(sent.requestId)
    const [end] = endsOf.get(sent.requestId) ?? []
    if (!end && (own.length > 0 || sent.whole)) lost.push(`call ${sent.number} is not in the books`)
    if (end) checkEnd(sent, own, end)
  }
  checkUnanswered()
  checkBilling()
  return findings

  function checkEnd(sent: Sent, own: readonly Call[], end: BookedEnd) {
    const name = `call ${sent.number}`
    if (end.kind === 'release') {
      if (sent.whole) lost.push(`${name} was answered and cost nothing`)
      return
    }
    if (!own.some(delivered)) doubled.push(`${name} is paid for, and nothing was delivered`)
    if (end.amount !== costOf(end)) wrong.push(`${name} costs ${end.amount}`)
    const written = own.reduce((sum, call) => sum + call.sent, 0)
    if (end.outputTokens > written) doubled.push(`${name} has ${end.outputTokens} tokens, and ${written} were written`)
    const { received, whole, number } = sent
    if (end.source === 'provider') {
      const all = answerTokens(number!, received > 0, streamTokens)
      // Who goes on where another broke off is paid for what it was asked and said; the rest is the gateway's loss.
      const isRescued = own.filter(delivered).length > 1
      if (end.inputTokens !== promptTokens(number!) && !isRescued) wrong.push(`${name} has another call's usage`)
      if (whole && end.outputTokens !== all && !isRescued) {
        wrong.push(`${name} has ${end.outputTokens} tokens, and the provider said ${all}`)
      }
    } else if (end.outputTokens < received - markEveryTokens) {
      lost.push(`${name} has ${end.outputTokens} tokens, and ${received} were received`)
    }
  }

  /** Their ids are unknown: the usage tells which call an end is of, and where it is an estimate they are counted. */
  function checkUnanswered() {
    const strays = ends.filter(({ operationId }) => !known.has(operationId))
    const exact = new Map<number, number>()
    for (const end of strays) {
      if (end.kind !== 'settle' || end.source !== 'provider') continue
      const number = end.inputTokens - promptTokens(0)
      exact.set(number, (exact.get(number) ?? 0) + 1)
    }
    for (const [number, count] of exact) {
      if (count > 1) doubled.push(`call ${number} has ${count} ends`)
      else if (!unanswered.includes(number)) doubled.push(`call ${number} is paid for by somebody else again`)
    }
    const open = unanswered.filter((number) => !exact.has(number)).length
    const others = strays.filter(({ kind, source }) => kind === 'release' || source !== 'provider').length
    if (open > others) lost.push(`${open - others} calls whose callers were not answered are not in the books`)
  }

  function checkBilling() {
    for (const id of records.contradictions) wrong.push(`charge ${id} came again with other content`)
    const billed = new Map<string, number[]>()
    for (const { operations } of records.charges) {
      for (const { id, amount } of operations) billed.set(id, [...(billed.get(id) ?? []), amount])
    }
    for (const { operationId, amount } of settles) {
      const amounts = billed.get(operationId) ?? []
      // What costs nothing is not told of.
      if (amounts.length === 0 && amount > 0 && left.outbox === 0) lost.push(`operation ${operationId} is not billed`)
      if (amounts.length > 1) doubled.push(`operation ${operationId} is billed ${amounts.length} times`)
      if (amounts.length === 1 && amounts[0] !== amount) {
        wrong.push(`operation ${operationId} is billed ${amounts[0]} and settled ${amount}`)
      }
    }
  }
}

const delivered = ({ sent }: Call) => sent > 0
