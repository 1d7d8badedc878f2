/**
 * A provider that speaks OpenAI's API: OpenAI itself, IO Intelligence, vLLM, and most others.
 * Facts: platform.openai.com/docs/api-reference; the model list of IO Intelligence has a shape of its own.
 */
import * as z from 'zod'
import type { Clock, HttpCall, HttpClient, HttpReply, Metrics } from '../ports.ts'
import { createDeadline } from '../resilience/deadline.ts'
import { instruments } from '../telemetry/instruments.ts'
import type { GuardedCall, Target } from '../upstream/guarded-call.ts'
import { checkStatus, first, UpstreamFailure } from '../upstream/outcome.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { parseRows } from './market.ts'
import { readStreamEvents, type StreamEvent } from './openai-stream.ts'

export type InferenceEndpoint = 'chat/completions' | 'completions' | 'embeddings'

export interface InferenceCall {
  endpoint: InferenceEndpoint
  /** The model's name at the provider. */
  model: string
  body: Uint8Array
  /** No other target is left after this one: silence is waited out longer. */
  last: boolean
}

/** An answer in one piece: a success, or an error that is the caller's own. */
export interface WholeAnswer {
  kind: 'whole'
  status: number
  contentType: string
  body: Uint8Array
}

export interface StreamedAnswer {
  kind: 'stream'
  /** The first events, already here. */
  begun: StreamEvent[]
  rest: AsyncGenerator<StreamEvent[], void, void>
}

export interface Model {
  id: string
  object: 'model'
  created: number
  owned_by: string
}

export interface ModelProvider {
  name: string
  upstream: Upstream
  complete(call: InferenceCall): Target<WholeAnswer>
  stream(call: InferenceCall): Target<WholeAnswer | StreamedAnswer>
  models(signal: AbortSignal): Promise<Model[]>
}

export interface OpenAiOptions {
  name: string
  /** Path prefix included, as in `https://api.openai.com/v1`. */
  baseUrl: string
  apiKey: string | undefined
  http: HttpClient
  clock: Clock
  metrics: Metrics
  upstream: Upstream
  guardedCall: GuardedCall
  timeouts: {
    /** Longest wait for a stream's headers, in ms. */
    headersMs: number
    /** Longest wait for a stream's first event while another target is left, in ms. */
    firstTokenMs: number
    /** Longest silence within a stream while another target is left, in ms. */
    idleMs: number
  }
}

const maxAnswerBytes = 32 * 1024 * 1024
const maxErrorBytes = 1024 * 1024
/** On the last target only an outright silence ends a stream. */
const lastTargetSilenceMs = 120_000
const modelsTimeoutMs = 10_000
const decoder = new TextDecoder('utf-8', { fatal: true })

