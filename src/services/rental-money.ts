/** What a rental may hold, and why it may not. */

import type { EndReason, NewRental } from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import type { Accounts, Budgets, HoldRefusal, HoldTerms } from '../ports.ts'
import { refusalOf } from './credit-refusals.ts'

/**
 * Budgets are looked up at each hour. Those of a key that was revoked hold on: whoever revokes one that leaked must not
 * free its machines from them.
 */
export function createTermsOf(accounts: Pick<Accounts, 'keyLimits'>) {
  return async ({
    accountId,
    purseId,
    keyId,
  }: Pick<NewRental, 'accountId' | 'purseId' | 'keyId'>): Promise<HoldTerms> => {
    if (purseId === accountId) return { accountId, purseId, budgets: undefined }
    const limits = await accounts.keyLimits(accountId, keyId)
    const budgets: Budgets | undefined = limits && {
      keyId,
      perDay: limits.budgetPerDay,
      perMonth: limits.budgetPerMonth,
    }
    return { accountId, purseId, budgets }
  }
}

export function refusedHold(refusal: HoldRefusal, asked: number, wallNow: number) {
  if (refusal.refused === 'ended') {
    const message = 'What this machine was to be for has been ended meanwhile. Nothing was rented.'
    return new ApiError('deployment_ending', { message })
  }
  const nothing = { granted: 0, spendable: 0, elsewhere: 0, held: 0, limited: false, blocked: undefined }
  const answer = refusal.refused === 'credit' ? { ...nothing, ...refusal } : { ...nothing, blocked: refusal.block }
  return refusalOf({ ...answer, shadowed: undefined }, asked, wallNow)
}

export function reasonOf(refusal: HoldRefusal): EndReason {
  if (refusal.refused === 'ended') return 'group'
  if (refusal.refused === 'credit') return 'credit'
  return refusal.block.by === 'budget' ? 'budget' : 'guardrail'
}

export const isRefusal = (answer: object): answer is HoldRefusal => 'refused' in answer
