/**
 * Meters one request: holds credit for it before it goes out, counts what is delivered, and ends the hold with what it
 * came to, once, in whatever way the request ends.
 */
import type { RequestFacts, Terms } from '../domain/ledger.ts'
import type { MicroUsd } from '../domain/money.ts'
import type { Principal } from '../domain/principal.ts'
import { storable } from '../domain/storable.ts'
import type { InferenceEndpoint } from '../providers/endpoints.ts'
import type { TokenUsage } from '../providers/token-usage.ts'
import type { Price } from '../routing/table.ts'
import type { CallTrace } from '../upstream/guarded-call.ts'
import {
  costOf,
  type Delivered,
  estimatedInput,
  hiddenToolCalls,
  isExact,
  type Job,
  maxTokens,
  mostItCosts,
  promptBytesOf,
  providerCostOf,
  rule,
} from './cost.ts'
import type { Ledger, Operation } from './ledger.ts'

/** Who answers, or would. */
export interface Seller {
  provider: string
  model: string
  price: Price
  /** What it bills the operator, as far as that is known. */
  providerCost?: Partial<Price> | undefined
  contextWindow: number | undefined
  /** @default false */
  sandbox?: boolean
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
  ledger: Pick<Ledger, 'hold' | 'note'>
}

export type NoteKept = ReturnType<typeof createNoteKept>

/** An answer that was given before: nothing is asked of a provider, and nothing is charged. */
export const createNoteKept = ({ ledger }: MeterOptions) =>
  function noteKept(
    request: MeteredRequest,
    principal: Principal,
    kept: { endpoint: InferenceEndpoint; stream: boolean; provider: string; model: string; cache?: string },
  ) {
    request.tokensUsed = 0
    request.onEnd((status) => {
      const { endpoint, stream: streamed, provider, model, cache = 'bypass' } = kept
      const facts = factsOf(request, {
        endpoint,
        status,
        streamed,
        provider,
        source: 'cache',
        price: {},
        held: 0,
        cache,
      })
      ledger.note(principal, { delivered: true, usage: { model: storable(model), ...none }, facts }, request.id)
    })
  }

const none: TokenUsage = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 }

/** @throws ApiError where the account may not spend it. */
export async function startMeter(
  { ledger }: MeterOptions,
  request: MeteredRequest,
  principal: Principal,
  asked: Job,
  sellers: readonly Seller[],
  { stream, signal }: { stream: boolean; signal: AbortSignal },
): Promise<Meter> {
  const first = sellers[0]!
  let amount = 0
  let window = 0
  for (const { price, contextWindow, model } of sellers) {
    amount = Math.max(amount, mostItCosts(asked, price, contextWindow, model))
    window = Math.max(window, contextWindow ?? maxTokens)
  }
  const job = { ...asked, promptBytes: promptBytesOf(asked, window) }
  const toolCalls = hiddenToolCalls(job, first.price, first.model)
  const leastDelivered = { usage: undefined, outputTokens: 0, images: 0, toolCalls }
  const terms: Terms = {
    endpoint: job.endpoint,
    model: storable(first.model),
    provider: first.provider,
    streamed: stream,
    base: Math.min(amount, costOf(job, first.price, leastDelivered)),
    outputPerMillion: first.price.outputPerMillion,
    inputTokens: estimatedInput(job),
    sandbox: first.sandbox || undefined,
  }
  const operation = await ledger.hold({ id: request.id, principal, amount, terms, signal })
  const meter = new Meter(request, job, first, operation, stream)
  request.onEnd((status) => void meter.end(status))
  return meter
}

export class Meter {
  private readonly delivered: Delivered = { usage: undefined, outputTokens: 0, images: 0, toolCalls: 0 }
  private readonly request: MeteredRequest
  private readonly job: Job
  private seller: Seller
  private readonly operation: Operation
  private readonly stream: boolean
  private answered = false
  private counted = false
  /** The usage was told before the end. */
  private early = false
  /** By its length. */
  private readonly promptTokens: number
  constructor(request: MeteredRequest, job: Job, seller: Seller, operation: Operation, stream: boolean) {
    this.request = request
    this.job = job
    this.seller = seller
    this.operation = operation
    this.stream = stream
    this.promptTokens = estimatedInput(job)
  }

  /** Who is asked now: until somebody answers, it is the one whom a caller leaves, or whose refusal he gets. */
  asking(seller: Seller) {
    if (!this.answered) this.soldBy(seller)
  }

  /** Who has begun to answer, or to go on with an answer. */
  answeredBy(seller: Seller) {
    this.soldBy(seller)
    this.answered = true
    this.delivered.usage = undefined
    // Until the provider says what it was; whoever leaves before has used it all the same.
    if (this.promptTokens > 0) this.request.tokensUsed = this.promptTokens
  }

