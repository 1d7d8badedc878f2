/**
 * All that a model is asked for: one flow, whatever the endpoint. The body's bytes go out untouched where nothing in them must
 * change. Before the first byte has gone to the caller any target may be tried; after it another one may go on with the
 * answer, and one that broke off never looks complete.
 */

import type { MicroUsd } from '../domain/money.ts'
import type { Principal } from '../domain/principal.ts'
import { thinks } from '../domain/thinking.ts'
import { ApiError } from '../errors.ts'
import type { Clock, Metrics, ReplyBody } from '../ports.ts'
import { type Endpoint, endpoints, type InferenceEndpoint } from '../providers/endpoints.ts'
import { hostedTool } from '../providers/hosted-tools.ts'
import type { Payload, StreamedAnswer, WholeAnswer } from '../providers/openai.ts'
import type { TokenUsage } from '../providers/token-usage.ts'
import type { Priority } from '../resilience/bulkhead.ts'
import { createDeadline, type Limits } from '../resilience/deadline.ts'
import { questionOf } from '../routing/question.ts'
import { instruments } from '../telemetry/instruments.ts'
import type { LogFields } from '../telemetry/log-fields.ts'
import type { Answer, CallTrace, GuardedCall, GuardedCallOptions, Hold } from '../upstream/guarded-call.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'
import type { Circuit } from '../upstream/upstream.ts'
import { callTimeouts, type Timeouts } from './call-timeouts.ts'
import { type Meter, type MeteredRequest, type MeterOptions, type Seller, startMeter } from './meter.ts'
import { relayBytes } from './relay-bytes.ts'
import { relayStream, type Source } from './relay-stream.ts'
import { createRescue, sourceOf } from './rescue.ts'
import type { Choice, Router } from './router.ts'
import { refuseOtherSpellings } from './spellings.ts'
import type { Splice } from './splice.ts'
import { ownNames, refuseStoredState, storeNothing } from './stored-state.ts'
import { type Transcript, TranscriptMemory } from './transcript.ts'
import { relayTypedStream } from './typed-stream.ts'
import { tailMs } from './waits.ts'

export interface InferenceRequest {
  endpoint: InferenceEndpoint
  stream: boolean
  /** The caller asked for the usage event at the end of a streamed completion. */
  wantsUsage: boolean
  /** Answers that each end with an event of their own, where they are streamed. */
  answers: number
  body: RequestBody
  /** Less time than the gateway would give, in ms. */
  patience: Pick<Limits, 'callerMs' | 'beginMs'>
  /** The caller is a gateway that tries again by itself. */
  nested: boolean
  signal: AbortSignal
  /** Who pays, and whose share of the upstreams' places this takes. */
  principal: Principal
  priority: Priority
  /** What it is expected to cost. */
  tokens: number
  /** What its bill and its receipt go by. */
  metered: MeteredRequest
  /** The only models that the caller may ask for. @default all */
  allowedModels?: readonly string[] | undefined
  /** Told what the request's log line should say. */
  log: LogFields
}

export interface RequestBody {
  /** What it says, as far as the gateway goes by it. */
  value: Record<string, unknown>
  /** A key stands twice: what it says is not all that the provider may read. */
  ambiguous: boolean
  /** Length of it. */
  bytes: number
  /** Its bytes with other fields; an undefined one is left out. */
  write(fields: Record<string, unknown>): Payload | Promise<Payload>
}

export interface Answered {
  status: number
  contentType: string
  body: ReplyBody
  provider: string
  model: string
  /** Where it is known before the body goes out. */
  cost?: MicroUsd
}

export interface InferenceOptions {
  clock: Clock
  metrics: Metrics
  ledger: MeterOptions['ledger']
  router: Router
  guardedCall: GuardedCall
  /** Longest time for one request, in ms. */
  requestTimeoutMs: number
  /** What a model does not say of itself. */
  timeouts: Timeouts
}

export interface Inference {
  infer(request: InferenceRequest): Promise<Answered>
  /** Ends the streams under way, each with an error event that says so. */
  stopStreams(): void
}

interface Leaving {
  signal: AbortSignal
  waitForUsage(): void
}

/** All transcripts of streams under way together. */
const maxTranscriptChars = 64 * 1024 * 1024

