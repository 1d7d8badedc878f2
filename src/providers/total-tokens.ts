/** What an answer cost in all, by its `usage`; undefined where it counts no tokens. */
export function totalTokens(usage: unknown): number | undefined {
  if (typeof usage !== 'object' || usage === null) return undefined
  const { total_tokens: total, input_tokens: input, output_tokens: output } = usage as Record<string, unknown>
  if (isCount(total)) return total
  return isCount(input) && isCount(output) ? input + output : undefined
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
