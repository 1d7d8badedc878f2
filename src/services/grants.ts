/** Credit that an administrator gives. The id of a grant follows from account and key, so one key gives once. */
import { sha256 } from '../domain/canonical.ts'
import type { MicroUsd } from '../domain/money.ts'
import { ApiError } from '../errors.ts'
import type { AccountRecords, Balance, Credits, Statements } from '../ports.ts'

export interface GrantsOptions {
  accountRecords: Pick<AccountRecords, 'find'>
  credits: Credits
  statements: Pick<Statements, 'balance'>
}

export interface Grant {
  accountId: string
  idempotencyKey: string
  amount: MicroUsd
  note?: string | undefined
}

export interface Grants {
  /** @throws ApiError where there is no such account, or the key gave another amount before */
  give(grant: Grant): Promise<{ id: string; replayed: boolean; balance: Balance }>
}

export const createGrants = ({ accountRecords, credits, statements }: GrantsOptions): Grants => ({
  async give({ accountId, idempotencyKey, amount, note }) {
    if (!(await accountRecords.find(accountId))) throw new ApiError('unknown_account')
    const credit = { id: await grantId(accountId, idempotencyKey), kind: 'granted' } as const
    const isNew = await credits.grant(accountId, { ...credit, amount, note })
    if (!isNew && (await credits.granted(accountId, credit)) !== amount) throw new ApiError('idempotency_mismatch')
    return { id: credit.id, replayed: !isNew, balance: await statements.balance(accountId) }
  },
})

/** UUID version 8 (RFC 9562) of their SHA-256. */
async function grantId(accountId: string, idempotencyKey: string): Promise<string> {
  const hash = await sha256(`grant ${accountId} ${idempotencyKey}`)
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-8${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`
}
