/** Limits and durations as bodies say them. */
import * as z from 'zod'
import { parseUsd } from '../domain/money.ts'
import type { KeyLimits, LimitSettings } from '../domain/principal.ts'
import { printable } from './sign-in.ts'

/** Larger ones are no limit; PostgreSQL's integers end a little later. */
const count = z.int().min(1).max(1_000_000_000)
const tokens = z.int().min(1).max(1_000_000_000_000)
const amountRule = 'must be an amount of US dollars as text, as in "5.00"'
const amount = z.string({ error: amountRule }).transform((text, context) => {
  const micro = parseUsd(text)
  if (micro !== undefined) return micro
  context.issues.push({ code: 'custom', message: amountRule, input: text })
  return z.NEVER
})

export const keyLimitsBody = z.strictObject({
  requests_per_minute: count.optional(),
  tokens_per_minute: tokens.optional(),
  max_concurrent: count.optional(),
  models: z
    .array(printable(z.string().min(1).max(256)))
    .min(1)
    .max(100)
    .optional(),
  budget_per_day: amount.optional(),
  budget_per_month: amount.optional(),
})

/** Null takes a limit away. */
export const accountLimitsBody = z.strictObject({
  requests_per_minute: count.nullish(),
  tokens_per_minute: tokens.nullish(),
  max_concurrent: count.nullish(),
})

export const keyLimitsIn = (body: z.infer<typeof keyLimitsBody>): KeyLimits => ({
  ...accountLimitsIn(body),
  models: body.models,
  budgetPerDay: body.budget_per_day,
  budgetPerMonth: body.budget_per_month,
})

export const accountLimitsIn = <T>(body: {
  requests_per_minute?: T
  tokens_per_minute?: T
  max_concurrent?: T
}): { [L in keyof LimitSettings]: T | undefined } => ({
  requestsPerMinute: body.requests_per_minute,
  tokensPerMinute: body.tokens_per_minute,
  maxConcurrent: body.max_concurrent,
})

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const durationRule = 'must be a duration such as "30m", "24h" or "90d", or a number of seconds'

/** In ms. */
export const duration = (minMs: number, maxMs: number) =>
  z
    .union(
      [
        z.number().transform((seconds) => seconds * unitMs.s),
        z
          .string()
          .regex(/^(0|\d{1,9}(s|m|h|d))$/)
          .transform((text) => Number.parseInt(text, 10) * (unitMs[text.at(-1) as keyof typeof unitMs] ?? 0)),
      ],
      { error: durationRule },
    )
    .pipe(z.number().min(minMs, 'is too short').max(maxMs, 'is too long'))
