/**
 * A provider that speaks OpenAI's API: OpenAI itself, IO Intelligence, vLLM, and most others.
 * Facts: platform.openai.com/docs/api-reference; the model list of IO Intelligence has a shape of its own.
 */
import * as z from 'zod'
import { joined } from '../domain/joined.ts'
import type { Clock, HttpCall, HttpClient, HttpReply, Metrics } from '../ports.ts'
import { createDeadline } from '../resilience/deadline.ts'
import { instruments } from '../telemetry/instruments.ts'
import type { Attempt, GuardedCall, Target } from '../upstream/guarded-call.ts'
import { createHedge } from '../upstream/hedge.ts'
import { checkStatus, first, UpstreamFailure } from '../upstream/outcome.ts'
import type { ProviderLimit } from '../upstream/provider-limit.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { type CredentialsOptions, createCredentials } from './credentials.ts'
import { type Endpoint, endpoints, type InferenceEndpoint, isAnswerType } from './endpoints.ts'
import { hostedCallsIn } from './hosted-tools.ts'
import { parseRows } from './market.ts'
import { hasToken, isPolicyRefusal, type ProviderError, readStreamEvents, type StreamEvent } from './openai-stream.ts'
import { type TokenUsage, tokenUsage } from './token-usage.ts'
import { isFirstToken, isProviderFault, readTypedEvents, type TypedStreamEvent } from './typed-events.ts'

export interface InferenceCall {
  endpoint: InferenceEndpoint
  /** The model's name at the provider. */
  model: string
  /** Made only when it is sent: most targets are never asked. */
  payload: () => Payload | Promise<Payload>
  timeouts: CallTimeouts
  /** Of the model there, in tokens. */
  contextWindow: number | undefined
}

export interface Payload {
  bytes: Uint8Array
  contentType: string
}

/** In ms. */
export interface CallTimeouts {
  /** Longest wait for a stream's headers. */
  headersMs: number
  /** Longest wait for a stream's first token while another target is left. */
  firstTokenMs: number
  /** Longest silence within a stream while another target is left. */
  idleMs: number
  /** Longest silence on the last target, before the first token and within the stream; never less than the other two. */
  lastSilenceMs: number
  /** Longest time for one try. */
  totalMs: number
}

/** An answer in one piece: a success, or an error that is the caller's own. */
export interface WholeAnswer {
  kind: 'whole'
  status: number
  contentType: string
  body: Uint8Array
  /** What it cost; undefined = it does not say. */
  usage?: TokenUsage | undefined
  /** Things in it, where it is a list of things, as images are. */
  count?: number | undefined
  /** By the length of its text, where the usage counts none of it. */
  outputTokens?: number | undefined
  /** Of tools that the provider ran. */
  toolCalls?: number | undefined
}

/** The first events are already here. */
export interface StreamedAnswer {
  kind: 'stream'
  begun: StreamEvent[]
  rest: AsyncGenerator<StreamEvent[], void, void>
  /** Longest wait for an event, whatever else keeps the connection alive. */
  maxSilenceMs: number
}

export interface TypedAnswer {
  kind: 'typed'
  begun: TypedStreamEvent[]
  rest: AsyncGenerator<TypedStreamEvent[], void, void>
  /** As in `StreamedAnswer`. */
  maxSilenceMs: number
}

/** Bytes as they come, of the type that the provider says. The first ones are already here. */
export interface BytesAnswer {
  kind: 'bytes'
  contentType: string
  begun: Uint8Array
  rest: AsyncIterator<Uint8Array, unknown, undefined>
}

export type InferenceAnswer = WholeAnswer | StreamedAnswer | TypedAnswer | BytesAnswer

export interface Model {
  id: string
  object: 'model'
  created: number
  owned_by: string
}

export interface ModelProvider {
  name: string
  /** The sandbox plays it. */
  sandbox: boolean
  upstream: Upstream
  /** In one piece; bytes come as they are made. */
  complete(call: InferenceCall): Target<InferenceAnswer>
  /** In events. */
  stream(call: InferenceCall): Target<InferenceAnswer>
  models(signal: AbortSignal): Promise<Model[]>
  /** False while it refuses all that the gateway has: nothing is sent. */
  hasCredential(): boolean
  /** Whether the provider answers at all: a question that costs nothing. */
  isThere(signal: AbortSignal): Promise<boolean>
}

