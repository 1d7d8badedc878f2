import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FakeBoard } from '../../tests/support/fake-board.ts'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { listening } from '../../tests/support/listening.ts'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import { HttpFailure } from '../ports.ts'
import { createBackoff } from '../resilience/backoff.ts'
import type { CircuitBreakerOptions } from '../resilience/circuit-breaker.ts'
import { sleep } from '../resilience/clock.ts'
import { createDeadline } from '../resilience/deadline.ts'
import { instruments } from '../telemetry/instruments.ts'
import { type Answer, type CallTrace, createGuardedCall, type GuardedCallOptions, type Target } from './guarded-call.ts'
import { type FailureClass, UpstreamFailure } from './outcome.ts'
import { createUpstream } from './upstream.ts'

type Send = (signal: AbortSignal) => Promise<unknown>

interface WorldOptions {
  random?: () => number
  maxConcurrent?: number
  maxAttempts?: number
  breaker?: Partial<CircuitBreakerOptions>
  fleet?: FakeBoard
}

const effectivelyOff = { minCalls: 1_000_000, consecutiveFailures: 1_000_000 }

function world({ random = () => 0.5, maxConcurrent = 100, maxAttempts = 3, breaker = {}, fleet }: WorldOptions = {}) {
  const clock = new FakeClock()
  const metrics = new FakeMetrics()
  const guardedCall = createGuardedCall({
    clock,
    metrics,
    backoff: createBackoff({ random }),
    maxAttempts,
    maxHintWaitMs: 3_000,
  })

  /** A target, and the times at which it was reached for. */
  const target = (name: string, send: Send, extra: Partial<Target<unknown>> = {}) => {
    const upstream = createUpstream({
      name,
      clock,
      random,
      metrics,
      maxConcurrent,
      adaptive: true,
      retryBudgetRatio: 0.1,
      breaker: { slowStartStepMs: 0, ...breaker },
      circuitName: () => name,
      onTransition: () => {},
      fleet,
    })
    const sentAt: number[] = []
    return {
      upstream,
      circuit: upstream.circuit(''),
      sentAt,
      send(signal: AbortSignal) {
        sentAt.push(clock.now())
        return send(signal)
      },
      ...extra,
    }
  }

  /** Runs a call to its end and tells how it went and how long it took. */
  const run = async (targets: readonly Target<unknown>[], options: Partial<GuardedCallOptions> = {}) => {
    const trace = { attempts: 0, waitedMs: 0 }
    const since = clock.now()
    let tookMs = -1
    const call = guardedCall(targets, {
      deadline: createDeadline(clock, { limitMs: 600_000 }),
      signal: new AbortController().signal,
      repeat: 'idempotent',
      trace,
      ...options,
    }).then(
      (answer) => ({
        answer: answer as Answer<unknown> | undefined,
        failure: undefined as UpstreamFailure | undefined,
      }),
      (failure: UpstreamFailure) => ({ answer: undefined, failure }),
    )
    const timed = call.finally(() => {
      tookMs = clock.now() - since
    })
    for (let ms = 0; tookMs < 0 && ms < 100_000; ms += 10) await clock.advance(10)
    return { ...(await timed), trace, tookMs }
  }
  return { clock, metrics, guardedCall, target, run }
}

const fails = (failureClass: FailureClass, details = {}) => Promise.reject(new UpstreamFailure(failureClass, details))
const answers = async () => 'answer'
const hangs: Send = (signal) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))

/** Each try takes the next outcome; the last is repeated. */
const inTurn = (...sends: Send[]): Send => {
  let next = 0
  return (signal) => sends[Math.min(next++, sends.length - 1)]!(signal)
}

const gapsOf = (times: number[]) => times.slice(1).map((time, i) => time - times[i]!)

describe('the limit of an upstream', () => {
  /** After so many streams and whole answers, one after another, a hundred ms each time. */
  async function after(failed: FailureClass, { streams, whole }: { streams: number; whole: number }) {
    const { target, run, clock } = world({ breaker: effectivelyOff })
    const broken = target('up', () => fails(failed))
    const well = { ...broken, send: answers }
    for (let i = 0; i < streams; i++) {
      const held = Array.from({ length: 40 }, () => broken.upstream.bulkhead.acquire({ maxWaitMs: 0 }))
      await run([broken], { holds: true, repeat: 'once' })
      for (let j = 0; j < whole; j++) await run([well], { repeat: 'once' })
      for (const release of held) if (typeof release === 'function') release()
      await clock.advance(100)
    }
    return broken.upstream.bulkhead.limit
  }

  it.each<[FailureClass, number]>([
    ['silent', 36],
    ['server', 36],
    ['poison', 100],
    ['oversized', 100],
    ['maybe_sent', 100],
  ])('with streams that are %s is %i', async (failed, limit) => {
    expect(await after(failed, { streams: 20, whole: 0 })).toBe(limit)
  })

  it('stands where twelve of thirteen calls are answered as a whole', async () => {
    expect(await after('silent', { streams: 20, whole: 12 })).toBe(100)
  })
})

describe('silence', () => {
  /** After one answer, eleven calls that wait and a twelfth that ends so. */
  async function afterOneThat(send: Send) {
    const { target, run, clock } = world({ maxConcurrent: 20 })
    const up = target('up', answers)
    await run([up])
    const left = new AbortController()
    const waiting = Array.from({ length: 11 }, () => run([{ ...up, send: hangs }], { signal: left.signal }))
    await clock.advance(2_000)
    expect(up.circuit.silence.silentForMs()).toBeGreaterThan(1_000)
    await run([{ ...up, send }], { repeat: 'once' })
    const silentMs = up.circuit.silence.silentForMs()
    left.abort()
    await Promise.all(waiting)
    return { silentMs, atTheEnd: up.circuit.silence.silentForMs() }
  }

  it.each<[string, boolean, Send]>([
    ['an answer', true, answers],
    ...(['server', 'throttled', 'config', 'poison', 'maybe_sent', 'too_long'] as const).map(
      (failed): [string, boolean, Send] => [failed, true, () => fails(failed)],
    ),
    ...(['silent', 'not_sent', 'deadline', 'client'] as const).map((failed): [string, boolean, Send] => [
      failed,
      false,
      () => fails(failed),
    ]),
  ])('is ended by %s: %s; and when nobody waits', async (_, ended, send) => {
    const { silentMs, atTheEnd } = await afterOneThat(send)
    expect(silentMs === 0).toBe(ended)
    expect(atTheEnd).toBe(0)
  })
})

