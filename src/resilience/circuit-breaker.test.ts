import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import { HttpFailure } from '../ports.ts'
import { createGuardedCall } from '../upstream/guarded-call.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'
import { createUpstream } from '../upstream/upstream.ts'
import { createBackoff } from './backoff.ts'
import {
  type BreakerState,
  type CircuitBreaker,
  type CircuitBreakerOptions,
  createCircuitBreaker,
  type Permit,
  type Verdict,
} from './circuit-breaker.ts'
import { createDeadline } from './deadline.ts'

/** The middle of every range, so that a wait of 30 s is one of 30 s. */
const middle = () => 0.5

function world(options: Partial<CircuitBreakerOptions> = {}, nowMs = 5_000) {
  const clock = new FakeClock({ nowMs })
  const transitions: BreakerState[] = []
  const breaker = createCircuitBreaker({
    clock,
    random: middle,
    slowStartStepMs: 0,
    onTransition: (to) => transitions.push(to),
    ...options,
  })
  return { clock, breaker, transitions }
}

function admit(breaker: CircuitBreaker, leaseMs?: number): Permit {
  const admission = breaker.acquire(leaseMs)
  if ('refused' in admission) throw new Error(`refused: ${admission.refused}`)
  return admission.permit
}

const refusal = (breaker: CircuitBreaker) => {
  const admission = breaker.acquire()
  return 'refused' in admission ? admission.refused : undefined
}

const report = (breaker: CircuitBreaker, verdict: Verdict, times = 1) => {
  for (let i = 0; i < times; i++) admit(breaker).report(verdict)
}

/** Opens a closed circuit; with `middle` it stays open for 30 s. */
const trip = (breaker: CircuitBreaker) => {
  for (let i = 0; i < 100 && stateOf(breaker) === 'closed'; i++) report(breaker, 'failure')
  expect(stateOf(breaker)).toBe('open')
}

const stateOf = (breaker: CircuitBreaker) => breaker.status().state

/** A circuit behind the guards of a real call, for what can go wrong between the two. */
function guarded({ maxConcurrent = 100 } = {}) {
  const clock = new FakeClock()
  const metrics = new FakeMetrics()
  const upstream = createUpstream({
    name: 'up',
    clock,
    random: middle,
    metrics,
    maxConcurrent,
    retryBudgetRatio: 0.1,
    breaker: { slowStartStepMs: 0 },
    circuitName: () => 'up:list',
    onTransition: () => {},
  })
  const circuit = upstream.circuit('list')
  const guardedCall = createGuardedCall({
    clock,
    metrics,
    backoff: createBackoff({ random: middle }),
    maxAttempts: 1,
    maxHintWaitMs: 3_000,
  })
  const call = (send: (signal: AbortSignal) => Promise<unknown>, signal = new AbortController().signal) =>
    guardedCall([{ upstream, circuit, send }], {
      deadline: createDeadline(clock, { limitMs: 60_000 }),
      signal,
      repeat: 'idempotent',
      trace: { attempts: 0, waitedMs: 0 },
    })
  return { clock, upstream, breaker: circuit.breaker, call }
}

/** `stepWall` is called half-way through each. */
type Scenario = (stepWall: (clock: FakeClock) => void) => void | Promise<void>

