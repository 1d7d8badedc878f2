/** Limits as answers and exports show them. */
import { formatUsd } from '../domain/money.ts'
import type { KeyLimits, LimitSettings } from '../domain/principal.ts'
import { currency } from './money-shapes.ts'

export const accountLimitsOut = ({ requestsPerMinute, tokensPerMinute, maxConcurrent }: LimitSettings) => ({
  requests_per_minute: requestsPerMinute ?? null,
  tokens_per_minute: tokensPerMinute ?? null,
  max_concurrent: maxConcurrent ?? null,
})

export const keyLimitsOut = ({ models, budgetPerDay, budgetPerMonth, ...others }: KeyLimits) => ({
  ...accountLimitsOut(others),
  models: models ?? null,
  budget_per_day: budgetPerDay === undefined ? null : formatUsd(budgetPerDay),
  budget_per_month: budgetPerMonth === undefined ? null : formatUsd(budgetPerMonth),
  currency,
})
