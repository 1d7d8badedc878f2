/**
 * Keys that carry by type whose values they lead to. A cache is declared for one scope and takes only its keys: a value
 * of one account cannot be read with a key that was not made for an account, and such a key is made only from the
 * principal who asks.
 */
declare const scopeOfKey: unique symbol

/** `public`: the same for everybody. `account`: of one account. `credential`: of what stands behind a secret. */
export type KeyScope = 'public' | 'account' | 'credential'
export type CacheKey<S extends KeyScope> = string & { readonly [scopeOfKey]: S }

export const publicKey = (...parts: string[]) => join(parts) as CacheKey<'public'>

/** The account goes first, as in the tables of the database. */
export const accountKey = ({ accountId }: { accountId: string }, ...parts: string[]) =>
  join([accountId, ...parts]) as CacheKey<'account'>

/** Of a salted digest, never of the secret itself. Made for each request, so nothing is escaped. */
export const credentialKey = (digest: string) => digest as CacheKey<'credential'>

/** Unambiguous: no part can pretend to be two, and none can hold what means something in a Redis key. */
const join = (parts: string[]) => parts.map((part) => encodeURIComponent(part.toWellFormed())).join('/')