const battery: Record<string, Scenario> = {
  'a hung trial counts as a failure when its lease ends, without anyone asking': (stepWall) => {
    const { clock, breaker } = world()
    trip(breaker)
    clock.tick(30_000)
    admit(breaker)
    stepWall(clock)
    clock.tick(9_999)
    expect(stateOf(breaker)).toBe('half_open')
    clock.tick(1)
    expect(stateOf(breaker)).toBe('open')
    expect(clock.pendingTimers).toBe(0)
  },
  'a cancelled trial gives its place back': (stepWall) => {
    const { clock, breaker } = world({ trialCalls: 1 })
    trip(breaker)
    clock.tick(30_000)
    const trial = admit(breaker)
    stepWall(clock)
    expect(refusal(breaker)).toBe('trials_busy')
    trial.report('neutral')
    expect(stateOf(breaker)).toBe('half_open')
    report(breaker, 'success')
    expect(stateOf(breaker)).toBe('closed')
  },
  'a trial answered with a 4xx of the caller’s own is an answer': async (stepWall) => {
    const { clock, breaker, call } = guarded()
    trip(breaker)
    await clock.advance(30_000)
    stepWall(clock)
    for (let i = 0; i < 3; i++) await call(async () => ({ status: 404 }))
    expect(stateOf(breaker)).toBe('closed')
  },
  'one failure on an idle circuit does not open it': (stepWall) => {
    const { clock, breaker } = world()
    report(breaker, 'failure')
    stepWall(clock)
    clock.tick(3_600_000)
    expect(stateOf(breaker)).toBe('closed')
    report(breaker, 'success')
    expect(breaker.status()).toMatchObject({ calls: 1, failureRate: 0 })
  },
  'what our own bulkhead refuses is no evidence and takes no trial’s place': async (stepWall) => {
    const { clock, upstream, breaker, call } = guarded({ maxConcurrent: 1 })
    trip(breaker)
    await clock.advance(30_000)
    const place = await upstream.bulkhead.acquire({ maxWaitMs: 0 })
    const refused = Array.from({ length: 20 }, () => call(async () => 'never').catch((error) => error))
    stepWall(clock)
    await clock.advance(200)
    for (const error of await Promise.all(refused)) expect(error).toMatchObject({ class: 'local' })
    expect(stateOf(breaker)).toBe('half_open')
    place()
    for (let i = 0; i < 3; i++) await call(async () => 'ok')
    expect(stateOf(breaker)).toBe('closed')
  },
  'a success from before the trip does not close the circuit': (stepWall) => {
    const { clock, breaker } = world()
    const late = Array.from({ length: 5 }, () => admit(breaker))
    trip(breaker)
    stepWall(clock)
    for (const permit of late.slice(0, 3)) permit.report('success')
    expect(stateOf(breaker)).toBe('open')
    clock.tick(30_000)
    admit(breaker).report('neutral')
    for (const permit of late) permit.report('success')
    expect(stateOf(breaker)).toBe('half_open')
  },
  'a failure from before the trip does not end the trial or the recovery': (stepWall) => {
    const { clock, breaker } = world()
    const late = Array.from({ length: 20 }, () => admit(breaker))
    trip(breaker)
    clock.tick(30_000)
    report(breaker, 'success', 2)
    late[0]!.report('failure')
    stepWall(clock)
    expect(stateOf(breaker)).toBe('half_open')
    report(breaker, 'success')
    for (const permit of late) permit.report('failure')
    expect(breaker.status()).toMatchObject({ state: 'closed', calls: 0 })
  },
  'a second report of the same call is ignored': (stepWall) => {
    const { clock, breaker } = world()
    const permit = admit(breaker)
    permit.report('success')
    for (let i = 0; i < 20; i++) permit.report('failure')
    expect(breaker.status()).toMatchObject({ calls: 1, failureRate: 0 })
    trip(breaker)
    stepWall(clock)
    clock.tick(30_000)
    const trial = admit(breaker)
    for (let i = 0; i < 3; i++) trial.report('success')
    expect(stateOf(breaker)).toBe('half_open')
  },
  'of 100 callers at the end of the wait exactly 3 get through': (stepWall) => {
    const { clock, breaker } = world()
    trip(breaker)
    clock.tick(29_999)
    expect(refusal(breaker)).toBe('open')
    stepWall(clock)
    clock.tick(1)
    const admissions = Array.from({ length: 100 }, () => breaker.acquire())
    expect(admissions.filter((admission) => 'permit' in admission)).toHaveLength(3)
  },
  'whatever is thrown, the permit is told and the place given back': async (stepWall) => {
    const { clock, upstream, breaker, call } = guarded()
    const thrown = [
      new TypeError('classifier'),
      undefined,
      null,
      'text',
      Object.assign(new HttpFailure('reset'), { kind: 'of a kind nobody knows' }),
      Object.freeze({}),
    ]
    for (const error of thrown) {
      await expect(call(() => Promise.reject(error))).rejects.toBeInstanceOf(UpstreamFailure)
    }
    stepWall(clock)
    expect(breaker.status()).toMatchObject({ calls: thrown.length, failureRate: 1 })
    expect(upstream.bulkhead.inUse).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  },
  'a call that throws before it returns a promise is a failure like any other': async (stepWall) => {
    const { clock, upstream, breaker, call } = guarded()
    const send = () => {
      throw new Error('at once')
    }
    for (let i = 0; i < 10; i++) await expect(call(send)).rejects.toMatchObject({ class: 'poison' })
    stepWall(clock)
    expect(stateOf(breaker)).toBe('open')
    await clock.advance(30_000)
    await expect(call(send)).rejects.toMatchObject({ class: 'poison' })
    expect(stateOf(breaker)).toBe('open')
    expect(upstream.bulkhead.inUse).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  },
  'calls leave the window exactly 60 s after their bucket began': (stepWall) => {
    const { clock, breaker } = world({ consecutiveFailures: 1_000 }, 3_000 * 1_000)
    report(breaker, 'failure', 9)
    stepWall(clock)
    clock.tick(59_999)
    expect(breaker.status().calls).toBe(9)
    clock.tick(1)
    expect(breaker.status().calls).toBe(0)
    report(breaker, 'failure')
    expect(stateOf(breaker)).toBe('closed')
  },
  'nine failures are too few for a share, the tenth call is enough': (stepWall) => {
    const { clock, breaker } = world({ consecutiveFailures: 1_000 })
    report(breaker, 'failure', 9)
    stepWall(clock)
    expect(stateOf(breaker)).toBe('closed')
    report(breaker, 'failure')
    expect(stateOf(breaker)).toBe('open')
  },
  'exactly 60 % of failures opens, 59 % does not': (stepWall) => {
    const { clock, breaker } = world()
    report(breaker, 'success', 41)
    stepWall(clock)
    report(breaker, 'failure', 59)
    expect(breaker.status()).toMatchObject({ state: 'closed', failureRate: 0.59 })
    const exact = world().breaker
    report(exact, 'success', 4)
    report(exact, 'failure', 6)
    expect(stateOf(exact)).toBe('open')
  },
  '80 % of slow answers opens, though all are successes': (stepWall) => {
    const { clock, breaker } = world()
    report(breaker, 'success', 2)
    report(breaker, 'slow', 7)
    stepWall(clock)
    expect(stateOf(breaker)).toBe('closed')
    report(breaker, 'slow')
    expect(stateOf(breaker)).toBe('open')
  },
  'a Retry-After is waited for, but never longer than 300 s': (stepWall) => {
    const { clock, breaker } = world()
    report(breaker, 'failure', 9)
    admit(breaker).report('failure', 86_400_000)
    expect(breaker.status().nextTrialInMs).toBe(300_000)
    stepWall(clock)
    clock.tick(300_000)
    admit(breaker).report('failure', 100_000)
    expect(breaker.status().nextTrialInMs).toBe(100_000)
  },
  'an operator’s word during a trial stands, whatever the trial brings': (stepWall) => {
    const { clock, breaker } = world({ trialCalls: 1 })
    trip(breaker)
    clock.tick(30_000)
    const trial = admit(breaker)
    breaker.force('open')
    stepWall(clock)
    trial.report('success')
    clock.tick(3_600_000)
    breaker.probeSucceeded()
    expect(refusal(breaker)).toBe('open')
    expect(stateOf(breaker)).toBe('forced_open')
    expect(clock.pendingTimers).toBe(0)
    breaker.force('auto')
    expect(stateOf(breaker)).toBe('closed')
  },
  'another process goes on from the snapshot where this one was': (stepWall) => {
    const { clock, breaker } = world()
    trip(breaker)
    clock.tick(30_000)
    report(breaker, 'failure')
    clock.tick(10_000)
    const snapshot = JSON.parse(JSON.stringify(breaker.snapshot()))
    stepWall(clock)
    const other = world({ restore: snapshot }, 999_999)
    expect(other.breaker.status().nextTrialInMs).toBe(50_000)
    other.clock.tick(49_999)
    expect(refusal(other.breaker)).toBe('open')
    other.clock.tick(1)
    report(other.breaker, 'failure')
    expect(other.breaker.status().nextTrialInMs).toBe(120_000)
  },
}

