import type { EndEvent } from './ledger.ts'
import { formatUsd } from './money.ts'

/** What happened to a request and what it cost, as it is kept for thirty days. Names and shape are those of the API. */
export interface Receipt {
  request_id: string
  /** ISO 8601, of its end. */
  at: string
  key_id: string
  endpoint: string
  /** 499 = the caller left before the end; 0 = the gateway died while it ran. */
  status: number
  streamed: boolean
  model: string
  provider: string
  tries: ReceiptTry[]
  /** `provider`: tries, and waits between them; of a stream until its first token. */
  phases_ms: Record<'total' | 'provider', number>
  usage: {
    input_tokens: number
    cached_input_tokens: number
    output_tokens: number
    /** Of tools that the provider ran. */
    tool_calls?: number
    source: UsageSource
  }
  /** Decimal strings in US dollars: the rule by which `cost` follows from `usage`. */
  price: Record<string, string>
  held: string
  cost: string
  currency: 'USD'
  cache: string
  /** Of the key and its account, as the answer's headers told. */
  limits: Readonly<Record<string, string>>
  /** The sandbox answered. */
  sandbox?: true
}

/** `estimated`: by what was delivered, since the provider did not say. */
export type UsageSource = 'provider' | 'estimated' | 'cache' | 'none'

export interface ReceiptTry {
  provider: string
  model: string
  outcome: string
  /** Why this one was tried, or why it was given up. */
  reason: string
  ms: number
}

/** As it is told, of what is kept of a request's end. Undefined: it was never begun. */
export function receiptOf(end: EndEvent): Receipt | undefined {
  const { facts } = end
  if (!facts) return undefined
  const { endpoint, status, streamed, provider, tries, totalMs, providerMs, source, price, held, cache, limits } = facts
  const { toolCalls } = facts
  return {
    ...{
      request_id: end.operationId,
      at: new Date(end.at).toISOString(),
      key_id: end.keyId,
      endpoint,
      status,
      streamed,
    },
    ...{ model: end.model, provider, tries: [...tries], phases_ms: { total: totalMs, provider: providerMs } },
    usage: {
      input_tokens: end.inputTokens,
      cached_input_tokens: end.cachedInputTokens,
      output_tokens: end.outputTokens,
      ...(toolCalls !== undefined && { tool_calls: toolCalls }),
      source,
    },
    price: Object.fromEntries(Object.entries(price).map(([name, rate]) => [snakeCase(name), formatUsd(rate)])),
    ...{ held: formatUsd(held), cost: formatUsd(end.amount), currency: 'USD', cache, limits },
    ...(facts.sandbox && { sandbox: true }),
  }
}

const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** Receipts are kept for so long. */
export const receiptDays = 30

/** When a request began, in ms since 1970: its id says so (UUID version 7, RFC 9562). Undefined: it is no such id. */
export function startOf(requestId: string): number | undefined {
  const id = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.exec(requestId)
  return id ? Number.parseInt(id[1]! + id[2]!, 16) : undefined
}
