/**
 * An event as its line: letter for letter what `JSON.stringify` makes of it, in less time (docs/performance.md). Two are
 * written for each request. Ids are UUIDs, which stand for themselves between quotes.
 */
import type { EndEvent, HoldEvent, LedgerEvent, RequestFacts, Terms } from './ledger.ts'
import type { ReceiptTry } from './receipt.ts'

export function ledgerLine(event: LedgerEvent): string {
  if (event.event === 'mark') return JSON.stringify(event)
  return event.event === 'hold' ? holdLine(event) : endLine(event)
}

const holdLine = ({ accountId, operationId, keyId, purseId, processId, podId, amount, at, terms }: HoldEvent) =>
  `{"event":"hold","accountId":"${accountId}","operationId":"${operationId}","keyId":"${keyId}","purseId":"${purseId}","processId":"${processId}","podId":"${podId}","amount":${number(amount)},"at":${number(at)},"terms":${termsText(terms)}}`

const termsText = ({ endpoint, model, provider, streamed, base, outputPerMillion, inputTokens, sandbox }: Terms) =>
  `{"endpoint":${text(endpoint)},"model":${text(model)},"provider":${text(provider)},"streamed":${streamed},"base":${number(base)},"outputPerMillion":${number(outputPerMillion)},"inputTokens":${number(inputTokens)}${sandbox ? marked : ''}}`

function endLine(end: EndEvent): string {
  const { event, accountId, operationId, keyId, purseId, processId, amount, at, model } = end
  const { inputTokens, cachedInputTokens, outputTokens, facts } = end
  return `{"event":"${event}","accountId":"${accountId}","operationId":"${operationId}","keyId":"${keyId}","purseId":"${purseId}","processId":"${processId}","amount":${number(amount)},"at":${number(at)},"model":${text(model)},"inputTokens":${number(inputTokens)},"cachedInputTokens":${number(cachedInputTokens)},"outputTokens":${number(outputTokens)}${facts ? `,"facts":${factsText(facts)}` : ''}}`
}

function factsText(facts: RequestFacts): string {
  const { endpoint, status, streamed, provider, tries, totalMs, providerMs, source, price, held, cache, limits } = facts
  return `{"endpoint":${text(endpoint)},"status":${number(status)},"streamed":${streamed},"provider":${text(provider)},"tries":[${tries.length === 1 ? tryText(tries[0]!) : tries.map(tryText).join(',')}],"totalMs":${number(totalMs)},"providerMs":${number(providerMs)},"source":"${source}","price":${priceText(price)},"held":${number(held)}${toolCallsText(facts)},"cache":${text(cache)},"limits":${recordText(limits)}${facts.sandbox ? marked : ''}}`
}

const toolCallsText = ({ toolCalls }: RequestFacts) =>
  toolCalls === undefined ? '' : `,"toolCalls":${number(toolCalls)}`

const tryText = ({ provider, model, outcome, reason, ms }: ReceiptTry) =>
  `{"provider":${text(provider)},"model":${text(model)},"outcome":${text(outcome)},"reason":${text(reason)},"ms":${number(ms)}}`

const marked = ',"sandbox":true'

/** The same object for all requests of a model, which is not changed. */
const prices = new WeakMap<RequestFacts['price'], string>()

function priceText(price: RequestFacts['price']): string {
  let known = prices.get(price)
  if (known === undefined) {
    known = JSON.stringify(price)
    prices.set(price, known)
  }
  return known
}

function recordText(record: Readonly<Record<string, string>>): string {
  let members = ''
  for (const name in record) members += `${members ? ',' : ''}${text(name)}:${text(record[name]!)}`
  return `{${members}}`
}

/** Visible ASCII that stands for itself between quotes. */
const plain = /^[ !#-[\]-~]*$/
const text = (value: string) => (plain.test(value) ? `"${value}"` : JSON.stringify(value))
const number = (value: number) => (Number.isFinite(value) ? value : 'null')
