/**
 * The outbound pipeline, outer to inner: deadline -> targets in order -> retry (and its budget) -> throttle gate ->
 * circuit breaker -> bulkhead -> provider limit -> timeout of the try -> the call itself.
 *
 * The breaker sees each try, but one request adds at most one failure to it. What our own guards refuse is never
 * evidence against the upstream, uses up no try, and is not asked of the same target again.
 */

import { ApiError } from '../errors.ts'
import type { Clock, Metrics } from '../ports.ts'
import type { Backoff } from '../resilience/backoff.ts'
import { BulkheadFull, type Priority, type Release } from '../resilience/bulkhead.ts'
import type { CircuitBreaker, Verdict } from '../resilience/circuit-breaker.ts'
import { sleep } from '../resilience/clock.ts'
import type { Deadline } from '../resilience/deadline.ts'
import { instruments } from '../telemetry/instruments.ts'
import type { Span } from '../telemetry/trace.ts'
import { type FailureClass, failureClasses, failureFrom, type Phase, UpstreamFailure } from './outcome.ts'
import type { ProviderLimit } from './provider-limit.ts'
import { type Circuit, noteStream, noteWhole, type Upstream } from './upstream.ts'

export interface Target<T> {
  upstream: Upstream
  /** What is asked there, for the trace. */
  model?: string
  /** What it is asked for, as OpenTelemetry names it. @default it is no model */
  operation?: string
  circuit: Circuit
  /** Makes the call. Rejects with `HttpFailure`, `UpstreamFailure`, or the signal's reason. */
  send(signal: AbortSignal, attempt: Attempt): Promise<T>
  /** Longest time for one try, in ms; the deadline still applies. */
  tryTimeoutMs?: number
  /** The same while no other target is left. @default tryTimeoutMs */
  lastTryTimeoutMs?: number
  /** What has not happened when a try takes too long. @default 'total' */
  phase?: Phase
  /** Longest time for a held try from its sending to its end, in ms. @default the deadline's */
  totalMs?: number
  /** An answer later than this counts as slow, in ms. */
  slowMs?: number
  /** What the provider allows the fleet; undefined = as much as it takes. */
  providerLimit?: ProviderLimit | undefined
  /** This request has reached it before: its first try here is a further one, and charged to the retry budget. */
  again?: boolean
  /** Whether it can help after this failure elsewhere. @default always */
  helpsAfter?(failure: UpstreamFailure): boolean
}

export interface Attempt {
  /** Of this request over all targets, counted from 1. */
  number: number
  /** No other target, or no further try, is left: silence is waited out longer. */
  last: boolean
  /** Where the request is traced. */
  span?: Span | undefined
}

export interface GuardedCallOptions {
  deadline: Deadline
  /** Aborted when the caller leaves. */
  signal: AbortSignal
  /**
   * `idempotent`: two executions do no harm. `inference`: neither, but each costs money and time, so a 500 is tried
   * once more only and a silent target not again. `once`: never repeated when it may have been sent.
   */
  repeat: 'idempotent' | 'inference' | 'once'
  /** The caller is a gateway that tries again by itself: one try a target, so that layers do not multiply. */
  nested?: boolean
  /** Whose share of an upstream's places this takes. */
  key?: string | undefined
  priority?: Priority | undefined
  /** What the call is expected to cost, for the limit of the provider. @default 0 */
  tokens?: number | undefined
  /** True for streams: `Answer.hold` then keeps the place and the caller's signal until released. */
  holds?: boolean
  /** Told how it went, also when the call throws. */
  trace: CallTrace
}

/** One for each request, also where several calls are made for it: the bound on tries counts them together. */
export interface CallTrace {
  /** Tries that reached for the network. */
  attempts: number
  /** Time spent in tries and in waits between them, in ms. */
  waitedMs: number
  /** Breakers that have had their one failure of this request. */
  strikes?: Set<CircuitBreaker>
  /** In their order; of very many the first. */
  tries?: CallTry[]
  /** Where the request is traced: its own span. */
  span?: Span | undefined
  /** Of the latest try that succeeded. */
  answered?: Span | undefined
}