const hourMs = 3_600_000
describe.each([
  ['', 0],
  [', with the wall clock an hour back half-way', -hourMs],
  [', with the wall clock an hour on half-way', hourMs],
])('the battery%s', (_name, stepMs) => {
  it('has eighteen scenarios', () => expect(Object.keys(battery)).toHaveLength(18))
  it.each(Object.entries(battery))('%s', (_title, scenario) => scenario((clock) => clock.stepWall(stepMs)))
})

describe('opening', () => {
  it('doubles the wait with each reopening, up to 300 s', () => {
    const { clock, breaker } = world()
    const waits: number[] = []
    trip(breaker)
    for (let i = 0; i < 7; i++) {
      waits.push(breaker.status().nextTrialInMs)
      clock.tick(waits.at(-1)!)
      report(breaker, 'failure')
    }
    expect(waits).toEqual([30_000, 60_000, 120_000, 240_000, 300_000, 300_000, 300_000])
  })

  it('begins at 30 s again after a close', () => {
    const { clock, breaker } = world()
    trip(breaker)
    clock.tick(30_000)
    report(breaker, 'failure')
    clock.tick(60_000)
    report(breaker, 'success', 3)
    trip(breaker)
    expect(breaker.status().nextTrialInMs).toBe(30_000)
  })

  it('spreads the wait over ±20 %, so that pods do not return together', () => {
    const random = seededRandom(7)
    const waits = Array.from({ length: 2_000 }, () => {
      const { breaker } = world({ random })
      trip(breaker)
      return breaker.status().nextTrialInMs
    })
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(24_000)
    expect(Math.max(...waits)).toBeLessThan(36_000)
    expect(Math.min(...waits)).toBeLessThan(24_200)
    expect(Math.max(...waits)).toBeGreaterThan(35_800)
  })

  it('says when asking again may help', () => {
    const { clock, breaker } = world()
    trip(breaker)
    clock.tick(10_000)
    expect(breaker.acquire()).toEqual({ refused: 'open', retryAfterMs: 20_000 })
  })

  it('ends early when an active probe succeeds, for trial calls only', () => {
    const { breaker } = world()
    breaker.probeSucceeded()
    expect(stateOf(breaker)).toBe('closed')
    trip(breaker)
    breaker.probeSucceeded()
    expect(stateOf(breaker)).toBe('half_open')
  })

  it.each([10, 200, 1_000])(
    'finds a sudden outage after a good minute at %i calls a second within 1.5 s',
    (perSecond) => {
      const { clock, breaker } = world()
      const call = (verdict: Verdict) => {
        report(breaker, verdict)
        clock.tick(1_000 / perSecond)
      }
      for (let i = 0; i < 60 * perSecond; i++) call('success')
      const since = clock.now()
      while (stateOf(breaker) === 'closed') call('failure')
      expect(clock.now() - since).toBeLessThanOrEqual(1_500)
      expect(clock.now() - since).toBeGreaterThan(500)
    },
  )

  it('takes fourteen failures in a row for an outage at 10 calls a second, not thirteen', () => {
    const { clock, breaker } = world()
    const call = (verdict: Verdict) => {
      report(breaker, verdict)
      clock.tick(100)
    }
    for (let i = 0; i < 600; i++) call('success')
    for (let i = 0; i < 13; i++) call('failure')
    expect(stateOf(breaker)).toBe('closed')
    call('failure')
    expect(stateOf(breaker)).toBe('open')
  })

  it('takes a row for an outage once it has lasted half a second', () => {
    const { clock, breaker } = world()
    report(breaker, 'success', 600)
    report(breaker, 'failure', 50)
    clock.tick(499)
    report(breaker, 'failure')
    expect(stateOf(breaker)).toBe('closed')
    clock.tick(1)
    report(breaker, 'failure')
    expect(stateOf(breaker)).toBe('open')
  })

  it('does not mind that 70 % of the answers are slow', () => {
    const { breaker } = world()
    report(breaker, 'success', 3)
    report(breaker, 'slow', 7)
    expect(stateOf(breaker)).toBe('closed')
  })

  it('does not take it for an outage when many calls break at one moment', () => {
    const { clock, breaker } = world()
    for (let i = 0; i < 600; i++) {
      report(breaker, 'success')
      clock.tick(10)
    }
    report(breaker, 'failure', 300)
    clock.tick(400)
    report(breaker, 'failure')
    expect(stateOf(breaker)).toBe('closed')
    report(breaker, 'success')
    expect(stateOf(breaker)).toBe('closed')
  })

  it('stays closed for an hour at 200 calls a second of which a fifth fail', () => {
    const random = seededRandom(7)
    const { clock, breaker } = world()
    for (let i = 0; i < 3_600 * 200; i++) {
      report(breaker, random() < 0.2 ? 'failure' : 'success')
      clock.tick(5)
    }
    expect(stateOf(breaker)).toBe('closed')
  })

  it('takes five failures in a row over a second or more for an outage of a quiet upstream', () => {
    const { clock, breaker } = world()
    report(breaker, 'success', 2)
    for (let i = 0; i < 4; i++) {
      report(breaker, 'failure')
      clock.tick(250)
    }
    expect(stateOf(breaker)).toBe('closed')
    report(breaker, 'failure')
    expect(stateOf(breaker)).toBe('open')
  })

  it('does not take five failures within a second for an outage, nor a row that a success broke', () => {
    const { clock, breaker } = world()
    for (let i = 0; i < 5; i++) {
      report(breaker, 'failure')
      clock.tick(249)
    }
    expect(stateOf(breaker)).toBe('closed')
    report(breaker, 'success')
    clock.tick(60_000)
    report(breaker, 'failure', 4)
    clock.tick(2_000)
    expect(stateOf(breaker)).toBe('closed')
  })

  it('applies the rule of the row only where there is little traffic', () => {
    const { clock, breaker } = world()
    report(breaker, 'success', 90)
    for (let i = 0; i < 10; i++) {
      clock.tick(500)
      report(breaker, 'failure')
    }
    expect(stateOf(breaker)).toBe('closed')
  })

  it.each([0, -30_000, 5_000, 59_000])('forgets all calls at a close, also when the clock reads about %i', (nowMs) => {
    const { clock, breaker } = world({ openMs: 1_000 }, nowMs)
    trip(breaker)
    clock.tick(1_000)
    report(breaker, 'success', 3)
    expect(breaker.status()).toMatchObject({ state: 'closed', calls: 0 })
    report(breaker, 'failure')
    expect(stateOf(breaker)).toBe('closed')
  })

  it('notices a lost trial though the platform’s timers run a little early', () => {
    const clock = new FakeClock()
    const early = { ...clock, setTimer: (ms: number, fn: () => void) => clock.setTimer(Math.max(ms - 0.5, 0.1), fn) }
    const breaker = createCircuitBreaker({ clock: early, random: middle })
    trip(breaker)
    clock.tick(30_000)
    admit(breaker)
    clock.tick(10_001)
    expect(stateOf(breaker)).toBe('open')
  })

  it('notices a lost trial at the next call, where no timer ran', () => {
    const clock = new FakeClock()
    const stopped = { ...clock, setTimer: () => () => {} }
    const breaker = createCircuitBreaker({ clock: stopped, random: middle })
    trip(breaker)
    clock.tick(30_000)
    for (let i = 0; i < 3; i++) admit(breaker)
    clock.tick(10_000)
    expect(refusal(breaker)).toBe('open')
  })

  it('notices the trial that is lost first, whatever the order in which they began', () => {
    const { clock, breaker } = world()
    trip(breaker)
    clock.tick(30_000)
    admit(breaker, 5_000)
    admit(breaker, 2_000)
    admit(breaker)
    clock.tick(2_000)
    expect(stateOf(breaker)).toBe('open')
  })

  it('takes trials that have succeeded and trials under way together for those it allows', () => {
    const { clock, breaker } = world()
    trip(breaker)
    clock.tick(30_000)
    report(breaker, 'success')
    admit(breaker)
    admit(breaker)
    expect(refusal(breaker)).toBe('trials_busy')
  })

  it('gives a trial no longer than its caller’s own deadline', () => {
    const { clock, breaker } = world()
    trip(breaker)
    clock.tick(30_000)
    admit(breaker, 2_000)
    clock.tick(2_000)
    expect(stateOf(breaker)).toBe('open')
  })

  it('tells each change of state once', () => {
    const { clock, breaker, transitions } = world()
    trip(breaker)
    clock.tick(30_000)
    report(breaker, 'failure')
    clock.tick(60_000)
    report(breaker, 'success', 3)
    breaker.force('closed')
    breaker.force('closed')
    breaker.force('auto')
    expect(transitions).toEqual(['open', 'half_open', 'open', 'half_open', 'closed', 'forced_closed', 'closed'])
  })

  it.each([
    ['failureThreshold', 0],
    ['failureThreshold', 1.1],
    ['slowThreshold', Number.NaN],
    ['minCalls', 0],
    ['consecutiveFailures', 0],
    ['openMs', -1],
    ['trialCalls', 0],
    ['trialLeaseMs', 0],
  ])('refuses %s = %d by name', (name, value) => {
    expect(() => world({ [name]: value })).toThrow(new RegExp(`^${name} must be .*got ${value}$`))
  })
})

