/** What an answer cost in tokens, by its `usage`: completions name them one way, the newer endpoints another. */
export interface TokenUsage {
  inputTokens: number
  /** Of the input tokens, those that were cheaper. */
  cachedInputTokens: number
  outputTokens: number
  /** Of sound that was heard; transcriptions are sold by it. */
  seconds?: number | undefined
}

/** Undefined where it counts nothing. Embeddings have no output to count. */
export function tokenUsage(usage: unknown): TokenUsage | undefined {
  if (typeof usage !== 'object' || usage === null) return undefined
  const said = usage as Record<string, unknown>
  const input = either(said.input_tokens, said.prompt_tokens)
  const written = either(said.output_tokens, said.completion_tokens) ?? restOf(said.total_tokens, input)
  const details = (said.input_tokens_details ??
    said.input_token_details ??
    said.prompt_tokens_details) as Details | null
  if (!isCount(input) || !isCount(written)) return duration(said)
  const { cached_tokens: cached, audio_tokens: audio } = details ?? {}
  const output = written + thoughtBeside(said, input, written)
  if (input + output === 0 && !audio) return duration(said)
  return {
    inputTokens: input,
    cachedInputTokens: isCount(cached) ? Math.min(cached, input) : 0,
    outputTokens: output,
    ...(isCount(audio) && audio > 0 && { seconds: audio / audioTokensPerSecond }),
  }
}

interface Details {
  cached_tokens?: unknown
  audio_tokens?: unknown
  reasoning_tokens?: unknown
}

/** https://platform.openai.com/docs/guides/realtime-costs: a token is 100 ms of what a user says. */
const audioTokensPerSecond = 10

/** Some relays send both names, and a nought under the one that they do not use. */
const either = (a: unknown, b: unknown) => (isCount(a) && isCount(b) ? Math.max(a, b) : (a ?? b))

/** Without a word of the output it is what the total has beside the input. */
const restOf = (total: unknown, input: unknown) => (isCount(total) && isCount(input) ? Math.max(total - input, 0) : 0)

/** xAI counts thoughts beside what was written, others within it: it is beside where the total has all three. */
function thoughtBeside(said: Record<string, unknown>, input: number, written: number): number {
  const details = (said.output_tokens_details ?? said.completion_tokens_details) as Details | null | undefined
  const thought = details?.reasoning_tokens
  return isCount(thought) && said.total_tokens === input + written + thought ? thought : 0
}

/** https://platform.openai.com/docs/api-reference/audio/json-object */
function duration({ type, seconds }: Record<string, unknown>): TokenUsage | undefined {
  if (type !== 'duration' || typeof seconds !== 'number' || !(seconds >= 0) || seconds > 1e6) return undefined
  return { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, seconds }
}

/** No model counts further; what does is nonsense, and must not be billed. */
const maxTokens = 1e9
const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= maxTokens