  private soldBy(seller: Seller) {
    this.seller = seller
    this.delivered.toolCalls = hiddenToolCalls(this.job, seller.price, seller.model)
  }

  /** What has been delivered is good for nothing. */
  unanswered() {
    this.answered = false
  }

  /** So many pieces of text are about to go to the caller, in all. A promise is to be waited for before they do. */
  reached(outputTokens: number): Promise<void> | undefined {
    this.deliver(outputTokens)
    if (!this.delivered.usage && this.promptTokens > 0) this.request.tokensUsed = this.promptTokens + outputTokens
    return this.operation.mark(outputTokens)
  }

  /** So many tokens have been delivered, by the length of the text. */
  measured(outputTokens: number) {
    this.deliver(outputTokens)
    if (this.promptTokens > 0) this.request.tokensUsed = this.promptTokens + outputTokens
  }

  /** Noughts, or a prompt alone, where a text was delivered: as good as nothing said, whichever came first. */
  private deliver(outputTokens: number) {
    const { delivered, early } = this
    const { usage } = delivered
    delivered.outputTokens = outputTokens
    if (!usage || outputTokens === 0) return
    if (early && usage.outputTokens < outputTokens) this.usage({ ...usage, outputTokens }, { counted: true, early })
    else if (isOfPrompt(usage)) delivered.usage = undefined
  }

  images(count: number) {
    this.delivered.images = count
  }

  /** Of those that the provider runs, so many show in the answer. */
  toolCalls(count: number) {
    this.delivered.toolCalls = hiddenToolCalls(this.job, this.seller.price, this.seller.model) + count
  }

  /**
   * `counted`: a part of it was counted here, not said by the provider. `early`: the answer goes on, and what is delivered
   * beyond what this tells of is counted.
   */
  usage(usage: TokenUsage, { counted = false, early = false } = {}) {
    if (isOfPrompt(usage) && this.delivered.outputTokens > 0) return
    this.counted = counted
    this.early = early
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
    // Whoever leaves while a provider works has had it read the prompt.
    const spent = answered || (status === 499 && request.trace.tries?.at(-1)?.outcome === 'client')
    const cost = spent ? costOf(job, seller.price, delivered) : 0
    const usage = !spent
      ? none
      : (delivered.usage ?? { ...none, inputTokens: estimatedInput(job), outputTokens: delivered.outputTokens })
    const { inputTokens, cachedInputTokens, outputTokens } = usage
    if (spent && request.trace.answered) {
      Object.assign(request.trace.answered.attributes, {
        'gen_ai.usage.input_tokens': inputTokens,
        'gen_ai.usage.output_tokens': outputTokens,
        'gpuproxy.cost_usd': cost / 1e6,
      })
    }
    return operation.end({
      cost,
      providerCost: spent && seller.providerCost ? providerCostOf(job, seller.providerCost, delivered) : undefined,
      delivered: spent,
      usage: { model: storable(seller.model), inputTokens, cachedInputTokens, outputTokens },
      facts: factsOf(request, {
        endpoint: job.endpoint,
        status,
        streamed: this.stream,
        provider: seller.provider,
        source: !spent ? 'none' : isExact(job, delivered) && !this.counted ? 'provider' : 'estimated',
        price: rule(job, seller.price),
        held: operation.held,
        toolCalls: (spent && delivered.toolCalls) || undefined,
        cache: request.headers['x-cache'] ?? 'bypass',
        sandbox: seller.sandbox || undefined,
      }),
    })
  }
}

const isOfPrompt = (usage: TokenUsage | undefined) => usage?.outputTokens === 0 && usage.seconds === undefined

type OwnFacts = Omit<RequestFacts, 'tries' | 'totalMs' | 'providerMs' | 'limits'>

const factsOf = (request: MeteredRequest, own: OwnFacts): RequestFacts => ({
  ...own,
  tries: (request.trace.tries ?? []).map(storableTry),
  totalMs: rounded(request.elapsedMs()),
  providerMs: rounded(request.trace.waitedMs),
  limits: limitsOf(request.headers),
})

function storableTry(each: RequestFacts['tries'][number]) {
  const model = storable(each.model)
  return model === each.model ? each : { ...each, model }
}

/** What else the headers say of requests says the same. */
const told = ['ratelimit-policy', 'ratelimit', 'x-ratelimit-limit-tokens', 'x-ratelimit-remaining-tokens'] as const

function limitsOf(headers: Readonly<Record<string, string>>): Record<string, string> {
  const limits: Record<string, string> = {}
  for (const name of told) {
    const value = headers[name]
    if (value !== undefined) limits[name] = value
  }
  return limits
}

const rounded = (ms: number) => Math.round(ms * 10) / 10