it('may be told to open only when every call fails', () => {
  const { breaker } = world({ failureThreshold: 1, consecutiveFailures: 1_000 })
  report(breaker, 'failure', 10)
  expect(stateOf(breaker)).toBe('open')
})

it('forgets all calls when an operator’s word is taken back', () => {
  const { breaker } = world()
  report(breaker, 'failure', 9)
  breaker.force('open')
  breaker.force('auto')
  expect(breaker.status()).toMatchObject({ state: 'closed', calls: 0 })
})

describe('a stream that breaks after its permit was settled', () => {
  it('turns the success that it was into a failure', () => {
    const { breaker } = world()
    report(breaker, 'success', 3)
    const permit = admit(breaker)
    permit.report('success')
    permit.failedLater()
    permit.failedLater()
    expect(breaker.status()).toMatchObject({ calls: 4, failureRate: 0.25 })
  })

  it('opens the circuit of an upstream that breaks every stream', () => {
    const { clock, breaker } = world()
    for (let i = 0; i < 10; i++) {
      const permit = admit(breaker)
      permit.report('success')
      clock.tick(1_000)
      permit.failedLater()
    }
    expect(stateOf(breaker)).toBe('open')
  })

  it.each(['success', 'slow'] as const)('counts in a row of failures of a quiet upstream: %s', (verdict) => {
    const { clock, breaker } = world()
    const permits = Array.from({ length: 5 }, () => admit(breaker))
    for (const permit of permits) permit.report(verdict)
    for (const permit of permits) {
      expect(stateOf(breaker)).toBe('closed')
      clock.tick(250)
      permit.failedLater()
    }
    expect(stateOf(breaker)).toBe('open')
  })

  it('counts as a call of its own when the success has left the window', () => {
    const { clock, breaker } = world()
    const permit = admit(breaker)
    permit.report('success')
    clock.tick(100_000)
    permit.failedLater()
    expect(breaker.status()).toMatchObject({ calls: 1, failureRate: 1 })
  })

  it('ends a recovery that it was a trial of, and no other', () => {
    const { clock, breaker } = world()
    const before = admit(breaker)
    before.report('success')
    trip(breaker)
    clock.tick(30_000)
    const trial = admit(breaker)
    trial.report('success')
    before.failedLater()
    expect(stateOf(breaker)).toBe('half_open')
    trial.failedLater()
    expect(stateOf(breaker)).toBe('open')
  })

  it('says nothing before it was settled, and nothing of what was no success', () => {
    const { breaker } = world()
    admit(breaker).failedLater()
    for (const verdict of ['failure', 'neutral'] as const) {
      const permit = admit(breaker)
      permit.report(verdict)
      permit.failedLater()
    }
    expect(breaker.status()).toMatchObject({ calls: 1, failureRate: 1 })
  })
})

