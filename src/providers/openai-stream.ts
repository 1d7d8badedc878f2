/** OpenAI's streamed answers: events into what the gateway needs to know of them, each parsed once. */
import { readEvents } from '../upstream/sse.ts'

export interface StreamChunk {
  choices?: { index?: number; finish_reason?: string | null }[]
  usage?: Usage | null
  error?: unknown
}

interface Usage {
  prompt_tokens?: number
  completion_tokens?: number
  total_tokens?: number
}

/** `chunk` keeps the event's text as it came, so that what nobody has to change goes out as it was. */
export type StreamEvent =
  | { kind: 'chunk'; text: string; chunk: StreamChunk }
  | { kind: 'done' }
  | { kind: 'error' }
  | { kind: 'malformed' }

export async function* readStreamEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<StreamEvent[], void, void> {
  for await (const events of readEvents(body)) yield events.map(({ data }) => toStreamEvent(data))
}

function toStreamEvent(text: string): StreamEvent {
  if (text === '[DONE]') return { kind: 'done' }
  let chunk: StreamChunk
  try {
    chunk = JSON.parse(text)
  } catch {
    return { kind: 'malformed' }
  }
  if (typeof chunk !== 'object' || chunk === null) return { kind: 'malformed' }
  return chunk.error ? { kind: 'error' } : { kind: 'chunk', text, chunk }
}
