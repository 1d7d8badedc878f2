/** Accounts as people: their emails, passwords and what administrators see and set. */
import type { Role } from '../../../src/domain/principal.ts'
import type { User } from '../../../src/domain/user.ts'
import type { PasswordChange, UserChanges, Users } from '../../../src/ports.ts'
import { type AccountLimitRow, toAccountLimits } from './api-keys.ts'
import type { Sql } from './client.ts'
import type { Cluster } from './cluster.ts'
import { placeHash } from './sessions.ts'

export interface UsersOptions {
  cluster: Cluster
  pepper: string
  newId: () => string
}

export function createUsers({ cluster, pepper, newId }: UsersOptions): Users {
  return {
    async register({ email, name, role = 'user', passwordHash }) {
      const accountId = newId()
      const row = await cluster.write(
        'register',
        { accountId },
        async (sql) => {
          const taken = await insertEmail(sql, email, accountId)
          if (taken.length === 0) return undefined
          const [inserted] = await insertUser(sql, { accountId, email, name, role, passwordHash })
          return inserted
        },
        {
          lookup: () =>
            cluster.read('look up account', { reads: 'primary' }, (sql) => selectUser(sql, accountId)).then(([r]) => r),
        },
      )
      return row && toUser(row)
    },

    async findForSignIn(email, place) {
      const [row] = await cluster.read('find account', { reads: 'primary', pool: 'authentication' }, (sql) =>
        selectForSignIn(sql, email, placeHash(pepper, place)),
      )
      return row && { user: toUser(row), passwordHash: row.password_hash, knownPlace: row.known_place }
    },

    async find(accountId) {
      const [row] = await cluster.read('find account', { reads: 'primary' }, (sql) => selectUser(sql, accountId))
      return row && toUser(row)
    },

    async passwordHash(accountId) {
      const [row] = await cluster.read('find password', { reads: 'primary' }, (sql) => selectPassword(sql, accountId))
      return row?.password_hash
    },

    setPassword: (accountId, change) =>
      cluster.write('set password', { accountId }, async (sql) => {
        const changed = await updatePassword(sql, accountId, change)
        if (changed.length === 0) return false
        const { endSessions } = change
        if (endSessions) await endSessionsBut(sql, accountId, endSessions === 'all' ? null : endSessions.except)
        return true
      }),

    async list(page) {
      const rows = await cluster.read('list accounts', { reads: 'primary' }, (sql) => selectPage(sql, page))
      return rows.map(toUser)
    },

    update: (accountId, changes) =>
      cluster.write('change account', { accountId }, async (sql) => {
        const [before] = await lockUser(sql, accountId)
        if (!before) return undefined
        const [after] = await updateUser(sql, accountId, merged(before, changes))
        return toUser(after!)
      }),

    close: (accountId) =>
      cluster.write('close account', { accountId }, async (sql) => {
        const [closed] = await lockUser(sql, accountId)
        if (!closed) return false
        if (closed.email !== null) await deleteEmail(sql, closed.email, accountId)
        await updateClosed(sql, accountId)
        await deleteSessions(sql, accountId)
        await deletePreferences(sql, accountId)
        await revokeKeys(sql, accountId)
        return true
      }),
  }
}

interface UserRow extends AccountLimitRow {
  account_id: string
  email: string | null
  name: string
  role: Role
  created_at: Date
  disabled_at: Date | null
}

const toUser = (row: UserRow): User => ({
  accountId: row.account_id,
  email: row.email ?? undefined,
  name: row.name,
  role: row.role,
  limits: toAccountLimits(row),
  createdAt: row.created_at,
  disabledAt: row.disabled_at ?? undefined,
})

function merged(before: UserRow, { disabled, role = before.role, limits = {} }: UserChanges): UserSettings {
  const { requestsPerMinute, tokensPerMinute, maxConcurrent } = limits
  return {
    role,
    disabled: disabled ?? before.disabled_at !== null,
    requests: requestsPerMinute === undefined ? before.requests_per_minute : requestsPerMinute,
    tokens: tokensPerMinute === undefined ? before.tokens_per_minute : tokensPerMinute,
    concurrent: maxConcurrent === undefined ? before.max_concurrent : maxConcurrent,
  }
}

interface NewUser {
  accountId: string
  email: string
  name: string
  role: Role
  passwordHash: string
}

interface UserSettings {
  role: Role
  disabled: boolean
  requests: number | null
  tokens: number | string | null
  concurrent: number | null
}

const userColumns = (sql: Sql) => sql`
  accounts.account_id, accounts.email, accounts.name, accounts.role, accounts.requests_per_minute,
  accounts.tokens_per_minute, accounts.max_concurrent, accounts.created_at, accounts.disabled_at`