describe('a late or cancelled trial', () => {
  it('whose caller leaves gives its place back, and what it brings later says nothing', async () => {
    const { clock, upstream, breaker, call } = guarded()
    trip(breaker)
    await clock.advance(30_000)
    const caller = new AbortController()
    const { promise, reject } = Promise.withResolvers<never>()
    const answer = call((signal) => {
      signal.addEventListener('abort', () => reject(signal.reason))
      return promise
    }, caller.signal)
    await settled()
    expect(stateOf(breaker)).toBe('half_open')
    caller.abort(new Error('left'))
    await expect(answer).rejects.toMatchObject({ class: 'client' })
    expect(stateOf(breaker)).toBe('half_open')
    expect(upstream.bulkhead.inUse).toBe(0)
    expect(clock.pendingTimers).toBe(0)
    for (let i = 0; i < 3; i++) await call(async () => 'ok')
    expect(stateOf(breaker)).toBe('closed')
  })

  it.each(['success', 'slow', 'failure', 'neutral'] as const)(
    'heard of after its lease changes nothing: %s',
    (verdict) => {
      const { clock, breaker } = world({ trialCalls: 1 })
      trip(breaker)
      clock.tick(30_000)
      const trial = admit(breaker)
      clock.tick(10_000)
      expect(stateOf(breaker)).toBe('open')
      const before = breaker.status()
      trial.report(verdict)
      trial.failedLater()
      expect(breaker.status()).toEqual(before)
    },
  )

  it.each(['success', 'failure'] as const)('is none of the next recovery’s trials: %s', (verdict) => {
    const { clock, breaker } = world({ trialCalls: 2 })
    trip(breaker)
    clock.tick(30_000)
    const late = admit(breaker)
    report(breaker, 'failure')
    clock.tick(60_000)
    report(breaker, 'success')
    late.report(verdict)
    expect(stateOf(breaker)).toBe('half_open')
    report(breaker, 'success')
    expect(stateOf(breaker)).toBe('closed')
  })

  it('given up before the others keeps only its own lease from counting', () => {
    const { clock, breaker } = world()
    trip(breaker)
    clock.tick(30_000)
    const given = admit(breaker, 1_000)
    admit(breaker, 5_000)
    given.report('neutral')
    clock.tick(4_999)
    expect(stateOf(breaker)).toBe('half_open')
    clock.tick(1)
    expect(stateOf(breaker)).toBe('open')
  })
})

