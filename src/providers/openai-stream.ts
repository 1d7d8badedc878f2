/** Streamed completions of OpenAI's API: events into what the gateway needs to know of them, each read once. */
import { readEvents } from '../upstream/sse.ts'
import { createRuns, type StreamRun } from './stream-run.ts'

export interface StreamChunk {
  id?: string
  created?: number
  model?: string
  choices?: StreamChoice[]
  usage?: Usage | null
}

export interface StreamChoice {
  index?: number
  /** Of a chat completion. */
  delta?: Record<string, unknown> | null
  /** Of a text completion. */
  text?: string | null
  logprobs?: unknown
  finish_reason?: string | null
}

interface Usage {
  prompt_tokens?: number
  completion_tokens?: number
  total_tokens?: number
}

/** An error that the provider told of, in an answer or in a stream. */
export interface ProviderError {
  code?: unknown
  type?: unknown
  message?: unknown
}

/** `chunk` keeps the event's text as it came, so that what nobody has to change goes out as it was. */
export type StreamEvent =
  | { kind: 'chunk'; text: string; chunk: StreamChunk }
  | StreamRun
  | { kind: 'done' }
  | { kind: 'error'; text: string; error: ProviderError }
  | { kind: 'malformed' }

export function readStreamEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<StreamEvent[], void, void> {
  const runs = createRuns()
  const read = ({ data }: { data: string }) => {
    const event = toStreamEvent(data)
    if (event.kind === 'chunk') runs.learn(data, event.chunk)
    return event
  }
  return readEvents<StreamEvent>(body, read, { readMany: runs.read })
}

function toStreamEvent(text: string): StreamEvent {
  if (text === '[DONE]') return { kind: 'done' }
  let chunk: StreamChunk & { error?: unknown }
  try {
    chunk = JSON.parse(text)
  } catch {
    return { kind: 'malformed' }
  }
  if (typeof chunk !== 'object' || chunk === null) return { kind: 'malformed' }
  if (chunk.error) return { kind: 'error', text, error: chunk.error as ProviderError }
  // Whoever reads on may rely on what the type says.
  if (chunk.choices != null && !(Array.isArray(chunk.choices) && chunk.choices.every(isObject))) {
    return { kind: 'malformed' }
  }
  return { kind: 'chunk', text, chunk }
}

const isObject = (value: unknown) => typeof value === 'object' && value !== null

/** Roles and empty strings are sent before anything has been generated: they are no sign that the model answers. */
export function hasToken({ choices }: StreamChunk): boolean {
  return choices?.some((choice) => choice.finish_reason || speaks(choice)) ?? false
}

export const speaks = ({ text, delta }: StreamChoice): boolean => Boolean(text) || hasContent(delta)

function hasContent(delta: StreamChoice['delta']): boolean {
  for (const name in delta) if (name !== 'role' && !isEmpty(delta[name])) return true
  return false
}

/** What providers put into fields that say nothing. */
export const isEmpty = (value: unknown) =>
  value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)

const policyCodes = new Set(['content_policy_violation', 'content_filter', 'moderation_blocked'])

/** The provider has judged the request, not failed at it: another one must not be asked to overlook it. */
export function isPolicyRefusal({ code, type }: ProviderError): boolean {
  return policyCodes.has(String(code)) || policyCodes.has(String(type))
}