export function createInference(options: InferenceOptions): Inference {
  const { clock, metrics, ledger, router, guardedCall, requestTimeoutMs, timeouts } = options
  const streams = new Set<Hold>()
  const memory = new TranscriptMemory(maxTranscriptChars)
  const refusesPrefill = new WeakSet<Circuit>()

  /** A model that is given more time than a request has it, too. */
  const longest = (choices: readonly Choice[]) =>
    choices.reduce((most, { planned }) => Math.max(most, planned.row.timeouts.totalMs ?? 0), requestTimeoutMs)

  async function infer(asked: InferenceRequest): Promise<Answered> {
    const { endpoint, body } = asked
    refuseStoredState(body.value)
    refuseOtherSpellings(body.value)
    refuseUnpriced(endpoint, body.value)
    const own = await ownNames(asked.principal.accountId, body.value)
    const request = { ...asked, body: { ...body, write: (fields: object) => body.write({ ...own, ...fields }) } }
    const question = questionOf(withModel(endpoint, body.value))
    request.log.model = question.models[0]
    const found = router.choose(question, callerOf(asked))
    const choices = found.filter((choice) => isSold(endpoint, choice, body.value))
    if (choices.length === 0) throw notSold(found[0]!, body.value)
    const { metered, principal } = request
    const { trace } = metered
    const job = { endpoint, body: body.value, bytes: body.bytes }
    const meter = await startMeter({ ledger }, metered, principal, job, choices.map(sellerOf), request)
    const leaving = createLeaving(request)
    const calls: GuardedCallOptions = {
      deadline: createDeadline(clock, { limitMs: longest(choices), ...request.patience }),
      signal: leaving.signal,
      repeat: 'inference',
      nested: request.nested,
      key: principal.keyId,
      priority: request.priority,
      tokens: request.tokens,
      holds: request.stream || endpoints[endpoint].answer === 'binary',
      trace,
    }
    const targets = choices.map((choice) => targetOf(request, meter, choice, changes(request, choice)))
    const answer = await guardedCall(targets, calls).catch(theirsToSee)
    if ('kind' in answer) return { ...answer, ...(sayerOf(trace) ?? nameOf(choices[0]!)) }
    const at = targets.indexOf(answer.target)
    const choice = choices[at]!
    const { value, hold } = answer
    const named = nameOf(choice)
    if (value.kind !== 'whole' || value.status < 400) meter.answeredBy(sellerOf(choice))
    const events = { ...named, status: 200, contentType: 'text/event-stream; charset=utf-8' }
    switch (value.kind) {
      case 'stream':
        return { ...events, body: relay(request, meter, value, answer, choices, at, calls, leaving) }
      case 'typed': {
        const watch = watched(request, meter, hold, named.provider)
        // Half of a sound is worth nothing.
        const onUnfinished = () => {
          if (endpoint.startsWith('audio/')) meter.unanswered()
        }
        return { ...events, body: relayTypedStream(value, { ...watch, answers: request.answers, onUnfinished }) }
      }
      case 'bytes': {
        const { contentType } = value
        const watch = watched(request, meter, hold, named.provider)
        const onInterrupted = () => {
          watch.onInterrupted()
          meter.unanswered()
        }
        return { ...named, status: 200, contentType, body: relayBytes(value, { ...watch, onInterrupted }) }
      }
      case 'whole': {
        hold.release()
        const { status, contentType, body, usage, count, outputTokens, toolCalls } = value
        if (outputTokens !== undefined) meter.measured(outputTokens)
        if (usage) meter.usage(usage)
        if (count !== undefined) meter.images(count)
        if (toolCalls) meter.toolCalls(toolCalls)
        await meter.end(status)
        return { ...named, status, contentType, body, cost: meter.cost }
      }
    }
  }

  /** For answers that nobody else can go on with. */
  function watched(request: InferenceRequest, meter: Meter, hold: Hold, provider: string) {
    streams.add(hold)
    return {
      clock,
      hold,
      signal: request.signal,
      onMalformed: () => metrics.count(instruments.malformedEvents, { provider }),
      onInterrupted: () => metrics.count(instruments.streamInterrupted, { provider, rescued: 'no' }),
      onUsage: (usage: TokenUsage) => meter.addUsage(usage),
      onToolCalls: (count: number) => meter.toolCalls(count),
      onDelivered(pieces: number, answers: number) {
        meter.images(answers)
        return meter.reached(pieces)
      },
      onLast: () => meter.end(200),
      onEnd: () => void streams.delete(hold),
    }
  }

  /** What ends the calls for a caller who leaves: at once, or a moment later where only the usage is still to come. */
  function createLeaving({ signal: left, stream }: InferenceRequest): Leaving {
    // The usage of a whole answer is in it.
    if (!stream) return { signal: left, waitForUsage() {} }
    const ending = new AbortController()
    let waitMs = 0
    const end = () => ending.abort(left.reason)
    const leave = () => (waitMs > 0 ? void clock.setTimer(waitMs, end) : end())
    if (left.aborted) leave()
    else left.addEventListener('abort', leave, { once: true })
    return {
      signal: ending.signal,
      waitForUsage() {
        waitMs = tailMs
      },
    }
  }

  function targetOf(request: InferenceRequest, meter: Meter, choice: Choice, fields: Record<string, unknown>) {
    const { provider, planned } = choice
    const { timeouts: own, contextWindow } = planned.row
    const call = {
      endpoint: request.endpoint,
      model: planned.model,
      payload: () => request.body.write(fields),
      timeouts: callTimeouts(own, timeouts, thinks(planned.model, request.body.value)),
      contextWindow,
    }
    const target = request.stream ? provider.stream(call) : provider.complete(call)
    const seller = sellerOf(choice)
    const send: typeof target.send = (signal, attempt) => {
      meter.asking(seller)
      return target.send(signal, attempt)
    }
    return { ...target, send }
  }

  function relay(
    request: InferenceRequest,
    meter: Meter,
    stream: StreamedAnswer,
    answer: Answer<unknown>,
    choices: readonly Choice[],
    at: number,
    calls: GuardedCallOptions,
    leaving: Leaving,
  ) {
    const held = (source: Source) => {
      streams.add(source.hold)
      return source
    }
    let source = held(sourceOf(choices[at]!, stream, answer))
    /** What others had said before the one who speaks now. */
    let former: Former | undefined
    const rescue = createRescue({
      guardedCall,
      calls,
      choices,
      body: request.body.value,
      refusesPrefill,
      targetOf: (choice, fields) => targetOf(request, meter, choice, { ...changes(request, choice), ...fields }),
    })
    return relayStream(source, {
      clock,
      signal: request.signal,
      wantsUsage: request.wantsUsage,
      choices: choicesAskedFor(request.body.value),
      memory,
      async rescue(transcript, broken) {
        streams.delete(source.hold)
        const next = await rescue(transcript, at, broken)
        if (!next) return undefined
        at = next.at
        source = held(next.source)
        const { rescuedBy, splice } = source
        former = rescuedBy === 'prefill' ? { transcript, tokens: transcript.tokens, splice } : undefined
        return source
      },
      onTaken: () => meter.answeredBy(sellerOf(choices[at]!)),
      onUsage(usage, early) {
        if (former) meter.usage(ofBothParts(usage, former), { counted: true, early })
        else meter.usage(usage, { early })
      },
      onText: (tokens) => meter.reached(tokens),
      onWaitingForUsage: () => leaving.waitForUsage(),
      onLast: () => meter.end(200),
      onMalformed: (provider) => metrics.count(instruments.malformedEvents, { provider }),
      onInterrupted(provider, rescued) {
        metrics.count(instruments.streamInterrupted, { provider, rescued })
        request.log.rescued = rescued
        request.log.provider = source.provider
      },
      onEnd: () => streams.delete(source.hold),
    })
  }

  return {
    infer,
    stopStreams() {
      const stopping = new ApiError('stream_interrupted', { message: 'The gateway is stopping. Ask again.' })
      for (const hold of streams) hold.abort(stopping)
    },
  }
}