describe('an active probe', () => {
  it('that succeeds during the trials neither restarts them nor counts as one', () => {
    const { clock, breaker, transitions } = world()
    trip(breaker)
    clock.tick(30_000)
    report(breaker, 'success', 2)
    breaker.probeSucceeded()
    expect(stateOf(breaker)).toBe('half_open')
    report(breaker, 'success')
    expect(transitions).toEqual(['open', 'half_open', 'closed'])
  })

  it.each(['open', 'closed'] as const)('changes nothing of the word %s', (word) => {
    const { breaker } = world()
    breaker.force(word)
    breaker.probeSucceeded()
    expect(stateOf(breaker)).toBe(`forced_${word}`)
  })

  it('that was wrong makes the next wait no shorter', () => {
    const { breaker } = world()
    const waits: number[] = []
    trip(breaker)
    for (let i = 0; i < 3; i++) {
      breaker.probeSucceeded()
      report(breaker, 'failure')
      waits.push(breaker.status().nextTrialInMs)
    }
    expect(waits).toEqual([60_000, 120_000, 240_000])
  })
})

describe('whether a call may be let through', () => {
  it('is told in every state, and asking changes nothing', () => {
    const { clock, breaker } = world({ trialCalls: 1 })
    const asked = () => {
      const before = JSON.stringify(breaker.snapshot())
      const ms = breaker.refusesForMs()
      expect(JSON.stringify(breaker.snapshot())).toBe(before)
      return ms
    }
    expect(asked()).toBe(0)
    trip(breaker)
    clock.tick(10_000)
    expect(asked()).toBe(20_000)
    clock.tick(30_000)
    expect(asked()).toBe(0)
    const trial = admit(breaker)
    expect(asked()).toBe(1_000)
    trial.report('neutral')
    expect(asked()).toBe(0)
    const two = world({ trialCalls: 2 })
    trip(two.breaker)
    two.clock.tick(30_000)
    report(two.breaker, 'success')
    expect(two.breaker.refusesForMs()).toBe(0)
    admit(two.breaker)
    expect(two.breaker.refusesForMs()).toBe(1_000)
    breaker.force('open')
    expect(asked()).toBe(30_000)
    breaker.force('closed')
    expect(asked()).toBe(0)
  })
})

describe('slow start', () => {
  const closedAgain = (random: () => number) => {
    const w = world({ random, slowStartStepMs: 1_000, openMs: 1_000 })
    trip(w.breaker)
    w.clock.tick(1_200)
    report(w.breaker, 'success', 3)
    expect(stateOf(w.breaker)).toBe('closed')
    return w
  }
  const admitted = (breaker: CircuitBreaker, calls: number) =>
    Array.from({ length: calls }, () => breaker.acquire()).filter((admission) => 'permit' in admission).length

  it('always admits minCalls in each step', () => {
    const { clock, breaker } = closedAgain(() => 0.999)
    for (let step = 0; step < 3; step++) {
      expect(admitted(breaker, 50)).toBe(10)
      expect(breaker.acquire()).toEqual({ refused: 'slow_start', retryAfterMs: 1_000 })
      clock.tick(1_000)
    }
    expect(admitted(breaker, 50)).toBe(50)
  })

  it('admits 25, 50 and 75 % of the rest, then everything', () => {
    const { clock, breaker } = closedAgain(seededRandom(3))
    for (const percent of [25, 50, 75]) {
      const rest = admitted(breaker, 10_010) - 10
      expect(Math.abs(rest / 100 - percent)).toBeLessThan(2)
      clock.tick(1_000)
    }
    expect(admitted(breaker, 1_000)).toBe(1_000)
  })

  it('is the rule where nothing else is said', () => {
    const clock = new FakeClock()
    const breaker = createCircuitBreaker({ clock, random: () => 0.999 })
    trip(breaker)
    clock.tick(36_000)
    report(breaker, 'success', 3)
    expect(admitted(breaker, 50)).toBe(10)
  })

  it('does not apply to a circuit that was never open', () => {
    const { breaker } = world({ random: () => 0.999, slowStartStepMs: 1_000 })
    expect(admitted(breaker, 1_000)).toBe(1_000)
  })

  it('does not follow an operator’s word', () => {
    const { breaker } = world({ random: () => 0.999, slowStartStepMs: 1_000 })
    breaker.force('open')
    breaker.force('auto')
    expect(admitted(breaker, 1_000)).toBe(1_000)
  })

  it('still opens when the upstream fails again', () => {
    const { breaker } = closedAgain(() => 0.999)
    trip(breaker)
    expect(stateOf(breaker)).toBe('open')
  })
})