describe('tries', () => {
  it('one that succeeds is the only one', async () => {
    const { target, run, metrics } = world()
    const up = target('up', answers)
    const { answer, trace } = await run([up])
    expect(answer).toMatchObject({ value: 'answer', target: up })
    expect(trace.attempts).toBe(1)
    expect(metrics.counted(instruments.upstreamRetries)).toBe(0)
    expect(metrics.counted(instruments.breakerCalls, { name: 'up', outcome: 'success' })).toBe(1)
  })

  it.each([
    [1, [3]],
    [2, [2, 1]],
    [3, [1, 1, 1]],
    [5, [1, 1, 1, 0, 0]],
  ])('are three in all over %i targets, the last kept for those that are untried', async (count, expected) => {
    const { target, run } = world()
    const targets = Array.from({ length: count }, (_, i) => target(`up ${i}`, () => fails('server', { status: 503 })))
    const { failure, trace } = await run(targets)
    expect(failure?.class).toBe('server')
    expect(targets.map(({ sentAt }) => sentAt.length)).toEqual(expected)
    expect(trace.attempts).toBe(3)
  })

  it.each<[string, (other: Target<unknown>) => void, number]>([
    ['whose circuit is open', ({ circuit }) => circuit.breaker.force('open'), 3],
    ['who, after the first backoff, must wait for more than 3 s', ({ circuit }) => circuit.gate.closeFor(3_051), 3],
    ['who, after the first backoff, must wait for 3 s', ({ circuit }) => circuit.gate.closeFor(3_050), 2],
    ['who cannot help after this', (other) => Object.assign(other, { helpsAfter: () => false }), 3],
    ['who can help after this', (other) => Object.assign(other, { helpsAfter: () => true }), 1],
  ])('are not kept for others %s', async (_, prevent, tries) => {
    const { target, run } = world()
    const up = target('up', () => fails('server', { status: 503 }))
    const others = ['one', 'two'].map((name) => target(name, answers))
    others.forEach(prevent)
    await run([up, ...others])
    expect(up.sentAt).toHaveLength(tries)
  })

  it('all go elsewhere where repeating is no use', async () => {
    const { target, run } = world()
    const targets = (['config', 'quota', 'config'] as const).map((failed) => target(failed, () => fails(failed)))
    const { failure } = await run(targets)
    expect(targets.map(({ sentAt }) => sentAt.length)).toEqual([1, 1, 1])
    expect(failure?.class).toBe('config')
  })

  it.each<[FailureClass, GuardedCallOptions['repeat'], object, number]>([
    ['not_sent', 'once', {}, 3],
    ['not_sent', 'inference', {}, 3],
    ['maybe_sent', 'once', {}, 1],
    ['maybe_sent', 'inference', {}, 3],
    ['maybe_sent', 'idempotent', {}, 3],
    ['silent', 'once', {}, 1],
    ['silent', 'inference', {}, 1],
    ['silent', 'idempotent', {}, 3],
    ['server', 'once', { status: 503 }, 1],
    ['server', 'inference', { status: 503 }, 3],
    ['server', 'inference', { status: 500 }, 2],
    ['server', 'idempotent', { status: 500 }, 3],
    ['poison', 'once', {}, 1],
    ['poison', 'inference', {}, 3],
    ['throttled', 'once', { status: 429 }, 3],
    ['quota', 'idempotent', { status: 429 }, 1],
    ['config', 'idempotent', { status: 401 }, 1],
    ['oversized', 'idempotent', {}, 1],
  ])('%s of a call that is %s %o: %i', async (failed, repeat, details, tries) => {
    const { target, run } = world()
    const up = target('up', () => fails(failed, details))
    const { failure } = await run([up], { repeat })
    expect(up.sentAt).toHaveLength(tries)
    expect(failure?.class).toBe(failed)
  })

  it('are no evidence where the answer is longer than any may be: that is what was asked for', async () => {
    const { target, run } = world()
    const up = target('up', () => fails('oversized'))
    for (let i = 0; i < 20; i++) await run([up])
    expect(up.sentAt).toHaveLength(20)
    expect(up.circuit.breaker.status()).toMatchObject({ state: 'closed', calls: 0 })
  })

  it('repeat at once what was not sent, and then with backoff', async () => {
    const { target, run } = world()
    const up = target('up', () => fails('not_sent'))
    await run([up])
    expect(gapsOf(up.sentAt)).toEqual([0, 100])
  })

  it('are counted by what they answer, and their waits told', async () => {
    const { target, run, metrics } = world()
    const { trace } = await run([target('up', () => fails('server', { status: 503 }))])
    expect(metrics.counted(instruments.upstreamRetries, { upstream: 'up', reason: 'server' })).toBe(2)
    expect(metrics.counted(instruments.upstreamRequests, { upstream: 'up', outcome: 'server' })).toBe(3)
    expect(trace).toMatchObject({ attempts: 3, waitedMs: 50 + 100 })
  })

  it('wait within the law of full jitter, longer each time', async () => {
    const { target, run } = world({ maxAttempts: 5, random: () => 0.999 })
    const up = target('up', () => fails('server', { status: 503 }))
    await run([up])
    for (const [i, gap] of gapsOf(up.sentAt).entries()) expect(gap).toBeCloseTo(99.9 * 2 ** i, 5)
  })

  it('that fell due while the event loop stood still do not all come at its end', async () => {
    const { clock, guardedCall, target } = world({ random: seededRandom(3) })
    const up = target('up', () => fails('server', { status: 503 }))
    const crowd = Array.from({ length: 3 }, () =>
      guardedCall([up], {
        deadline: createDeadline(clock, { limitMs: 600_000 }),
        signal: new AbortController().signal,
        repeat: 'idempotent',
        trace: { attempts: 0, waitedMs: 0 },
      }).catch(() => {}),
    )
    await settled()
    const since = clock.now()
    await clock.stall(150)
    expect(up.sentAt.length, 'none at once').toBe(3)
    await clock.advance(300)
    const second = up.sentAt.slice(3, 6)
    expect(new Set(second).size).toBe(3)
    expect(Math.max(...second) - since).toBeLessThanOrEqual(150 + 2 * 150)
    await clock.advance(2_000)
    await Promise.all(crowd)
  })

  it('that wait late near the deadline leave half of its time to the try', async () => {
    const { clock, guardedCall, target } = world({ random: () => 0.999 })
    const up = target(
      'up',
      inTurn(() => fails('server', { status: 503 }), answers),
    )
    const call = guardedCall([up], {
      deadline: createDeadline(clock, { limitMs: 1_000 }),
      signal: new AbortController().signal,
      repeat: 'idempotent',
      trace: { attempts: 0, waitedMs: 0 },
    })
    await settled()
    await clock.stall(800)
    await clock.advance(200)
    expect((await call).value).toBe('answer')
  })

  it('that never reach the network count as none', async () => {
    const { target, run } = world()
    const closed = Array.from({ length: 5 }, (_, i) => target(`closed ${i}`, answers))
    for (const { circuit } of closed) circuit.breaker.force('open')
    const last = target(
      'last',
      inTurn(
        () => fails('server'),
        () => fails('server'),
        answers,
      ),
    )
    const { answer, trace } = await run([...closed, last])
    expect(answer?.value).toBe('answer')
    expect(trace.attempts).toBe(3)
    expect(closed.flatMap(({ sentAt }) => sentAt)).toEqual([])
  })

  it('are told one by one up to 32', async () => {
    const { target, run } = world()
    const closed = Array.from({ length: 40 }, (_, i) => target(`closed ${i}`, answers))
    for (const { circuit } of closed) circuit.breaker.force('open')
    const { trace } = await run(closed)
    expect((trace as CallTrace).tries?.map(({ provider }) => provider)).toEqual(
      closed.slice(0, 32).map(({ upstream }) => upstream.name),
    )
  })

  it('tell the caller what an upstream said rather than what our guards did after it', async () => {
    const { target, run } = world()
    const down = target('down', () => fails('server', { status: 502 }))
    const closed = target('closed', answers)
    closed.circuit.breaker.force('open')
    expect((await run([down, closed])).failure).toMatchObject({ class: 'server', details: { status: 502 } })
    expect((await run([closed, down])).failure).toMatchObject({ class: 'server' })
  })

  it('tell what an upstream said also where only the time for another try was missing', async () => {
    const { clock, target, run } = world()
    const up = target('up', () => fails('server', { status: 500 }))
    const { failure } = await run([up], { deadline: createDeadline(clock, { limitMs: 90 }) })
    expect(failure).toMatchObject({ class: 'server', details: { status: 500 } })
    expect(up.sentAt).toHaveLength(1)
  })
})