export interface OpenAiOptions {
  name: string
  /** Path prefix included, as in `https://api.openai.com/v1`. */
  baseUrl: string
  /** In order of preference; none = calls go out without a credential. */
  apiKeys: readonly string[]
  /** Sent with every call. */
  headers: Readonly<Record<string, string>>
  onRejected: CredentialsOptions['onRejected']
  http: HttpClient
  clock: Clock
  metrics: Metrics
  upstream: Upstream
  providerLimit?: ProviderLimit | undefined
  guardedCall: GuardedCall
  /** @default false */
  sandbox?: boolean
}

const maxAnswerBytes = 32 * 1024 * 1024
const maxLargeAnswerBytes = 2 * maxAnswerBytes
const maxErrorBytes = 1024 * 1024
const modelsTimeoutMs = 10_000
const json = 'application/json'
/** A provider that says so much without a word of text is not answering. */
const maxEventsBeforeToken = 1_000
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })
const lenient = new TextDecoder()

/** 0 = only the time of the try bounds it. */
type Limits = Pick<HttpCall, 'headersTimeoutMs' | 'idleTimeoutMs'>

export function createOpenAiProvider(options: OpenAiOptions): ModelProvider {
  const { name, http, clock, metrics, upstream, providerLimit, guardedCall, apiKeys, onRejected } = options
  const { origin, pathname } = new URL(options.baseUrl)
  const prefix = pathname === '/' ? '' : pathname
  const headers = {
    'content-type': json,
    // A compressed answer would have to be unpacked to be checked, counted and relayed.
    'accept-encoding': 'identity',
    'user-agent': 'aiserve-gpuproxy',
    ...options.headers,
  }
  const hedge = createHedge({ clock, onHedged: (won) => metrics.count(instruments.hedges, { upstream: name, won }) })
  const credentials = createCredentials({ clock, apiKeys, headers, onRejected })

  /** Sends with the credential in use. One that is refused there is taken out, so that the next call has another. */
  async function send<Body>(
    make: (call: Pick<HttpCall, 'origin' | 'headers'>) => Promise<HttpReply<Body>>,
    { number, span }: Pick<Attempt, 'number' | 'span'>,
  ): Promise<HttpReply<Body>> {
    const credential = credentials.current()
    if (!credential) throw new UpstreamFailure('local', { reason: 'no_credential' })
    // For a gateway behind this one: it must not multiply our tries by its own.
    let { headers } = credential
    if (number > 1) headers = { ...headers, 'x-gpuproxy-attempt': String(number) }
    if (span) headers = { ...headers, ...span.headers() }
    const reply = await make({ origin, headers })
    // 402 may be about what this one request would cost, 403 about what it asks for; this is about the key.
    if (reply.status === 401) {
      throw new UpstreamFailure('config', { status: reply.status, otherCredential: credential.rejected() })
    }
    return reply
  }

  const post =
    (
      { endpoint }: InferenceCall,
      { bytes, contentType }: Payload,
      limits: Limits & Pick<HttpCall, 'signal' | 'maxBytes'>,
    ) =>
    ({ origin, headers }: Pick<HttpCall, 'origin' | 'headers'>): HttpCall => ({
      origin,
      headers: contentType === json ? headers : { ...headers, 'content-type': contentType },
      method: 'POST',
      path: `${prefix}/${endpoint}`,
      body: bytes,
      ...limits,
    })

  const checked = (call: InferenceCall, reply: HttpReply<Uint8Array>) =>
    whole(call, reply, clock.wallNow(), withoutCredentials)

  /** An error is passed on in the provider's words, and some servers quote what they were sent. */
  function withoutCredentials({ status, body }: Pick<WholeAnswer, 'status' | 'body'>) {
    if (status >= 400 && credentials.areIn(lenient.decode(body))) throw new UpstreamFailure('poison', { status })
  }

  async function sendWhole(call: InferenceCall, signal: AbortSignal, attempt: Attempt): Promise<WholeAnswer> {
    const payload = call.payload()
    const make = post(call, payload instanceof Promise ? await payload : payload, {
      signal,
      // A model may think for minutes before it sends a header: only the time of the try bounds this.
      headersTimeoutMs: 0,
      idleTimeoutMs: 0,
      maxBytes: (endpoints[call.endpoint] as Endpoint).largeAnswers ? maxLargeAnswerBytes : maxAnswerBytes,
    })
    return checked(call, await send((to) => http.bytes(make(to)), attempt))
  }

  /** The reply to a call for what comes in pieces, whatever it is. */
  async function open(call: InferenceCall, signal: AbortSignal, attempt: Attempt, limits: Limits) {
    const make = post(call, await call.payload(), { signal, ...limits, maxBytes: Infinity })
    return send((to) => http.stream(make(to)), attempt)
  }

  function limitsOfStream({ endpoint, timeouts }: InferenceCall, { last }: Attempt): Limits {
    const { headersMs, idleMs, lastSilenceMs, totalMs } = timeouts
    if ((endpoints[endpoint] as Endpoint).worksBeforeItSpeaks) return { headersTimeoutMs: 0, idleTimeoutMs: totalMs }
    return { headersTimeoutMs: headersMs, idleTimeoutMs: last ? lastSilenceMs : idleMs }
  }

  async function sendStream(call: InferenceCall, signal: AbortSignal, attempt: Attempt): Promise<InferenceAnswer> {
    const sentAt = clock.now()
    const reply = await open(call, signal, attempt, limitsOfStream(call, attempt))
    const { events, mayNotStream, worksBeforeItSpeaks } = endpoints[call.endpoint] as Endpoint
    const { totalMs, lastSilenceMs } = call.timeouts
    // A comment is a word of whoever stands in between, and not of the model: it buys the patience of a last target.
    const maxSilenceMs = worksBeforeItSpeaks ? totalMs : lastSilenceMs
    const isStream = first(reply.headers['content-type'])?.startsWith('text/event-stream')
    if (reply.status >= 400 || (!isStream && mayNotStream)) {
      const body = await collect(reply.body, reply.status >= 400 ? maxErrorBytes : maxAnswerBytes)
      return checked(call, { ...reply, body })
    }
    if (!isStream) return notAnAnswer(call, reply.body, withoutCredentials)

    let answer: InferenceAnswer
    if (events === 'typed') {
      const rest = readTypedEvents(reply.body)
      const begun = await begin(call, rest, (event) => event.kind === 'typed' && isFirstToken(event.type))
      answer = Array.isArray(begun) ? { kind: 'typed', begun, rest, maxSilenceMs } : begun
    } else {
      const rest = readStreamEvents(reply.body)
      const begun = await begin(call, rest, (event) => event.kind === 'chunk' && hasToken(event.chunk))
      answer = Array.isArray(begun) ? { kind: 'stream', begun, rest, maxSilenceMs } : begun
    }
    if (answer.kind !== 'whole') {
      metrics.observe(instruments.timeToFirstToken, { provider: name }, (clock.now() - sentAt) / 1000)
    }
    return answer
  }

  /** The events up to the first that says something, or the provider's verdict on the request. */
  async function begin<E extends AnyEvent>(
    { contextWindow }: InferenceCall,
    rest: AsyncGenerator<E[], void, void>,
    isToken: (event: E) => boolean,
  ): Promise<E[] | WholeAnswer> {
    const begun: E[] = []
    for (;;) {
      const next = await rest.next()
      if (next.done) throw new UpstreamFailure('poison')
      for (const event of next.value) {
        if (event.kind === 'malformed') metrics.count(instruments.malformedEvents, { provider: name })
        else begun.push(event)
      }
      const telling = begun.find((event) => isToken(event) || event.kind === 'done' || event.kind === 'error')
      if (telling && isToken(telling)) return begun
      if (!telling && begun.length <= maxEventsBeforeToken) continue
      await rest.return()
      if (telling?.kind !== 'error') throw new UpstreamFailure('poison')
      return verdict(telling.error as ProviderError, contextWindow, withoutCredentials)
    }
  }

  async function sendBytes(
    call: InferenceCall,
    signal: AbortSignal,
    attempt: Attempt,
  ): Promise<WholeAnswer | BytesAnswer> {
    // Made as a whole by some, who say nothing before.
    const limits = { headersTimeoutMs: 0, idleTimeoutMs: call.timeouts.lastSilenceMs }
    const reply = await open(call, signal, attempt, limits)
    if (reply.status >= 400) {
      return checked(call, { ...reply, body: await collect(reply.body, maxErrorBytes) })
    }
    const contentType = first(reply.headers['content-type'])
    if (!isAnswerType('binary', contentType)) return notAnAnswer(call, reply.body, withoutCredentials)
    const rest = reply.body[Symbol.asyncIterator]()
    const begun = await rest.next()
    if (begun.done) throw new UpstreamFailure('poison')
    return { kind: 'bytes', contentType: contentType!, begun: begun.value, rest }
  }

  const modelsCall = (to: Pick<HttpCall, 'origin' | 'headers'>, signal: AbortSignal): HttpCall => ({
    ...to,
    method: 'GET',
    path: `${prefix}/models`,
    signal,
    headersTimeoutMs: modelsTimeoutMs,
    idleTimeoutMs: modelsTimeoutMs,
    maxBytes: maxAnswerBytes,
  })

  return {
    name,
    sandbox: options.sandbox ?? false,
    upstream,
    complete: (call) => ({
      upstream,
      model: call.model,
      operation: operationOf(call.endpoint),
      providerLimit,
      circuit: upstream.circuit(call.model),
      tryTimeoutMs: call.timeouts.totalMs,
      totalMs: call.timeouts.totalMs,
      send: (signal, attempt) =>
        endpoints[call.endpoint].answer === 'binary'
          ? sendBytes(call, signal, attempt)
          : sendWhole(call, signal, attempt),
      helpsAfter: fits(call),
    }),
    stream(call) {
      const { firstTokenMs, lastSilenceMs, totalMs } = call.timeouts
      const { worksBeforeItSpeaks } = endpoints[call.endpoint] as Endpoint
      return {
        upstream,
        model: call.model,
        operation: operationOf(call.endpoint),
        providerLimit,
        circuit: upstream.circuit(call.model),
        totalMs,
        send: (signal, attempt) => sendStream(call, signal, attempt),
        helpsAfter: fits(call),
        ...(worksBeforeItSpeaks
          ? { tryTimeoutMs: totalMs }
          : {
              tryTimeoutMs: firstTokenMs,
              lastTryTimeoutMs: lastSilenceMs,
              phase: 'first_token',
              slowMs: firstTokenMs,
            }),
      }
    },
    async models(signal) {
      const target: Target<Model[]> = {
        upstream,
        circuit: upstream.circuit(''),
        tryTimeoutMs: modelsTimeoutMs,
        slowMs: 2_000,
        async send(trySignal, attempt) {
          const ask = (callSignal: AbortSignal) => send((to) => http.bytes(modelsCall(to, callSignal)), attempt)
          const reply = await hedge.hedged(ask, { signal: trySignal, budget: upstream.budget })
          checkStatus(reply, clock.wallNow())
          if (reply.status !== 200) throw new UpstreamFailure('poison', { status: reply.status })
          return parseRows(modelList.parse(JSON.parse(decoder.decode(reply.body))).data, modelRow)
        },
      }
      const answer = await guardedCall([target], {
        deadline: createDeadline(clock, { limitMs: 3 * modelsTimeoutMs }),
        signal,
        repeat: 'idempotent',
        trace: { attempts: 0, waitedMs: 0 },
      })
      return answer.value
    },
    hasCredential: () => credentials.current() !== undefined,
    async isThere(signal) {
      const reply = await http.bytes(modelsCall({ origin, headers: credentials.current()?.headers ?? headers }, signal))
      return reply.status < 500 && reply.status !== 429
    },
  }
}