export interface CallTry {
  provider: string
  model: string
  /** `ok`, `slow_ok`, the class of the failure, or `refused` where it was not sent. */
  outcome: string
  /** Why it was tried, or why it was not sent. */
  reason: string
  ms: number
}

export interface Answer<T> {
  value: T
  target: Target<T>
  attempt: Attempt
  hold: Hold
}

/** A try that goes on after it succeeded. Buffered calls get one that is already released. */
export interface Hold {
  /** Gives back the place; the call can no longer be aborted by the caller's signal. More calls are ignored. */
  release(): void
  /** The stream broke after it had begun: evidence that the breaker must still get. */
  failed(): void
  /** Ends the call at once; whoever reads it gets `reason`. */
  abort(reason: unknown): void
}

export interface GuardedCallSettings {
  clock: Clock
  metrics: Metrics
  backoff: Backoff
  /** Tries in all. */
  maxAttempts: number
  /** Longest Retry-After waited for while another target is untried, in ms. */
  maxHintWaitMs: number
  /** For what is called in the course of a request without its own trace. @default there is none */
  currentSpan?: (() => Span | undefined) | undefined
}

export type GuardedCall = <T>(targets: readonly Target<T>[], options: GuardedCallOptions) => Promise<Answer<T>>

/** Less time than this left is not worth a try. */
const minTryMs = 50
/** Longest Retry-After waited for when there is no other target. */
const maxLastHintWaitMs = 20_000
/**
 * What another request was told to wait is waited for only so long while another target is untried: it would be added to
 * each request that comes in the meantime.
 */
const maxOthersHintWaitMs = 50
const maxBulkheadWaitMs = 100
/** Beside its own time, what a try waits for its place and the provider's limit, and a late timer. */
const leaseMarginMs = 1_000
/** What comes of having too many calls: a failure of the upstream's own, or nothing in time. Nonsense does not. */
const signsOfLoad: ReadonlySet<FailureClass> = new Set(['server', 'silent'])
/** The upstream has not said a word. */
const unheard: ReadonlySet<FailureClass> = new Set(['silent', 'not_sent', 'client', 'deadline'])
const released: Hold = { release() {}, failed() {}, abort() {} }

