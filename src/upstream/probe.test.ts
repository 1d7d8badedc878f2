import { describe, expect, it } from 'vitest'
import { FakeBoard } from '../../tests/support/fake-board.ts'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import { HttpFailure } from '../ports.ts'
import type { Verdict } from '../resilience/circuit-breaker.ts'
import { instruments } from '../telemetry/instruments.ts'
import { type Circuit, createUpstream } from './upstream.ts'

const middle = (): number => 0.5
interface Options {
  random?: () => number
  openMs?: number
  fleet?: FakeBoard
}
type Answer = boolean | 'silence' | 'rejects'

function world({ random = middle, openMs = 30_000, fleet }: Options = {}) {
  const clock = new FakeClock()
  const metrics = new FakeMetrics()
  const asks: { atMs: number; signal: AbortSignal; answer: (ok: boolean) => void }[] = []
  const provider = { answers: false as Answer }
  const startedAt = clock.now()
  const upstream = createUpstream({
    name: 'openai',
    clock,
    random,
    metrics,
    maxConcurrent: 10,
    retryBudgetRatio: 0.1,
    breaker: { slowStartStepMs: 0, trialCalls: 1, openMs },
    circuitName: (key) => `openai:${key}`,
    onTransition: () => {},
    fleet,
    probe: (signal) =>
      new Promise((resolve, reject) => {
        asks.push({ atMs: clock.now() - startedAt, signal, answer: resolve })
        if (provider.answers === 'rejects') reject(new HttpFailure('reset'))
        else if (provider.answers !== 'silence') resolve(provider.answers)
      }),
  })
  const circuit = upstream.circuit('gpt')
  return { clock, metrics, upstream, circuit, provider, asks }
}

function report({ breaker }: Circuit, verdict: Verdict, times = 1) {
  for (let i = 0; i < times; i++) {
    const admission = breaker.acquire()
    if ('permit' in admission) admission.permit.report(verdict)
  }
}
const trip = (circuit: Circuit) => {
  report(circuit, 'failure', 10)
  expect(stateOf(circuit)).toBe('open')
}
const stateOf = ({ breaker }: Circuit) => breaker.status().state

describe('a probe', () => {
  it('is made every 4 s while a circuit is open, and lets trial calls through once it succeeds', async () => {
    const { clock, circuit, provider, asks, metrics } = world()
    trip(circuit)
    await clock.advance(11_999)
    expect(asks.map(({ atMs }) => atMs)).toEqual([4_000, 8_000])
    expect(stateOf(circuit)).toBe('open')
    provider.answers = true
    await clock.advance(1)
    expect(stateOf(circuit)).toBe('half_open')
    const outcomes = (outcome: string) => metrics.counted(instruments.upstreamRequests, { upstream: 'openai', outcome })
    expect([outcomes('probe_ok'), outcomes('probe_failed')]).toEqual([1, 2])
  })

  it('comes at times spread over ±20 %, so that pods do not ask together', async () => {
    const { clock, circuit, asks } = world({ random: seededRandom(5), openMs: 3_600_000 })
    trip(circuit)
    await clock.advance(2_000_000)
    const gaps = asks.slice(1).map(({ atMs }, i) => atMs - asks[i]!.atMs)
    expect(gaps.length).toBeGreaterThan(400)
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(3_200)
    expect(Math.max(...gaps)).toBeLessThan(4_800)
    expect(Math.min(...gaps)).toBeLessThan(3_250)
    expect(Math.max(...gaps)).toBeGreaterThan(4_750)
  })

  it('leaves no timer while no circuit is open', async () => {
    const { clock, upstream, circuit, provider } = world()
    expect(clock.pendingTimers).toBe(0)
    trip(circuit)
    expect(clock.pendingTimers).toBe(1)
    provider.answers = true
    await clock.advance(4_000)
    expect(stateOf(circuit)).toBe('half_open')
    report(circuit, 'success')
    expect(stateOf(circuit)).toBe('closed')
    await clock.advance(60_000)
    expect(clock.pendingTimers).toBe(0)
    trip(circuit)
    upstream.force('openai:gpt', 'open')
    await clock.advance(4_000)
    expect(clock.pendingTimers).toBe(0)
  })

  it('is not needed once the wait is over: the next call is the trial', async () => {
    const { clock, circuit, asks } = world()
    trip(circuit)
    await clock.advance(40_000)
    expect(asks).toHaveLength(7)
    expect(clock.pendingTimers).toBe(0)
    // The trial fails and the circuit opens anew.
    report(circuit, 'failure')
    await clock.advance(4_000)
    expect(asks).toHaveLength(8)
  })

  it('is one for the upstream, however many of its circuits are open, and counts for all of them', async () => {
    const { clock, upstream, provider, asks } = world()
    const circuits = ['a', 'b', 'c'].map((key) => upstream.circuit(key))
    for (const circuit of circuits) {
      trip(circuit)
      await clock.advance(100)
    }
    expect(clock.pendingTimers).toBe(1)
    provider.answers = true
    await clock.advance(4_000)
    expect(asks).toHaveLength(1)
    expect(circuits.map(stateOf)).toEqual(['half_open', 'half_open', 'half_open'])
  })

  it('takes at most 2 s, also where nobody obeys its signal', async () => {
    const { clock, circuit, provider, asks } = world()
    trip(circuit)
    provider.answers = 'silence'
    await clock.advance(5_999)
    expect(asks[0]!.signal.aborted).toBe(false)
    await clock.advance(1)
    expect(asks[0]!.signal.aborted).toBe(true)
    provider.answers = true
    await clock.advance(4_000)
    expect(asks).toHaveLength(2)
    expect(stateOf(circuit)).toBe('half_open')
  })

  it('that is rejected is a failed one', async () => {
    const { clock, circuit, provider, metrics } = world()
    trip(circuit)
    provider.answers = 'rejects'
    await clock.advance(4_000)
    expect(stateOf(circuit)).toBe('open')
    expect(metrics.counted(instruments.upstreamRequests, { outcome: 'probe_failed' })).toBe(1)
  })

  it('stops for good when it is told to, an open question included', async () => {
    const { clock, upstream, circuit, provider, asks } = world()
    trip(circuit)
    provider.answers = 'silence'
    await clock.advance(4_000)
    upstream.stop()
    expect(asks[0]!.signal.aborted).toBe(true)
    await settled()
    report(upstream.circuit('other'), 'failure', 10)
    await clock.advance(30_000)
    expect(asks).toHaveLength(1)
    expect(clock.pendingTimers).toBe(0)
  })

  it('does not touch a circuit that opened while it was under way', async () => {
    const { clock, upstream, circuit, provider, asks } = world()
    const late = upstream.circuit('late')
    trip(circuit)
    provider.answers = 'silence'
    await clock.advance(4_000)
    trip(late)
    asks[0]!.answer(true)
    await settled()
    expect(stateOf(circuit)).toBe('half_open')
    expect(stateOf(late)).toBe('open')
  })

  it('does not touch a circuit whose trial failed while it was under way', async () => {
    const { clock, circuit, provider, asks } = world({ openMs: 5_000 })
    trip(circuit)
    provider.answers = 'silence'
    await clock.advance(5_000)
    report(circuit, 'failure')
    expect(stateOf(circuit)).toBe('open')
    asks[0]!.answer(true)
    await settled()
    expect(stateOf(circuit)).toBe('open')
  })

  it('does not touch an operator’s word', async () => {
    const { clock, upstream, circuit, provider, asks } = world()
    trip(circuit)
    provider.answers = 'silence'
    await clock.advance(4_000)
    upstream.force('openai:gpt', 'open')
    asks[0]!.answer(true)
    await settled()
    expect(stateOf(circuit)).toBe('forced_open')
  })
})

