/** What administrators see and change of everybody's account. */
import type { User } from '../domain/user.ts'
import { ApiError } from '../errors.ts'
import type { Clock, Passwords, UserChanges, Users } from '../ports.ts'

export interface AccountAdmin {
  list(page: {
    email?: string | undefined
    before?: string | undefined
    limit: number
  }): Promise<{ users: User[]; nextCursor: string | undefined }>
  find(accountId: string): Promise<User>
  /** `by` is the administrator's own account. */
  change(by: string, accountId: string, changes: AccountChanges): Promise<AccountChanged>
}

export interface AccountChanges extends UserChanges {
  /** Ends every session. */
  password?: 'make one' | { given: string } | undefined
}

export interface AccountChanged {
  user: User
  temporaryPassword?: string
  temporaryUntil?: Date
}

export interface AccountAdminOptions {
  users: Users
  passwords: Passwords
  clock: Pick<Clock, 'wallNow'>
}

/** Whoever is told a password by others should have made one of their own by then. */
const temporaryMs = 24 * 60 * 60_000

export function createAccountAdmin({ users, passwords, clock }: AccountAdminOptions): AccountAdmin {
  async function find(accountId: string): Promise<User> {
    const user = await users.find(accountId)
    if (!user) throw new ApiError('unknown_account')
    return user
  }

  async function reset(accountId: string, password: NonNullable<AccountChanges['password']>) {
    const isMade = password === 'make one'
    const text = isMade ? passwords.generate() : password.given
    const hash = await passwords.hash(text)
    const temporaryUntil = new Date(clock.wallNow() + temporaryMs)
    const change = { hash, endSessions: 'all' as const, ...(isMade && { expiresAt: temporaryUntil }) }
    if (!(await users.setPassword(accountId, change))) throw new ApiError('unknown_account')
    return isMade ? { temporaryPassword: text, temporaryUntil } : {}
  }

  return {
    find,
    async list({ limit, ...page }) {
      const found = await users.list({ ...page, limit: limit + 1 })
      const shown = found.slice(0, limit)
      return { users: shown, nextCursor: found.length > limit ? shown.at(-1)?.accountId : undefined }
    },
    async change(by, accountId, { password, ...changes }) {
      if (by === accountId && (changes.disabled === true || changes.role === 'user')) throw new ApiError('own_account')
      if (password !== undefined && !(await find(accountId)).email) {
        throw new ApiError('invalid_body', { message: 'Nobody signs in to this account.', param: 'reset_password' })
      }
      const user = await users.update(accountId, changes)
      if (!user) throw new ApiError('unknown_account')
      return { user, ...(password !== undefined && (await reset(accountId, password))) }
    },
  }
}
