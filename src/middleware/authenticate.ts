/** Who is calling. The key itself goes no further than this file and the accounts port. */
import type { Cache, Cached } from '../cache/cache.ts'
import { credentialKey } from '../cache/keys.ts'
import type { Principal, Scope } from '../domain/principal.ts'
import { ApiError } from '../errors.ts'
import type { Accounts } from '../ports.ts'
import type { Check } from './guard.ts'
import { type AppContext, header } from './request-context.ts'

export interface AuthenticateOptions {
  accounts: Accounts
  /** Of principals by the digest of their key; null = a key known not to be valid. */
  principals: Cache<Principal | null, 'credential'>
  digest: (text: string) => string
}

/** Nothing else can be one of our keys, so nothing else is worth a look-up. */
const plausibleKey = /^[\x21-\x7e]{20,200}$/

export const authenticate = ({ accounts, principals, digest }: AuthenticateOptions): Check =>
  function authenticate(c) {
    const key = credential(c)
    if (!plausibleKey.test(key)) throw new ApiError('invalid_credential')
    const admit = ({ value }: Cached<Principal | null>): undefined => {
      if (!value) throw new ApiError('invalid_credential')
      c.get('request').principal = value
    }
    const found = principals.get(credentialKey(digest(key)), async () => (await accounts.findByApiKey(key)) ?? null)
    if (!(found instanceof Promise)) return admit(found)
    const unavailable = (cause: unknown) => {
      throw new ApiError('database_unavailable', { cause, retryAfterMs: 1_000 })
    }
    return found.catch(unavailable).then(admit)
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

export function principalOf(c: AppContext): Principal {
  const { principal } = c.get('request')
  if (!principal) throw new TypeError('route is not behind authenticate')
  return principal
}

function credential(c: AppContext): string {
  const authorization = header(c, 'authorization')
  if (authorization !== undefined) {
    const space = authorization.indexOf(' ')
    if (authorization.slice(0, space).toLowerCase() !== 'bearer') {
      throw new ApiError('invalid_credential', { message: 'The Authorization header must be "Bearer <key>".' })
    }
    return authorization.slice(space + 1).trim()
  }
  const key = header(c, 'x-api-key')
  if (key === undefined) throw new ApiError('missing_credential')
  return key
}