/** As OpenTelemetry's conventions name it; what they have no name for goes by the endpoint's own. */
const operationOf = (endpoint: InferenceEndpoint) => operations[endpoint] ?? endpoint
const operations: Partial<Record<InferenceEndpoint, string>> = {
  'chat/completions': 'chat',
  completions: 'text_completion',
  responses: 'chat',
  embeddings: 'embeddings',
}

type AnyEvent = StreamEvent | TypedStreamEvent

/** A prompt that was too long for one target may fit another that has more room, and no other. */
const fits =
  ({ contextWindow }: InferenceCall) =>
  (failure: UpstreamFailure) =>
    failure.class !== 'too_long' || (contextWindow ?? 0) > (failure.details.contextWindow ?? Infinity)

/** @throws where an error's words must not be passed on */
type Check = (reply: Pick<WholeAnswer, 'status' | 'body'>) => void

/** Checks that a buffered answer is one: the caller's own error as it is, or what the endpoint gives. */
function whole(
  { endpoint, contextWindow }: InferenceCall,
  reply: HttpReply<Uint8Array>,
  wallNowMs: number,
  check: Check,
): WholeAnswer {
  const { status, body } = reply
  try {
    checkStatus(reply, wallNowMs)
  } catch (failure) {
    throw status === 429 && usedUp(body) ? new UpstreamFailure('quota', { status }) : failure
  }
  check(reply)
  const said = first(reply.headers['content-type'])
  const isText = endpoints[endpoint].answer === 'text' && !said?.startsWith(json) && isAnswerType('text', said)
  const parsed = isText ? undefined : parseObject(body)
  if (status < 400 && !isText) {
    if (!parsed) throw new UpstreamFailure('poison', { status })
    if (parsed.error && !isJudgedResponse(endpoint, parsed)) {
      return verdict(parsed.error as ProviderError, contextWindow, check)
    }
    // Its words may be the provider's, as those of an error are.
    if (parsed.error) check({ ...reply, status: 400 })
    else if (!holdsAnswer(endpoint, parsed)) throw new UpstreamFailure('poison', { status })
  }
  const contentType = parsed ? json : (said ?? 'application/octet-stream')
  const usage = usageIn(parsed)
  const answer: WholeAnswer = { kind: 'whole', status, contentType, body, usage }
  const written = parsed && !usage?.outputTokens ? textIn(parsed.choices ?? parsed.output) : 0
  if (written > 0) answer.outputTokens = Math.ceil(written / charsPerToken)
  if (endpoint === 'images/generations' && Array.isArray(parsed?.data)) answer.count = parsed.data.length
  if (endpoint === 'responses') answer.toolCalls = hostedCallsIn(parsed?.output)
  if (status === 400 && isTooLong(parsed?.error)) {
    throw new UpstreamFailure('too_long', { status, contextWindow, answer })
  }
  if (status >= 400 && isUnserved(parsed?.error)) throw new UpstreamFailure('unserved', { status, answer })
  return answer
}

