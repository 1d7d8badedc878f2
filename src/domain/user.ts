/** An account as its owner and administrators see it. */
import type { LimitSettings, Role } from './principal.ts'

export interface User {
  accountId: string
  /** Undefined: nobody signs in to it; it has API keys alone. */
  email: string | undefined
  name: string
  role: Role
  limits: LimitSettings
  createdAt: Date
  disabledAt: Date | undefined
}

/** One spelling for one mailbox, as nearly as that can be known from outside. */
export const normalisedEmail = (email: string) => email.trim().normalize('NFC').toLowerCase()

/** Length is what counts: 12 to 200 characters. Half of a surrogate pair is none: all of them would be hashed alike. */
export function isGoodPassword(password: string): boolean {
  const { length } = [...password]
  return length >= 12 && length <= 200 && !/\p{Cs}/u.test(password)
}
