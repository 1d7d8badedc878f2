/** An amount in a body: decimal US dollars, above zero; micro-dollars inside. */
import * as z from 'zod'
import { type MicroUsd, parseUsd } from '../domain/money.ts'

export const usdAmount = z.string().transform((text, context): MicroUsd => {
  const amount = parseUsd(text)
  if (amount) return amount
  context.addIssue('must be US dollars above 0 and below a billion with at most six decimal places, as in "12.50"')
  return z.NEVER
})