/** Some transcriptions tell their length beside the text, and beside a usage in tokens. */
function usageIn(parsed: Record<string, unknown> | undefined): TokenUsage | undefined {
  const usage = tokenUsage(parsed?.usage)
  const length = tokenUsage({ type: 'duration', seconds: parsed?.duration })
  return usage && length ? { ...usage, seconds: length.seconds } : (usage ?? length)
}

const charsPerToken = 4
/** Fields of an answer that a model has written. */
const textFields = new Set([
  'content',
  'text',
  'reasoning_content',
  'reasoning',
  'refusal',
  'arguments',
  'input',
  'summary',
])

/** Length of the texts that a model has written, in characters. */
function textIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  if (Array.isArray(value)) return value.reduce<number>((sum, each) => sum + textIn(each), 0)
  let length = 0
  for (const [name, field] of Object.entries(value)) {
    length += typeof field === 'string' ? (textFields.has(name) ? field.length : 0) : textIn(field)
  }
  return length
}

/** OpenAI's code, and the words of servers that have none. */
function isTooLong(error: unknown): boolean {
  const { code, message } = (typeof error === 'object' && error !== null ? error : {}) as ProviderError
  return code === 'context_length_exceeded' || /maximum context length/i.test(String(message))
}

/** OpenAI's code, and vLLM's type. */
function isUnserved(error: unknown): boolean {
  const { code, type } = (typeof error === 'object' && error !== null ? error : {}) as ProviderError
  return code === 'model_not_found' || type === 'NotFoundError'
}