interface Former {
  transcript: Transcript
  /** Delivered by others. */
  tokens: number
  /** How the one who continues joins on to it. */
  splice: Splice | undefined
}

/**
 * One who continues an answer counts what came before as input. It was output, and is paid for once. Some begin from the
 * front all the same and have counted it; where that cannot be told, the pieces delivered in all are the bound.
 */
function ofBothParts(usage: TokenUsage, { transcript, tokens, splice }: Former): TokenUsage {
  const most = { anew: 0, onward: tokens, unknown: transcript.tokens - usage.outputTokens }[splice?.begins ?? 'unknown']
  const uncounted = Math.max(0, Math.min(tokens, most, usage.inputTokens))
  const inputTokens = usage.inputTokens - uncounted
  const cachedInputTokens = Math.min(usage.cachedInputTokens, inputTokens)
  return { ...usage, inputTokens, cachedInputTokens, outputTokens: usage.outputTokens + uncounted }
}

/** What the provider would take where none is named. */
function withModel(endpoint: InferenceEndpoint, value: Record<string, unknown>): Record<string, unknown> {
  const { defaultModel } = endpoints[endpoint] as Endpoint
  return defaultModel !== undefined && value.model == null && value.models == null
    ? { ...value, model: defaultModel }
    : value
}

/** Of all that the request may lead to, fallbacks too. @throws ApiError `model_not_allowed` */
export function refuseOtherModels({ endpoint, body, allowedModels }: InferenceRequest): void {
  if (!allowedModels) return
  const { models } = questionOf(withModel(endpoint, body.value))
  if (!models.every((name) => allowedModels.includes(name))) throw new ApiError('model_not_allowed', { param: 'model' })
}

