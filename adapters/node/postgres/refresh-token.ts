/**
 * What a refresh token looks like: whose session it renews, what all tokens of that session have in common, and what
 * only this one has. So any former one is known for what it is, and only two hashes of them are kept.
 */
import { createHmac, randomBytes } from 'node:crypto'

export interface RefreshToken {
  accountId: string
  sessionId: string
  /** Common to all tokens of the session. */
  family: Buffer
  own: Buffer
}

const mark = 'rt_'
const familyBytes = 16
const ownBytes = 32
const totalBytes = 16 + 16 + familyBytes + ownBytes
const form = new RegExp(`^${mark}([\\w-]{${Math.ceil((totalBytes * 4) / 3)}})$`)

export function newRefreshToken(session: { accountId: string; sessionId: string; family?: Buffer }): RefreshToken {
  const { accountId, sessionId, family = randomBytes(familyBytes) } = session
  return { accountId, sessionId, family, own: randomBytes(ownBytes) }
}

export function writeRefreshToken({ accountId, sessionId, family, own }: RefreshToken): string {
  const ids = Buffer.from((accountId + sessionId).replaceAll('-', ''), 'hex')
  return mark + Buffer.concat([ids, family, own]).toString('base64url')
}

/** Undefined: not one of ours, whatever the secrets in it are. */
export function readRefreshToken(text: string): RefreshToken | undefined {
  const bytes = Buffer.from(form.exec(text)?.[1] ?? '', 'base64url')
  if (bytes.length !== totalBytes) return undefined
  return {
    accountId: uuidOf(bytes.subarray(0, 16)),
    sessionId: uuidOf(bytes.subarray(16, 32)),
    family: bytes.subarray(32, 32 + familyBytes),
    own: bytes.subarray(32 + familyBytes),
  }
}

export const hashFamily = (pepper: string, { family }: RefreshToken) => keyed(pepper, 'refresh family', family)
export const hashToken = (pepper: string, token: RefreshToken) =>
  keyed(pepper, 'refresh token', Buffer.concat([token.family, token.own]))

/** The purpose goes in, so that no hash stands for anything else that the same key hashes. */
const keyed = (pepper: string, purpose: string, secret: Buffer) =>
  createHmac('sha256', pepper).update(purpose).update('\0').update(secret).digest()

const uuidOf = (bytes: Buffer) => bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