/** The one who comes second waits for the first, and gets no row. */
const insertEmail = (sql: Sql, email: string, accountId: string) => sql<object[]>`
  insert into account_emails (email, account_id) values (${email}, ${accountId})
  on conflict (email) do nothing
  returning account_id`

const insertUser = (sql: Sql, user: NewUser) => sql<UserRow[]>`
  insert into accounts (account_id, email, name, role, password_hash)
  values (${user.accountId}, ${user.email}, ${user.name}, ${user.role}, ${user.passwordHash})
  returning ${userColumns(sql)}`

const selectUser = (sql: Sql, accountId: string) => sql<UserRow[]>`
  select ${userColumns(sql)} from accounts where account_id = ${accountId} and closed_at is null`

const lockUser = (sql: Sql, accountId: string) => sql<UserRow[]>`
  select ${userColumns(sql)} from accounts where account_id = ${accountId} and closed_at is null
  for no key update`

interface SignInRow extends UserRow {
  password_hash: string
  known_place: boolean
}

const selectForSignIn = (sql: Sql, email: string, place: Buffer) => sql<SignInRow[]>`
  select ${userColumns(sql)}, accounts.password_hash, exists (
    select from sessions
    where sessions.account_id = accounts.account_id and sessions.place_hash = ${place}
      and sessions.created_at > now() - interval '30 days'
  ) as known_place
  from account_emails
  join accounts on accounts.account_id = account_emails.account_id
  where account_emails.email = ${email} and accounts.disabled_at is null and accounts.password_hash is not null
    and (accounts.password_expires_at is null or accounts.password_expires_at > now())`

const selectPassword = (sql: Sql, accountId: string) => sql<{ password_hash: string }[]>`
  select password_hash from accounts
  where account_id = ${accountId} and password_hash is not null
    and (password_expires_at is null or password_expires_at > now())`

/** A hash that only replaces another of the same password keeps the time at which that one expires. */
const updatePassword = (sql: Sql, accountId: string, { hash, from, expiresAt, endSessions }: PasswordChange) => sql<
  object[]
>`
  update accounts
  set password_hash = ${hash},
    password_expires_at = case when ${endSessions !== undefined}::boolean then ${expiresAt ?? null}::timestamptz
      else password_expires_at end
  where account_id = ${accountId} and closed_at is null
    and (${from ?? null}::text is null or password_hash = ${from ?? null})
  returning account_id`

const endSessionsBut = (sql: Sql, accountId: string, sessionId: string | null) => sql`
  update sessions set ended_at = now()
  where account_id = ${accountId} and ended_at is null
    and (${sessionId}::uuid is null or session_id <> ${sessionId}::uuid)`

const selectPage = (sql: Sql, { email, before, limit }: Parameters<Users['list']>[0]) => sql<UserRow[]>`
  select ${userColumns(sql)} from accounts
  where closed_at is null
    ${before === undefined ? sql`` : sql`and account_id < ${before}`}
    ${email === undefined ? sql`` : sql`and account_id in (select account_id from account_emails where email like ${prefixPattern(email)})`}
  order by account_id desc
  limit ${limit}`

const prefixPattern = (prefix: string) => `${prefix.replace(/[\\%_]/g, '\\$&')}%`

const updateUser = (sql: Sql, accountId: string, settings: UserSettings) => sql<UserRow[]>`
  update accounts
  set role = ${settings.role},
    disabled_at = case when ${settings.disabled}::boolean then coalesce(disabled_at, now()) end,
    requests_per_minute = ${settings.requests}, tokens_per_minute = ${settings.tokens},
    max_concurrent = ${settings.concurrent}
  where account_id = ${accountId}
  returning ${userColumns(sql)}`

const updateClosed = (sql: Sql, accountId: string) => sql`
  update accounts
  set closed_at = now(), disabled_at = coalesce(disabled_at, now()), email = null, name = 'closed account',
    password_hash = null, password_expires_at = null
  where account_id = ${accountId}`

const deleteEmail = (sql: Sql, email: string, accountId: string) => sql`
  delete from account_emails where email = ${email} and account_id = ${accountId}`

const deleteSessions = (sql: Sql, accountId: string) => sql`
  delete from sessions where account_id = ${accountId}`

const deletePreferences = (sql: Sql, accountId: string) => sql`
  delete from gpu_preferences where account_id = ${accountId}`

/** Their names may say whose they were. */
const revokeKeys = (sql: Sql, accountId: string) => sql`
  update api_keys set revoked_at = coalesce(revoked_at, now()), name = 'a key' where account_id = ${accountId}`
