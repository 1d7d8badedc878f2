/** Who is signed in. Always read from the primary: what has ended must have ended everywhere. */
import { createHmac } from 'node:crypto'
import { type Principal, type Role, scopesOf } from '../../../src/domain/principal.ts'
import type { Sessions } from '../../../src/ports.ts'
import { type AccountLimitRow, toAccountLimits } from './api-keys.ts'
import type { Sql } from './client.ts'
import type { Cluster } from './cluster.ts'
import {
  hashFamily,
  hashToken,
  newRefreshToken,
  type RefreshToken,
  readRefreshToken,
  writeRefreshToken,
} from './refresh-token.ts'

export interface SessionsOptions {
  cluster: Cluster
  pepper: string
  newId: () => string
}

/** Of one account, those that have ended too: who signs in all the time ends the oldest. */
const maxSessions = 50
/** Two tabs that renew at the same moment, and an answer that was slow, are no theft. */
export const supersededWithinS = 10

export function createSessions({ cluster, pepper, newId }: SessionsOptions): Sessions {
  const rowOf = (token: RefreshToken, lifetimeMs: number): TokenRow => ({
    accountId: token.accountId,
    sessionId: token.sessionId,
    family: hashFamily(pepper, token),
    hash: hashToken(pepper, token),
    lifetimeMs,
  })
  const started = (token: RefreshToken) => ({
    accountId: token.accountId,
    sessionId: token.sessionId,
    refreshToken: writeRefreshToken(token),
  })
  const end = async (accountId: string, sessionId: string) => {
    const rows = await cluster.write('end session', { accountId }, (sql) => updateEnded(sql, accountId, sessionId))
    return rows.length > 0
  }

  return {
    async start({ accountId, passwordHash, place, lifetimeMs }) {
      const token = newRefreshToken({ accountId, sessionId: newId() })
      return cluster.write('start session', { accountId }, async (sql) => {
        const [account] = await lockSignInAccount(sql, accountId, passwordHash)
        if (!account) return undefined
        await insertSession(sql, rowOf(token, lifetimeMs), placeHash(pepper, place))
        await deleteOldest(sql, accountId)
        return started(token)
      })
    },

    async find(accountId, sessionId) {
      const [row] = await cluster.read('find session', { reads: 'primary', pool: 'authentication' }, (sql) =>
        selectPrincipal(sql, accountId, sessionId),
      )
      return row && toPrincipal(accountId, sessionId, row)
    },

    async renew(text, lifetimeMs) {
      const token = readRefreshToken(text)
      if (!token) return { outcome: 'unknown' }
      const { accountId, sessionId } = token
      const next = newRefreshToken(token)
      return cluster.write('renew session', { accountId }, async (sql) => {
        const used = rowOf(token, lifetimeMs)
        const renewed = await updateToken(sql, used, hashToken(pepper, next))
        if (renewed.length > 0) return { outcome: 'renewed' as const, ...started(next) }
        const [family] = await selectFamily(sql, used)
        // A token that is good, of an account that is disabled, is no theft either.
        if (!family || family.current) return { outcome: 'unknown' as const }
        if (family.superseded) return { outcome: 'superseded' as const, accountId, sessionId }
        await updateEnded(sql, accountId, sessionId)
        return { outcome: 'reused' as const, accountId, sessionId }
      })
    },

    end,

    async endByToken(text) {
      const token = readRefreshToken(text)
      if (!token) return false
      const { accountId, sessionId } = token
      const found = await cluster.read('find session', { reads: 'primary' }, (sql) =>
        selectFamily(sql, rowOf(token, 0)),
      )
      return found.length > 0 && end(accountId, sessionId)
    },

    async list(accountId) {
      const rows = await cluster.read('list sessions', { reads: 'own', accountId }, (sql) =>
        selectSessions(sql, accountId),
      )
      return rows.map((row) => ({
        sessionId: row.session_id,
        createdAt: row.created_at,
        renewedAt: row.renewed_at,
        expiresAt: row.expires_at,
        endedAt: row.ended_at ?? undefined,
      }))
    },
  }
}

