/** Reads request bodies whole, within the bytes that all bodies under way may hold together. */
import { ApiError } from '../errors.ts'
import type { Metrics, ReadBody } from '../ports.ts'
import { instruments } from '../telemetry/instruments.ts'
import { clientAddress } from './client-address.ts'
import { type AppContext, header } from './request-context.ts'

export interface BodyBudgetOptions {
  readBody: ReadBody
  metrics: Metrics
  /** Bytes of all bodies held at once. */
  maxInFlightBytes: number
  /** Proxies in front, where those who send bodies are strangers: of them each address has a share. */
  trustedHops?: number | undefined
}

export interface BodyBudget {
  /** The body, whose bytes count until the answer has ended. Throws where it is encoded, too large, or one too many. */
  read(c: AppContext, maxBytes: number): Promise<Uint8Array>
}

/** Of it, the most that one account may hold: bodies that come slowly hold it for as long as a request may take to come. */
const ownShare = 0.75
/** Of an address: whoever fills it needs many. */
const addressShare = 1 / 8
const strangers = ''

export function createBodyBudget({ readBody, metrics, maxInFlightBytes, trustedHops }: BodyBudgetOptions): BodyBudget {
  let inFlightBytes = 0
  const byOwner = new Map<string, number>()
  const add = (owner: string, bytes: number) => {
    inFlightBytes += bytes
    const own = (byOwner.get(owner) ?? 0) + bytes
    if (own === 0) byOwner.delete(owner)
    else byOwner.set(owner, own)
  }

  return {
    async read(c, maxBytes) {
      const encoding = header(c, 'content-encoding')
      if (encoding && encoding.toLowerCase() !== 'identity') throw new ApiError('unsupported_encoding')
      const length = header(c, 'content-length')
      const declared = length !== undefined && /^\d+$/.test(length) ? Number(length) : maxBytes
      if (declared > maxBytes) throw tooLarge(maxBytes)

      // Reserved before reading: what is still arriving takes memory too.
      const request = c.get('request')
      const address = trustedHops === undefined ? strangers : clientAddress(c, trustedHops)
      const owner = request.principal?.accountId ?? address
      const share = owner === strangers ? 1 : owner === address ? addressShare : ownShare
      const most = Math.max(maxBytes, share * maxInFlightBytes)
      if (inFlightBytes + declared > maxInFlightBytes || (byOwner.get(owner) ?? 0) + declared > most) {
        metrics.count(instruments.requestsShed, { reason: 'bodies' })
        throw new ApiError('overloaded', { retryAfterMs: 1_000 })
      }
      let reserved = declared
      add(owner, reserved)
      request.onEnd(() => add(owner, -reserved))
      const bytes = await readBody(c.req.raw, c.env, maxBytes).catch((error) => {
        throw error instanceof ApiError && error.code === 'body_too_large' ? tooLarge(maxBytes) : error
      })
      // A body without a length was given the most it could take; a stream must not keep that until its end.
      add(owner, bytes.length - reserved)
      reserved = bytes.length
      return bytes
    },
  }
}

function tooLarge(maxBytes: number): ApiError {
  const most = maxBytes < 1_048_576 ? `${maxBytes / 1024} KB` : `${maxBytes / 1_048_576} MB`
  return new ApiError('body_too_large', { message: `The body is too large. This one may hold ${most}.` })
}