describe('the guards', () => {
  it('are asked in order: gate, breaker, bulkhead, and only then the budget and the network', async () => {
    const { clock, target, run } = world({ maxConcurrent: 1 })
    const up = target('up', answers)
    const place = up.upstream.bulkhead.acquire({ maxWaitMs: 0 })
    up.circuit.breaker.force('open')
    up.circuit.gate.closeFor(60_000)
    const reasons: unknown[] = []
    const ask = async () => reasons.push((await run([up])).failure?.details.reason)
    await ask()
    up.circuit.breaker.force('open')
    await clock.advance(60_000)
    await ask()
    up.circuit.breaker.force('auto')
    await ask()
    if (typeof place === 'function') place()
    await ask()
    expect(reasons).toEqual(['throttle_gate', 'circuit_open', 'overloaded', undefined])
    expect(up.sentAt).toHaveLength(1)
  })

  it('refuse without evidence, without a try, and are not asked again on the same target', async () => {
    const { clock, target, run, metrics } = world({ maxConcurrent: 1 })
    const up = target('up', answers)
    await up.upstream.bulkhead.acquire({ maxWaitMs: 0 })
    const { failure, trace, tookMs } = await run([up])
    expect(failure).toMatchObject({ class: 'local', details: { reason: 'overloaded' } })
    expect(trace.attempts).toBe(0)
    expect(tookMs).toBe(100)
    expect(up.circuit.breaker.status().calls).toBe(0)
    expect(metrics.counted(instruments.requestsShed, { reason: 'upstream_concurrency' })).toBe(1)
    expect(clock.pendingTimers).toBe(0)
  })

  it('count no try where the call itself has to ask first and is refused: nothing was sent', async () => {
    const { clock, target, run, metrics } = world()
    const up = target('up', () => fails('local', { reason: 'throttle_gate', retryAfterMs: 7_000 }))
    const trace: GuardedCallOptions['trace'] = { attempts: 0, waitedMs: 0 }
    const { failure } = await run([up], { trace })
    expect(failure).toMatchObject({ class: 'local', details: { reason: 'throttle_gate', retryAfterMs: 7_000 } })
    expect(trace).toMatchObject({ attempts: 0, tries: [{ outcome: 'refused', reason: 'throttle_gate' }] })
    expect(metrics.counted(instruments.upstreamRequests, { upstream: 'up' })).toBe(0)
    expect(up.upstream.bulkhead.inUse).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  })

  it('pass on when an open circuit will take calls again', async () => {
    const { target, run } = world()
    const up = target('up', () => fails('server'))
    for (let i = 0; i < 10; i++) await run([up])
    expect(up.circuit.breaker.status().state).toBe('open')
    const { failure } = await run([up])
    expect(failure).toMatchObject({ class: 'local', details: { reason: 'circuit_open' } })
    expect(failure?.details.retryAfterMs).toBeGreaterThan(0)
  })

  it('add at most one failure of one request to a breaker', async () => {
    const { target, run, metrics } = world()
    const up = target('up', () => fails('server', { status: 503 }))
    await run([up])
    expect(up.sentAt).toHaveLength(3)
    expect(up.circuit.breaker.status()).toMatchObject({ calls: 1, failureRate: 1 })
    expect(metrics.counted(instruments.breakerCalls, { outcome: 'failure' })).toBe(1)
    expect(metrics.counted(instruments.breakerCalls, { outcome: 'neutral' })).toBe(2)
  })

  it('count a stream that broke after a failed first try as no second failure', async () => {
    const { target, run } = world()
    const up = target(
      'up',
      inTurn(() => fails('not_sent'), answers),
    )
    const { answer } = await run([up], { holds: true })
    answer!.hold.failed()
    answer!.hold.release()
    expect(up.circuit.breaker.status()).toMatchObject({ calls: 2, failureRate: 0.5 })
  })

  it.each([
    [200, 'success', 'ok'],
    [201, 'slow', 'slow_ok'],
  ])('take an answer after %i ms, where 200 are allowed, for a %s', async (ms, verdict, outcome) => {
    const { clock, target, run, metrics } = world()
    const send = () => new Promise<void>((resolve) => void clock.setTimer(ms, resolve))
    await run([target('up', send, { slowMs: 200 })])
    expect(metrics.counted(instruments.breakerCalls, { outcome: verdict })).toBe(1)
    expect(metrics.counted(instruments.upstreamRequests, { outcome })).toBe(1)
    expect(metrics.observed(instruments.upstreamDuration, { upstream: 'up' })).toEqual([ms / 1_000])
  })

  it.each<FailureClass>(['throttled', 'quota', 'config'])('take %s for no fault of the upstream', async (failed) => {
    const { target, run } = world()
    const up = target('up', () => fails(failed))
    for (let i = 0; i < 20; i++) await run([up])
    expect(up.circuit.breaker.status()).toMatchObject({ state: 'closed', calls: 0 })
  })

  it('count refusals of our own credential', async () => {
    const { target, run, metrics } = world()
    await run([target('up', () => fails('config', { status: 401 }))])
    expect(metrics.counted(instruments.credentialRejected, { upstream: 'up' })).toBe(1)
  })
})

