/** Refuses what would change something while nothing may be written. Reads, inference and cached answers go on. */
import { ApiError } from '../errors.ts'
import type { WriteMode } from '../ports.ts'
import type { Check } from './guard.ts'

export interface ReadOnlyOptions {
  mode: Pick<WriteMode, 'readOnly'>
}

const retryAfterMs = 5_000
const reading = new Set(['GET', 'HEAD', 'OPTIONS'])

export const refuseReadOnly = ({ mode }: ReadOnlyOptions): Check =>
  function readOnly(c) {
    if (!mode.readOnly || reading.has(c.req.method)) return undefined
    throw new ApiError('read_only', { retryAfterMs })
  }