export function createGuardedCall(settings: GuardedCallSettings): GuardedCall {
  const { clock, metrics, backoff, maxAttempts, maxHintWaitMs } = settings

  return async function guardedCall<T>(targets: readonly Target<T>[], options: GuardedCallOptions): Promise<Answer<T>> {
    const { repeat, trace } = options
    trace.span ??= settings.currentSpan?.()
    let failure: UpstreamFailure | undefined

    for (let i = 0; i < targets.length; i++) {
      const target = targets[i]!
      if (failure && target.helpsAfter && !target.helpsAfter(failure)) continue
      let triesHere = 0
      let waitMs = 0
      const gateWait = { waitedMs: 0 }

      for (;;) {
        if (trace.attempts >= maxAttempts) throw failure ?? local('overloaded', 1_000)
        const last =
          i === targets.length - 1 ||
          trace.attempts >= maxAttempts - 1 ||
          !targets.some(({ circuit }, j) => j > i && takesCalls(circuit))
        const retryOf = triesHere > 0 ? failure!.class : target.again ? 'poison' : undefined
        // Asked before the wait too: where there is nothing to spend, waiting would only make the failure late.
        if (retryOf && target.upstream.budget.exhausted) {
          metrics.count(instruments.retryBudgetExhausted, { upstream: target.upstream.name })
          break
        }
        // The usual case waits for nothing, and then not for a promise either.
        const atOnce =
          waitMs === 0 && target.circuit.gate.closedForMs() === 0 && options.deadline.remainingMs() >= minTryMs
        const longestMs = last ? maxLastHintWaitMs : triesHere > 0 ? maxHintWaitMs : maxOthersHintWaitMs
        const refusal = atOnce ? undefined : await waitForTurn(target, gateWait, waitMs, longestMs, options)
        if (refusal) {
          failure ??= refusal
          break
        }
        const outcome = await tryOnce(target, { number: trace.attempts + 1, last }, options, retryOf)
        if (outcome === 'no_budget') {
          metrics.count(instruments.retryBudgetExhausted, { upstream: target.upstream.name })
          break
        }
        if (!(outcome instanceof UpstreamFailure)) return outcome

        failure = worse(failure, outcome)
        if (outcome.class === 'local') {
          const why = outcome.details.reason ?? 'local'
          noteTry(trace, target, 'refused', why, 0)
          if (trace.span) trySpan(trace.span, target, { number: trace.attempts + 1, last }, 'refused').end(why)
          break
        }
        triesHere++
        // A hint closes the gate also when this request does not come back: others must not call early.
        if (outcome.details.retryAfterMs !== undefined) target.circuit.gate.closeFor(outcome.details.retryAfterMs)
        if (failureClasses[outcome.class].retry === 'never') throw failure
        if (options.nested || !mayRepeat(outcome, repeat, triesHere)) break
        // The last tries belong to the targets that have not been tried, as far as these can be.
        const untried = targets.slice(i + 1).filter((other) => canBeTried(other, failure!))
        if (maxAttempts - trace.attempts <= untried.length) break
        waitMs = outcome.details.otherCredential ? 0 : waitBefore(outcome, triesHere)
      }
    }
    throw failure ?? new UpstreamFailure('deadline')
  }

  function canBeTried(target: Target<unknown>, failure: UpstreamFailure): boolean {
    const { circuit } = target
    if (!takesCalls(circuit) || circuit.gate.closedForMs() > maxHintWaitMs) return false
    return target.helpsAfter?.(failure) ?? true
  }

  /** Sits out `waitMs` and then a closed throttle gate; answers why not, where that would take too long. */
  async function waitForTurn(
    target: Target<unknown>,
    gateWait: { waitedMs: number },
    waitMs: number,
    longestMs: number,
    { deadline, signal, trace }: GuardedCallOptions,
  ): Promise<UpstreamFailure | undefined> {
    const { gate } = target.circuit
    // Several turns, and several tries, only where the gate was closed again meanwhile: all their waits together must
    // not take longer than one hint may.
    for (let ms = waitMs; ; ms = 0) {
      const gateMs = gate.closedForMs()
      if (gateMs > 0 && gateWait.waitedMs + gateMs > longestMs) return local('throttle_gate', gateMs)
      if (gateMs > 0) ms = Math.max(ms, backoff.afterHint(gateMs))
      if (ms > deadline.remainingMs() - minTryMs)
        return gateMs > 0 ? local('throttle_gate', gateMs) : outOfTime(deadline)
      if (ms === 0) return undefined
      if (gateMs > 0) gateWait.waitedMs += ms
      await pause(ms, deadline, signal, trace)
    }
  }

  async function pause(ms: number, deadline: Deadline, signal: AbortSignal, trace: CallTrace) {
    const since = clock.now()
    const span = trace.span?.child('wait', 'internal')
    try {
      await sleep(clock, ms, signal)
      const besidesMs = Math.min(backoff.afterStall(clock.now() - since - ms), deadline.remainingMs() / 2)
      if (besidesMs > 0) await sleep(clock, besidesMs, signal)
    } catch {
      throw new UpstreamFailure('client')
    } finally {
      span?.end()
      trace.waitedMs += clock.now() - since
    }
  }

  /** Whether it is this pod's turn to try is known in the time of one message to Redis, which is bounded. */
  async function turnOrEnd(turn: Promise<void>, signal: AbortSignal, trace: CallTrace) {
    const since = clock.now()
    let onAbort = () => {}
    const left = new Promise<void>((resolve) => {
      onAbort = resolve
      signal.addEventListener('abort', onAbort, { once: true })
    })
    await Promise.race([turn, left])
    signal.removeEventListener('abort', onAbort)
    trace.waitedMs += clock.now() - since
    if (signal.aborted) throw new UpstreamFailure('client')
  }

  /** The wait before going to the same target again; a hint, for which the gate is now closed, may make it longer. */
  function waitBefore({ class: failed }: UpstreamFailure, triesHere: number): number {
    if (failed === 'throttled') return backoff.afterThrottle(triesHere)
    if (failed === 'not_sent' && triesHere === 1) return 0
    return backoff.afterFailure(triesHere)
  }

  async function tryOnce<T>(
    target: Target<T>,
    attempt: Attempt,
    options: GuardedCallOptions,
    retryOf: FailureClass | undefined,
  ): Promise<Answer<T> | UpstreamFailure | 'no_budget'> {
    const { upstream, circuit } = target
    const { deadline, signal, trace, key, priority } = options
    const name = circuit.name
    const limitMs = (attempt.last ? target.lastTryTimeoutMs : undefined) ?? target.tryTimeoutMs
    const leaseMs = Math.min(deadline.remainingMs(), limitMs ?? Infinity) + leaseMarginMs

    let admission = circuit.breaker.acquire(leaseMs)
    if ('refused' in admission && admission.turn) {
      await turnOrEnd(admission.turn, signal, trace)
      admission = circuit.breaker.acquire(leaseMs)
    }
    if ('refused' in admission) {
      metrics.count(instruments.breakerCalls, { name, outcome: 'refused' })
      return local('circuit_open', admission.retryAfterMs)
    }
    const { permit } = admission
    const tell = (verdict: Verdict, retryAfterMs?: number) => {
      const counted = verdict === 'failure' && !isFirstStrike(trace, circuit.breaker) ? 'neutral' : verdict
      permit.report(counted, retryAfterMs)
      metrics.count(instruments.breakerCalls, { name, outcome: counted })
    }

    const failedLater = () => {
      if (isFirstStrike(trace, circuit.breaker)) permit.failedLater()
    }

    let release: Release
    try {
      const maxWaitMs = Math.min(maxBulkheadWaitMs, deadline.remainingMs() / 4)
      const place = upstream.bulkhead.acquire({ maxWaitMs, signal, key, priority })
      release = typeof place === 'function' ? place : await place
    } catch (error) {
      tell('neutral')
      if (!(error instanceof BulkheadFull)) return new UpstreamFailure('client')
      metrics.count(instruments.requestsShed, { reason: 'upstream_concurrency' })
      return local('overloaded', 1_000)
    }

    const unsent = <R>(result: R): R => {
      tell('neutral')
      release()
      return result
    }
    if (target.providerLimit) {
      const taken = await target.providerLimit.take(options.tokens ?? 0)
      if ('retryAfterMs' in taken) {
        metrics.count(instruments.rateLimited, { scope: 'provider' })
        return unsent(local('provider_limit', taken.retryAfterMs))
      }
      const leave = release
      release = () => {
        leave()
        taken.end()
      }
    }
    // The caller may have left between being given the place and taking it.
    if (signal.aborted) return unsent(new UpstreamFailure('client'))
    // Paid for only now that it goes out: what our own guards refuse costs nothing.
    const endTry = retryOf ? upstream.budget.retry() : upstream.budget.firstTry()
    if (!endTry) return unsent('no_budget')
    if (retryOf) metrics.count(instruments.upstreamRetries, { upstream: upstream.name, reason: retryOf })
    const controller = new AbortController()
    const onAbort = () => controller.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    let timedOut: FailureClass | undefined
    const stopTimer = startTryTimer(deadline, limitMs, attempt, (failed) => {
      timedOut = failed
      controller.abort(new UpstreamFailure(failed))
    })

    const since = clock.now()
    const reason = retryOf ? `again after ${retryOf}` : attempt.number === 1 ? 'first choice' : 'next target'
    const span = trace.span && trySpan(trace.span, target, attempt, reason)
    const end = (outcome: string) => {
      const ms = clock.now() - since
      stopTimer()
      endTry()
      trace.attempts++
      trace.waitedMs += ms
      noteTry(trace, target, outcome, reason, ms)
      metrics.count(instruments.upstreamRequests, { upstream: upstream.name, outcome })
      metrics.observe(instruments.upstreamDuration, { upstream: upstream.name }, ms / 1000)
    }
    circuit.silence.sent()
    try {
      const value = await target.send(controller.signal, span ? { ...attempt, span } : attempt)
      const ms = clock.now() - since
      circuit.silence.heard(ms)
      const slow = target.slowMs !== undefined && ms > target.slowMs
      if (options.holds) noteStream(upstream, circuit, ms)
      else noteWhole(upstream, circuit, false)
      end(slow ? 'slow_ok' : 'ok')
      tell(slow ? 'slow' : 'success')
      if (span) trace.answered = span
      if (options.holds) {
        const leftMs = target.totalMs === undefined ? Infinity : target.totalMs - ms
        const ended = span ? endsSpan(span, release) : release
        const failed = span ? failsSpan(span, failedLater) : failedLater
        return { value, target, attempt, hold: hold(options, leftMs, failed, controller, onAbort, ended) }
      }
      span?.end()
      signal.removeEventListener('abort', onAbort)
      release()
      return { value, target, attempt, hold: released }
    } catch (error) {
      const failure = signal.aborted
        ? new UpstreamFailure('client')
        : timedOut
          ? new UpstreamFailure(timedOut, timedOut === 'silent' ? { phase: target.phase ?? 'total' } : {})
          : failureFrom(error)
      if (failure.class === 'local') {
        // What the call itself has to ask first has refused it: nothing was sent.
        stopTimer()
        endTry()
        circuit.silence.unheard()
        span?.end(failure.details.reason)
        signal.removeEventListener('abort', onAbort)
        return unsent(failure)
      }
      if (unheard.has(failure.class)) circuit.silence.unheard()
      else circuit.silence.heard(clock.now() - since)
      const dropped = signsOfLoad.has(failure.class)
      if (!options.holds) noteWhole(upstream, circuit, dropped)
      else if (dropped) noteStream(upstream, circuit, 'dropped')
      end(failure.class)
      span?.end(failure.class)
      tell(failureClasses[failure.class].verdict, failure.details.retryAfterMs)
      // A 403 may be about this one request: a model that the operator's account has no access to, asked for by anybody.
      const isOurs = failure.class === 'quota' || (failure.class === 'config' && failure.details.status !== 403)
      if (isOurs) metrics.count(instruments.credentialRejected, { upstream: upstream.name })
      signal.removeEventListener('abort', onAbort)
      release()
      return failure
    }
  }

  /**
   * Ends a try that takes too long: by the limit of one try (the upstream's fault) or by the caller's deadline. Nor is it
   * the fault of one who got less than half of its time because others before it had used up the rest.
   */
  function startTryTimer(
    deadline: Deadline,
    tryTimeoutMs = Infinity,
    { number }: Attempt,
    onTimeout: (failed: FailureClass) => void,
  ) {
    const remainingMs = deadline.remainingMs() - minTryMs
    const byCaller = remainingMs < tryTimeoutMs && deadline.byCaller
    const byOthers = number > 1 && tryTimeoutMs !== Infinity && remainingMs < tryTimeoutMs / 2
    const ms = Math.max(Math.min(remainingMs, tryTimeoutMs), 0)
    return clock.setTimer(ms, () => onTimeout(byCaller || byOthers ? 'deadline' : 'silent'))
  }

  function hold(
    { deadline, signal }: GuardedCallOptions,
    leftMs: number,
    failed: () => void,
    controller: AbortController,
    onAbort: () => void,
    release: Release,
  ): Hold {
    deadline.begun()
    const remainingMs = Math.max(deadline.remainingMs(), 0)
    let isOver = false
    const stopTimer = clock.setTimer(Math.max(Math.min(remainingMs, leftMs), 0), () => {
      isOver = true
      controller.abort(
        leftMs < remainingMs ? new UpstreamFailure('silent', { phase: 'total' }) : new ApiError('deadline_exceeded'),
      )
    })
    return {
      release() {
        stopTimer()
        signal.removeEventListener('abort', onAbort)
        release()
      },
      failed() {
        // It went on until its time was over: how long that takes is also up to whoever asks much, or reads slowly.
        if (!isOver) failed()
      },
      abort: (reason) => controller.abort(reason),
    }
  }
}

