/** Who is calling. The credential itself goes no further than this file, turning away, the accounts port and the tokens' service. */
import type { Cache, Cached } from '../cache/cache.ts'
import { credentialKey } from '../cache/keys.ts'
import type { Principal, Scope } from '../domain/principal.ts'
import { ApiError } from '../errors.ts'
import type { Accounts, Sessions } from '../ports.ts'
import { type AccessTokens, plausibleToken } from '../services/access-tokens.ts'
import type { KeyUse } from '../services/key-use.ts'
import { sessionCookie } from './console-session.ts'
import type { Check } from './guard.ts'
import { type AppContext, header } from './request-context.ts'

export interface AuthenticateOptions {
  accounts: Pick<Accounts, 'findByApiKey'>
  sessions: Pick<Sessions, 'find'>
  tokens: Pick<AccessTokens, 'verify'>
  keyUse: Pick<KeyUse, 'note'>
  /** Of principals by the digest of their credential; null = one known not to be valid. */
  principals: Cache<Principal | null, 'credential'>
  digest: (text: string) => string
}

/** Nothing else can be one of our keys, so nothing else is worth a look-up. An access token is longer. */
const plausibleKey = /^[\x21-\x7e]{20,200}$/

/** Who a credential stands for now. Of it nothing is kept but its digest. */
function createFind({ principals, ...options }: AuthenticateOptions) {
  const { accounts, sessions, tokens, keyUse } = options

  async function findByKey(key: string): Promise<Principal | null> {
    const found = await accounts.findByApiKey(key)
    if (found) keyUse.note(found)
    return found ?? null
  }

  /** The signature first: what nobody signed asks nothing of the database. */
  async function findByToken(token: string): Promise<Principal | null> {
    const session = await tokens.verify(token)
    if (!session) return null
    return (await sessions.find(session.accountId, session.sessionId)) ?? null
  }

  return (key: string, digested: string, isKey: boolean) =>
    principals.get(credentialKey(digested), () => (isKey ? findByKey(key) : findByToken(key)))
}

/**
 * For what stays open: whether its caller is still who he was, asked as often as one likes. A database that is away ends
 * nothing.
 */
export function createStillGood(options: AuthenticateOptions) {
  const find = createFind(options)
  return (c: AppContext) => {
    const key = credential(c)
    const digested = options.digest(key)
    const { role } = principalOf(c)
    return async (): Promise<boolean> => {
      try {
        const { value } = await find(key, digested, plausibleKey.test(key))
        return value?.role === role
      } catch {
        return true
      }
    }
  }
}
export type StillGood = ReturnType<typeof createStillGood>

export const authenticate = (options: AuthenticateOptions): Check => {
  const find = createFind(options)

  return function authenticate(c) {
    const key = credential(c)
    const isKey = plausibleKey.test(key)
    if (!isKey && !plausibleToken.test(key)) throw new ApiError('invalid_credential')
    const admit = ({ value }: Cached<Principal | null>): undefined => {
      if (!value) throw new ApiError('invalid_credential')
      const request = c.get('request')
      request.principal = value
      request.credentialDigest = digested
      // A cache on the way heeds `Authorization` by itself (RFC 9111, 3.5), and knows nothing of `x-api-key`.
      if (c.req.method !== 'POST') request.headers['cache-control'] = 'private'
    }
    const digested = options.digest(key)
    const found = find(key, digested, isKey)
    if (!(found instanceof Promise)) return admit(found)
    const unavailable = (cause: unknown) => {
      throw new ApiError('database_unavailable', {
        cause,
        message:
          'The gateway cannot reach its database to look this credential up. Try again after the time in Retry-After.',
        retryAfterMs: 1_000,
      })
    }
    return found.catch(unavailable).then(admit)
  }
}

/** Any one of them is enough. */
export const requireScope = (...wanted: [Scope, ...Scope[]]): Check =>
  function requireScope(c) {
    const { scopes } = principalOf(c)
    if (wanted.some((scope) => scopes.includes(scope))) return undefined
    const names = wanted.map((scope) => `"${scope}"`).join(' or ')
    throw new ApiError('scope_missing', { message: `This API key lacks the scope ${names}. Use a key that has it.` })
  }

export const requireAdministrator: Check = function requireAdministrator(c) {
  if (principalOf(c).role === 'administrator') return undefined
  throw new ApiError('administrator_only')
}

/** What is a person's to decide, a key that somebody found must not even guess at. */
export const requireSession: Check = function requireSession(c) {
  if (principalOf(c).session) return undefined
  throw new ApiError('scope_missing', { message: 'This is done with an access token, not with an API key. Sign in.' })
}

/** A key that is only there to be used must not make more of itself. */
export const requireKeyManager: Check = function requireKeyManager(c) {
  const { session, role, scopes } = principalOf(c)
  if (session || (role === 'administrator' && scopes.includes('admin'))) return undefined
  throw new ApiError('scope_missing', {
    message:
      'API keys are managed with an access token, or with an administrator\'s key of the scope "admin". Sign in.',
  })
}

export function principalOf(c: AppContext): Principal {
  const { principal } = c.get('request')
  if (!principal) throw new TypeError('route is not behind authenticate')
  return principal
}

export function credential(c: AppContext): string {
  const authorization = header(c, 'authorization')
  if (authorization !== undefined) {
    const space = authorization.indexOf(' ')
    if (authorization.slice(0, space).toLowerCase() !== 'bearer') {
      throw new ApiError('invalid_credential', { message: 'The Authorization header must be "Bearer <key>".' })
    }
    return authorization.slice(space + 1).trim()
  }
  const key = header(c, 'x-api-key')
  if (key !== undefined) return key
  const session = sessionCookie(c)
  if (session === undefined) throw new ApiError('missing_credential')
  return session
}
