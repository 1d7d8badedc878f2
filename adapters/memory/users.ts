/** People and their sessions that live as long as the process: for tests that are about something else. */
import { scopesOf } from '../../src/domain/principal.ts'
import type { User } from '../../src/domain/user.ts'
import type { Clock, Sessions, Users } from '../../src/ports.ts'
import type { MemoryAccount, MemoryAccounts } from './accounts.ts'

interface MemorySession {
  accountId: string
  family: string
  token: string
  previous?: string
  renewedAt: number
  place: string
  createdAt: number
  expiresAt: number
  endedAt: Date | undefined
}

const maxSessions = 50
const uuidLength = 36
const supersededWithinMs = 10_000
const knownPlaceMs = 30 * 86_400_000

export function createMemoryUsers({ accounts, clock }: { accounts: MemoryAccounts; clock: Clock }): {
  users: Users
  sessions: Sessions
} {
  const { table } = accounts
  /** In the order in which they began. */
  const sessions = new Map<string, MemorySession>()

  const open = (accountId: string) => {
    const account = table.get(accountId)
    return account?.closed ? undefined : account
  }
  const toUser = (accountId: string, account: MemoryAccount): User => ({
    accountId,
    email: account.email,
    name: account.name,
    role: account.role,
    limits: account.limits,
    createdAt: account.createdAt,
    disabledAt: account.disabledAt,
  })
  const hashOf = (account: MemoryAccount | undefined) =>
    account && !(account.passwordExpiresAt && account.passwordExpiresAt.getTime() <= clock.wallNow())
      ? account.passwordHash
      : undefined
  const byEmail = (email: string) => [...table].find(([, account]) => account.email === email)
  const end = (session: MemorySession) => {
    session.endedAt ??= new Date(clock.wallNow())
  }
  const endOthers = (accountId: string, but?: string) => {
    for (const [id, session] of sessions) if (session.accountId === accountId && id !== but) end(session)
  }
  const isLive = (session: MemorySession) => !session.endedAt && session.expiresAt > clock.wallNow()
  const newToken = (accountId: string, sessionId: string, family: string) =>
    `rt_${accountId}.${sessionId}.${family}.${crypto.randomUUID()}`
  /** Of a token of its family that lives. */
  const sessionOf = (text: string) => {
    const [, sessionId = '', family, own, ...more] = text.split('.')
    const session = sessions.get(sessionId)
    const isWhole = own?.length === uuidLength && more.length === 0
    return session && isWhole && isLive(session) && session.family === family ? { sessionId, session } : undefined
  }

  return {
    users: {
      async register({ email, name, role = 'user', passwordHash }) {
        if (byEmail(email)) return undefined
        const accountId = crypto.randomUUID()
        const createdAt = new Date(clock.wallNow())
        const account: MemoryAccount = { name, role, limits: {}, createdAt, email, passwordHash }
        table.set(accountId, account)
        return toUser(accountId, account)
      },
      async findForSignIn(email, place) {
        const [accountId, account] = byEmail(email) ?? []
        const passwordHash = hashOf(account)
        if (!accountId || !account || account.disabledAt || passwordHash === undefined) return undefined
        const since = clock.wallNow() - knownPlaceMs
        const knownPlace = [...sessions.values()].some(
          (session) => session.accountId === accountId && session.place === place && session.createdAt > since,
        )
        return { user: toUser(accountId, account), passwordHash, knownPlace }
      },
      async find(accountId) {
        const account = open(accountId)
        return account && toUser(accountId, account)
      },
      passwordHash: async (accountId) => hashOf(table.get(accountId)),
      async setPassword(accountId, { hash, from, expiresAt, endSessions }) {
        const account = open(accountId)
        if (!account || (from !== undefined && account.passwordHash !== from)) return false
        account.passwordHash = hash
        if (!endSessions) return true
        account.passwordExpiresAt = expiresAt
        endOthers(accountId, endSessions === 'all' ? undefined : endSessions.except)
        return true
      },
      async list({ email, before, limit }) {
        return [...table]
          .filter(([, account]) => !account.closed && (email === undefined || account.email?.startsWith(email)))
          .map(([accountId, account]) => toUser(accountId, account))
          .sort((a, b) => (a.accountId < b.accountId ? 1 : -1))
          .filter(({ accountId }) => before === undefined || accountId < before)
          .slice(0, limit)
      },
      async update(accountId, { disabled, role, limits = {} }) {
        const account = open(accountId)
        if (!account) return undefined
        if (disabled === false) account.disabledAt = undefined
        if (disabled) account.disabledAt ??= new Date(clock.wallNow())
        if (role !== undefined) account.role = role
        const given = Object.entries(limits).filter(([, value]) => value !== undefined)
        account.limits = {
          ...account.limits,
          ...Object.fromEntries(given.map(([name, value]) => [name, value ?? undefined])),
        }
        return toUser(accountId, account)
      },
      async close(accountId) {
        const account = open(accountId)
        if (!account) return false
        const disabledAt = new Date(clock.wallNow())
        Object.assign(account, {
          closed: true,
          disabledAt,
          name: 'closed account',
          email: undefined,
          passwordHash: undefined,
        })
        for (const [id, session] of sessions) if (session.accountId === accountId) sessions.delete(id)
        for (const { id } of await accounts.listApiKeys(accountId)) await accounts.revokeApiKey(accountId, id)
        return true
      },
    },

    sessions: {
      async start({ accountId, passwordHash, place, lifetimeMs }) {
        const account = open(accountId)
        if (!account || account.disabledAt || account.passwordHash !== passwordHash) return undefined
        const now = clock.wallNow()
        const [sessionId, family] = [crypto.randomUUID(), crypto.randomUUID()]
        const token = newToken(accountId, sessionId, family)
        const times = { renewedAt: now, createdAt: now, expiresAt: now + lifetimeMs }
        sessions.set(sessionId, { accountId, family, token, place, ...times, endedAt: undefined })
        const own = [...sessions].filter(([, session]) => session.accountId === accountId)
        if (own.length > maxSessions) sessions.delete(own[0]![0])
        return { accountId, sessionId, refreshToken: token }
      },
      async find(accountId, sessionId) {
        const session = sessions.get(sessionId)
        const account = table.get(accountId)
        if (!account || account.disabledAt || session?.accountId !== accountId || !isLive(session)) return undefined
        const { role, limits } = account
        return {
          accountId,
          keyId: sessionId,
          role,
          scopes: scopesOf(role),
          limits: { key: {}, account: limits },
          session: true,
        }
      },
      async renew(text, lifetimeMs) {
        const found = sessionOf(text)
        if (!found) return { outcome: 'unknown' }
        const { sessionId, session } = found
        const { accountId } = session
        const now = clock.wallNow()
        if (session.token === text) {
          if (table.get(accountId)?.disabledAt) return { outcome: 'unknown' }
          const token = newToken(accountId, sessionId, session.family)
          Object.assign(session, { token, previous: text, renewedAt: now, expiresAt: now + lifetimeMs })
          return { outcome: 'renewed', accountId, sessionId, refreshToken: token }
        }
        if (session.previous === text && now - session.renewedAt < supersededWithinMs) {
          return { outcome: 'superseded', accountId, sessionId }
        }
        end(session)
        return { outcome: 'reused', accountId, sessionId }
      },
      async end(accountId, sessionId) {
        const session = sessions.get(sessionId)
        if (!session || session.accountId !== accountId || session.endedAt) return false
        end(session)
        return true
      },
      async endByToken(text) {
        const found = sessionOf(text)
        if (found) end(found.session)
        return found !== undefined
      },
      async list(accountId) {
        const own = [...sessions].filter(([, session]) => session.accountId === accountId).reverse()
        return own.map(([sessionId, { createdAt, renewedAt, expiresAt, endedAt }]) => ({
          sessionId,
          createdAt: new Date(createdAt),
          renewedAt: new Date(renewedAt),
          expiresAt: new Date(expiresAt),
          endedAt,
        }))
      },
    },
  }
}
