/** The books' checker, shown books that are right and books that are wrong in each way that it looks for. */
import { expect, test } from 'vitest'
import type { BookedEnd } from '../../bench/crash/check.ts'
import { checkBooks, type Evidence } from '../../bench/gameday/books.ts'
import type { Sent } from '../../bench/gameday/load.ts'
import { answerTokens, type Call, promptTokens } from '../../bench/gameday/provider.ts'

const streamTokens = 100
const idOf = (number: number) => `operation-${number}`

const sent = (number: number, own: Partial<Sent> = {}): Sent => ({
  kind: 'chat',
  number,
  at: 0,
  ms: 1,
  firstMs: 1,
  lagMs: 0,
  status: 200,
  whole: true,
  code: undefined,
  requestId: idOf(number),
  tries: 1,
  retryAfter: undefined,
  received: 0,
  leftAt: undefined,
  silentlyCut: false,
  ...own,
})

const tokensOf = (number: number) => answerTokens(number, false, streamTokens)

const call = (number: number, own: Partial<Call> = {}): Call => ({
  number,
  upstream: 'a',
  pod: '0',
  at: 0,
  status: 200,
  sent: tokensOf(number),
  complete: true,
  endedAt: 1,
  abandoned: false,
  ...own,
})

const end = (number: number, own: Partial<BookedEnd> = {}): BookedEnd => {
  const inputTokens = own.inputTokens ?? promptTokens(number)
  const outputTokens = own.outputTokens ?? tokensOf(number)
  const amount = Math.ceil(inputTokens / 10_000 + 4 * outputTokens)
  return { operationId: idOf(number), kind: 'settle', amount, inputTokens, outputTokens, source: 'provider', ...own }
}

const billed = (ends: readonly BookedEnd[]) =>
  ends
    .filter(({ kind }) => kind === 'settle')
    .map(({ operationId: id, amount }, nth) => ({ id: `charge-${nth}`, amount, operations: [{ id, amount }] }))

/** Three calls, all well, with what is given in the place of a part of it. */
function evidence(own: {
  history?: Sent[]
  calls?: Call[]
  ends?: BookedEnd[]
  charges?: Evidence['records']['charges']
}) {
  const ends = own.ends ?? [end(1), end(2), end(3)]
  return {
    history: own.history ?? [sent(1), sent(2), sent(3)],
    records: {
      calls: own.calls ?? [call(1), call(2), call(3)],
      charges: own.charges ?? billed(ends),
      contradictions: [],
    },
    ends,
    left: { outbox: 0, holds: 0, faults: [] },
    streamTokens,
  }
}

const found = (given: Evidence) => {
  const { lost, doubled, wrong } = checkBooks(given)
  return { lost, doubled, wrong }
}
const nothing = { lost: [], doubled: [], wrong: [] }
const unanswered = { requestId: undefined, status: 0, whole: false }

test('books that are right are found right', () => {
  expect(found(evidence({}))).toEqual(nothing)
})

test('a call that both sides know of and the books do not is lost', () => {
  expect(found(evidence({ ends: [end(1), end(3)] }))).toEqual({ ...nothing, lost: ['call 2 is not in the books'] })
})

test('an answer that cost nothing is lost', () => {
  const ends = [end(1), end(2, { kind: 'release', source: 'none' }), end(3)]
  expect(found(evidence({ ends }))).toEqual({ ...nothing, lost: ['call 2 was answered and cost nothing'] })
})

test('a call whose caller was never answered is lost, too, where the books know nothing of it', () => {
  const history = [sent(1), sent(2, unanswered), sent(3)]
  expect(found(evidence({ history }))).toEqual(nothing)
  expect(found(evidence({ history, ends: [end(1), end(3)] }))).toEqual({
    ...nothing,
    lost: ['1 calls whose callers were not answered are not in the books'],
  })
})

test('an operation that ends twice is there twice', () => {
  const { doubled } = found(
    evidence({ ends: [end(1), end(2), end(2), end(3)], charges: billed([end(1), end(2), end(3)]) }),
  )
  expect(doubled).toEqual([`operation ${idOf(2)} has 2 ends`])
})

test('a call that is paid for again under another id is there twice, whoever was answered', () => {
  const again = end(2, { operationId: 'another' })
  expect(found(evidence({ ends: [end(1), end(2), again, end(3)] })).doubled).toEqual([
    'call 2 is paid for by somebody else again',
  ])
  const history = [sent(1), sent(2, unanswered), sent(3)]
  expect(found(evidence({ history, ends: [end(1), end(2), again, end(3)] })).doubled).toEqual(['call 2 has 2 ends'])
})

test('what is billed twice, or not at all, is told', () => {
  const ends = [end(1), end(2), end(3)]
  const [first, second, third] = billed(ends)
  const twice = [first!, second!, third!, { ...second!, id: 'charge-again' }]
  expect(found(evidence({ ends, charges: twice })).doubled).toEqual([`operation ${idOf(2)} is billed 2 times`])
  expect(found(evidence({ ends, charges: [first!, third!] })).lost).toEqual([`operation ${idOf(2)} is not billed`])
})

test('what is paid for must have been delivered, and no more of it', () => {
  const nothingSent = [call(1), call(2, { sent: 0, complete: false, status: 503 }), call(3)]
  expect(found(evidence({ calls: nothingSent })).doubled).toContain('call 2 is paid for, and nothing was delivered')
  const ends = [end(1), end(2, { outputTokens: tokensOf(2) + 1, source: 'estimated' }), end(3)]
  expect(found(evidence({ ends })).doubled).toEqual([
    `call 2 has ${tokensOf(2) + 1} tokens, and ${tokensOf(2)} were written`,
  ])
})

test('a call with the usage of another is wrong', () => {
  const ends = [end(1), end(2, { inputTokens: promptTokens(3) }), end(3)]
  expect(found(evidence({ ends })).wrong).toEqual(["call 2 has another call's usage"])
})

test('a stream that was paid for by far fewer pieces than its caller has is lost in part', () => {
  const history = [sent(1), sent(2, { whole: false, received: 90 }), sent(3)]
  const calls = [call(1), call(2, { sent: 95, complete: false }), call(3)]
  const ends = [end(1), end(2, { outputTokens: 10, source: 'estimated' }), end(3)]
  expect(found(evidence({ history, calls, ends })).lost).toEqual(['call 2 has 10 tokens, and 90 were received'])
})

test('open holds, unbilled operations and sums that do not agree are told', () => {
  const left = { outbox: 2, holds: 1, faults: ['the sums do not agree'] }
  const { lost, wrong } = found({ ...evidence({}), left })
  expect(wrong).toEqual(['the sums do not agree', '1 holds are open'])
  expect(lost).toEqual(['2 operations have not been billed'])
})