/** An address says where somebody lives: enough of it is kept to know it again. */
export const placeHash = (pepper: string, place: string) =>
  createHmac('sha256', pepper).update('place\0').update(place).digest()

interface TokenRow {
  accountId: string
  sessionId: string
  family: Buffer
  hash: Buffer
  lifetimeMs: number
}

/** Waits for a change of the password that is under way, and finds that the hash is another then. */
const lockSignInAccount = (sql: Sql, accountId: string, passwordHash: string) => sql<object[]>`
  select account_id from accounts
  where account_id = ${accountId} and password_hash = ${passwordHash} and disabled_at is null
  for share`

const insertSession = (sql: Sql, { accountId, sessionId, family, hash, lifetimeMs }: TokenRow, place: Buffer) => sql`
  insert into sessions (account_id, session_id, family_hash, token_hash, place_hash, expires_at)
  values (${accountId}, ${sessionId}, ${family}, ${hash}, ${place}, now() + make_interval(secs => ${lifetimeMs / 1000}))`

const deleteOldest = (sql: Sql, accountId: string) => sql`
  delete from sessions where account_id = ${accountId} and session_id in (
    select session_id from sessions where account_id = ${accountId}
    order by created_at desc, session_id desc offset ${maxSessions}
  )`

interface PrincipalRow extends AccountLimitRow {
  role: Role
}

const selectPrincipal = (sql: Sql, accountId: string, sessionId: string) => sql<PrincipalRow[]>`
  select accounts.role, accounts.requests_per_minute, accounts.tokens_per_minute, accounts.max_concurrent
  from sessions
  join accounts on accounts.account_id = sessions.account_id
  where sessions.account_id = ${accountId} and sessions.session_id = ${sessionId}
    and sessions.ended_at is null and sessions.expires_at > now() and accounts.disabled_at is null`

const toPrincipal = (accountId: string, sessionId: string, row: PrincipalRow): Principal => ({
  accountId,
  keyId: sessionId,
  role: row.role,
  scopes: scopesOf(row.role),
  limits: { key: {}, account: toAccountLimits(row) },
  session: true,
})

/** Of two that use the same token at once, the second waits for the first and finds the token used. */
const updateToken = (sql: Sql, used: TokenRow, next: Buffer) => sql<object[]>`
  update sessions
  set token_hash = ${next}, previous_hash = token_hash, renewed_at = clock_timestamp(),
    expires_at = now() + make_interval(secs => ${used.lifetimeMs / 1000})
  from accounts
  where sessions.account_id = ${used.accountId} and sessions.session_id = ${used.sessionId}
    and sessions.token_hash = ${used.hash} and sessions.ended_at is null and sessions.expires_at > now()
    and accounts.account_id = sessions.account_id and accounts.disabled_at is null
  returning sessions.session_id`

interface FamilyRow {
  current: boolean
  superseded: boolean
}

/** None where the token is not of this family, or the session does not live: then nothing is to be ended. */
const selectFamily = (sql: Sql, { accountId, sessionId, family, hash }: TokenRow) => sql<FamilyRow[]>`
  select token_hash = ${hash} as current, coalesce(previous_hash = ${hash}, false)
    and renewed_at > clock_timestamp() - make_interval(secs => ${supersededWithinS}) as superseded
  from sessions
  where account_id = ${accountId} and session_id = ${sessionId} and family_hash = ${family}
    and ended_at is null and expires_at > now()`

const updateEnded = (sql: Sql, accountId: string, sessionId: string) => sql<object[]>`
  update sessions set ended_at = now()
  where account_id = ${accountId} and session_id = ${sessionId} and ended_at is null
  returning session_id`

interface SessionRow {
  session_id: string
  created_at: Date
  renewed_at: Date
  expires_at: Date
  ended_at: Date | null
}

const selectSessions = (sql: Sql, accountId: string) => sql<SessionRow[]>`
  select session_id, created_at, renewed_at, expires_at, ended_at from sessions
  where account_id = ${accountId}
  order by created_at desc, session_id desc
  limit ${maxSessions}`
