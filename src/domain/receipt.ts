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
  phases_ms: Partial<Record<'total' | 'overhead' | 'provider' | 'first_token', number>>
  usage: {
    input_tokens: number
    cached_input_tokens: number
    output_tokens: number
    /** `estimated`: by what was delivered, since the provider did not say. */
    source: 'provider' | 'estimated' | 'cache' | 'none'
  }
  /** Decimal strings in US dollars: the rule by which `cost` follows from `usage`. */
  price: Record<string, string>
  held: string
  cost: string
  currency: 'USD'
  cache: string
  /** Of the key and its account, as the answer's headers told. */
  limits: Record<string, string>
}

export interface ReceiptTry {
  provider: string
  model: string
  outcome: string
  /** Why this one was tried, or why it was given up. */
  reason: string
  ms: number
}

/** Receipts are kept for so long. */
export const receiptDays = 30

/** When a request began, in ms since 1970: its id says so (UUID version 7, RFC 9562). Undefined: it is no such id. */
export function startOf(requestId: string): number | undefined {
  const id = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.exec(requestId)
  return id ? Number.parseInt(id[1]! + id[2]!, 16) : undefined
}
