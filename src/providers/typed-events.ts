/**
 * Streams whose events carry a type: responses, images, speech and transcriptions. What ends such an answer is an event
 * of its own; `[DONE]` follows it in some and says nothing more.
 */
import { readEvents, type SseEvent } from '../upstream/sse.ts'
import { hostedCallsIn, isHostedCall } from './hosted-tools.ts'
import type { ProviderError } from './openai-stream.ts'
import { type TokenUsage, tokenUsage } from './token-usage.ts'

/** `text` is the event as it goes out. */
export interface TypedEvent {
  kind: 'typed'
  text: string
  type: string
  data: Record<string, unknown>
  /** What came right before it could not be read, and may have been a piece of the answer. */
  afterMalformed?: true
}

export type TypedStreamEvent =
  | TypedEvent
  | { kind: 'done'; text: string }
  | { kind: 'error'; text: string; error: ProviderError }
  | { kind: 'malformed' }

/** An image is one event, in base64. */
const maxEventChars = 32 * 1024 * 1024

export function readTypedEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<TypedStreamEvent[], void, void> {
  let afterMalformed = false
  const noted = (event: TypedStreamEvent): TypedStreamEvent => {
    const follows = afterMalformed && event.kind === 'typed'
    afterMalformed = event.kind === 'malformed' || (afterMalformed && !follows)
    return follows ? { ...event, afterMalformed: true } : event
  }
  return readEvents(body, (event) => noted(toTypedEvent(event)), { maxEventChars })
}

export function toTypedEvent({ event, data: json }: SseEvent): TypedStreamEvent {
  const text = `${event === undefined ? '' : `event: ${event}\n`}data: ${json.replaceAll('\n', '\ndata: ')}\n\n`
  if (json === '[DONE]') return { kind: 'done', text }
  const data = parseObject(json)
  if (!data) return { kind: 'malformed' }
  const type = typeof data.type === 'string' ? data.type : event
  // OpenAI nests the error where its reference shows it flat; others leave the type out.
  if (type === 'error' || data.error) return { kind: 'error', text, error: asObject(data.error) ?? data }
  if (type === undefined) return { kind: 'malformed' }
  const failure = type === 'response.failed' ? asObject(asObject(data.response)?.error) : undefined
  if (failure && isProviderFault(failure)) return { kind: 'error', text, error: failure }
  return { kind: 'typed', text, type, data }
}

/** A response that failed for these was not judged; the words may name the operator's organisation. */
export const isProviderFault = ({ code }: ProviderError): boolean => providerFaults.has(String(code))
const providerFaults = new Set(['server_error', 'rate_limit_exceeded', 'insufficient_quota'])

const terminal = new Set([
  'response.completed',
  'response.incomplete',
  'response.failed',
  'image_generation.completed',
  'speech.audio.done',
  'transcript.text.done',
])

/** After it the answer is complete, or the provider has said why it is not. */
export const isTerminal = ({ type }: TypedEvent): boolean => terminal.has(type)

/** These come before anything has been generated: they are no sign that the model answers. */
export const isFirstToken = (type: string): boolean =>
  !/^(?:response\.(?:created|queued|in_progress)|keepalive|.*\.added)$/.test(type)

/** What the event that ends an answer says of it; undefined where it counts no tokens. */
export const usageOf = ({ data }: TypedEvent): TokenUsage | undefined =>
  tokenUsage((asObject(data.response) ?? data).usage)

/** The provider begins to run a tool of its own. */
export const beginsHostedCall = ({ type, data }: TypedEvent): boolean =>
  type === 'response.output_item.added' && isHostedCall(data.item)

/** How often it did, by the event that ends an answer; undefined where it does not say. */
export const hostedCallsOf = ({ data }: TypedEvent): number | undefined =>
  hostedCallsIn(asObject(data.response)?.output)

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    return asObject(JSON.parse(text))
  } catch {
    return undefined
  }
}

const asObject = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
