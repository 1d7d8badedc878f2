/** Credit that an administrator gives, once for each key. */
import { grantId } from '../domain/grant.ts'
import type { MicroUsd } from '../domain/money.ts'
import { ApiError } from '../errors.ts'
import type { Balance, Credits, Statements, Users } from '../ports.ts'

export interface GrantsOptions {
  users: Pick<Users, 'find'>
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
  /** @throws ApiError where there is no such account, or the key gave another amount or note before */
  give(grant: Grant): Promise<{ id: string; replayed: boolean; balance: Balance }>
}

export const createGrants = ({ users, credits, statements }: GrantsOptions): Grants => ({
  async give({ accountId, idempotencyKey, amount, note }) {
    if (!(await users.find(accountId))) throw new ApiError('unknown_account')
    const credit = { id: await grantId(accountId, idempotencyKey), kind: 'granted' } as const
    const isNew = await credits.grant(accountId, { ...credit, amount, note })
    if (!isNew) {
      const before = await credits.granted(accountId, credit)
      if (before?.amount !== amount || before.note !== note) throw new ApiError('idempotency_mismatch')
    }
    return { id: credit.id, replayed: !isNew, balance: await statements.balance(accountId) }
  },
})
