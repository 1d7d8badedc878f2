/**
 * The gateway's own keys at one provider. They share its quota, so the first one is used until the provider rejects it;
 * a rejected one is left out for a while, and the next takes its place.
 */
import type { Clock } from '../ports.ts'

export interface CredentialsOptions {
  clock: Clock
  /** In order of preference; none = calls go out without a credential. */
  apiKeys: readonly string[]
  /** What every call carries besides. */
  headers: Readonly<Record<string, string>>
  /** Told each time: the operator has to act. `position` counts from 1; keys themselves are never told. */
  onRejected: (position: number, of: number) => void
}

export interface Credential {
  /** All that a call carries. */
  headers: Record<string, string>
  /** The provider refused it; answers whether another one is left. */
  rejected(): boolean
}

export interface Credentials {
  /** Undefined while all are rejected. */
  current(): Credential | undefined
  /** Whether one of them stands in what the provider said, as it is, URL-encoded or in base64. */
  areIn(text: string): boolean
}

/** How long a rejected key is left out: a key that was put right is found again with at most one call a minute. */
const outMs = 60_000
/** Shorter ones are no secrets, and stand in texts by chance. */
const minSecretLength = 12
const namesSecret = /key|token|secret|auth|password|cookie|code|session|credential/i

export function createCredentials({ clock, apiKeys, headers, onRejected }: CredentialsOptions): Credentials {
  const all = (apiKeys.length > 0 ? apiKeys : [undefined]).map((key, i) => {
    let outUntil = -Infinity
    const credential: Credential = {
      headers: { ...headers, ...(key !== undefined && { authorization: `Bearer ${key}` }) },
      rejected() {
        outUntil = clock.now() + outMs
        onRejected(i + 1, all.length)
        return all.some(({ isOut }) => !isOut())
      },
    }
    return { credential, isOut: () => outUntil > clock.now() }
  })
  const own = Object.entries(headers).flatMap(([name, value]) => (namesSecret.test(name) ? partsOf(value) : []))
  const spellings = [...apiKeys, ...own]
    .filter((secret) => secret.length >= minSecretLength)
    .flatMap((secret) => [...new Set([secret, encodeURIComponent(secret), btoa(secret).replace(/={1,2}$/, '')])])
  return {
    current: () => all.find(({ isOut }) => !isOut())?.credential,
    areIn: (text) => spellings.some((secret) => text.includes(secret)),
  }
}

/** A header's value, and what of it may be quoted without the rest: what follows a scheme or a cookie's name, a password. */
function partsOf(value: string): string[] {
  const words = value.split(/[\s;,]+/)
  const pair = words[0]?.toLowerCase() === 'basic' ? fromBase64(words[1] ?? '') : ''
  return [value, ...words, pair].flatMap((part) => [part, ...part.split(/^[^=:]*[=:]/)])
}

function fromBase64(text: string): string {
  try {
    return atob(text)
  } catch {
    return ''
  }
}
