/** What an API key looks like, and the little of it that is kept. */
import { createHmac, randomBytes } from 'node:crypto'

const mark = 'ak_live_'

/** 192 bits of chance in 32 characters. */
export function generateApiKey(): string {
  return mark + randomBytes(24).toString('base64url')
}

/** Without the pepper, which is not in the same table, a stolen hash cannot even be tried against a guessed key. */
export function hashApiKey(pepper: string, apiKey: string): Buffer {
  return createHmac('sha256', pepper).update(apiKey).digest()
}

/** Enough for people to tell their keys apart. */
export function prefixOf(apiKey: string): string {
  return (apiKey.startsWith(mark) ? apiKey.slice(mark.length) : apiKey).slice(0, 4)
}