/** What is not counted in tokens needs a price of its own. */
function isSold(endpoint: InferenceEndpoint, { planned }: Choice, body: RequestBody['value']): boolean {
  const { price } = planned.row
  switch (endpoint) {
    case 'images/generations':
      return price.perImage !== undefined
    case 'audio/speech':
      return price.perMillionCharacters !== undefined
    case 'audio/transcriptions':
    case 'audio/translations':
      return price.perMinute !== undefined
    default:
      return price.perToolCall !== undefined || !hostedTool(body, planned.model)
  }
}

function notSold({ planned }: Choice, body: RequestBody['value']): ApiError {
  const hosted = hostedTool(body, planned.model)
  if (!hosted) return new ApiError('model_not_priced', { param: 'model' })
  const { param, tool } = hosted
  const what = tool === undefined ? `${param}: what the provider searches` : `tools: ${tool.slice(0, maxShownChars)}`
  const message = `${what} has no price here, so it is not sold. Ask without it; the operator can set price.per_tool_call.`
  return new ApiError('model_not_priced', { message, param })
}
const maxShownChars = 64

const callerOf = ({ principal, allowedModels }: InferenceRequest) => ({ accountId: principal.accountId, allowedModels })

const sellerOf = ({ provider, planned }: Choice): Seller => ({
  provider: provider.name,
  model: planned.model,
  price: planned.row.price,
  providerCost: planned.row.providerCost,
  contextWindow: planned.row.contextWindow,
  sandbox: provider.sandbox,
})

const nameOf = ({ provider, planned }: Choice) => ({ provider: provider.name, model: planned.model })

/** Who said that it fits nowhere, or that nobody serves it; of very many tries only the first are known. */
function sayerOf({ tries }: CallTrace) {
  const said = tries?.findLast(({ outcome }) => outcome === 'too_long' || outcome === 'unserved')
  return said && { provider: said.provider, model: said.model }
}

/** A prompt that fits nowhere, or a model that nobody serves: the provider's own words, since only the caller can help it. */
function theirsToSee(error: unknown): WholeAnswer {
  if (error instanceof UpstreamFailure && error.details.answer) return error.details.answer as WholeAnswer
  throw error
}

/** Each of several prompts of a text completion has choices of its own. */
function choicesAskedFor({ n, prompt }: Record<string, unknown>): number {
  const prompts = Array.isArray(prompt) && typeof prompt[0] !== 'number' ? prompt.length : 1
  return (typeof n === 'number' ? n : 1) * prompts
}

/** A picture drawn in between is billed by the provider beside the tokens, at up to a hundred times what those come to. */
function refuseUnpriced(endpoint: InferenceEndpoint, { tools }: Record<string, unknown>) {
  if (endpoint !== 'responses' || !Array.isArray(tools)) return
  if (!tools.some((tool) => (tool as { type?: unknown } | null)?.type === 'image_generation')) return
  throw new ApiError('model_not_priced', {
    message: 'tools: image_generation has no price here, so it is not sold. Use /v1/images/generations.',
    param: 'tools',
  })
}

/** There is one price for a model, and it is not that of a tier in which the same costs twice as much. */
const isDearer = (tier: unknown) => tier != null && tier !== 'auto' && tier !== 'default' && tier !== 'flex'

/** The fields that must be other than the caller sent them; none for most calls. Undefined = left out. */
function changes(request: InferenceRequest, { planned }: Choice): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  const { value } = request.body
  if (planned.model !== value.model) fields.model = planned.model
  if ('fallbacks' in value) fields.fallbacks = undefined
  if ('models' in value) fields.models = undefined
  Object.assign(fields, storeNothing(request.endpoint, planned.model, value))
  if (isDearer(value.service_tier)) fields.service_tier = 'default'
  // A streamed completion without usage could not be billed.
  if (request.stream && !request.wantsUsage && endpoints[request.endpoint].events === 'chat') {
    fields.stream_options = { ...(value.stream_options as object | null | undefined), include_usage: true }
  }
  return fields
}