describe('random histories', () => {
  type Step =
    | { do: 'acquire' }
    | { do: 'report'; which: number; verdict: Verdict }
    | { do: 'fail later'; which: number }
    | { do: 'advance'; ms: number }
    | { do: 'force'; to: 'open' | 'closed' | 'auto' }
    | { do: 'probe' }

  const verdict = fc.constantFrom<Verdict>('success', 'slow', 'failure', 'failure', 'failure', 'neutral')
  const which = fc.nat(30)
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 8, arbitrary: fc.constant<Step>({ do: 'acquire' }) },
    { weight: 8, arbitrary: fc.record({ do: fc.constant('report' as const), which, verdict }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('fail later' as const), which }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('advance' as const),
        ms: fc.constantFrom(1, 400, 1_000, 3_000, 12_000, 40_000),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('force' as const), to: fc.constantFrom('open', 'closed', 'auto') }),
    },
    { weight: 1, arbitrary: fc.constant<Step>({ do: 'probe' }) },
  )
  const options = { minCalls: 3, consecutiveFailures: 2, trialCalls: 2, slowStartStepMs: 500 }

  it('keep every promise', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), fc.nat(), (steps, seed) => {
        const clock = new FakeClock()
        let epoch = 0
        let openUntil = 0
        const seen: BreakerState[] = []
        const breaker = createCircuitBreaker({
          ...options,
          clock,
          random: seededRandom(seed),
          onTransition(to, from) {
            epoch++
            seen.push(to)
            const allowed: Record<BreakerState, BreakerState[]> = {
              closed: ['open'],
              open: ['half_open'],
              half_open: ['closed', 'open'],
              forced_open: ['closed'],
              forced_closed: ['closed'],
            }
            if (!to.startsWith('forced')) expect(allowed[from], `from ${from} only its neighbours follow`).toContain(to)
          },
        })
        const permits: { permit: Permit; born: number; told?: Verdict }[] = []
        const look = () => JSON.stringify([breaker.status(), breaker.snapshot(), clock.pendingTimers])

        for (const current of steps) {
          const before = look()
          const state = stateOf(breaker)
          const { failureRate, calls } = breaker.status()
          if (current.do === 'acquire') {
            const admission = breaker.acquire()
            const now = stateOf(breaker)
            if ('permit' in admission) {
              permits.push({ permit: admission.permit, born: epoch })
              expect(now === 'open' || now === 'forced_open', 'an open circuit admits nobody').toBe(false)
              if (state === 'open') expect(clock.now() >= openUntil, 'open never admits before its time').toBe(true)
            } else {
              expect(admission.retryAfterMs, 'a refusal says when').toBeGreaterThan(0)
              expect(now, 'forced closed refuses nobody').not.toBe('forced_closed')
            }
          } else if (current.do === 'report' || current.do === 'fail later') {
            const chosen = permits[current.which % Math.max(permits.length, 1)]
            if (!chosen) continue
            const stale = chosen.born !== epoch
            if (current.do === 'report') {
              const again = chosen.told !== undefined
              chosen.permit.report(current.verdict)
              chosen.told ??= current.verdict
              if (stale) expect(look(), 'a result from an older generation changes nothing').toBe(before)
              if (again) expect(look(), 'only the first report counts').toBe(before)
              if (state === 'closed' && current.verdict === 'neutral')
                expect(look(), 'neutral says nothing').toBe(before)
              if (!stale && !again && state === 'closed' && current.verdict === 'success') {
                expect(stateOf(breaker), 'a success opens nothing').toBe('closed')
                expect(breaker.status().calls).toBe(calls + 1)
                expect(breaker.status().failureRate).toBeLessThanOrEqual(failureRate)
              }
            } else {
              chosen.permit.failedLater()
              if (stale || chosen.told === undefined) expect(look(), 'too early or too late says nothing').toBe(before)
            }
          } else if (current.do === 'advance') clock.tick(current.ms)
          else if (current.do === 'force') {
            breaker.force(current.to)
            // The same word twice is no transition and a new generation all the same.
            if (current.to !== 'auto') epoch++
          } else breaker.probeSucceeded()

          const { state: now, nextTrialInMs, failureRate: rate } = breaker.status()
          if (now === 'open') openUntil = clock.now() + nextTrialInMs
          expect(rate, 'a share is a share').toBeLessThanOrEqual(1)
          const trials = permits.filter(({ born, told }) => born === epoch && told !== 'neutral')
          if (now === 'half_open') expect(trials.length, 'never more trials than allowed').toBeLessThanOrEqual(2)
          if (now !== 'half_open') expect(clock.pendingTimers, 'a timer waits only for trials').toBe(0)
          const other = createCircuitBreaker({ ...options, clock, random: middle, restore: breaker.snapshot() })
          expect(other.snapshot(), 'a snapshot survives the journey').toEqual(
            now === 'half_open' ? { ...breaker.snapshot(), state: 'open' } : breaker.snapshot(),
          )
        }
      }),
      { numRuns: 4_000 },
    )
  })

  it('always lead back to a closed circuit once the upstream is well', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.nat(), (steps, seed) => {
        const clock = new FakeClock()
        const breaker = createCircuitBreaker({ ...options, clock, random: seededRandom(seed) })
        const permits: Permit[] = []
        for (const current of steps) {
          if (current.do === 'acquire') {
            const admission = breaker.acquire()
            if ('permit' in admission) permits.push(admission.permit)
          } else if (current.do === 'report') permits[current.which % permits.length || 0]?.report(current.verdict)
          else if (current.do === 'advance') clock.tick(current.ms)
        }
        // Nobody tells how the calls under way went.
        clock.tick(10_000)
        clock.tick(360_001)
        for (let i = 0; i < 2; i++) {
          const admission = breaker.acquire()
          if ('permit' in admission) admission.permit.report('success')
        }
        expect(stateOf(breaker)).toBe('closed')
      }),
      { numRuns: 6_000 },
    )
  })
})

