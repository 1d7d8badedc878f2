import { sha256 } from './canonical.ts'

/** The id of a grant follows from its account and key, so that one key gives once: UUID version 8 (RFC 9562) of a hash. */
export async function grantId(accountId: string, idempotencyKey: string): Promise<string> {
  const hash = await sha256(`grant ${accountId} ${idempotencyKey}`)
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-8${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`
}
