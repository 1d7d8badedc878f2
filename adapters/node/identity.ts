/** Ids and digests from Node's crypto. */
import { hash, randomBytes, randomUUID } from 'node:crypto'

/** UUID version 7 (RFC 9562): sorts by time, which keeps what is stored under it together. */
export function newId(): string {
  const time = Date.now().toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`
}

const salt = randomBytes(32).toString('hex')

/** Salted per process: of no use to whoever reads the memory of another. */
export const digest = (text: string): string => hash('sha256', salt + text, 'base64url')
