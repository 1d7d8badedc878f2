/** People: registering, signing in and out, and their passwords. */
import type { Principal } from '../domain/principal.ts'
import type { SignInSubject } from '../domain/sign-in-delay.ts'
import { normalisedEmail, type User } from '../domain/user.ts'
import { ApiError } from '../errors.ts'
import type {
  Credits,
  Idempotency,
  Log,
  Metrics,
  Passwords,
  RefreshedSession,
  Sessions,
  SignInAttempts,
  SignInCandidate,
  Users,
} from '../ports.ts'
import { instruments } from '../telemetry/instruments.ts'
import type { AccessTokens } from './access-tokens.ts'
import type { EndRentals } from './account-rentals.ts'

export interface SignInOptions {
  users: Users
  sessions: Sessions
  attempts: SignInAttempts
  passwords: Passwords
  tokens: AccessTokens
  registration: 'open' | 'closed'
  credits: Credits
  idempotency: Pick<Idempotency, 'forget'>
  endRentals: EndRentals
  /** Micro-dollars. */
  signupCredit: number
  /** Of a session after its last renewal. */
  sessionMs: number
  metrics: Metrics
  log: Log
}

export interface Tokens {
  accessToken: string
  refreshToken: string
  /** Of the access token. */
  expiresAt: Date
}

export interface SignIn {
  register(person: { email: string; name: string; password: string }): Promise<User>
  /** `place` is the caller's address. */
  signIn(credentials: { email: string; password: string }, place: string): Promise<{ user: User; tokens: Tokens }>
  renew(refreshToken: string): Promise<Tokens>
  /** Whether or not it lives: afterwards it does not. */
  signOut(by: { refreshToken: string } | { accessToken: string }): Promise<void>
  /** Every other session of the account ends. */
  changePassword(who: Principal, change: { password: string; newPassword: string }): Promise<void>
  closeAccount(who: Principal, password: string): Promise<void>
}

export function createSignIn(options: SignInOptions): SignIn {
  const { users, sessions, attempts, passwords, tokens, credits, signupCredit, sessionMs, metrics, log } = options
  const told = (result: 'signed_in' | 'wrong' | 'delayed') => metrics.count(instruments.signIns, { result })

  /** Counted before it is tried, so that many at once are no more guesses than one after the other. */
  async function attempt<T>(subjects: readonly SignInSubject[], check: () => Promise<T | undefined>) {
    const waitMs = await attempts.take(subjects)
    if (waitMs > 0) {
      told('delayed')
      throw new ApiError('too_many_sign_ins', { retryAfterMs: waitMs })
    }
    try {
      const found = await check()
      if (found !== undefined) await attempts.giveBack(subjects)
      return found
    } catch (error) {
      // It could not be looked at, so it was no guess.
      await attempts.giveBack(subjects).catch(() => {})
      throw error
    }
  }

  async function tokensFor({ refreshToken, ...session }: RefreshedSession): Promise<Tokens> {
    const { token, expiresAt } = await tokens.issue(session)
    return { accessToken: token, refreshToken, expiresAt }
  }

  /** Hashed anew where the cost has been raised since. The hash in force, or undefined if the password is wrong. */
  async function checked(password: string, candidate: SignInCandidate | undefined): Promise<string | undefined> {
    const from = candidate?.passwordHash
    const result = await passwords.check(password, from)
    if (!candidate || from === undefined || result === 'wrong') return undefined
    if (result === 'right') return from
    const hash = await passwords.hash(password)
    return (await users.setPassword(candidate.user.accountId, { hash, from })) ? hash : from
  }

  /** The hash that was right: what follows holds only while it is still the account's. */
  async function confirm({ accountId }: Principal, password: string): Promise<string> {
    const hash = await users.passwordHash(accountId)
    const right = await attempt([{ kind: 'pair', value: `password of ${accountId}` }], async () =>
      (await passwords.check(password, hash)) === 'wrong' ? undefined : hash,
    )
    if (right === undefined) throw new ApiError('password_wrong', { param: 'password' })
    return right
  }

  return {
    async register({ email, name, password }) {
      if (options.registration === 'closed') throw new ApiError('registration_closed')
      const passwordHash = await passwords.hash(password)
      const user = await users.register({ email: normalisedEmail(email), name, passwordHash })
      if (!user) throw new ApiError('email_taken', { param: 'email' })
      log.info('account registered', { account_id: user.accountId })
      if (signupCredit > 0) {
        const grant = { id: user.accountId, amount: signupCredit, kind: 'signup' } as const
        // The account is there, and registering again would only say so: the operator has to hear of it.
        await credits.grant(user.accountId, grant).catch((error: Error) => {
          log.error('the credit of a new account was not granted', { account_id: user.accountId, error: error.name })
        })
      }
      return user
    },

    async signIn({ email, password }, place) {
      const mailbox = normalisedEmail(email)
      const candidate = await users.findForSignIn(mailbox, place)
      const subjects: SignInSubject[] = [
        { kind: 'address', value: place },
        candidate?.knownPlace ? { kind: 'pair', value: `${place} ${mailbox}` } : { kind: 'email', value: mailbox },
      ]
      const signedIn = await attempt(subjects, async () => {
        const passwordHash = await checked(password, candidate)
        if (!candidate || passwordHash === undefined) return undefined
        const { accountId } = candidate.user
        return sessions.start({ accountId, passwordHash, place, lifetimeMs: sessionMs })
      })
      if (!candidate || !signedIn) {
        told('wrong')
        throw new ApiError('sign_in_failed')
      }
      told('signed_in')
      log.info('signed in', { account_id: signedIn.accountId, key_id: signedIn.sessionId })
      return { user: candidate.user, tokens: await tokensFor(signedIn) }
    },

    async renew(refreshToken) {
      const renewed = await sessions.renew(refreshToken, sessionMs)
      if (renewed.outcome === 'renewed') return tokensFor(renewed)
      if (renewed.outcome === 'reused') {
        const { accountId, sessionId } = renewed
        log.warn('a refresh token was used twice; its session has ended', { account_id: accountId, key_id: sessionId })
      }
      throw new ApiError('invalid_refresh_token')
    },

    async signOut(by) {
      if ('refreshToken' in by) {
        await sessions.endByToken(by.refreshToken)
        return
      }
      const session = await tokens.verify(by.accessToken)
      if (!session) throw new ApiError('invalid_credential')
      await sessions.end(session.accountId, session.sessionId)
    },

    async changePassword(who, { password, newPassword }) {
      const from = await confirm(who, password)
      const hash = await passwords.hash(newPassword)
      const endSessions = who.session ? { except: who.keyId } : 'all'
      const changed = await users.setPassword(who.accountId, { hash, from, endSessions })
      if (!changed) throw new ApiError('password_wrong', { param: 'password' })
      log.info('password changed', { account_id: who.accountId, key_id: who.keyId })
    },

    async closeAccount(who, password) {
      await confirm(who, password)
      // Before, since a closed account that goes on renting is paid for by nobody; and what was begun meanwhile.
      await options.endRentals(who.accountId)
      await users.close(who.accountId)
      await options.endRentals(who.accountId).catch((error: Error) => {
        log.error('rentals of a closed account may go on', { account_id: who.accountId, error: error.name })
      })
      // Closed it is closed: what could not be forgotten now is so in two days, when every key is.
      await options.idempotency.forget(who.accountId).catch((error: Error) => {
        log.warn('answers of a closed account are kept until they are purged', {
          account_id: who.accountId,
          error: error.name,
        })
      })
      log.info('account closed by its owner', { account_id: who.accountId, key_id: who.keyId })
    },
  }
}
