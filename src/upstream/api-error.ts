/** What a caller is told when every try has failed. */
import { ApiError, type ErrorCode, errorTable } from '../errors.ts'
import { type FailureClass, type LocalReason, type Phase, UpstreamFailure } from './outcome.ts'

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
  oversized: 'upstream_invalid',
  too_long: 'upstream_invalid',
  unserved: 'upstream_invalid',
  client: 'client_closed',
  deadline: 'deadline_exceeded',
}

/** More exact than the class. */
const phaseCodes: Record<Phase, ErrorCode> = {
  connect: 'connect_timeout',
  headers: 'headers_timeout',
  first_token: 'first_token_timeout',
  idle: 'stream_idle_timeout',
  rate: 'stream_too_slow',
  total: 'upstream_timeout',
}

const localCodes: Record<LocalReason, ErrorCode> = {
  circuit_open: 'circuit_open',
  overloaded: 'overloaded',
  throttle_gate: 'upstream_throttled',
  provider_limit: 'upstream_throttled',
  no_credential: 'upstream_credential',
}

const defaultRetryAfterMs = 1_000

export function codeOf({ class: failed, details: { reason, phase } }: UpstreamFailure): ErrorCode {
  if (reason) return localCodes[reason]
  return phase ? phaseCodes[phase] : codes[failed as Exclude<FailureClass, 'local'>]
}

/** Passes on what is not an `UpstreamFailure`: a programmer's mistake must not look like a provider's. */
export function toApiError(error: unknown): unknown {
  if (!(error instanceof UpstreamFailure)) return error
  const { retryAfterMs, status } = error.details
  const code = codeOf(error)
  // A 503 with a hint is a provider out of service for a while, not one that counts this caller's requests.
  const shown = code === 'upstream_throttled' && status === 503 ? 'upstream_unavailable' : code
  const { status: shownStatus } = errorTable[shown]
  const isBusy = shownStatus === 503 || shownStatus === 429
  return new ApiError(shown, {
    cause: error,
    ...(isBusy && { retryAfterMs: retryAfterMs ?? defaultRetryAfterMs }),
    // The gateway has tried again already; another layer of tries would only multiply the load.
    shouldRetry: shown === 'upstream_throttled' || shown === 'overloaded',
  })
}
