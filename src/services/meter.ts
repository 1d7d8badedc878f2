/**
 * Meters one request: holds credit for it before it goes out, counts what is delivered, and ends the hold with what it
 * came to, once, in whatever way the request ends.
 */
import type { Terms } from '../domain/ledger.ts'
import { formatUsd, type MicroUsd } from '../domain/money.ts'
import type { Principal } from '../domain/principal.ts'
import type { Receipt } from '../domain/receipt.ts'
import type { Clock } from '../ports.ts'
import type { InferenceEndpoint } from '../providers/endpoints.ts'
import type { TokenUsage } from '../providers/token-usage.ts'
import type { Price } from '../routing/table.ts'
import type { CallTrace } from '../upstream/guarded-call.ts'
import { costOf, type Delivered, estimatedInput, isExact, type Job, mostItCosts, rule } from './cost.ts'
import type { Ledger, Operation } from './ledger.ts'

/** Who answers, or would. */
export interface Seller {
  provider: string
  model: string
  price: Price
  contextWindow: number | undefined
}

/** The request behind it, as its receipt will tell of it. */
export interface MeteredRequest {
  id: string
  trace: CallTrace
  /** Headers of the answer: what is left of the limits. */
  headers: Readonly<Record<string, string>>
  tokensUsed: number | undefined
  /** Since it came, in ms. */
  elapsedMs(): number
  /** Runs when it has ended, in whatever way. */
  onEnd(fn: (status: number) => void): void
}

export interface MeterOptions {
  clock: Clock
  ledger: Pick<Ledger, 'hold' | 'note'>
}

export type NoteKept = ReturnType<typeof createNoteKept>

/** An answer that was given before: nothing is asked of a provider, and nothing is charged. */
export const createNoteKept = ({ clock, ledger }: MeterOptions) =>
  function noteKept(
    request: MeteredRequest,
    principal: Principal,
    kept: { endpoint: InferenceEndpoint; stream: boolean; provider: string; model: string; cache?: string },
  ) {
    request.onEnd((status) => {
      const { provider, model } = kept
      const facts: ReceiptFacts = {
        ...{ at: clock.wallNow(), status, streamed: kept.stream, job: { endpoint: kept.endpoint, body: {}, bytes: 0 } },
        ...{ seller: { provider, model, price: free, contextWindow: undefined }, usage: none, source: 'cache' },
        ...{ cost: 0, held: 0, cache: kept.cache ?? 'bypass' },
      }
      const receipt = receiptOf(request, principal.keyId, facts)
      ledger.note(principal, { delivered: true, usage: { model: storable(model), ...none }, receipt }, request.id)
    })
  }

const free = { inputPerMillion: 0, outputPerMillion: 0, cachedInputPerMillion: 0 } as Price

const none: TokenUsage = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 }

/** @throws ApiError where the account may not spend it. */
export async function startMeter(
  { clock, ledger }: MeterOptions,
  request: MeteredRequest,
  principal: Principal,
  job: Job,
  sellers: readonly Seller[],
  { stream, signal }: { stream: boolean; signal: AbortSignal },
): Promise<Meter> {
  const first = sellers[0]!
  let amount = 0
  for (const { price, contextWindow } of sellers) amount = Math.max(amount, mostItCosts(job, price, contextWindow))
  const terms: Terms = {
    endpoint: job.endpoint,
    model: storable(first.model),
    provider: first.provider,
    streamed: stream,
    base: Math.min(amount, costOf(job, first.price, { usage: undefined, outputTokens: 0, images: 0 })),
    outputPerMillion: first.price.outputPerMillion,
    inputTokens: estimatedInput(job),
  }
  const operation = await ledger.hold({ id: request.id, principal, amount, terms, signal })
  const meter = new Meter(clock, request, principal.keyId, job, first, operation, stream)
  request.onEnd((status) => void meter.end(status))
  return meter
}

export class Meter {
  private readonly delivered: Delivered = { usage: undefined, outputTokens: 0, images: 0 }
  private readonly clock: Clock
  private readonly request: MeteredRequest
  private readonly keyId: string
  private readonly job: Job
  private seller: Seller
  private readonly operation: Operation
  private readonly stream: boolean
  private answered = false
  constructor(
    clock: Clock,
    request: MeteredRequest,
    keyId: string,
    job: Job,
    seller: Seller,
    operation: Operation,
    stream: boolean,
  ) {
    this.clock = clock
    this.request = request
    this.keyId = keyId
    this.job = job
    this.seller = seller
    this.operation = operation
    this.stream = stream
  }

