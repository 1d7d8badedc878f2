/** Holds the books against the provider's own record, and says what is wrong: nothing, where all is well. */
import { markEveryTokens } from '../../src/services/ledger.ts'
import { answerTokens, type Charge, type ProviderCall, promptTokens } from './provider.ts'

/** What the caller saw. */
export interface CallerSaw {
  id: number
  /** Pieces of text that arrived. */
  received: number
  complete: boolean
}

export interface BookedEnd {
  operationId: string
  kind: 'settle' | 'release'
  amount: number
  inputTokens: number
  outputTokens: number
  source: string
}

export interface Evidence {
  calls: readonly ProviderCall[]
  callers: readonly CallerSaw[]
  ends: readonly BookedEnd[]
  charges: readonly Charge[]
  contradictions: readonly string[]
  /** Operations that the billing system has not been told of, holds that are open, and sums that do not agree. */
  left: { outbox: number; holds: number; faults: readonly string[] }
}

export interface Verdict {
  faults: string[]
  exact: number
  estimated: number
  /** Settled by what was delivered, though no call is in the provider's record: killed between the journal and the send. */
  unsent: number
}

/** In micro-dollars: one for a token of the prompt, four for one of the answer. */
const costOf = (input: number, output: number) => input + 4 * output

export function check({ calls, callers, ends, charges, contradictions, left }: Evidence): Verdict {
  const faults = [...left.faults]
  const verdict: Verdict = { faults, exact: 0, estimated: 0, unsent: 0 }
  if (left.holds > 0) faults.push(`${left.holds} holds are open`)
  if (left.outbox > 0) faults.push(`${left.outbox} operations have not been billed`)
  for (const id of contradictions) faults.push(`charge ${id} came again with other content`)

  const endsOf = new Map<number, BookedEnd[]>()
  for (const end of ends) {
    if (end.kind === 'release') continue
    const id = end.inputTokens - promptTokens(0)
    endsOf.set(id, [...(endsOf.get(id) ?? []), end])
  }
  const billed = new Map<string, number[]>()
  for (const { id, amount, operations } of charges) {
    if (operations.reduce((sum, each) => sum + each.amount, 0) !== amount) faults.push(`charge ${id} is not its sum`)
    for (const each of operations) billed.set(each.id, [...(billed.get(each.id) ?? []), each.amount])
  }
  const sawOf = new Map(callers.map((caller) => [caller.id, caller]))
  const callOf = new Map(calls.map((call) => [call.id, call]))

  for (const call of calls) {
    const [end, ...more] = endsOf.get(call.id) ?? []
    if (!end) faults.push(`call ${call.id} is lost`)
    if (more.length > 0) faults.push(`call ${call.id} has ${1 + more.length} ends`)
  }
  for (const [id, [end]] of endsOf) {
    const call = callOf.get(id)
    const items = billed.get(end!.operationId) ?? []
    if (items.length !== 1) faults.push(`call ${id} is billed ${items.length} times`)
    else if (items[0] !== end!.amount) faults.push(`call ${id} is billed ${items[0]} and settled ${end!.amount}`)
    if (end!.amount !== costOf(end!.inputTokens, end!.outputTokens)) faults.push(`call ${id} costs ${end!.amount}`)
    if (!call) verdict.unsent++
    else checkAmount(call, sawOf.get(id), end!, verdict)
  }
  return verdict
}

function checkAmount(call: ProviderCall, saw: CallerSaw | undefined, end: BookedEnd, verdict: Verdict) {
  const { faults } = verdict
  const all = answerTokens(call.id)
  if (end.source === 'provider') {
    verdict.exact++
    if (!call.complete) faults.push(`call ${call.id} is exact, and its usage was never sent`)
    if (end.outputTokens !== all)
      faults.push(`call ${call.id} has ${end.outputTokens} tokens, and the provider said ${all}`)
    return
  }
  verdict.estimated++
  if (end.source !== 'estimated') faults.push(`call ${call.id} is settled by ${end.source}`)
  if (saw?.complete) faults.push(`call ${call.id} is an estimate, and its caller has the whole answer`)
  if (end.outputTokens > call.sent) {
    faults.push(`call ${call.id} has ${end.outputTokens} tokens, and ${call.sent} were sent`)
  }
  const least = (saw?.received ?? 0) - markEveryTokens
  if (end.outputTokens < least) faults.push(`call ${call.id} has ${end.outputTokens} tokens, and ${least} are certain`)
}