describe('a Retry-After', () => {
  const throttled = (retryAfterMs?: number) => () => fails('throttled', { status: 429, retryAfterMs })

  it.each([1_000, 3_000])('of %i ms is sat out on the same target while another exists', async (hintMs) => {
    const { target, run } = world({ random: () => 0.99 })
    const up = target('up', inTurn(throttled(hintMs), answers))
    const other = target('other', answers)
    const { answer, tookMs } = await run([up, other])
    expect(answer?.target).toBe(up)
    expect(tookMs).toBeGreaterThanOrEqual(hintMs)
    expect(tookMs).toBeLessThanOrEqual(1.1 * hintMs)
  })

  it('of more than 3 s sends the call to the next target at once', async () => {
    const { target, run } = world()
    const up = target('up', throttled(3_001))
    const other = target('other', answers)
    const { answer, tookMs } = await run([up, other])
    expect(answer?.target).toBe(other)
    expect(tookMs).toBe(0)
  })

  it.each([[4_000], [20_000]])('of %i ms is sat out where there is no other target', async (hintMs) => {
    const { target, run } = world({ random: () => 0.99 })
    const up = target('up', inTurn(throttled(hintMs), answers))
    const { answer, tookMs } = await run([up])
    expect(answer?.value).toBe('answer')
    expect(tookMs).toBeGreaterThanOrEqual(hintMs)
    expect(tookMs).toBeLessThanOrEqual(1.1 * hintMs)
  })

  it('of more than 20 s goes to the caller, with what is left of it', async () => {
    const { target, run } = world()
    const { failure, tookMs } = await run([target('up', throttled(20_001))])
    expect(failure).toMatchObject({ class: 'throttled', details: { retryAfterMs: 20_001 } })
    expect(tookMs).toBe(0)
  })

  it('beyond the deadline is not waited for', async () => {
    const { clock, target, run } = world()
    const deadline = createDeadline(clock, { limitMs: 600_000, callerMs: 5_000 })
    const { failure, tookMs } = await run([target('up', throttled(5_000))], { deadline })
    expect(failure?.class).toBe('throttled')
    expect(tookMs).toBe(0)
  })

  it('of nothing at all is no leave to call again without a pause', async () => {
    const { target, run } = world()
    const up = target('up', throttled(0))
    await run([up])
    expect(gapsOf(up.sentAt)).toEqual([750, 1_500])
  })

  it('is never shorter than the backoff that is due', async () => {
    const { target, run } = world({ random: () => 1 })
    const up = target('up', throttled(1_000))
    await run([up])
    expect(gapsOf(up.sentAt)[1]).toBe(2_000)
  })

  it('that one request was given is honoured by the next', async () => {
    const { clock, target, run } = world({ maxAttempts: 1 })
    const up = target('up', inTurn(throttled(10_000), answers))
    const first = run([up])
    await clock.advance(0)
    const second = run([up])
    expect((await first).failure?.class).toBe('throttled')
    const { answer } = await second
    expect(answer?.value).toBe('answer')
    expect(gapsOf(up.sentAt)[0]).toBeGreaterThanOrEqual(10_000)
    expect(gapsOf(up.sentAt)[0]).toBeLessThanOrEqual(11_000)
  })

  it('that another request was given is waited for a moment only while another target is left', async () => {
    const { clock, target, run } = world({ random: () => 0.99 })
    const up = target('up', inTurn(throttled(2_000), answers, answers))
    const other = target('other', answers)
    const first = run([up, other])
    await clock.advance(0)
    const second = await run([up, other])
    expect([second.answer?.target.upstream.name, second.tookMs]).toEqual(['other', 0])
    expect((await first).answer?.target).toBe(up)
    up.circuit.gate.closeFor(40)
    expect((await run([up, other])).answer?.target).toBe(up)
  })

  it('that others are given again and again is not waited for longer than one hint while another target is left', async () => {
    const { clock, target, run } = world()
    const busy = target('busy', throttled(2_000))
    const spare = target('spare', answers)
    const since = clock.now()
    const call = run([busy, spare])
    // Each time the gate is about to open, somebody else's answer closes it again.
    for (let i = 0; i < 20; i++) {
      await clock.advance(500)
      busy.circuit.gate.closeFor(2_000)
    }
    expect((await call).answer?.target.upstream.name).toBe('spare')
    expect(spare.sentAt[0]! - since).toBeLessThanOrEqual(5_500)
  })

  it('on the last try closes the gate for others all the same', async () => {
    const { clock, guardedCall, target } = world()
    const up = target('up', inTurn(throttled(), throttled(), throttled(60_000)))
    const call = guardedCall([up], {
      deadline: createDeadline(clock, { limitMs: 60_000 }),
      signal: new AbortController().signal,
      repeat: 'idempotent',
      trace: { attempts: 0, waitedMs: 0 },
    }).catch((failure) => failure)
    await clock.advance(10_000)
    expect(await call).toMatchObject({ class: 'throttled' })
    expect(up.circuit.gate.closedForMs()).toBeGreaterThan(50_000)
  })

  it('is missing: the wait is between half and all of a second, then of two', async () => {
    const { target, run } = world()
    const up = target('up', throttled())
    await run([up])
    expect(gapsOf(up.sentAt)).toEqual([750, 1_500])
  })
})

