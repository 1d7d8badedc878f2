/** What a rental may hold, and why it may not. */

import type { EndReason, NewRental } from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import type { Accounts, Budgets, HoldRefusal, HoldTerms } from '../ports.ts'
import { refusalOf } from './credit-refusals.ts'

/** Budgets may have changed since it was rented: they are looked up at each hour. A key that is gone has none left. */
export function createTermsOf(accounts: Pick<Accounts, 'listApiKeys'>) {
  return async ({
    accountId,
    purseId,
    keyId,
  }: Pick<NewRental, 'accountId' | 'purseId' | 'keyId'>): Promise<HoldTerms> => {
    if (purseId === accountId) return { accountId, purseId, budgets: undefined }
    const key = (await accounts.listApiKeys(accountId)).find(({ id }) => id === keyId)
    const budgets: Budgets | undefined = key && {
      keyId,
      perDay: key.limits.budgetPerDay,
      perMonth: key.limits.budgetPerMonth,
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