  /** Who has begun to answer, or to go on with an answer. */
  answeredBy(seller: Seller) {
    this.seller = seller
    this.answered = true
    this.delivered.usage = undefined
  }

  /** What has been delivered is good for nothing. */
  unanswered() {
    this.answered = false
  }

  /** So many pieces of text have gone to the caller, in all. */
  reached(outputTokens: number) {
    this.delivered.outputTokens = outputTokens
    this.operation.mark(outputTokens)
  }

  images(count: number) {
    this.delivered.images = count
  }

  usage(usage: TokenUsage) {
    this.delivered.usage = usage
    this.request.tokensUsed = usage.inputTokens + usage.outputTokens
  }

  /** Of one of several parts. */
  addUsage(more: TokenUsage) {
    const { usage } = this.delivered
    if (!usage) return this.usage(more)
    this.usage({
      inputTokens: usage.inputTokens + more.inputTokens,
      cachedInputTokens: usage.cachedInputTokens + more.cachedInputTokens,
      outputTokens: usage.outputTokens + more.outputTokens,
    })
  }

  get cost(): MicroUsd {
    return this.answered ? costOf(this.job, this.seller.price, this.delivered) : 0
  }

  /** The first call counts. Resolves when it is certain to be billed. */
  end(status: number): Promise<void> | undefined {
    const { answered, delivered, job, seller, operation, request } = this
    // Whoever leaves has had the provider read the prompt.
    const spent = answered || (status === 499 && request.trace.attempts > 0)
    const cost = spent ? costOf(job, seller.price, delivered) : 0
    const usage = !spent
      ? none
      : (delivered.usage ?? { ...none, inputTokens: estimatedInput(job), outputTokens: delivered.outputTokens })
    const { inputTokens, cachedInputTokens, outputTokens } = usage
    return operation.end({
      cost,
      delivered: spent,
      usage: { model: storable(seller.model), inputTokens, cachedInputTokens, outputTokens },
      receipt: this.receipt(status, spent, usage, cost),
    })
  }

  private receipt(status: number, spent: boolean, usage: TokenUsage, cost: MicroUsd): Receipt {
    const { request, job, seller, delivered, operation } = this
    return receiptOf(request, this.keyId, {
      at: this.clock.wallNow(),
      status,
      streamed: this.stream,
      job,
      seller,
      usage,
      source: !spent ? 'none' : isExact(job, delivered) ? 'provider' : 'estimated',
      cost,
      held: operation.held,
      cache: request.headers['x-cache'] ?? 'bypass',
    })
  }
}

interface ReceiptFacts {
  at: number
  status: number
  streamed: boolean
  job: Job
  seller: Seller
  usage: TokenUsage
  source: Receipt['usage']['source']
  cost: MicroUsd
  held: MicroUsd
  cache: string
}

function receiptOf(request: MeteredRequest, keyId: string, facts: ReceiptFacts): Receipt {
  const { trace } = request
  const { seller, job, usage } = facts
  const total = request.elapsedMs()
  const price: Receipt['price'] = {}
  for (const [name, rate] of Object.entries(rule(job, seller.price))) {
    if (rate !== undefined) price[snake(name)] = formatUsd(rate)
  }
  return {
    request_id: request.id,
    at: new Date(facts.at).toISOString(),
    key_id: keyId,
    endpoint: job.endpoint,
    status: facts.status,
    streamed: facts.streamed,
    model: storable(seller.model),
    provider: seller.provider,
    tries: (trace.tries ?? []).map(({ provider, model, outcome, reason, ms }) => ({
      provider,
      model: storable(model),
      outcome,
      reason,
      ms: rounded(ms),
    })),
    phases_ms: { total: rounded(total), provider: rounded(trace.waitedMs) },
    usage: {
      input_tokens: usage.inputTokens,
      cached_input_tokens: usage.cachedInputTokens,
      output_tokens: usage.outputTokens,
      source: facts.source,
    },
    price,
    held: formatUsd(facts.held),
    cost: formatUsd(facts.cost),
    currency: 'USD',
    cache: facts.cache,
    limits: limitsOf(request.headers),
  }
}

function limitsOf(headers: Readonly<Record<string, string>>): Record<string, string> {
  const limits: Record<string, string> = {}
  for (const name in headers) {
    if (name.startsWith('ratelimit') || name.startsWith('x-ratelimit-')) limits[name] = headers[name]!
  }
  return limits
}

const rounded = (ms: number) => Math.round(ms * 10) / 10
const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
/** A name that a caller made up may hold what no database stores as text; it must not keep a bill from being written. */
export const storable = (text: string) => text.replaceAll('\0', '�').toWellFormed()
