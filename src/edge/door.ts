/** What is looked at before anything else: size, address, token. What is refused here costs no region anything. */

import { placeOf } from '../domain/place.ts'
import { ApiError } from '../errors.ts'
import type { Clock } from '../resilience/clock.ts'
import { createLocalLimits } from '../resilience/local-limits.ts'
import { createAccessTokens } from '../services/access-tokens.ts'
import type { EdgeConfig } from './config.ts'

export interface DoorOptions {
  config: EdgeConfig
  clock: Clock
  newId: () => string
  /** Of a credential: what stands for it in memory. */
  digest: (text: string) => Promise<string>
}

export interface Visitor {
  /** A digest of the credential; undefined: there is none. */
  caller: string | undefined
  /** The credential is an access token of ours, signed and not expired. */
  isMember: boolean
  /** Something by which the origin may know who asks, whatever it is. */
  hasCredential: boolean
}

export interface Door {
  /** @throws ApiError */
  admit(request: Request, address: string): Promise<Visitor>
}

const maxUrlLength = 8 * 1024
const maxHeaderBytes = 16 * 1024
/** Forms may be longest; each route of the origin has its own limit. */
const maxBodyBytes = 26 * 1024 * 1024
/** Of three parts, as tokens are. An API key has no dots. */
const looksLikeToken = /^[\w-]+\.[\w-]+\.[\w-]*$/

export function createDoor({ config, clock, newId, digest }: DoorOptions): Door {
  const limits = createLocalLimits({ clock })
  const { JWT_SECRET: secret, JWT_SECRET_PREVIOUS: previousSecret, REVOKED_BEFORE: notBeforeS } = config
  const tokens =
    secret === undefined
      ? undefined
      : createAccessTokens({ clock, newId, secret, previousSecret, lifetimeMs: 0, notBeforeS })

  return {
    async admit(request, address) {
      checkSize(request)
      const place = placeOf(address) ?? address
      const set = {
        group: place,
        claims: [
          {
            scope: 'address' as const,
            unit: 'requests' as const,
            limit: config.EDGE_RATE_LIMIT_PER_MINUTE,
            key: place,
          },
        ],
      }
      const { refusedBy, retryAfterMs } = limits.take(set, '') as { refusedBy: unknown; retryAfterMs: number }
      if (refusedBy)
        throw new ApiError('rate_limited', { message: 'Too many requests from your address.', retryAfterMs })
      const credential = credentialOf(request.headers)
      const hasCredential = mayKnow(request.headers)
      if (credential === undefined) return { caller: undefined, isMember: false, hasCredential }
      const isMember = tokens !== undefined && looksLikeToken.test(credential)
      if (isMember && !(await tokens.verify(credential))) {
        throw new ApiError('invalid_credential', {
          message: 'This access token is not valid: altered, expired or revoked. Sign in again.',
        })
      }
      return { caller: await digest(credential), isMember, hasCredential }
    },
  }
}

function checkSize({ url, headers }: Request) {
  if (url.length > maxUrlLength) throw new ApiError('invalid_header', { message: 'The URL is too long.' })
  let bytes = 0
  for (const [name, value] of headers) bytes += name.length + value.length
  if (bytes > maxHeaderBytes) throw new ApiError('invalid_header', { message: 'The headers are too large.' })
  if (Number(headers.get('content-length') ?? 0) > maxBodyBytes) throw new ApiError('body_too_large')
}

/** By any of these the origin may know who asks, however they are spelt: what it answers him is not for strangers. */
const mayKnow = (headers: Headers) =>
  headers.has('authorization') || headers.has('x-api-key') || /gpuproxy_session/i.test(headers.get('cookie') ?? '')

function credentialOf(headers: Headers): string | undefined {
  const bearer = /^bearer +(\S.*)$/i.exec(headers.get('authorization') ?? '')
  return bearer?.[1]?.trim() ?? headers.get('x-api-key') ?? undefined
}