/** A response that a provider gave up for what was asked; the rest it has failed at. */
const isJudgedResponse = (endpoint: InferenceEndpoint, { status, error }: Record<string, unknown>) =>
  endpoint === 'responses' && status === 'failed' && !isProviderFault(error as ProviderError)

/** What an answer is a list of. */
const listIn: Partial<Record<InferenceEndpoint, string>> = {
  'chat/completions': 'choices',
  completions: 'choices',
  embeddings: 'data',
  responses: 'output',
  moderations: 'results',
  'images/generations': 'data',
}

/** A list may be empty, and a text, too; but there is no completion without a choice. */
function holdsAnswer(endpoint: InferenceEndpoint, parsed: Record<string, unknown>): boolean {
  const name = listIn[endpoint]
  if (name === undefined) return true
  const list = parsed[name]
  return Array.isArray(list) && (name !== 'choices' || list.some(isChoice))
}

const isChoice = (choice: { message?: unknown; text?: unknown } | null) =>
  (typeof choice?.message === 'object' && choice.message !== null) || typeof choice?.text === 'string'

/** What an error that came with a success says: about the request, or that the provider has failed. */
function verdict(error: ProviderError, contextWindow: number | undefined, check: Check): WholeAnswer {
  const unserved = isUnserved(error)
  if (!unserved && !isAboutRequest(error)) throw new UpstreamFailure('server')
  const answer = refusal(error, unserved ? 404 : 400)
  check(answer)
  if (unserved) throw new UpstreamFailure('unserved', { status: answer.status, answer })
  if (isTooLong(error)) throw new UpstreamFailure('too_long', { status: answer.status, contextWindow, answer })
  return answer
}