/** The end of the caller's patience is nobody's failure; the end of ours is a target that took too long. */
function outOfTime(deadline: Deadline) {
  return new UpstreamFailure(deadline.byCaller ? 'deadline' : 'silent')
}

function local(reason: 'circuit_open' | 'overloaded' | 'throttle_gate' | 'provider_limit', retryAfterMs: number) {
  return new UpstreamFailure('local', { reason, retryAfterMs })
}

/**
 * What to tell the caller at the end: what an upstream said says more than what our own guards did, and more than that
 * another one does not serve the model.
 */
function worse(known: UpstreamFailure | undefined, latest: UpstreamFailure): UpstreamFailure {
  return known && saysLess.has(latest.class) ? known : latest
}
const saysLess: ReadonlySet<FailureClass> = new Set(['local', 'deadline', 'unserved'])

/** Where one request has failed already, a second failure would say nothing new. */
function isFirstStrike(trace: CallTrace, breaker: CircuitBreaker): boolean {
  trace.strikes ??= new Set()
  if (trace.strikes.has(breaker)) return false
  trace.strikes.add(breaker)
  return true
}

/** Attributes after OpenTelemetry's conventions for calls of models, where it is one. */
function trySpan(
  parent: Span,
  { upstream, circuit, model, operation }: Target<unknown>,
  attempt: Attempt,
  reason: string,
) {
  const isModel = operation !== undefined
  return parent.child(isModel ? `${operation} ${model}` : `${upstream.name} ${circuit.key}`, 'client', {
    'gen_ai.operation.name': operation,
    'gen_ai.provider.name': isModel ? upstream.name : undefined,
    'gen_ai.request.model': isModel ? model : undefined,
    'gpuproxy.upstream': upstream.name,
    'gpuproxy.try': attempt.number,
    'gpuproxy.reason': reason,
  })
}

const endsSpan = (span: Span, release: Release) => () => {
  span.end()
  release()
}

const failsSpan = (span: Span, failed: () => void) => () => {
  span.end('stream_interrupted')
  failed()
}

const maxTries = 32

function noteTry(trace: CallTrace, target: Target<unknown>, outcome: string, reason: string, ms: number) {
  trace.tries ??= []
  if (trace.tries.length >= maxTries) return
  const rounded = Math.round(ms * 10) / 10
  trace.tries.push({ provider: target.upstream.name, model: target.model ?? '', outcome, reason, ms: rounded })
}

const takesCalls = ({ breaker }: Circuit) => breaker.refusesForMs() === 0

function mayRepeat(failure: UpstreamFailure, repeat: GuardedCallOptions['repeat'], triesHere: number): boolean {
  const { retry } = failureClasses[failure.class]
  if (retry !== 'repeatable') return retry === 'always' || failure.details.otherCredential === true
  if (repeat === 'once' || (failure.class === 'silent' && repeat === 'inference')) return false
  // A 500 may be the prompt's own fault: each repetition costs tokens, so one must do.
  const plain500 = failure.class === 'server' && failure.details.status === 500
  return repeat === 'idempotent' || !plain500 || triesHere < 2
}
