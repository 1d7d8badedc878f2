/** What an answer cost in tokens, by its `usage`: completions name them one way, the newer endpoints another. */
export interface TokenUsage {
  inputTokens: number
  /** Of the input tokens, those that were cheaper. */
  cachedInputTokens: number
  outputTokens: number
  /** Of transcriptions that are sold by the minute. */
  seconds?: number | undefined
}

/** Undefined where it counts nothing. Embeddings have no output to count. */
export function tokenUsage(usage: unknown): TokenUsage | undefined {
  if (typeof usage !== 'object' || usage === null) return undefined
  const said = usage as Record<string, unknown>
  const input = said.input_tokens ?? said.prompt_tokens
  const output = said.output_tokens ?? said.completion_tokens ?? 0
  const details = (said.input_tokens_details ?? said.prompt_tokens_details) as { cached_tokens?: unknown } | null
  if (!isCount(input) || !isCount(output)) return duration(said)
  const cached = details?.cached_tokens
  return { inputTokens: input, cachedInputTokens: isCount(cached) ? Math.min(cached, input) : 0, outputTokens: output }
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