/** Of errors that come with a success, those of which another provider would say the same. */
function isAboutRequest(error: ProviderError): boolean {
  if (isPolicyRefusal(error) || isTooLong(error)) return true
  // What OpenAI calls an invalid request, too, and is the operator's fault.
  return error.type === 'invalid_request_error' && error.code !== 'invalid_api_key'
}

/** A verdict on the request that came as an event of a stream. */
const refusal = (error: ProviderError, status: number): WholeAnswer => ({
  kind: 'whole',
  status,
  contentType: json,
  body: encoder.encode(JSON.stringify({ error })),
})

function parseObject(body: Uint8Array): Record<string, unknown> | undefined {
  try {
    const json = JSON.parse(decoder.decode(body))
    return typeof json === 'object' && json !== null && !Array.isArray(json) ? json : undefined
  } catch {
    return undefined
  }
}

/** A 429 that no waiting cures. */
function usedUp(body: Uint8Array): boolean {
  const error = parseObject(body)?.error as { code?: unknown; type?: unknown } | undefined
  const used = ['insufficient_quota', 'credit_balance_exhausted', 'billing_hard_limit_reached']
  return used.includes(String(error?.code)) || used.includes(String(error?.type))
}

/** JSON in answer to a request for something else is an error in disguise, or nonsense. */
async function notAnAnswer(
  { contextWindow }: InferenceCall,
  body: AsyncIterable<Uint8Array>,
  check: Check,
): Promise<WholeAnswer> {
  const parsed = parseObject(await collect(body, maxErrorBytes))
  if (!parsed?.error) throw new UpstreamFailure('poison')
  return verdict(parsed.error as ProviderError, contextWindow, check)
}

async function collect(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > maxBytes) throw new UpstreamFailure('oversized')
    chunks.push(chunk)
  }
  return joined(chunks)
}

const modelList = z.object({ data: z.array(z.unknown()) })
const modelRow = z
  .union([
    z.object({ id: z.string(), created: z.number().catch(0), owned_by: z.string().catch('provider') }),
    z.object({ model_id: z.string() }).transform(({ model_id }) => ({ id: model_id, created: 0, owned_by: 'io.net' })),
  ])
  .transform((model): Model => ({ object: 'model', ...model }))
