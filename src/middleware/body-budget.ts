/** Reads request bodies whole, within the bytes that all bodies under way may hold together. */
import { ApiError } from '../errors.ts'
import type { Metrics, ReadBody } from '../ports.ts'
import { instruments } from '../telemetry/instruments.ts'
import { type AppContext, header } from './request-context.ts'

export interface BodyBudgetOptions {
  readBody: ReadBody
  metrics: Metrics
  /** Bytes of all bodies held at once. */
  maxInFlightBytes: number
}

export interface BodyBudget {
  /** The body, whose bytes count until the answer has ended. Throws where it is encoded, too large, or one too many. */
  read(c: AppContext, maxBytes: number): Promise<Uint8Array>
}

export function createBodyBudget({ readBody, metrics, maxInFlightBytes }: BodyBudgetOptions): BodyBudget {
  let inFlightBytes = 0

  return {
    async read(c, maxBytes) {
      const encoding = header(c, 'content-encoding')
      if (encoding && encoding.toLowerCase() !== 'identity') throw new ApiError('unsupported_encoding')
      const length = header(c, 'content-length')
      const declared = length !== undefined && /^\d+$/.test(length) ? Number(length) : maxBytes
      if (declared > maxBytes) throw tooLarge(maxBytes)

      // Reserved before reading: what is still arriving takes memory too.
      if (inFlightBytes + declared > maxInFlightBytes) {
        metrics.count(instruments.requestsShed, { reason: 'bodies' })
        throw new ApiError('overloaded', { retryAfterMs: 1_000 })
      }
      let reserved = declared
      inFlightBytes += reserved
      c.get('request').onEnd(() => {
        inFlightBytes -= reserved
      })
      const bytes = await readBody(c.req.raw, c.env, maxBytes).catch((error) => {
        throw error instanceof ApiError && error.code === 'body_too_large' ? tooLarge(maxBytes) : error
      })
      // A body without a length was given the most it could take; a stream must not keep that until its end.
      inFlightBytes -= reserved - bytes.length
      reserved = bytes.length
      return bytes
    },
  }
}

function tooLarge(maxBytes: number): ApiError {
  const most = maxBytes < 1_048_576 ? `${maxBytes / 1024} KB` : `${maxBytes / 1_048_576} MB`
  return new ApiError('body_too_large', { message: `The body is too large. This one may hold ${most}.` })
}
