/** OpenAI's responses: the words of a completion, or a function call, as output items; whole, or as typed events. */
import type { CompletionContext } from './openai-completion.ts'
import { eventStep } from './openai-event.ts'
import {
  type ChoicePlan,
  countWords,
  invalid,
  isInteger,
  missing,
  outOfRange,
  planChoice,
  textOf,
} from './openai-request.ts'
import type { Step } from './send.ts'
import { isRecord, type WholeAnswer } from './vendor.ts'

export interface ResponseRequest {
  body: Body
  inputTokens: number
  plan: ChoicePlan
  stream: boolean
  /** The function that must be called. */
  tool?: string
}

type Body = Record<string, unknown>

const minOutputTokens = 16
const maxOutputTokens = 131_072

export function readResponseRequest(body: Body): ResponseRequest | WholeAnswer {
  const { input, instructions, max_output_tokens: limit, previous_response_id: previous, stream } = body
  if (input == null) return missing('input')
  const items = typeof input === 'string' ? [{ role: 'user', content: input }] : input
  if (!Array.isArray(items) || !items.every(isRecord)) {
    return invalid('input', "Invalid type for 'input': expected a string or an array of input items.", 'invalid_type')
  }
  if (items.length === 0) return invalid('input', "Invalid 'input': empty array.", 'empty_array')
  if (limit != null && !isInteger(limit, minOutputTokens, maxOutputTokens)) {
    return outOfRange('max_output_tokens', limit, minOutputTokens, maxOutputTokens)
  }
  if (previous != null) {
    const message = `Previous response with id '${previous}' not found.`
    return invalid('previous_response_id', message, 'previous_response_not_found')
  }
  if (stream != null && typeof stream !== 'boolean') {
    return invalid('stream', "Invalid type for 'stream': expected a boolean.", 'invalid_type')
  }
  const prompt = [textOf(instructions), ...items.map(({ content }) => textOf(content))].join('\n')
  const tool = forcedTool(body)
  return {
    body,
    inputTokens: countWords(prompt),
    plan: planChoice(prompt, '', limit ?? undefined),
    stream: stream === true,
    ...(tool && { tool }),
  }
}

function forcedTool({ tools, tool_choice: choice }: Body): string | undefined {
  if (isRecord(choice) && choice.type === 'function') return String(choice.name)
  const first = Array.isArray(tools) ? tools.find((tool) => isRecord(tool) && tool.type === 'function') : undefined
  return choice === 'required' && first ? String(first.name) : undefined
}

/** The body of the answer: one JSON document, or the events of a stream. */
export function responseBody(request: ResponseRequest, context: CompletionContext): string | Iterable<Step> {
  const envelope = envelopeOf(request, context)
  const item = request.tool === undefined ? message(request, context) : functionCall(request.tool, context)
  if (request.stream) return events(request, envelope, item, context)
  return JSON.stringify(ended(request, envelope, item, context))
}

/** An output item, and how its stream tells it. */
interface Item {
  begun: object
  whole: object
  /** Events around the pieces, without their numbers: what comes before the first, and what after the last. */
  before: { type: string; [field: string]: unknown }[]
  pieces: string[]
  deltaType: string
  place: object
  after: { type: string; [field: string]: unknown }[]
}

function message({ plan }: ResponseRequest, { newId }: CompletionContext): Item {
  const id = newId('msg_')
  const pieces = Array.from({ length: plan.count }, (_, i) => `${i === 0 ? plan.lead : ' '}w${plan.from + i}`)
  const text = pieces.join('')
  const item = { id, type: 'message', role: 'assistant' }
  const part = (text: string) => ({ type: 'output_text', annotations: [], logprobs: [], text })
  const place = { item_id: id, output_index: 0, content_index: 0 }
  return {
    begun: { ...item, status: 'in_progress', content: [] },
    whole: { ...item, status: plan.finish === 'stop' ? 'completed' : 'incomplete', content: [part(text)] },
    before: [{ type: 'response.content_part.added', ...place, part: part('') }],
    pieces,
    deltaType: 'response.output_text.delta',
    place: { ...place, logprobs: [] },
    after: [
      { type: 'response.output_text.done', ...place, text, logprobs: [] },
      { type: 'response.content_part.done', ...place, part: part(text) },
    ],
  }
}

function functionCall(name: string, { newId }: CompletionContext): Item {
  const id = newId('fc_')
  const pieces = ['{"', 'word', '":"', 'w1', '"}']
  const args = pieces.join('')
  const item = { id, type: 'function_call', call_id: newId('call_'), name }
  const place = { item_id: id, output_index: 0 }
  return {
    begun: { ...item, status: 'in_progress', arguments: '' },
    whole: { ...item, status: 'completed', arguments: args },
    before: [],
    pieces,
    deltaType: 'response.function_call_arguments.delta',
    place,
    after: [{ type: 'response.function_call_arguments.done', ...place, name, arguments: args }],
  }
}

function* events(request: ResponseRequest, envelope: Body, item: Item, context: CompletionContext): Generator<Step> {
  let number = 0
  const event = (type: string, fields: object, kind?: 'token' | 'done', waitMs?: number) =>
    eventStep({ type, sequence_number: number++, ...fields }, { ...(kind && { kind }), ...(waitMs && { waitMs }) })
  const isWhole = request.plan.finish === 'stop' || request.tool !== undefined

  yield event('response.created', { response: envelope })
  yield event('response.in_progress', { response: envelope })
  yield event('response.output_item.added', { output_index: 0, item: item.begun })
  for (const { type, ...fields } of item.before) yield event(type, fields)
  for (const [index, delta] of item.pieces.entries()) {
    const waitMs = index === 0 ? 0 : context.wordIntervalMs
    yield event(item.deltaType, { ...item.place, delta }, 'token', waitMs)
  }
  for (const { type, ...fields } of item.after) yield event(type, fields)
  yield event('response.output_item.done', { output_index: 0, item: item.whole })
  const response = ended(request, envelope, item, context)
  yield event(isWhole ? 'response.completed' : 'response.incomplete', { response }, 'done')
}

function envelopeOf({ body }: ResponseRequest, { created, newId }: CompletionContext): Body {
  return {
    id: newId('resp_'),
    object: 'response',
    created_at: created,
    status: 'in_progress',
    background: false,
    completed_at: null,
    error: null,
    incomplete_details: null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: null,
    model: body.model,
    output: [],
    parallel_tool_calls: true,
    previous_response_id: null,
    prompt_cache_key: null,
    reasoning: { effort: null, summary: null },
    safety_identifier: null,
    service_tier: 'default',
    // What leaves it out is kept for thirty days.
    store: body.store ?? true,
    temperature: body.temperature ?? 1,
    text: { format: { type: 'text' }, verbosity: 'medium' },
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    top_logprobs: 0,
    top_p: body.top_p ?? 1,
    truncation: 'disabled',
    usage: null,
    user: null,
    metadata: body.metadata ?? {},
  }
}

function ended(
  { plan, tool, inputTokens }: ResponseRequest,
  envelope: Body,
  item: Item,
  { created }: CompletionContext,
): Body {
  const isWhole = plan.finish === 'stop' || tool !== undefined
  const outputTokens = tool === undefined ? plan.count : 1
  return {
    ...envelope,
    status: isWhole ? 'completed' : 'incomplete',
    completed_at: isWhole ? created : null,
    incomplete_details: isWhole ? null : { reason: 'max_output_tokens' },
    output: [item.whole],
    usage: {
      input_tokens: inputTokens,
      input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
      output_tokens: outputTokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: inputTokens + outputTokens,
    },
  }
}
