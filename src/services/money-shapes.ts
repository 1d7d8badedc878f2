/** Balances, transactions and usage under the names that callers are told. */
import { formatUsd } from '../domain/money.ts'
import type { Transaction, UsageAmounts, UsageGroup, UsageRow } from '../domain/statement.ts'
import type { Balance } from '../ports.ts'

export const currency = 'USD'

export const balanceOut = ({ available, held }: Balance) => ({
  available: formatUsd(available),
  held: formatUsd(held),
  currency,
})

/** An operation may have several entries: each has an id of its own. */
export const transactionOut = ({ at, operationId, kind, amount, note, instanceId }: Transaction) => ({
  id: `${operationId}:${kind}`,
  at,
  kind,
  amount: formatUsd(amount),
  currency,
  ...(instanceId !== undefined
    ? { instance_id: instanceId }
    : (kind === 'settle' || kind === 'refund') && { request_id: operationId }),
  ...(note !== undefined && { note }),
})

const amountsOut = ({ requests, inputTokens, cachedInputTokens, outputTokens, cost }: UsageAmounts) => ({
  requests,
  input_tokens: inputTokens,
  cached_input_tokens: cachedInputTokens,
  output_tokens: outputTokens,
  cost: formatUsd(cost),
})

export const usageOut = (usage: UsageGroup) => ({ group: usage.group, ...amountsOut(usage) })

export const usageRowOut = (usage: UsageRow) => ({
  day: usage.day,
  key_id: usage.keyId,
  model: usage.model,
  ...amountsOut(usage),
})
