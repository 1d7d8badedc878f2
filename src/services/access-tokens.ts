/**
 * Access tokens: JWTs (RFC 7519) of exactly one kind, ours, signed with HS256. The header is compared as text and never
 * read, so nothing in it (`alg`, `kid`, `jku`, `jwk`) can choose how a token is checked.
 */
import * as z from 'zod'
import type { Clock } from '../ports.ts'

export interface AccessTokens {
  issue(session: TokenSubject): Promise<{ token: string; expiresAt: Date }>
  /** Whose token it is; undefined = not one of ours, altered, or expired. Says nothing of whether the session lives. */
  verify(token: string): Promise<TokenSubject | undefined>
}

export interface TokenSubject {
  accountId: string
  sessionId: string
}

export interface AccessTokensOptions {
  clock: Pick<Clock, 'wallNow'>
  newId: () => string
  secret: string
  /** Tokens that it signed are taken, too. */
  previousSecret?: string | undefined
  lifetimeMs: number
  /** Tokens that were issued before are not taken. In seconds since 1970. @default 0 */
  notBeforeS?: number | undefined
}

const issuer = 'aiserve-gpuproxy'
const audience = 'aiserve-gpuproxy/api'
/** Pods' clocks may be so far apart. */
const leewayS = 60
const algorithm = { name: 'HMAC', hash: 'SHA-256' }
const signatureLength = 43

/** One that is added some day must be taken by every pod before any issues it. */
const claims = z.strictObject({
  iss: z.literal(issuer),
  aud: z.literal(audience),
  sub: z.uuid(),
  sid: z.uuid(),
  jti: z.uuid(),
  iat: z.int(),
  exp: z.int(),
})

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })
const header = toBase64Url(encoder.encode('{"alg":"HS256","typ":"JWT"}'))

/** Every token of ours is longer than the longest API key and looks like this; what does not is worth no look. */
export const plausibleToken = new RegExp(`^${header}\\.[\\w-]{200,600}\\.[\\w-]{${signatureLength}}$`)

export function createAccessTokens(options: AccessTokensOptions): AccessTokens {
  const { clock, newId, secret, previousSecret, lifetimeMs, notBeforeS = 0 } = options
  const keys = [secret, ...(previousSecret === undefined ? [] : [previousSecret])].map((text) =>
    crypto.subtle.importKey('raw', encoder.encode(text), algorithm, false, ['sign', 'verify']),
  )
  const nowS = () => Math.floor(clock.wallNow() / 1000)

  return {
    async issue({ accountId, sessionId }) {
      const iat = nowS()
      const exp = iat + Math.ceil(lifetimeMs / 1000)
      const own = { iss: issuer, aud: audience, sub: accountId, sid: sessionId, jti: newId(), iat, exp }
      const signed = `${header}.${toBase64Url(encoder.encode(JSON.stringify(own)))}`
      const signature = await crypto.subtle.sign('HMAC', await keys[0]!, encoder.encode(signed))
      return { token: `${signed}.${toBase64Url(new Uint8Array(signature))}`, expiresAt: new Date(exp * 1000) }
    },

    async verify(token) {
      if (!plausibleToken.test(token)) return undefined
      const signed = token.slice(0, -signatureLength - 1)
      const signature = fromBase64Url(token.slice(-signatureLength))
      if (!signature || !(await isSigned(keys, signed, signature))) return undefined
      const said = claims.safeParse(readJson(signed.slice(header.length + 1)))
      if (!said.success) return undefined
      const { sub, sid, iat, exp } = said.data
      if (nowS() > exp + leewayS || iat - leewayS > nowS() || iat < notBeforeS) return undefined
      return { accountId: sub, sessionId: sid }
    },
  }
}

/** The platform compares in constant time. */
async function isSigned(keys: readonly Promise<CryptoKey>[], signed: string, signature: Uint8Array<ArrayBuffer>) {
  for (const key of keys) {
    if (await crypto.subtle.verify('HMAC', await key, signature, encoder.encode(signed))) return true
  }
  return false
}

function readJson(part: string): unknown {
  const bytes = fromBase64Url(part)
  try {
    return bytes && JSON.parse(decoder.decode(bytes))
  } catch {
    return undefined // Signed by us it would be JSON.
  }
}

function toBase64Url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes))
  return text
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/={1,2}$/, '')
}

/** Undefined: not base64url, or another spelling of the same bytes, which would be another token for the same thing. */
function fromBase64Url(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (text.length % 4 === 1) return undefined
  const bytes = Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0))
  return toBase64Url(bytes) === text ? bytes : undefined
}