describe('a provider whose probes succeed while its calls fail', () => {
  it('is believed after 1, 2, 4, then 5 successes in a row, and after 1 again once it has closed', async () => {
    const { clock, circuit, provider, asks } = world({ openMs: 300_000 })
    trip(circuit)
    provider.answers = true
    const probes: number[] = []
    for (let i = 0; i < 5; i++) {
      const before = asks.length
      while (stateOf(circuit) === 'open') await clock.advance(4_000)
      probes.push(asks.length - before)
      report(circuit, 'failure')
      expect(stateOf(circuit)).toBe('open')
    }
    expect(probes).toEqual([1, 2, 4, 5, 5])
    while (stateOf(circuit) === 'open') await clock.advance(4_000)
    report(circuit, 'success')
    trip(circuit)
    await clock.advance(4_000)
    expect(stateOf(circuit)).toBe('half_open')
  })

  it('begins anew with its row after a probe that failed', async () => {
    const { clock, circuit, provider } = world({ openMs: 300_000 })
    trip(circuit)
    provider.answers = true
    await clock.advance(4_000)
    report(circuit, 'failure')
    for (const answers of [true, false, true]) {
      provider.answers = answers
      await clock.advance(4_000)
      expect(stateOf(circuit)).toBe('open')
    }
    await clock.advance(4_000)
    expect(stateOf(circuit)).toBe('half_open')
  })

  it('is not doubted more for a trial that failed when its wait was over, without a probe’s word', async () => {
    const { clock, circuit, provider } = world()
    trip(circuit)
    await clock.advance(30_000)
    report(circuit, 'failure')
    provider.answers = true
    await clock.advance(4_000)
    expect(stateOf(circuit)).toBe('half_open')
  })

  it('is doubted for that circuit alone', async () => {
    const { clock, upstream, provider } = world({ openMs: 300_000 })
    const [broken, sound] = [upstream.circuit('broken'), upstream.circuit('sound')]
    trip(broken)
    trip(sound)
    provider.answers = true
    await clock.advance(4_000)
    report(broken, 'failure')
    report(sound, 'success')
    trip(sound)
    await clock.advance(4_000)
    expect([stateOf(broken), stateOf(sound)]).toEqual(['open', 'half_open'])
  })
})

