/** Reads a completion request the way OpenAI does: what is asked for, or the 400 that says what is wrong. */
import { openaiError } from './openai-errors.ts'
import { hash32 } from './seeded.ts'
import { isRecord, type WholeAnswer } from './vendor.ts'

export interface CompletionRequest {
  model: string
  promptTokens: number
  choices: readonly ChoicePlan[]
  stream: boolean
  includeUsage: boolean
  /** The function that must be called, and the finish reason that goes with how it was forced. */
  tool?: { name: string; finish: 'stop' | 'tool_calls' }
}

/** The words w<from>, w<from + 1>, … of one choice. */
export interface ChoicePlan {
  from: number
  count: number
  /** Before the first word: a space when it continues a text. */
  lead: '' | ' '
  finish: 'stop' | 'length'
}

type Body = Record<string, unknown>

const maxChoices = 4
const maxPrompts = 32
const maxTokens = 131_072
/** What a completion without a prompt goes on from. */
const beginning = '<|endoftext|>'

export function readChatRequest(body: Body): CompletionRequest | WholeAnswer {
  const { messages } = body
  if (messages === undefined) return missing('messages')
  if (!Array.isArray(messages) || !messages.every((message) => isRecord(message) && typeof message.role === 'string')) {
    return invalid(
      'messages',
      "Invalid type for 'messages': expected an array of messages with a role.",
      'invalid_type',
    )
  }
  if (messages.length === 0) return invalid('messages', "Invalid 'messages': empty array.", 'empty_array')
  const texts = messages.map((message: Body) => textOf(message.content))
  const continues = messages.at(-1).role === 'assistant'
  const prefix = continues ? (texts.at(-1) ?? '') : ''
  const prompt = continues ? texts.slice(0, -1) : texts
  const request = readCommon(body, body.max_completion_tokens ?? body.max_tokens, [{ text: prompt.join('\n'), prefix }])
  if ('status' in request) return request
  const tool = forcedTool(body)
  return { ...request, promptTokens: texts.reduce((sum, text) => sum + countWords(text), 0), ...(tool && { tool }) }
}

export function readTextRequest(body: Body): CompletionRequest | WholeAnswer {
  const { prompt } = body
  if (prompt === undefined) return missing('prompt')
  const prompts = textsIn(prompt ?? beginning)
  if (!isStringList(prompts, maxPrompts)) {
    return invalid('prompt', "Invalid type for 'prompt': expected strings or arrays of tokens.", 'invalid_type')
  }
  const request = readCommon(
    body,
    body.max_tokens,
    prompts.map((text) => ({ text, prefix: '' })),
  )
  if ('status' in request) return request
  return { ...request, promptTokens: prompts.reduce((sum, text) => sum + countWords(text), 0) }
}

function readCommon(
  body: Body,
  limit: unknown,
  prompts: readonly { text: string; prefix: string }[],
): Omit<CompletionRequest, 'promptTokens'> | WholeAnswer {
  const { model, n, stream, stream_options: streamOptions } = body
  if (limit != null && !isInteger(limit, 1, maxTokens)) return outOfRange('max_tokens', limit, 1, maxTokens)
  if (n != null && !isInteger(n, 1, maxChoices)) return outOfRange('n', n, 1, maxChoices)
  if (streamOptions != null && stream !== true) {
    return invalid('stream_options', "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
  }
  const plans = prompts.map(({ text, prefix }) => planChoice(text, prefix, limit ?? undefined))
  return {
    model: String(model),
    choices: plans.flatMap((plan) => Array<ChoicePlan>(n ?? 1).fill(plan)),
    stream: stream === true,
    includeUsage: isRecord(streamOptions) && streamOptions.include_usage === true,
  }
}

/**
 * The natural length, 8 to 40 words, depends on the prompt without the prefix: continuing a cut answer ends exactly
 * where the whole answer would have ended.
 */
export function planChoice(prompt: string, prefix: string, limit: number | undefined): ChoicePlan {
  const written = countWords(prefix)
  const natural = 8 + (hash32(prompt) % 33)
  return {
    from: written + 1,
    count: limit ?? Math.max(0, natural - written),
    lead: /\S$/.test(prefix) ? ' ' : '',
    finish: limit === undefined ? 'stop' : 'length',
  }
}

/** A function forced by name finishes with `stop`, as OpenAI documents; one that is only required, with `tool_calls`. */
function forcedTool({ tools, tool_choice: choice }: Body): CompletionRequest['tool'] {
  if (!Array.isArray(tools) || tools.length === 0) return undefined
  if (choice === 'required') return { name: functionName(tools[0]), finish: 'tool_calls' }
  return isRecord(choice) && choice.type === 'function' ? { name: functionName(choice), finish: 'stop' } : undefined
}

function functionName(tool: unknown): string {
  const named = isRecord(tool) ? tool.function : undefined
  return isRecord(named) ? String(named.name) : 'unnamed'
}

/** A message's content: a string, or parts of which some carry text. */
export function textOf(content: unknown): string {
  if (!Array.isArray(content)) return typeof content === 'string' ? content : ''
  return content.map((part) => (isRecord(part) && typeof part.text === 'string' ? part.text : '')).join(' ')
}

export function countWords(text: string): number {
  return text.match(/\S+/g)?.length ?? 0
}

/** One or several. Each token of one that comes in tokens is as good as a word. */
export function textsIn(given: unknown): unknown[] {
  const texts = isTokens(given) ? [given] : [given].flat()
  return texts.map((text) => (isTokens(text) ? text.join(' ') : text))
}

const isTokens = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length > 0 && value.every((token) => Number.isInteger(token) && token >= 0)

export function isStringList(value: unknown, max: number): value is string[] {
  return (
    Array.isArray(value) && value.length > 0 && value.length <= max && value.every((item) => typeof item === 'string')
  )
}

export function isInteger(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
}

export function missing(param: string): WholeAnswer {
  return invalid(param, `Missing required parameter: '${param}'.`, 'missing_required_parameter')
}

export function invalid(param: string, message: string, code?: string): WholeAnswer {
  return openaiError(400, { message, param, ...(code && { code }) })
}

export function outOfRange(param: string, value: unknown, min: number, max: number): WholeAnswer {
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    return invalid(param, `Invalid type for '${param}': expected an integer.`, 'invalid_type')
  }
  const [side, sign, bound] = value < min ? ['below_min', '>=', min] : ['above_max', '<=', max]
  const message = `Invalid '${param}': expected a value ${sign} ${bound}, but got ${value} instead.`
  return invalid(param, message, `integer_${side}_value`)
}
