import { describe, expect, it } from 'vitest'
import { ApiError, type ErrorCode, errorTable, openAiError } from '../errors.ts'
import { HttpFailure, type HttpFailureKind } from '../ports.ts'
import { toApiError } from './api-error.ts'
import {
  checkStatus,
  type FailureClass,
  type FailureDetails,
  failureClasses,
  failureFrom,
  UpstreamFailure,
} from './outcome.ts'

const canary = 'sk-canary-0123456789'
const wallNowMs = Date.UTC(2030, 0, 1)

/** What a status is taken for; undefined = an answer. */
function classOf(status: number, headers: Record<string, string | string[]> = {}): UpstreamFailure | undefined {
  try {
    checkStatus({ status, headers, body: canary }, wallNowMs)
    return undefined
  } catch (error) {
    return error as UpstreamFailure
  }
}

const shown = (failure: UpstreamFailure) => toApiError(failure) as ApiError

describe('a status', () => {
  const expected = new Map<number, FailureClass>([
    [401, 'config'],
    [402, 'config'],
    [403, 'config'],
    [408, 'server'],
    [429, 'throttled'],
    [529, 'throttled'],
  ])
  const all = Array.from({ length: 500 }, (_, i) => 100 + i)

  it('of 500 and above, and 408, is the upstream’s failure, three above 400 the operator’s, and the rest an answer', () => {
    for (const status of all) {
      expect(classOf(status)?.class, `${status}`).toBe(expected.get(status) ?? (status >= 500 ? 'server' : undefined))
    }
  })

  it.each([
    ['0', 0],
    ['30', 30_000],
    ['Tue, 01 Jan 2030 00:00:05 GMT', 5_000],
  ])('of 503 with Retry-After %s asks for quiet', (value, retryAfterMs) => {
    expect(classOf(503, { 'retry-after': value })).toMatchObject({ class: 'throttled', details: { retryAfterMs } })
    expect(classOf(503, { 'retry-after': [value, '99'] })).toMatchObject({
      class: 'throttled',
      details: { retryAfterMs },
    })
  })

  it.each(['', '-1', 'soon', '86401'])('of 503 with Retry-After "%s" has failed', (value) => {
    expect(classOf(503, { 'retry-after': value })).toMatchObject({ class: 'server' })
  })

  it('keeps its hint whatever it is taken for', () => {
    for (const status of [401, 429, 500, 502, 529]) {
      expect(classOf(status, { 'retry-after': '4' })?.details, `${status}`).toEqual({ status, retryAfterMs: 4_000 })
    }
  })
})

describe('what a client throws', () => {
  it.each<[HttpFailureKind, FailureClass]>([
    ['not_sent', 'not_sent'],
    ['reset', 'maybe_sent'],
    ['headers_timeout', 'silent'],
    ['cut', 'poison'],
    ['idle_timeout', 'silent'],
    ['connect_timeout', 'not_sent'],
    ['too_large', 'oversized'],
    ['malformed', 'poison'],
  ])('%s is %s', (kind, failureClass) => {
    const cause = new HttpFailure(kind)
    expect(failureFrom(cause)).toMatchObject({ class: failureClass, cause })
  })

  it.each([new SyntaxError(canary), 'text', undefined, null, 0, Object.create(null)])(
    'and nobody foresaw (%j) is the answer’s fault',
    (thrown) => expect(failureFrom(thrown).class).toBe('poison'),
  )

  it('of a kind that nobody knows is the answer’s fault', () => {
    expect(failureFrom(Object.assign(new HttpFailure('reset'), { kind: 'new' })).class).toBe('poison')
  })

  it('and has its class already keeps it', () => {
    const failure = new UpstreamFailure('quota')
    expect(failureFrom(failure)).toBe(failure)
  })
})

