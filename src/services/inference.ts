/**
 * Chat completions, completions and embeddings: one flow. The body's bytes go out untouched where nothing in them must
 * change. Before the first byte has gone to the caller any try may be repeated; after it the stream is watched to its
 * end, and an answer that broke off never looks complete.
 */
import { ApiError } from '../errors.ts'
import type { Clock, Metrics, ReplyBody } from '../ports.ts'
import type { InferenceEndpoint, ModelProvider, StreamedAnswer, WholeAnswer } from '../providers/openai.ts'
import { createDeadline } from '../resilience/deadline.ts'
import type { PlanRoute, RouteTarget } from '../routing/plan.ts'
import { instruments } from '../telemetry/instruments.ts'
import type { Answer, CallTrace, GuardedCall, Hold, Target } from '../upstream/guarded-call.ts'
import { relayStream } from './relay-stream.ts'
import { rewriteBody } from './rewrite-body.ts'

export interface InferenceRequest {
  endpoint: InferenceEndpoint
  model: string
  stream: boolean
  /** The caller asked for the usage event at the end of a stream. */
  wantsUsage: boolean
  body: { bytes: Uint8Array; value: Record<string, unknown>; ambiguous: boolean }
  /** Less time than the gateway would give, in ms. */
  timeoutMs: number | undefined
  signal: AbortSignal
  trace: CallTrace
}

export interface InferenceAnswer {
  status: number
  contentType: string
  body: ReplyBody
  provider: string
  model: string
}

export interface InferenceOptions {
  clock: Clock
  metrics: Metrics
  planRoute: PlanRoute
  providers: ReadonlyMap<string, ModelProvider>
  guardedCall: GuardedCall
  /** Longest time for one request, in ms. */
  requestTimeoutMs: number
}

export interface Inference {
  infer(request: InferenceRequest): Promise<InferenceAnswer>
  /** Ends the streams under way, each with an error event that says so. */
  stopStreams(): void
}

interface Choice {
  route: RouteTarget
  provider: ModelProvider
}

export function createInference(options: InferenceOptions): Inference {
  const { clock, metrics, planRoute, providers, guardedCall, requestTimeoutMs } = options
  const streams = new Set<Hold>()

  async function infer(request: InferenceRequest): Promise<InferenceAnswer> {
    const choices = planRoute(request.model).flatMap((route): Choice[] => {
      const provider = providers.get(route.provider)
      return provider ? [{ route, provider }] : []
    })
    if (choices.length === 0) throw new ApiError('provider_not_configured')

    const targets = choices.map((choice, i) => createTarget(request, choice, i === choices.length - 1))
    const answer = await guardedCall(targets, {
      deadline: createDeadline(clock, { limitMs: requestTimeoutMs, callerMs: request.timeoutMs }),
      signal: request.signal,
      repeat: 'inference',
      holds: request.stream,
      trace: request.trace,
    })
    const { route, provider } = choices[targets.indexOf(answer.target)]!
    const named = { provider: provider.name, model: route.model }
    if (answer.value.kind === 'stream') return { ...named, ...streamed(request, answer.value, answer, provider.name) }
    answer.hold.release()
    const { status, contentType, body } = answer.value
    return { ...named, status, contentType, body }
  }

  function createTarget(request: InferenceRequest, { route, provider }: Choice, last: boolean) {
    const body = rewriteBody(request.body, changes(request, route))
    const call = { endpoint: request.endpoint, model: route.model, body, last }
    return (request.stream ? provider.stream(call) : provider.complete(call)) as Target<WholeAnswer | StreamedAnswer>
  }

  function streamed(request: InferenceRequest, stream: StreamedAnswer, { hold }: Answer<unknown>, provider: string) {
    streams.add(hold)
    const body = relayStream(stream, {
      hold,
      signal: request.signal,
      wantsUsage: request.wantsUsage,
      onMalformed: () => metrics.count(instruments.malformedEvents, { provider }),
      onInterrupted: () => metrics.count(instruments.streamInterrupted, { provider, rescued: 'no' }),
      onEnd: () => streams.delete(hold),
    })
    return { status: 200, contentType: 'text/event-stream; charset=utf-8', body }
  }

  return {
    infer,
    stopStreams() {
      const stopping = new ApiError('stream_interrupted', { message: 'The gateway is stopping. Ask again.' })
      for (const hold of streams) hold.abort(stopping)
    },
  }
}

/** The fields that must be other than the caller sent them; none for most calls. */
function changes(request: InferenceRequest, route: RouteTarget): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  const { value } = request.body
  if (route.model !== request.model) fields.model = route.model
  // Nothing is kept at the provider on the shared credential.
  if (value.store !== undefined && value.store !== false) fields.store = false
  // A stream without usage could not be billed.
  if (request.stream && !request.wantsUsage) {
    fields.stream_options = { ...(value.stream_options as object | null | undefined), include_usage: true }
  }
  return fields
}
