/** The request by which another model is asked to go on with an answer, where it and the request allow that. */
import type { Transcript } from './transcript.ts'

type Body = Record<string, unknown>

/**
 * The fields that turn a request into one for the rest of its answer: the text so far as a trailing assistant message
 * (`prefill` are the fields the server wants besides), or behind the prompt of a text completion. Undefined where the
 * rest would not be this answer's: several choices, tool calls, a format that begins anew, probabilities of each token.
 */
export function continuationOf(body: Body, transcript: Transcript, prefill: Body | undefined): Body | undefined {
  if (!isOne(body.n) || body.logprobs || body.top_logprobs || body.echo || body.suffix || !isOne(body.best_of)) {
    return undefined
  }
  const [only, ...others] = transcript.channels
  if (!only || others.length > 0) return undefined
  const [channel, text] = only
  const rest = limits(body, transcript.tokens)
  if (channel === '0/text' && typeof body.prompt === 'string') return { prompt: body.prompt + text, ...rest }
  if (channel !== '0/content' || !prefill || !Array.isArray(body.messages) || !isPlainText(body)) return undefined
  return { messages: withTail(body.messages, text), ...rest, ...prefill }
}

const isOne = (n: unknown) => n === undefined || n === null || n === 1

function isPlainText({ response_format, modalities }: Body): boolean {
  const format = (response_format as { type?: unknown } | null | undefined)?.type
  return (format === undefined || format === 'text') && !(Array.isArray(modalities) && modalities.includes('audio'))
}

/** The caller's own beginning of the answer and what came after it are one message. */
function withTail(messages: readonly unknown[], text: string): unknown[] {
  const last = messages.at(-1) as { role?: unknown; content?: unknown } | null | undefined
  if (last?.role === 'assistant' && typeof last.content === 'string') {
    return [...messages.slice(0, -1), { ...last, content: last.content + text }]
  }
  return [...messages, { role: 'assistant', content: text }]
}

/** What is left of the caller's limit on the answer's length. */
function limits(body: Body, used: number): Body {
  const left: Body = {}
  for (const name of ['max_tokens', 'max_completion_tokens']) {
    const limit = body[name]
    if (typeof limit === 'number') left[name] = Math.max(1, limit - used)
  }
  return left
}
