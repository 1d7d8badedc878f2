import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EndEvent, HoldEvent, MarkEvent, RequestFacts, Terms } from './ledger.ts'
import { ledgerLine } from './ledger-line.ts'
import type { ReceiptTry, UsageSource } from './receipt.ts'

/** Whatever a name may be, also what is no whole character. */
const word = fc.oneof(
  fc.uuid(),
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('"', '\\', '\u2028', '\ud800', '\0'),
)
const id = fc.uuid()
const number = fc.oneof(fc.nat(), fc.maxSafeInteger(), fc.double(), fc.constantFrom(-0, Number.NaN, Infinity))
const sandbox = fc.constantFrom(true as const, undefined)

const terms = fc.record<Terms>({
  endpoint: word,
  model: word,
  provider: word,
  streamed: fc.boolean(),
  base: number,
  outputPerMillion: number,
  inputTokens: number,
  sandbox,
})
const hold = fc.record<HoldEvent>({
  event: fc.constant('hold'),
  accountId: id,
  operationId: id,
  keyId: id,
  purseId: id,
  processId: id,
  podId: id,
  amount: number,
  at: number,
  terms,
})
const mark = fc.record<MarkEvent>({
  event: fc.constant('mark'),
  accountId: id,
  operationId: id,
  outputTokens: number,
})
const oneTry = fc.record<ReceiptTry>({ provider: word, model: word, outcome: word, reason: word, ms: number })
const facts = fc.record<RequestFacts>({
  endpoint: word,
  status: number,
  streamed: fc.boolean(),
  provider: word,
  tries: fc.array(oneTry),
  totalMs: number,
  providerMs: number,
  source: fc.constantFrom<UsageSource>('provider', 'estimated', 'cache', 'none'),
  price: fc.dictionary(word, number),
  held: number,
  toolCalls: fc.option(number, { nil: undefined }),
  cache: word,
  limits: fc.dictionary(word, word),
  sandbox,
})
const end = fc.record<EndEvent>({
  event: fc.constantFrom('settle', 'release'),
  accountId: id,
  operationId: id,
  keyId: id,
  purseId: id,
  processId: id,
  amount: number,
  at: number,
  model: word,
  inputTokens: number,
  cachedInputTokens: number,
  outputTokens: number,
  facts: fc.option(facts, { nil: undefined }),
})

test('the line of an event is its JSON, letter for letter', () => {
  fc.assert(
    fc.property(fc.oneof(hold, mark, end), (event) => {
      expect(ledgerLine(event)).toBe(JSON.stringify(event))
      // A price is written out once.
      expect(ledgerLine(event)).toBe(JSON.stringify(event))
    }),
    { numRuns: 2_000 },
  )
})