describe('what the caller is told', () => {
  type Row = [FailureClass, FailureDetails, number, ErrorCode, boolean]
  const rows: Row[] = [
    ['not_sent', {}, 503, 'upstream_unavailable', false],
    ['maybe_sent', {}, 503, 'upstream_unavailable', false],
    ['not_sent', { phase: 'connect' }, 504, 'connect_timeout', false],
    ['silent', { phase: 'headers' }, 504, 'headers_timeout', false],
    ['silent', { phase: 'first_token' }, 504, 'first_token_timeout', false],
    ['silent', { phase: 'idle' }, 504, 'stream_idle_timeout', false],
    ['silent', { phase: 'rate' }, 504, 'stream_too_slow', false],
    ['silent', { phase: 'total' }, 504, 'upstream_timeout', false],
    ['silent', {}, 504, 'upstream_timeout', false],
    ['too_long', { status: 400 }, 502, 'upstream_invalid', false],
    ['unserved', { status: 404 }, 502, 'upstream_invalid', false],
    ['throttled', { status: 429 }, 429, 'upstream_throttled', true],
    ['throttled', { status: 529 }, 429, 'upstream_throttled', true],
    ['throttled', { status: 503 }, 503, 'upstream_unavailable', false],
    ['quota', { status: 429 }, 502, 'upstream_credential', false],
    ['server', { status: 500 }, 503, 'upstream_unavailable', false],
    ['server', { status: 503 }, 503, 'upstream_unavailable', false],
    ['poison', { status: 200 }, 502, 'upstream_invalid', false],
    ['oversized', {}, 502, 'upstream_invalid', false],
    ['config', { status: 401 }, 502, 'upstream_credential', false],
    ['config', { status: 403 }, 502, 'upstream_credential', false],
    ['client', {}, 499, 'client_closed', false],
    ['deadline', {}, 504, 'deadline_exceeded', false],
    ['local', { reason: 'circuit_open' }, 503, 'circuit_open', false],
    ['local', { reason: 'overloaded' }, 503, 'overloaded', true],
    ['local', { reason: 'throttle_gate' }, 429, 'upstream_throttled', true],
    ['local', { reason: 'no_credential' }, 502, 'upstream_credential', false],
  ]

  it('is fixed for every class', () => {
    expect(new Set(rows.map(([failureClass]) => failureClass))).toEqual(new Set(Object.keys(failureClasses)))
  })

  it.each(rows)('%s %o is %i %s', (failureClass, details, status, code, shouldRetry) => {
    const error = shown(new UpstreamFailure(failureClass, details))
    expect(error).toBeInstanceOf(ApiError)
    expect(error).toMatchObject({ status, code })
    expect(error.options.shouldRetry).toBe(shouldRetry)
    expect(error.options.retryAfterMs).toBe(status === 503 || status === 429 ? 1_000 : undefined)
  })

  it.each(rows)(
    '%s %o carries the hint where there is one, and only where asking again may help',
    (failureClass, details, status) => {
      const error = shown(new UpstreamFailure(failureClass, { ...details, retryAfterMs: 7_000 }))
      expect(error.options.retryAfterMs).toBe(status === 503 || status === 429 ? 7_000 : undefined)
    },
  )

  it.each(rows)('%s %o never holds words of the cause', (failureClass, details, _status, code) => {
    const cause = new Error(canary, { cause: new HttpFailure('reset', { cause: canary }) })
    const error = shown(new UpstreamFailure(failureClass, { ...details, cause }))
    expect(error.message).toBe(errorTable[code].message)
    expect(JSON.stringify(openAiError(error)) + JSON.stringify(error.options.headers ?? {})).not.toContain(canary)
    expect(String(new UpstreamFailure(failureClass, { ...details, cause }))).not.toContain(canary)
  })

  it('is nothing where the error is not an upstream’s', () => {
    const mistake = new TypeError('mine')
    expect(toApiError(mistake)).toBe(mistake)
    expect(toApiError(undefined)).toBeUndefined()
  })
})
