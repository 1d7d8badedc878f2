/**
 * OpenAI's completions, whole and streamed, in three wire forms: chat, chat with a tool call, and legacy text. The
 * answer is w1 w2 w3 …, one word a token, so a test can see at a glance what came from where and what is missing.
 */
import type { ChoicePlan, CompletionRequest } from './openai-request.ts'
import type { Step } from './send.ts'

export interface CompletionContext {
  /** Seconds since 1970 UTC. */
  created: number
  newId: (prefix: string) => string
  wordIntervalMs: number
}

/** How one form writes a choice: the whole of it, and the pieces of its stream. */
interface Wire {
  idPrefix: string
  object: string
  chunkObject: string
  whole: (text: string) => object
  first?: object
  piece: (text: string) => object
  last: object
}

const chat: Wire = {
  idPrefix: 'chatcmpl-',
  object: 'chat.completion',
  chunkObject: 'chat.completion.chunk',
  whole: (content) => ({ message: { role: 'assistant', content, refusal: null, annotations: [] } }),
  first: { delta: { role: 'assistant', content: '', refusal: null } },
  piece: (content) => ({ delta: { content } }),
  last: { delta: {} },
}

const text: Wire = {
  idPrefix: 'cmpl-',
  object: 'text_completion',
  chunkObject: 'text_completion',
  whole: (text) => ({ text }),
  piece: (text) => ({ text }),
  last: { text: '' },
}

function toolCall(name: string, id: string): Wire {
  const call = (args: string) => ({ id, type: 'function', function: { name, arguments: args } })
  const message = { role: 'assistant', content: null, refusal: null }
  return {
    ...chat,
    whole: (args) => ({ message: { ...message, annotations: [], tool_calls: [call(args)] } }),
    first: { delta: { ...message, tool_calls: [{ index: 0, ...call('') }] } },
    piece: (args) => ({ delta: { tool_calls: [{ index: 0, function: { arguments: args } }] } }),
  }
}

const toolArguments = ['{"', 'word', '":"', 'w1', '"}']

/** The body of the answer: one JSON document, or the events of a stream. */
export function completionBody(
  form: 'chat' | 'text',
  request: CompletionRequest,
  context: CompletionContext,
): string | Iterable<Step> {
  const { tool } = request
  const wire = form === 'text' ? text : tool ? toolCall(tool.name, context.newId('call_')) : chat
  const envelope = {
    id: context.newId(wire.idPrefix),
    object: request.stream ? wire.chunkObject : wire.object,
    created: context.created,
    model: request.model,
    ...(form === 'chat' && { service_tier: 'default' }),
    system_fingerprint: 'fp_5a4d9b0c1e',
  }
  if (request.stream) return events(wire, envelope, request, context.wordIntervalMs)
  const choices = request.choices.map((plan, index) => ({
    index,
    ...wire.whole([...piecesOf(plan, request)].join('')),
    logprobs: null,
    finish_reason: finishOf(plan, request),
  }))
  return JSON.stringify({ ...envelope, choices, usage: usageOf(request) })
}

function* events(wire: Wire, envelope: object, request: CompletionRequest, wordIntervalMs: number): Generator<Step> {
  const { choices, includeUsage } = request
  const event = (choices: object[], usage: object | null = null) =>
    `data: ${JSON.stringify({ ...envelope, choices, ...(includeUsage && { usage }) })}\n\n`
  const chunk = (index: number, part: object, finish: string | null = null) =>
    event([{ index, ...part, logprobs: null, finish_reason: finish }])

  if (wire.first) for (const index of choices.keys()) yield { data: chunk(index, wire.first) }
  const open = choices.map((plan) => piecesOf(plan, request))
  for (let waitMs = 0, live = true; live; waitMs = wordIntervalMs) {
    live = false
    for (const [index, pieces] of open.entries()) {
      const piece = pieces.next()
      if (piece.done) continue
      // Choices advance together: one wait for each round.
      yield { data: chunk(index, wire.piece(piece.value)), kind: 'token', ...(!live && { waitMs }) }
      live = true
    }
  }
  for (const [index, plan] of choices.entries()) yield { data: chunk(index, wire.last, finishOf(plan, request)) }
  if (includeUsage) yield { data: event([], usageOf(request)) }
  yield { data: 'data: [DONE]\n\n', kind: 'done' }
}

function* piecesOf({ from, count, lead }: ChoicePlan, { tool }: CompletionRequest): Generator<string> {
  if (tool) return yield* toolArguments
  for (let word = from; word < from + count; word++) yield `${word === from ? lead : ' '}w${word}`
}

function finishOf(plan: ChoicePlan, { tool }: CompletionRequest): string {
  return tool?.finish ?? plan.finish
}

function usageOf({ promptTokens, choices, tool }: CompletionRequest): object {
  const completionTokens = tool ? choices.length : choices.reduce((sum, plan) => sum + plan.count, 0)
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
}