describe('the retry budget', () => {
  const spend = (up: { upstream: { budget: { retry(): (() => void) | undefined } } }) => {
    for (let end = up.upstream.budget.retry(); end; end = up.upstream.budget.retry()) end()
  }

  it('when exhausted ends the call at once, and is counted', async () => {
    const { target, run, metrics } = world()
    const up = target('up', () => fails('throttled', { retryAfterMs: 2_000 }))
    spend(up)
    const { failure, tookMs } = await run([up])
    expect(failure?.class).toBe('throttled')
    expect(tookMs).toBe(0)
    expect(up.sentAt).toHaveLength(1)
    expect(metrics.counted(instruments.retryBudgetExhausted, { upstream: 'up' })).toBe(1)
    expect(metrics.counted(instruments.upstreamRetries)).toBe(0)
  })

  it('is not asked for the first try on another target', async () => {
    const { target, run } = world()
    const up = target('up', () => fails('server'))
    const other = target('other', answers)
    spend(up)
    spend(other)
    expect((await run([up, other])).answer?.value).toBe('answer')
  })

  it('that ran out during the wait refuses the retry and gives all places back', async () => {
    const { clock, target, run, metrics } = world()
    const up = target('up', () => fails('server'))
    const call = run([up])
    await settled()
    spend(up)
    expect((await call).failure?.class).toBe('server')
    expect(up.sentAt).toHaveLength(1)
    expect(metrics.counted(instruments.retryBudgetExhausted, { upstream: 'up' })).toBe(1)
    expect(up.upstream.bulkhead.inUse).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  })

  it('pays for nothing that our own guards refuse', async () => {
    const { target, run } = world()
    const up = target('up', async () => {
      up.circuit.breaker.force('open')
      throw new HttpFailure('not_sent')
    })
    for (let i = 0; i < 30; i++) {
      up.circuit.breaker.force('auto')
      await run([up])
    }
    let left = 0
    for (let end = up.upstream.budget.retry(); end; end = up.upstream.budget.retry(), left++) end()
    expect(left).toBeGreaterThanOrEqual(10)
  })
})