export function createOpenAiProvider(options: OpenAiOptions): ModelProvider {
  const { name, http, clock, metrics, upstream, guardedCall, timeouts } = options
  const { origin, pathname } = new URL(options.baseUrl)
  const prefix = pathname === '/' ? '' : pathname
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    // A compressed answer would have to be unpacked to be checked, counted and relayed.
    'accept-encoding': 'identity',
    'user-agent': 'aiserve-gpuproxy',
    ...(options.apiKey && { authorization: `Bearer ${options.apiKey}` }),
  }

  const post = ({ endpoint, body }: InferenceCall, signal: AbortSignal, limits: Limits): HttpCall => ({
    method: 'POST',
    origin,
    path: `${prefix}/${endpoint}`,
    headers,
    body,
    signal,
    ...limits,
  })

  async function sendWhole(call: InferenceCall, signal: AbortSignal): Promise<WholeAnswer> {
    // A model may think for minutes before it sends a header: only the deadline bounds this.
    const reply = await http.bytes(
      post(call, signal, { headersTimeoutMs: 0, idleTimeoutMs: 0, maxBytes: maxAnswerBytes }),
    )
    return whole(reply, clock.wallNow())
  }

  async function sendStream(call: InferenceCall, signal: AbortSignal): Promise<WholeAnswer | StreamedAnswer> {
    const sentAt = clock.now()
    const idleTimeoutMs = call.last ? lastTargetSilenceMs : timeouts.idleMs
    const reply = await http.stream(
      post(call, signal, { headersTimeoutMs: timeouts.headersMs, idleTimeoutMs, maxBytes: Infinity }),
    )
    if (reply.status >= 400) return whole({ ...reply, body: await collect(reply.body, maxErrorBytes) }, clock.wallNow())
    if (!first(reply.headers['content-type'])?.startsWith('text/event-stream')) throw await notAStream(reply.body)

    const rest = readStreamEvents(reply.body)
    for (;;) {
      const next = await rest.next()
      if (next.done) throw new UpstreamFailure('poison')
      const begun = next.value.filter((event) => event.kind !== 'malformed')
      countMalformed(next.value.length - begun.length)
      if (begun.length === 0) continue
      if (begun[0]!.kind !== 'chunk') {
        await rest.return()
        throw new UpstreamFailure(begun[0]!.kind === 'error' ? 'server' : 'poison')
      }
      metrics.observe(instruments.timeToFirstToken, { provider: name }, (clock.now() - sentAt) / 1000)
      return { kind: 'stream', begun, rest }
    }
  }

  function countMalformed(events: number) {
    if (events > 0) metrics.count(instruments.malformedEvents, { provider: name }, events)
  }

  return {
    name,
    upstream,
    complete: (call) => ({
      upstream,
      circuit: upstream.circuit(call.model),
      send: (signal) => sendWhole(call, signal),
    }),
    stream: (call) => ({
      upstream,
      circuit: upstream.circuit(call.model),
      send: (signal) => sendStream(call, signal),
      tryTimeoutMs: call.last ? lastTargetSilenceMs : timeouts.firstTokenMs,
      slowMs: timeouts.firstTokenMs,
    }),
    async models(signal) {
      const target: Target<Model[]> = {
        upstream,
        circuit: upstream.circuit(''),
        tryTimeoutMs: modelsTimeoutMs,
        slowMs: 2_000,
        async send(trySignal) {
          const reply = await http.bytes({
            method: 'GET',
            origin,
            path: `${prefix}/models`,
            headers,
            signal: trySignal,
            headersTimeoutMs: modelsTimeoutMs,
            idleTimeoutMs: modelsTimeoutMs,
            maxBytes: maxAnswerBytes,
          })
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
  }
}

type Limits = Pick<HttpCall, 'headersTimeoutMs' | 'idleTimeoutMs' | 'maxBytes'>

/** Checks that a buffered answer is one: the caller's own error as it is, or an object that is not an error. */
function whole(reply: HttpReply<Uint8Array>, wallNowMs: number): WholeAnswer {
  const { status, body } = reply
  try {
    checkStatus(reply, wallNowMs)
  } catch (failure) {
    throw status === 429 && usedUp(body) ? new UpstreamFailure('quota', { status }) : failure
  }
  const json = parseObject(body)
  if (status < 400) {
    if (!json) throw new UpstreamFailure('poison', { status })
    if (json.error) throw new UpstreamFailure('server', { status })
  }
  const contentType = json ? 'application/json' : (first(reply.headers['content-type']) ?? 'application/octet-stream')
  return { kind: 'whole', status, contentType, body }
}

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

/** JSON in answer to a request for a stream is an error in disguise, or nonsense. */
async function notAStream(body: AsyncIterable<Uint8Array>): Promise<UpstreamFailure> {
  const json = parseObject(await collect(body, maxErrorBytes))
  return new UpstreamFailure(json?.error ? 'server' : 'poison')
}

async function collect(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > maxBytes) throw new UpstreamFailure('poison')
    chunks.push(chunk)
  }
  const all = new Uint8Array(size)
  let offset = 0
  for (const chunk of chunks) {
    all.set(chunk, offset)
    offset += chunk.length
  }
  return all
}

const modelList = z.object({ data: z.array(z.unknown()) })
const modelRow = z
  .union([
    z.object({ id: z.string(), created: z.number().catch(0), owned_by: z.string().catch('provider') }),
    z.object({ model_id: z.string() }).transform(({ model_id }) => ({ id: model_id, created: 0, owned_by: 'io.net' })),
  ])
  .transform((model): Model => ({ object: 'model', ...model }))
