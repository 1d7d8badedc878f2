/** Ids and digests from Node's crypto. */
import { hash, randomBytes, randomUUID } from 'node:crypto'

/** UUID version 7 (RFC 9562): sorts by time, which keeps what is stored under it together. */
export function newId(): string {
  const now = Date.now()
  if (now !== stampedMs) {
    const time = now.toString(16).padStart(12, '0')
    stampedMs = now
    stamp = `${time.slice(0, 8)}-${time.slice(8)}-7`
  }
  return stamp + randomUUID().slice(15)
}

/** The part that all ids of one millisecond share. */
let stampedMs = 0
let stamp = ''

const salt = randomBytes(32).toString('hex')

/** Salted per process: of no use to whoever reads the memory of another. */
export const digest = (text: string): string => hash('sha256', salt + text, 'base64url')