describe('the deadline', () => {
  it('is no fault of one who got what others had left of it', async () => {
    const { target, run, clock } = world()
    const first = target('first', hangs, { tryTimeoutMs: 40_000 })
    const last = target('last', hangs, { tryTimeoutMs: 40_000 })
    const deadline = createDeadline(clock, { limitMs: 55_000 })
    const { failure, tookMs } = await run([first, last], { deadline, repeat: 'inference' })
    expect(failure?.class).toBe('silent')
    expect(tookMs).toBeGreaterThanOrEqual(54_900)
    expect(first.circuit.breaker.status()).toMatchObject({ calls: 1, failureRate: 1 })
    expect(last.circuit.breaker.status().calls).toBe(0)

    const enough = createDeadline(clock, { limitMs: 70_000 })
    await run([first, last], { deadline: enough, repeat: 'inference' })
    expect(last.circuit.breaker.status()).toMatchObject({ calls: 1, failureRate: 1 })
  })

  it('of the caller ends a try as nobody’s fault', async () => {
    const { clock, target, run } = world()
    const up = target('up', hangs)
    const deadline = createDeadline(clock, { limitMs: 600_000, callerMs: 1_000 })
    const { failure, tookMs } = await run([up], { deadline })
    expect(failure?.class).toBe('deadline')
    expect(tookMs).toBe(950)
    expect(up.circuit.breaker.status().calls).toBe(0)
  })

  it('of the caller ends the call: no other target is asked', async () => {
    const { clock, target, run } = world()
    const other = target('other', answers)
    const deadline = createDeadline(clock, { limitMs: 600_000, callerMs: 1_000 })
    await run([target('up', hangs), other], { deadline })
    expect(other.sentAt).toEqual([])
  })

  it('of the gateway ends a try as a failure of the upstream', async () => {
    const { clock, target, run } = world()
    const up = target('up', hangs)
    const { failure, tookMs } = await run([up], { deadline: createDeadline(clock, { limitMs: 1_000 }) })
    expect(failure?.class).toBe('silent')
    expect(tookMs).toBe(950)
    expect(up.circuit.breaker.status()).toMatchObject({ calls: 1, failureRate: 1 })
  })

  it('of one try ends it as a failure of the upstream, whoever asked', async () => {
    const { clock, target, run } = world()
    const up = target('up', inTurn(hangs, answers), { tryTimeoutMs: 200 })
    const { answer, tookMs } = await run([up], {
      deadline: createDeadline(clock, { limitMs: 600_000, callerMs: 5_000 }),
    })
    expect(answer?.value).toBe('answer')
    expect(tookMs).toBe(250)
    expect(up.circuit.breaker.status()).toMatchObject({ calls: 2, failureRate: 0.5 })
  })

  it.each([
    [true, 'deadline'],
    [false, 'silent'],
  ])('with less than 50 ms left sends nothing (the caller’s own: %s)', async (byCaller, failed) => {
    const { clock, target, run } = world()
    const up = target('up', answers)
    const limits = byCaller ? { limitMs: 600_000, callerMs: 49 } : { limitMs: 49 }
    const { failure } = await run([up], { deadline: createDeadline(clock, limits) })
    expect(failure?.class).toBe(failed)
    expect(up.sentAt).toEqual([])
  })

  it('bounds the wait for a place to a quarter of what is left', async () => {
    const { clock, target, run } = world({ maxConcurrent: 1 })
    const up = target('up', answers)
    await up.upstream.bulkhead.acquire({ maxWaitMs: 0 })
    const { tookMs } = await run([up], { deadline: createDeadline(clock, { limitMs: 200 }) })
    expect(tookMs).toBe(50)
  })

  it('of a caller for the beginning does not bind a stream that has begun', async () => {
    const { clock, guardedCall, target } = world()
    let seen: AbortSignal | undefined
    const up = target('up', async (signal) => {
      seen = signal
    })
    const { hold } = await guardedCall([up], {
      deadline: createDeadline(clock, { limitMs: 60_000, beginMs: 1_000 }),
      signal: new AbortController().signal,
      repeat: 'inference',
      holds: true,
      trace: { attempts: 0, waitedMs: 0 },
    })
    await clock.advance(59_000)
    expect(seen?.aborted).toBe(false)
    hold.release()
  })

  it('passes while a stream is held: its reader gets the reason', async () => {
    const { clock, guardedCall, target } = world()
    let seen: AbortSignal | undefined
    const up = target('up', async (signal) => {
      seen = signal
    })
    const { hold } = await guardedCall([up], {
      deadline: createDeadline(clock, { limitMs: 1_000 }),
      signal: new AbortController().signal,
      repeat: 'inference',
      holds: true,
      trace: { attempts: 0, waitedMs: 0 },
    })
    await clock.advance(999)
    expect(seen?.aborted).toBe(false)
    await clock.advance(1)
    expect(seen?.reason).toMatchObject({ code: 'deadline_exceeded' })
    hold.release()
    expect(up.upstream.bulkhead.inUse).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('a caller who leaves', () => {
  /** Starts a call, lets `beforeMs` pass, aborts, and looks whether anything is left over. */
  async function leave(
    { clock, guardedCall }: ReturnType<typeof world>,
    up: ReturnType<ReturnType<typeof world>['target']>,
    beforeMs: number,
  ) {
    const caller = new AbortController()
    const listeners = listening(caller.signal)
    const inUse = up.upstream.bulkhead.inUse
    const call = guardedCall([up], {
      deadline: createDeadline(clock, { limitMs: 60_000 }),
      signal: caller.signal,
      repeat: 'idempotent',
      trace: { attempts: 0, waitedMs: 0 },
    }).catch((failure) => failure)
    await clock.advance(beforeMs)
    const timersBefore = clock.pendingTimers
    expect(listeners(), 'the call listens').toBe(1)
    caller.abort(new Error('gone'))
    const failure = await call
    expect(failure).toMatchObject({ class: 'client' })
    expect(listeners(), 'no listener is left').toBe(0)
    expect(timersBefore, 'something was waiting').toBeGreaterThan(0)
    expect(clock.pendingTimers, 'no timer is left').toBe(0)
    expect(up.upstream.bulkhead.waiting, 'nobody waits').toBe(0)
    expect(up.upstream.bulkhead.inUse, 'the place is free').toBe(inUse)
  }

  it('while waiting for a place', async () => {
    const w = world({ maxConcurrent: 1 })
    const up = w.target('up', answers)
    await up.upstream.bulkhead.acquire({ maxWaitMs: 0 })
    await leave(w, up, 10)
    expect(up.circuit.breaker.status().calls).toBe(0)
  })

  it('while waiting before a retry', async () => {
    const w = world()
    const up = w.target('up', () => fails('server', { status: 503 }))
    await leave(w, up, 10)
    expect(up.sentAt).toHaveLength(1)
  })

  it('while waiting for the gate', async () => {
    const w = world()
    const up = w.target('up', answers)
    up.circuit.gate.closeFor(10_000)
    await leave(w, up, 10)
    expect(up.sentAt).toHaveLength(0)
  })

  it('while the call is out', async () => {
    const w = world()
    const up = w.target('up', hangs)
    await leave(w, up, 10)
    expect(up.circuit.breaker.status().calls, 'no evidence').toBe(0)
    expect(w.metrics.counted(instruments.upstreamRequests, { outcome: 'client' })).toBe(1)
  })

  it('before it began', async () => {
    const { target, run, clock } = world()
    const up = target('up', answers)
    const { failure } = await run([up], { signal: AbortSignal.abort() })
    expect(failure?.class).toBe('client')
    expect(up.sentAt).toEqual([])
    expect(clock.pendingTimers).toBe(0)
  })

  it('in the moment in which a place is handed over', async () => {
    const { clock, guardedCall, target } = world({ maxConcurrent: 1 })
    const up = target('up', answers)
    const release = await up.upstream.bulkhead.acquire({ maxWaitMs: 0 })
    const caller = new AbortController()
    const call = guardedCall([up], {
      deadline: createDeadline(clock, { limitMs: 60_000 }),
      signal: caller.signal,
      repeat: 'idempotent',
      trace: { attempts: 0, waitedMs: 0 },
    }).catch((failure) => failure)
    await settled()
    release()
    caller.abort()
    expect(await call).toMatchObject({ class: 'client' })
    expect(up.sentAt).toEqual([])
    expect(up.upstream.bulkhead.inUse).toBe(0)
  })

  it('in the middle of a stream: its reader gets the reason, and the place stays until released', async () => {
    const { clock, guardedCall, target } = world()
    const caller = new AbortController()
    const listeners = listening(caller.signal)
    let seen: AbortSignal | undefined
    const up = target('up', async (signal) => {
      seen = signal
    })
    const { hold } = await guardedCall([up], {
      deadline: createDeadline(clock, { limitMs: 60_000 }),
      signal: caller.signal,
      repeat: 'inference',
      holds: true,
      trace: { attempts: 0, waitedMs: 0 },
    })
    expect(up.upstream.bulkhead.inUse).toBe(1)
    caller.abort('gone')
    expect(seen?.reason).toBe('gone')
    expect(up.upstream.bulkhead.inUse).toBe(1)
    hold.release()
    hold.release()
    expect(up.upstream.bulkhead.inUse).toBe(0)
    expect(listeners()).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('a hold', () => {
  const held = async () => {
    const w = world({ maxConcurrent: 1 })
    let seen: AbortSignal | undefined
    const up = w.target('up', async (signal) => {
      seen = signal
    })
    const caller = new AbortController()
    const { hold } = await w.guardedCall([up], {
      deadline: createDeadline(w.clock, { limitMs: 60_000 }),
      signal: caller.signal,
      repeat: 'inference',
      holds: true,
      trace: { attempts: 0, waitedMs: 0 },
    })
    return { ...w, up, hold, caller, seen: seen! }
  }

  it('released twice gives back one place only', async () => {
    const { up, hold } = await held()
    hold.release()
    const place = up.upstream.bulkhead.acquire({ maxWaitMs: 0 })
    hold.release()
    expect(up.upstream.bulkhead.inUse).toBe(1)
    expect(typeof place).toBe('function')
  })

  it('once released is out of the caller’s and the deadline’s reach', async () => {
    const { clock, hold, caller, seen } = await held()
    hold.release()
    caller.abort()
    await clock.advance(60_000)
    expect(seen.aborted).toBe(false)
  })

  it('can be ended with words of the gateway’s own', async () => {
    const { hold, seen } = await held()
    hold.abort('stopping')
    expect(seen.reason).toBe('stopping')
  })

  it('that failed turns its success into evidence, once', async () => {
    const { up, hold } = await held()
    hold.failed()
    hold.failed()
    expect(up.circuit.breaker.status()).toMatchObject({ calls: 1, failureRate: 1 })
  })

  it('that went on until the time of its model was over is no evidence: its caller may have read slowly', async () => {
    const { guardedCall, target, clock } = world()
    let seen: AbortSignal | undefined
    const begins: Send = async (signal) => {
      seen = signal
    }
    const up = target('up', begins, { totalMs: 10_000 })
    const { hold } = await guardedCall([up], {
      deadline: createDeadline(clock, { limitMs: 60_000 }),
      signal: new AbortController().signal,
      repeat: 'inference',
      holds: true,
      trace: { attempts: 0, waitedMs: 0 },
    })
    await clock.advance(10_000)
    expect(seen?.reason).toMatchObject({ class: 'silent', details: { phase: 'total' } })
    hold.failed()
    hold.release()
    expect(up.circuit.breaker.status()).toMatchObject({ calls: 1, failureRate: 0 })
  })

  it('of a call that is not a stream is over already', async () => {
    const { target, run, clock } = world()
    const up = target('up', answers)
    const { answer } = await run([up])
    expect(up.upstream.bulkhead.inUse).toBe(0)
    expect(clock.pendingTimers).toBe(0)
    answer!.hold.failed()
    answer!.hold.abort('late')
    answer!.hold.release()
    expect(up.circuit.breaker.status()).toMatchObject({ calls: 1, failureRate: 0 })
  })
})

it('after any history of outcomes and departures everything is back to nothing', async () => {
  const outcome = fc.oneof(
    fc.constant('ok' as const),
    fc.constant('slow' as const),
    fc.constant('hang' as const),
    fc.constant('throw' as const),
    fc.record({
      failed: fc.constantFrom<FailureClass>(
        'not_sent',
        'maybe_sent',
        'silent',
        'server',
        'throttled',
        'config',
        'poison',
      ),
      retryAfterMs: fc.option(fc.constantFrom(0, 500, 5_000, 90_000), { nil: undefined }),
    }),
  )
  const request = fc.record({
    atMs: fc.nat(300),
    leavesAfterMs: fc.option(fc.constantFrom(0, 1, 40, 150, 2_000), { nil: undefined }),
    holds: fc.boolean(),
    streamBreaks: fc.boolean(),
    callerMs: fc.option(fc.constantFrom(30, 60, 400, 20_000), { nil: undefined }),
    repeat: fc.constantFrom('idempotent' as const, 'inference' as const, 'once' as const),
    targets: fc.subarray([0, 1, 2], { minLength: 1 }),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(request, { minLength: 1, maxLength: 12 }),
      fc.array(outcome, { minLength: 1, maxLength: 12 }),
      fc.nat(),
      async (requests, outcomes, seed) => {
        const { clock, guardedCall, target } = world({
          random: seededRandom(seed),
          maxConcurrent: 2,
          breaker: { minCalls: 3, openMs: 1_000 },
        })
        let next = 0
        const send: Send = async (signal) => {
          const current = outcomes[next++ % outcomes.length]!
          if (current === 'ok') return 'answer'
          if (current === 'throw') throw new TypeError('unforeseen')
          if (current === 'hang') return hangs(signal)
          if (current === 'slow') {
            await Promise.race([new Promise<void>((resolve) => void clock.setTimer(70, resolve)), hangs(signal)])
            return 'answer'
          }
          return fails(current.failed, { retryAfterMs: current.retryAfterMs })
        }
        const targets = ['a', 'b', 'c'].map((name) => target(name, send, { tryTimeoutMs: 3_000, slowMs: 50 }))
        const listeners: (() => number)[] = []
        let ended = 0

        const one = async ({
          atMs,
          leavesAfterMs,
          holds,
          streamBreaks,
          callerMs,
          repeat,
          targets: chosen,
        }: (typeof requests)[number]) => {
          await new Promise<void>((resolve) => void clock.setTimer(atMs, resolve))
          const caller = new AbortController()
          listeners.push(listening(caller.signal))
          if (leavesAfterMs !== undefined) clock.setTimer(leavesAfterMs, () => caller.abort())
          const trace = { attempts: 0, waitedMs: 0 }
          try {
            const { hold } = await guardedCall(
              chosen.map((i) => targets[i]!),
              {
                deadline: createDeadline(clock, { limitMs: 30_000, callerMs }),
                signal: caller.signal,
                repeat,
                holds,
                trace,
              },
            )
            await new Promise<void>((resolve) => void clock.setTimer(35, resolve))
            if (streamBreaks) hold.failed()
            hold.release()
            hold.release()
          } catch (failure) {
            expect(failure).toBeInstanceOf(UpstreamFailure)
          }
          expect(trace.attempts).toBeLessThanOrEqual(3)
          ended++
        }
        const all = Promise.all(requests.map(one))
        await clock.advance(200_000)
        await all
        expect(ended).toBe(requests.length)
        for (const { upstream } of targets) {
          expect(upstream.bulkhead).toMatchObject({ inUse: 0, waiting: 0 })
          // Of the calls under way none is left, so the budget's share for three retries is free again.
          await clock.advance(20_000)
          const ends = Array.from({ length: 3 }, () => upstream.budget.retry())
          expect(ends.every(Boolean)).toBe(true)
          expect(upstream.budget.retry(), 'a fourth would be a fifth of more than there is').toBeUndefined()
        }
        expect(listeners.map((count) => count())).toEqual(requests.map(() => 0))
        expect(clock.pendingTimers).toBe(0)
      },
    ),
    { numRuns: 1_500 },
  )
})

describe('an upstream that is down for 30 s at 200 requests a second', () => {
  async function attemptsPerRequest(breaker: Partial<CircuitBreakerOptions>) {
    const { clock, guardedCall, target } = world({ random: seededRandom(42), maxConcurrent: 10_000, breaker })
    const up = target('up', () => fails('maybe_sent'))
    const { signal } = new AbortController()
    const requests = 200 * 30
    const calls: Promise<unknown>[] = []
    for (let i = 0; i < requests; i++) {
      const call = guardedCall([up], {
        deadline: createDeadline(clock, { limitMs: 60_000 }),
        signal,
        repeat: 'idempotent',
        trace: { attempts: 0, waitedMs: 0 },
      })
      calls.push(call.catch(() => {}))
      await clock.advance(5)
    }
    await clock.advance(60_000)
    await Promise.all(calls)
    return up.sentAt.length / requests
  }

  it('is tried at most 1.12 times a request without a breaker', async () => {
    const ratio = await attemptsPerRequest(effectivelyOff)
    expect(ratio).toBeLessThanOrEqual(1.12)
    expect(ratio).toBeGreaterThan(1.05)
  })

  it('is tried at most 0.05 times a request with one', async () => {
    expect(await attemptsPerRequest({})).toBeLessThanOrEqual(0.05)
  })
})

describe('a trial call', () => {
  const due = async (send: Send, limits: Partial<Target<unknown>>) => {
    const w = world({ breaker: { trialCalls: 1 } })
    const up = w.target('up', send, limits)
    for (let i = 0; i < 10; i++) {
      const admission = up.circuit.breaker.acquire()
      if ('permit' in admission) admission.permit.report('failure')
    }
    await w.clock.advance(30_000)
    return { ...w, up }
  }

  it('may take as long as any other, and closes the circuit', async () => {
    const after = (signal: AbortSignal) => sleep(w.clock, 70_000, signal)
    const w = await due(after, { tryTimeoutMs: 600_000 })
    expect((await w.run([w.up])).tookMs).toBeGreaterThanOrEqual(70_000)
    expect(w.up.circuit.breaker.state()).toBe('closed')
  })

  it.each<[string, Partial<Target<unknown>>, number]>([
    ['its target', { tryTimeoutMs: 15_000 }, 15_000],
    ['the last target', { tryTimeoutMs: 15_000, lastTryTimeoutMs: 40_000 }, 40_000],
    ['the request', {}, 50_000],
    ['the request, where its target has more', { tryTimeoutMs: 60_000 }, 50_000],
  ])('that is never heard of has failed a second after the time of %s', async (_, limits, ms) => {
    const { clock, up, guardedCall } = await due(() => new Promise(() => {}), limits)
    void guardedCall([up], {
      deadline: createDeadline(clock, { limitMs: 50_000 }),
      signal: new AbortController().signal,
      repeat: 'idempotent',
      trace: { attempts: 0, waitedMs: 0 },
    })
    await clock.advance(ms + 999)
    expect(up.circuit.breaker.state()).toBe('half_open')
    await clock.advance(1)
    expect(up.circuit.breaker.state()).toBe('open')
  })
})

describe('a fleet’s turn to try', () => {
  const due = async () => {
    const fleet = new FakeBoard()
    const w = world({ fleet, maxAttempts: 1 })
    const up = w.target('up', inTurn(...Array<Send>(10).fill(() => fails('server')), answers))
    for (let i = 0; i < 10; i++) await w.run([up])
    expect(up.circuit.breaker.state()).toBe('open')
    await w.clock.advance(30_000)
    fleet.answers = 'later'
    return { ...w, fleet, up }
  }

  it('is waited for by the call that asks for it, which then is the trial', async () => {
    const { clock, fleet, up, run } = await due()
    const call = run([up])
    await clock.advance(70)
    expect(fleet.claims).toHaveLength(1)
    fleet.claims[0]!.answer('granted')
    const { answer, trace, tookMs } = await call
    expect(answer?.value).toBe('answer')
    expect(tookMs).toBeGreaterThanOrEqual(70)
    expect(trace).toMatchObject({ attempts: 1, waitedMs: tookMs })
  })

  it('that is another’s is a refusal by our own guard, and the next target is tried', async () => {
    const { fleet, up, run, target } = await due()
    fleet.answers = 'held'
    const other = target('other', answers)
    expect((await run([up, other])).answer?.target).toBe(other)
    const { failure } = await run([up])
    expect(failure).toMatchObject({ class: 'local', details: { reason: 'circuit_open', retryAfterMs: 1_000 } })
  })

  it('is not waited for when the caller leaves', async () => {
    const { clock, fleet, up, run } = await due()
    const caller = new AbortController()
    const listeners = listening(caller.signal)
    const call = run([up], { signal: caller.signal })
    await clock.advance(20)
    expect(listeners()).toBe(1)
    caller.abort()
    const { failure, trace } = await call
    expect(failure).toMatchObject({ class: 'client' })
    expect(trace.attempts).toBe(0)
    fleet.claims[0]!.answer('granted')
    await settled()
    expect(listeners()).toBe(0)
    // The turn is there for the next.
    expect((await run([up])).answer?.value).toBe('answer')
  })
})
