/** Who is calling. The key itself goes no further than this file and the accounts port. */
import type { MiddlewareHandler } from 'hono'
import type { Cache } from '../cache/cache.ts'
import type { Principal, Scope } from '../domain/principal.ts'
import { ApiError } from '../errors.ts'
import type { Accounts } from '../ports.ts'
import type { AppContext, AppEnv } from './request-context.ts'

export interface AuthenticateOptions {
  accounts: Accounts
  /** Of principals by the digest of their key; null = a key known not to be valid. */
  principals: Cache<Principal | null>
  digest: (text: string) => string
}

/** Nothing else can be one of our keys, so nothing else is worth a look-up. */
const plausibleKey = /^[\x21-\x7e]{20,200}$/

export const authenticate = ({ accounts, principals, digest }: AuthenticateOptions): MiddlewareHandler<AppEnv> =>
  async function authenticate(c, next) {
    const key = credential(c)
    if (!plausibleKey.test(key)) throw new ApiError('invalid_credential')
    let principal: Principal | null
    try {
      const found = principals.get(digest(key), async () => (await accounts.findByApiKey(key)) ?? null)
      principal = (found instanceof Promise ? await found : found).value
    } catch (cause) {
      throw new ApiError('database_unavailable', { cause, retryAfterMs: 1_000 })
    }
    if (!principal) throw new ApiError('invalid_credential')
    c.get('request').principal = principal
    await next()
  }

export const requireScope = (scope: Scope): MiddlewareHandler<AppEnv> =>
  async function requireScope(c, next) {
    if (!principalOf(c).scopes.includes(scope)) {
      throw new ApiError('scope_missing', {
        message: `This API key lacks the scope "${scope}". Use a key that has it.`,
      })
    }
    await next()
  }

export function principalOf(c: AppContext): Principal {
  const { principal } = c.get('request')
  if (!principal) throw new TypeError('route is not behind authenticate')
  return principal
}

function credential(c: AppContext): string {
  const authorization = c.req.header('authorization')
  if (authorization !== undefined) {
    const space = authorization.indexOf(' ')
    if (authorization.slice(0, space).toLowerCase() !== 'bearer') {
      throw new ApiError('invalid_credential', { message: 'The Authorization header must be "Bearer <key>".' })
    }
    return authorization.slice(space + 1).trim()
  }
  const key = c.req.header('x-api-key')
  if (key === undefined) throw new ApiError('missing_credential')
  return key
}
