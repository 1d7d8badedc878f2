/** What a caller is told when every try has failed. */
import { ApiError, type ErrorCode } from '../errors.ts'
import { type FailureClass, type LocalReason, UpstreamFailure } from './outcome.ts'

const codes: Record<Exclude<FailureClass, 'local'>, ErrorCode> = {
  not_sent: 'upstream_unavailable',
  maybe_sent: 'upstream_unavailable',
  server: 'upstream_unavailable',
  silent: 'upstream_timeout',
  // Not the provider's own words: they name the operator's organisation there.
  throttled: 'upstream_throttled',
  quota: 'upstream_credential',
  config: 'upstream_credential',
  poison: 'upstream_invalid',
  client: 'client_closed',
  deadline: 'deadline_exceeded',
}

const localCodes: Record<LocalReason, ErrorCode> = {
  circuit_open: 'circuit_open',
  overloaded: 'overloaded',
  throttle_gate: 'upstream_throttled',
}

const defaultRetryAfterMs = 1_000

/** Passes on what is not an `UpstreamFailure`: a programmer's mistake must not look like a provider's. */
export function toApiError(error: unknown): unknown {
  if (!(error instanceof UpstreamFailure)) return error
  const { reason, retryAfterMs, status } = error.details
  const code = reason ? localCodes[reason] : codes[error.class as Exclude<FailureClass, 'local'>]
  // A 503 with a hint is a provider out of service for a while, not one that counts this caller's requests.
  const shown = code === 'upstream_throttled' && status === 503 ? 'upstream_unavailable' : code
  const api = new ApiError(shown, { cause: error })
  if (api.status !== 503 && api.status !== 429) return api
  return new ApiError(shown, {
    cause: error,
    retryAfterMs: retryAfterMs ?? defaultRetryAfterMs,
    // The gateway has tried again already; another layer of tries would only multiply the load.
    shouldRetry: shown === 'upstream_throttled' || shown === 'overloaded',
  })
}
