/**
 * One guarded call that does something with machines, on the circuit `control`. Markets want so much time between two
 * calls of a kind, of all pods together: each try waits for its turn first.
 */
import { ApiError } from '../errors.ts'
import type { HttpCall, HttpClient, Pace } from '../ports.ts'
import { sleep } from '../resilience/clock.ts'
import { createDeadline } from '../resilience/deadline.ts'
import type { Target } from '../upstream/guarded-call.ts'
import { checkStatus, failureFrom, UpstreamFailure } from '../upstream/outcome.ts'
import type { CreateOutcome, MarketOptions } from './market.ts'

export type ControlOptions = MarketOptions & {
  pace: Pace
  /** For what a market names that is not at its own address: it connects to public ones alone. */
  elsewhereHttp: HttpClient
}

export interface ControlRequest<T> {
  request: Pick<HttpCall, 'method' | 'path'> & { headers: Record<string, string>; body?: string }
  /** Kind of call and the time between two of them, in ms. */
  every: readonly [kind: string, intervalMs: number]
  repeat: 'idempotent' | 'once'
  signal: AbortSignal
  /** What an answer that is no failure of the market's means: 2xx, and the 4xx that are about what was asked. */
  read(status: number, json: unknown): T
  /** Told when a try leaves: from then on it may have been done. */
  onSend?(): void
}

const tryTimeoutMs = 15_000
const limitMs = 45_000
const slowMs = 5_000
const maxBytes = 4 * 1024 * 1024
/** Longest wait for a turn: more means that others are in front who will be there for long. */
const maxTurnMs = 30_000
const defaultRetryMs = 5_000
const decoder = new TextDecoder()

export async function controlCall<T>(options: ControlOptions, call: ControlRequest<T>): Promise<T> {
  const { baseUrl, http, clock, upstream, guardedCall } = options
  const { request, every, repeat, signal, read } = call
  const { origin, pathname } = new URL(baseUrl)
  const target: Target<T> = {
    upstream,
    circuit: upstream.circuit('control'),
    tryTimeoutMs,
    slowMs,
    async send(trySignal, { number }) {
      if (number > 1) await turn(options, every, trySignal)
      call.onSend?.()
      const reply = await http.bytes({
        ...request,
        origin,
        path: (pathname === '/' ? '' : pathname) + request.path,
        headers: {
          'accept-encoding': 'identity',
          'user-agent': 'aiserve-gpuproxy',
          ...(request.body !== undefined && { 'content-type': 'application/json' }),
          ...request.headers,
        },
        signal: trySignal,
        headersTimeoutMs: tryTimeoutMs,
        idleTimeoutMs: tryTimeoutMs,
        maxBytes,
      })
      checkStatus(reply, clock.wallNow())
      return read(reply.status, parse(reply.body, reply.status))
    },
  }
  await turn(options, every, signal)
  const answer = await guardedCall([target], {
    deadline: createDeadline(clock, { limitMs }),
    signal,
    repeat,
    nested: repeat === 'once',
    trace: { attempts: 0, waitedMs: 0 },
  })
  return answer.value
}

/** An error's body may be anything; an answer's may not. */
function parse(body: Uint8Array, status: number): unknown {
  const text = decoder.decode(body)
  try {
    return JSON.parse(text)
  } catch (cause) {
    if (status >= 400) return undefined
    throw new UpstreamFailure('poison', { status, cause })
  }
}

/** @throws UpstreamFailure `local` where its turn does not come soon enough */
async function turn(
  { clock, pace, upstream }: ControlOptions,
  every: ControlRequest<unknown>['every'],
  signal: AbortSignal,
) {
  const [kind, intervalMs] = every
  const until = clock.now() + maxTurnMs
  for (;;) {
    const waitMs = await pace.take(`${upstream.name}:${kind}`, intervalMs)
    if (waitMs <= 0) return
    if (clock.now() + waitMs > until)
      throw new UpstreamFailure('local', { reason: 'throttle_gate', retryAfterMs: waitMs })
    await sleep(clock, waitMs, signal).catch(() => {
      throw new UpstreamFailure('client')
    })
  }
}

/** A call that is sent once and creates a machine: what every way in which it can fail says about that. */
export async function createCall(
  options: ControlOptions,
  call: Omit<ControlRequest<CreateOutcome>, 'repeat' | 'onSend'>,
): Promise<CreateOutcome> {
  let left = false
  const onSend = () => {
    left = true
  }
  try {
    return await controlCall(options, { ...call, repeat: 'once', onSend })
  } catch (error) {
    return outcomeOf(error, left)
  }
}

export function outcomeOf(error: unknown, left: boolean): CreateOutcome {
  const failure = error instanceof ApiError ? new UpstreamFailure('local', { cause: error }) : failureFrom(error)
  const { status, retryAfterMs = defaultRetryMs } = failure.details
  if (failure.class === 'config') {
    return { outcome: 'refused', message: 'The market refused our credential.', credential: true }
  }
  if (failure.class === 'throttled' && status === 429) return { outcome: 'busy', retryAfterMs }
  if (!left || failure.class === 'not_sent' || failure.class === 'local') return { outcome: 'not_sent', retryAfterMs }
  return { outcome: 'unknown' }
}