describe('in a fleet', () => {
  const what = 'openai?'
  const together = () => {
    const fleet = new FakeBoard()
    const w = world({ fleet, openMs: 300_000 })
    const answered = (succeeded: boolean, at = w.clock.now()) => ({
      name: what,
      state: succeeded ? ('closed' as const) : ('open' as const),
      own: true,
      byTrials: false,
      at,
      until: at,
    })
    const told = () => fleet.told.filter(([circuit]) => circuit === what).map(([, report]) => report)
    const due = () => w.circuit.breaker.refusesForMs() === 0
    return { ...w, fleet, answered, told, due }
  }

  it('only who has claimed the interval asks, and tells the others', async () => {
    const { clock, circuit, asks, fleet, told, answered } = together()
    trip(circuit)
    fleet.answers = 'held'
    await clock.advance(8_000)
    expect(asks).toHaveLength(0)
    expect(fleet.claims).toMatchObject([
      { what, ms: 3_000 },
      { what, ms: 3_000 },
    ])
    fleet.answers = 'granted'
    await clock.advance(4_000)
    expect(asks).toHaveLength(1)
    expect(told()).toEqual([answered(false)])
    fleet.answers = 'unknown'
    await clock.advance(4_000)
    expect(asks).toHaveLength(1)
  })

  it('each asks for itself while the board is out of reach', async () => {
    const { clock, circuit, asks, fleet } = together()
    trip(circuit)
    fleet.inReach = false
    await clock.advance(4_000)
    expect(asks).toHaveLength(1)
    expect(fleet.claims).toHaveLength(0)
  })

  it('an answer that another got is believed like one’s own', async () => {
    const { clock, circuit, fleet, answered, due } = together()
    trip(circuit)
    fleet.answers = 'held'
    await clock.advance(1_000)
    fleet.say('pod-2', what, answered(false))
    expect(due()).toBe(false)
    fleet.say('pod-2', what, answered(true))
    expect(due()).toBe(true)
    expect(stateOf(circuit)).toBe('open')
  })

  it('an answer from before the circuit opened is not', async () => {
    const { clock, circuit, fleet, answered, due } = together()
    await clock.advance(1_000)
    trip(circuit)
    fleet.say('pod-2', what, answered(true))
    expect(due()).toBe(false)
    fleet.say('pod-3', what, answered(true, clock.now() + 1))
    expect(due()).toBe(true)
  })

  it('is doubted by all after the failed trials of others, and one report counts once', async () => {
    const { clock, circuit, fleet, answered, due } = together()
    trip(circuit)
    fleet.answers = 'held'
    await clock.advance(1_000)
    fleet.say('pod-2', what, answered(true))
    expect(due()).toBe(true)
    await clock.advance(1_000)
    for (const pod of ['pod-3', 'pod-4']) {
      const at = clock.now()
      const until = at + 60_000
      fleet.say(pod, 'openai/gpt', { name: 'openai:gpt', state: 'open', own: true, byTrials: true, at, until })
    }
    expect(due(), 'two have failed').toBe(false)
    await clock.advance(1_000)
    // The first that is heard tells that it was doubted; from then on two in a row are needed.
    fleet.say('pod-2', what, answered(true))
    await clock.advance(1_000)
    fleet.say('pod-2', what, answered(true))
    fleet.say('pod-5', 'another', answered(true))
    expect(due()).toBe(false)
    await clock.advance(1_000)
    fleet.say('pod-2', what, answered(true))
    expect(due()).toBe(true)
  })

  it('waits for its turn without doubt growing meanwhile', async () => {
    const { clock, upstream, circuit, fleet, answered, due } = together()
    trip(circuit)
    fleet.answers = 'held'
    await clock.advance(1_000)
    fleet.say('pod-2', what, answered(true))
    // Another circuit opens, so that all are looked at.
    trip(upstream.circuit('other'))
    expect(due()).toBe(true)
    circuit.breaker.stayOpen()
    trip(upstream.circuit('a third'))
    await clock.advance(1_000)
    fleet.say('pod-2', what, answered(true))
    expect(due()).toBe(false)
    await clock.advance(1_000)
    fleet.say('pod-2', what, answered(true))
    expect(due()).toBe(true)
  })

  it('says nothing more once all of its circuits are closed', async () => {
    const { clock, upstream, circuit, told } = together()
    trip(circuit)
    trip(upstream.circuit('other'))
    await clock.advance(4_000)
    circuit.breaker.recover()
    expect(told()).toHaveLength(1)
    upstream.circuit('other').breaker.recover()
    expect(told().at(-1)).toBeUndefined()
    expect(told()).toHaveLength(2)
  })

  it('asks nothing where it was stopped while it waited for its turn', async () => {
    const { clock, upstream, circuit, asks, fleet } = together()
    trip(circuit)
    fleet.answers = 'later'
    await clock.advance(4_000)
    upstream.stop()
    fleet.claims[0]!.answer('granted')
    await clock.advance(30_000)
    expect(asks).toHaveLength(0)
    expect(clock.pendingTimers).toBe(0)
  })
})
