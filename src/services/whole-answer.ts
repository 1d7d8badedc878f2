/** Whether an answer is worth giving a second time: whole, without an error, and not cut short by a limit or a filter. */
import type { InferenceEndpoint } from '../providers/endpoints.ts'
import type { StreamChunk } from '../providers/openai-stream.ts'

/** `length` and `content_filter` are ends that a second try might not come to. */
const goodEnds = new Set(['stop', 'tool_calls', 'function_call'])

export function isWholeAnswer(endpoint: InferenceEndpoint, text: string): boolean {
  const answer = parse(text)
  if (!answer || answer.error) return false
  switch (endpoint) {
    case 'chat/completions':
    case 'completions':
      return isFilled(answer.choices) && answer.choices.every((choice) => hasGoodEnd(choice))
    case 'embeddings':
      return isFilled(answer.data)
    case 'moderations':
      return isFilled(answer.results)
    default:
      return false
  }
}

/** Of a streamed completion, as the caller was sent it. */
export function isWholeStream(text: string): boolean {
  const events = text.split('\n\n')
  if (events.pop() !== '' || events.pop() !== 'data: [DONE]') return false
  const ends = new Map<number, boolean>()
  for (const event of events) {
    const chunk = parse(event.replace(/^data: /, '').replaceAll('\ndata: ', '\n')) as StreamChunk | undefined
    if (!chunk || 'error' in chunk) return false
    for (const choice of chunk.choices ?? []) {
      const index = choice.index ?? 0
      ends.set(index, ends.get(index) || hasGoodEnd(choice))
    }
  }
  return ends.size > 0 && [...ends.values()].every(Boolean)
}

const hasGoodEnd = (choice: { finish_reason?: unknown } | null) => goodEnds.has(String(choice?.finish_reason))
const isFilled = (value: unknown): value is { finish_reason?: unknown }[] => Array.isArray(value) && value.length > 0

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