it('waits for a trial as long as it says that it may take', async () => {
  const { clock, breaker } = world({ trialCalls: 2 })
  trip(breaker)
  clock.tick(30_000)
  const long = admit(breaker, 600_000)
  clock.tick(70_000)
  long.report('success')
  admit(breaker, 600_000)
  clock.tick(599_999)
  expect(stateOf(breaker)).toBe('half_open')
  clock.tick(1)
  expect(stateOf(breaker)).toBe('open')
})

describe('a trial that takes long', () => {
  const minutes = 60_000
  /** Half-open, with as many trials as may be, none of which is heard of. */
  const hanging = () => {
    const { clock, breaker } = world()
    trip(breaker)
    clock.tick(30_000)
    return { clock, breaker, trials: [1, 2, 3].map(() => admit(breaker, 10 * minutes)) }
  }

  it('gives its place to another after the wait of an open circuit', () => {
    const { clock, breaker } = hanging()
    clock.tick(29_999)
    expect(refusal(breaker)).toBe('trials_busy')
    expect(breaker.refusesForMs()).toBe(1_000)
    clock.tick(1)
    expect(breaker.refusesForMs()).toBe(0)
    expect(breaker.placesTaken()).toBe(0)
    report(breaker, 'success', 3)
    expect(stateOf(breaker)).toBe('closed')
  })

  it('counts all the same when it is heard of, for and against', () => {
    const { clock, breaker, trials } = hanging()
    clock.tick(60_000)
    trials[0]!.report('success')
    report(breaker, 'success')
    expect(stateOf(breaker)).toBe('half_open')
    trials[1]!.report('success')
    expect(stateOf(breaker)).toBe('closed')
    trials[2]!.report('failure')
    expect(breaker.status()).toMatchObject({ state: 'closed', calls: 0 })

    const other = hanging()
    other.clock.tick(60_000)
    admit(other.breaker)
    other.trials[0]!.report('failure')
    expect(stateOf(other.breaker)).toBe('open')
  })

  it('is followed by no more than if each round had failed', () => {
    const { clock, breaker } = hanging()
    const begun: number[] = []
    for (let second = 1; second < 570; second++) {
      clock.tick(1_000)
      while ('permit' in breaker.acquire(20 * minutes)) begun.push(second)
    }
    expect(stateOf(breaker)).toBe('half_open')
    expect(begun).toEqual([30, 90, 210, 450].flatMap((second) => [second, second, second]))
  })

  it('still counts as a failure when it is never heard of', () => {
    const { clock, breaker } = hanging()
    clock.tick(5 * minutes)
    admit(breaker, 10 * minutes)
    clock.tick(5 * minutes - 1)
    expect(stateOf(breaker)).toBe('half_open')
    clock.tick(1)
    expect(stateOf(breaker)).toBe('open')
  })
})

it('keeps a trial’s lease timer no longer than the trial', async () => {
  const { clock, breaker } = world()
  trip(breaker)
  clock.tick(30_000)
  const trials = [admit(breaker), admit(breaker), admit(breaker)]
  expect(clock.pendingTimers).toBe(1)
  for (const trial of trials) trial.report('neutral')
  await settled()
  expect(clock.pendingTimers).toBe(0)
})
