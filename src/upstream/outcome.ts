/**
 * What can come of one try, in one table: what it says about the upstream (the breaker's verdict) and whether trying
 * again may help. Everything that decides after a failure decides by these classes.
 */
import { HttpFailure, type HttpFailureKind, type HttpReply } from '../ports.ts'
import { parseRetryAfter } from '../resilience/backoff.ts'
import type { Verdict } from '../resilience/circuit-breaker.ts'

export type FailureClass = keyof typeof failureClasses

interface ClassRules {
  verdict: Verdict
  /**
   * `always`: it certainly had no effect there. `repeatable`: only a call that may have two effects safely.
   * `elsewhere`: this target cannot help this request any more, another may. `never`: nobody can.
   */
  retry: 'always' | 'repeatable' | 'elsewhere' | 'never'
}

export const failureClasses = {
  /** Refused, unresolved, unreachable, no TLS. */
  not_sent: { verdict: 'failure', retry: 'always' },
  /** The connection died before the headers came. */
  maybe_sent: { verdict: 'failure', retry: 'repeatable' },
  /** Nothing, or too little, in the time allowed: see the failure's `phase`. */
  silent: { verdict: 'failure', retry: 'repeatable' },
  /** 429, 529, or 503 with a Retry-After: a healthy upstream that asks for quiet. */
  throttled: { verdict: 'neutral', retry: 'always' },
  /** 429 because the gateway's own credit there is used up: waiting does not help. */
  quota: { verdict: 'neutral', retry: 'elsewhere' },
  /** Other 5xx, a 408, or an error dressed as a 200. */
  server: { verdict: 'failure', retry: 'repeatable' },
  /** Not an answer: bad JSON, no events, a broken length. */
  poison: { verdict: 'failure', retry: 'repeatable' },
  /**
   * Longer than any answer may be. It has been paid for in megabytes once; asked again it is as long. How long is up to
   * whoever asks (vectors of thousands of texts): no evidence.
   */
  oversized: { verdict: 'neutral', retry: 'elsewhere' },
  /** 401, 402, 403 on the gateway's own credential: the operator's fault, not the upstream's. */
  config: { verdict: 'neutral', retry: 'elsewhere' },
  /** The prompt does not fit: the caller's own 400, unless a target with more room is left. */
  too_long: { verdict: 'success', retry: 'elsewhere' },
  /** It does not serve the model: the operator's fault, unless nobody does. */
  unserved: { verdict: 'success', retry: 'elsewhere' },
  /** The caller left. */
  client: { verdict: 'neutral', retry: 'never' },
  /** The caller's own deadline passed. */
  deadline: { verdict: 'neutral', retry: 'never' },
  /** Our breaker, bulkhead or throttle gate refused, or there is no credential to send; nothing was sent. */
  local: { verdict: 'neutral', retry: 'elsewhere' },
} as const satisfies Record<string, ClassRules>

/** The part of a call that took too long. */
export type Phase = 'connect' | 'headers' | 'first_token' | 'idle' | 'rate' | 'total'

export type LocalReason = 'circuit_open' | 'overloaded' | 'throttle_gate' | 'provider_limit' | 'no_credential'

export interface FailureDetails {
  /** The upstream's status, where it gave one. */
  status?: number
  /** When asking again may help: the upstream's hint, or our own breaker's. */
  retryAfterMs?: number | undefined
  /** For `local`: which of our own guards refused. */
  reason?: LocalReason
  /** For `silent`, and `not_sent` by a timeout. */
  phase?: Phase
  /** For `config`: another credential of the same provider is left to try. */
  otherCredential?: boolean
  /** For `too_long`: the room there was, in tokens. */
  contextWindow?: number | undefined
  /** For `too_long` and `unserved`: the provider's, which is the caller's to see where nobody else can help. */
  answer?: unknown
  cause?: unknown
}

/** One try that brought no answer. */
export class UpstreamFailure extends Error {
  override name = 'UpstreamFailure'
  readonly class: FailureClass
  readonly details: FailureDetails
  constructor(failureClass: FailureClass, details: FailureDetails = {}) {
    super(`upstream: ${failureClass}`, { cause: details.cause })
    this.class = failureClass
    this.details = details
  }
}

const httpClasses: Record<HttpFailureKind, { class: FailureClass; phase?: Phase }> = {
  not_sent: { class: 'not_sent' },
  connect_timeout: { class: 'not_sent', phase: 'connect' },
  reset: { class: 'maybe_sent' },
  headers_timeout: { class: 'silent', phase: 'headers' },
  cut: { class: 'poison' },
  idle_timeout: { class: 'silent', phase: 'idle' },
  too_large: { class: 'oversized' },
  malformed: { class: 'poison' },
}

/** Names the class of whatever a try threw. Anything unforeseen while reading an answer is the answer's fault. */
export function failureFrom(error: unknown): UpstreamFailure {
  if (error instanceof UpstreamFailure) return error
  if (!(error instanceof HttpFailure)) return new UpstreamFailure('poison', { cause: error })
  const { class: failureClass, phase } = httpClasses[error.kind] ?? { class: 'poison' }
  return new UpstreamFailure(failureClass, { cause: error, ...(phase && { phase }) })
}

/** Resolves to nothing for an answer (2xx, 3xx, and the 4xx that are the caller's to see); throws for a failure. */
export function checkStatus(reply: HttpReply<unknown>, wallNowMs: number): void {
  const { status } = reply
  if (status < 400) return
  const retryAfterMs = parseRetryAfter(first(reply.headers['retry-after']), wallNowMs)
  const details = { status, retryAfterMs }
  if (status === 429 || status === 529) throw new UpstreamFailure('throttled', details)
  if (status === 503 && retryAfterMs !== undefined) throw new UpstreamFailure('throttled', details)
  // What we send is all there when it leaves: a request that took too long did so behind the upstream's door.
  if (status >= 500 || status === 408) throw new UpstreamFailure('server', details)
  if (status === 401 || status === 402 || status === 403) throw new UpstreamFailure('config', details)
}

export function first(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}
