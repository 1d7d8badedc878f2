/** Why there is no credit for a request, in words that say what to do. */

import { formatUsd, type MicroUsd } from '../domain/money.ts'
import { ApiError } from '../errors.ts'
import type { LeaseAnswer } from '../ports.ts'
import { guardrailExceeded } from './guardrails.ts'

const dollars = (amount: MicroUsd) => `$${formatUsd(amount)}`
const minuteMs = 60_000

export function refusalOf({ blocked, spendable, elsewhere, held }: LeaseAnswer, asked: MicroUsd, wallNow: number) {
  if (!blocked) {
    const available = dollars(Math.max(0, spendable))
    const more = held + elsewhere > 0 ? `, and ${dollars(held + elsewhere)} is held by what is under way` : ''
    return new ApiError('insufficient_credit', {
      message: `This may cost up to ${dollars(asked)}; ${available} of credit is available${more}. Add credit, or ask for less.`,
      shouldRetry: false,
    })
  }
  const { limit, spent } = blocked
  const sums = `${dollars(spent)} of ${dollars(limit)} is spent or held, and this may cost up to ${dollars(asked)}`
  if (blocked.by === 'budget') {
    return new ApiError('budget_exceeded', {
      message: `The key's budget of this ${blocked.period} does not allow it: ${sums}. Use another key, or have its budget raised.`,
      shouldRetry: false,
    })
  }
  const freesAtMinute = asked > limit ? undefined : blocked.freesAtMinute
  const retryAfterMs = freesAtMinute === undefined ? undefined : Math.max(1_000, freesAtMinute * minuteMs - wallNow)
  return guardrailExceeded(
    { ...blocked, asked, freesAtMinute },
    { shouldRetry: false, ...(retryAfterMs !== undefined && { retryAfterMs }) },
  )
}
