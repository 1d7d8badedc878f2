/** Amounts of usage as the server says them: sums beyond 32 bits come as text. */
import type { UsageAmounts } from '../../../src/domain/statement.ts'

export interface AmountsRow {
  requests: string
  input_tokens: string
  cached_input_tokens: string
  output_tokens: string
  cost: string
}

export const toAmounts = (row: AmountsRow): UsageAmounts => ({
  requests: Number(row.requests),
  inputTokens: Number(row.input_tokens),
  cachedInputTokens: Number(row.cached_input_tokens),
  outputTokens: Number(row.output_tokens),
  cost: Number(row.cost),
})
