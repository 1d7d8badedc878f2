import { describe, expect, it } from 'vitest'
import { FakeBoard } from '../../tests/support/fake-board.ts'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import type { BreakerState, Verdict } from './circuit-breaker.ts'
import { alone, type CircuitReport } from './fleet-board.ts'
import { createFleetBreaker, type FleetBreakerOptions } from './fleet-breaker.ts'

const circuit = 'up/gpt'
const middle = () => 0.5

function world(options: Partial<FleetBreakerOptions> = {}) {
  const clock = new FakeClock()
  const board = new FakeBoard()
  const transitions: BreakerState[] = []
  const breaker = createFleetBreaker({
    clock,
    random: middle,
    slowStartStepMs: 0,
    fleet: board,
    circuit,
    name: () => 'up:gpt',
    onTransition: (to) => transitions.push(to),
    ...options,
  })
  board.listen({ onReports: () => breaker.heard() })
  const report = (verdict: Verdict, times = 1) => {
    for (let i = 0; i < times; i++) {
      const admission = breaker.acquire()
      if ('refused' in admission) throw new Error(admission.refused)
      admission.permit.report(verdict)
    }
  }
  /** By its own calls: with `middle`, for 30 s. */
  const trip = () => {
    for (let i = 0; i < 20 && breaker.state() === 'closed'; i++) report('failure')
    expect(breaker.state()).toBe('open')
  }
  const opened = (more: Partial<CircuitReport> = {}): CircuitReport => ({
    name: 'up:gpt',
    state: 'open',
    own: true,
    byTrials: false,
    at: clock.now(),
    until: clock.now() + 30_000,
    ...more,
  })
  const say = (pods: number, more: Partial<CircuitReport> = {}, from = 0) => {
    for (let i = 0; i < pods; i++) board.say(`pod-${from + i}`, circuit, opened(more))
  }
  const lastTold = () => board.told.at(-1)?.[1]
  /** Its wait is over and its claim granted: a trial call is under way. */
  const beginTrial = async () => {
    const refused = breaker.acquire()
    if (!('refused' in refused) || !refused.turn) throw new Error('it was to ask for its turn')
    await refused.turn
    const admission = breaker.acquire()
    if ('refused' in admission) throw new Error(admission.refused)
    return admission.permit
  }
  return { clock, board, breaker, transitions, report, trip, opened, say, lastTold, beginTrial }
}

describe('opening early', () => {
  it('takes 30 % of the pods, open by their own calls, and a failure of its own', () => {
    const { breaker, say, report, transitions } = world()
    say(14)
    report('failure')
    expect(breaker.state()).toBe('closed')
    say(1, {}, 14)
    expect(breaker.state()).toBe('open')
    expect(transitions).toEqual(['open'])
  })

  it('comes at the first failure once the others know', () => {
    const { breaker, say, report } = world()
    say(15)
    report('success', 100)
    expect(breaker.state()).toBe('closed')
    report('failure')
    expect(breaker.state()).toBe('open')
  })

  it('comes for a stream that breaks after it began as well', () => {
    const { breaker, say } = world()
    say(15)
    const admission = breaker.acquire()
    if ('refused' in admission) throw new Error('refused')
    admission.permit.report('success')
    admission.permit.failedLater()
    expect(breaker.state()).toBe('open')
  })

  it.each([
    [1, 2],
    [2, 2],
    [6, 2],
    [7, 3],
    [10, 3],
    [11, 4],
  ])('in a fleet of %i takes %i others', (pods, others) => {
    const { board, breaker, say, report } = world()
    board.count = pods
    say(others - 1)
    report('failure')
    expect(breaker.state()).toBe('closed')
    say(others)
    expect(breaker.state()).toBe('open')
  })

  it('does not come for a pod whose calls succeed, nor whose latest call did', () => {
    const { breaker, say, report } = world()
    report('failure')
    report('success')
    say(50)
    expect(breaker.state()).toBe('closed')
  })

  it('does not come for a failure of more than 10 s ago', () => {
    const { clock, breaker, say, report } = world()
    report('failure')
    clock.tick(10_001)
    say(50)
    expect(breaker.state()).toBe('closed')
    report('success')
    report('failure')
    expect(breaker.state()).toBe('open')
    const early = world()
    early.report('failure')
    early.clock.tick(10_000)
    early.say(50)
    expect(early.breaker.state()).toBe('open')
  })

  it.each<[string, Partial<CircuitReport>]>([
    ['opened on the word of others', { own: false }],
    ['are closed', { state: 'closed' }],
    ['are forced open', { state: 'forced_open' }],
    ['have waited long enough', { until: 5_000 }],
  ])('does not count pods that %s', (_what, more) => {
    const { breaker, say, report } = world()
    say(50, more)
    report('failure')
    expect(breaker.state()).toBe('closed')
  })

  it('counts the one that tries', () => {
    const { board, breaker, say, report } = world()
    board.count = 3
    say(1)
    say(1, { state: 'half_open', until: 0 }, 1)
    report('failure')
    expect(breaker.state()).toBe('open')
  })

  it('does not count what was said before this pod was last closed', async () => {
    const { clock, breaker, say, report, trip, beginTrial } = world()
    trip()
    say(15)
    clock.tick(30_000)
    const trial = await beginTrial()
    trial.report('success')
    report('success', 2)
    expect(breaker.state()).toBe('closed')
    say(15, { at: clock.now(), until: clock.now() + 30_000 })
    report('failure')
    expect(breaker.state()).toBe('closed')
    say(15, { at: clock.now() + 1, until: clock.now() + 30_000 })
    expect(breaker.state()).toBe('open')
  })

  it('does not come while the board is out of reach', () => {
    const { board, breaker, say, report } = world()
    say(50)
    board.inReach = false
    report('failure')
    expect(breaker.state()).toBe('closed')
  })

  it('is no evidence for others', () => {
    const { clock, say, report, lastTold } = world()
    say(15)
    report('failure')
    expect(lastTold()).toEqual({
      name: 'up:gpt',
      state: 'open',
      own: false,
      byTrials: false,
      at: clock.now(),
      until: clock.now() + 30_000,
    })
  })

  it('takes twice as many failures in a row each time, up to minCalls, and one again after ten quiet minutes', () => {
    const { clock, breaker, say, report } = world({ minCalls: 5, failureThreshold: 1 })
    const needed: number[] = []
    const early = () => {
      say(50, { at: clock.now() + 1 })
      // A success before, so that the share does not open it.
      report('success')
      let row = 0
      for (; breaker.state() === 'closed'; row++) report('failure')
      needed.push(row)
      breaker.force('closed')
      breaker.force('auto')
      clock.tick(1_000)
    }
    for (let i = 0; i < 5; i++) early()
    expect(needed).toEqual([1, 2, 4, 5, 5])
    clock.tick(599_000)
    early()
    clock.tick(599_001)
    early()
    early()
    expect(needed.slice(5)).toEqual([5, 1, 2])
  })
})

describe('trying', () => {
  it('waits for the claim, and then lets as many through as one pod may', async () => {
    const { clock, board, breaker, trip, beginTrial } = world()
    trip()
    expect(breaker.acquire()).toEqual({ refused: 'open', retryAfterMs: 30_000 })
    expect(board.claims).toEqual([])
    clock.tick(30_000)
    await beginTrial()
    expect(breaker.state()).toBe('half_open')
    expect(board.claims).toMatchObject([{ what: circuit, ms: 5_000 }])
    expect('permit' in breaker.acquire()).toBe(true)
    expect('permit' in breaker.acquire()).toBe(true)
    expect(breaker.acquire()).toEqual({ refused: 'trials_busy', retryAfterMs: 1_000 })
    expect(breaker.placesTaken()).toBe(3)
  })

  it('lets as many calls wait for the answer as may try, and asks once for them', () => {
    const { clock, board, breaker, trip } = world()
    board.answers = 'later'
    trip()
    clock.tick(30_000)
    const refusals = Array.from({ length: 5 }, () => breaker.acquire())
    expect(refusals.map((refusal) => 'turn' in refusal)).toEqual([true, true, true, false, false])
    expect(refusals[4]).toEqual({ refused: 'trials_busy', retryAfterMs: 1_000 })
    expect(board.claims).toHaveLength(1)
    expect(breaker.state()).toBe('open')
  })

  it('is another’s while that one holds the claim, and is asked for again after half a second', async () => {
    const { clock, board, breaker, trip } = world()
    board.answers = 'held'
    trip()
    clock.tick(30_000)
    expect(breaker.refusesForMs()).toBe(0)
    for (let i = 0; i < 3; i++) {
      expect(breaker.acquire()).toMatchObject({ refused: 'trials_busy', turn: expect.any(Promise) })
      await settled()
      expect(breaker.acquire()).toEqual({ refused: 'trials_busy', retryAfterMs: 1_000 })
      expect(breaker.refusesForMs()).toBe(1_000)
      clock.tick(499)
      expect('turn' in breaker.acquire()).toBe(false)
      clock.tick(1)
      expect(breaker.refusesForMs()).toBe(0)
    }
    expect(board.claims).toHaveLength(3)
    expect(breaker.state()).toBe('open')
  })

  it('is begun by nobody on an answer that is late: the claim counts from its asking', async () => {
    const { clock, board, breaker, trip } = world()
    board.answers = 'later'
    trip()
    clock.tick(30_000)
    breaker.acquire()
    clock.tick(4_500)
    board.claims[0]!.answer('granted')
    await settled()
    expect(breaker.acquire()).toMatchObject({ turn: expect.any(Promise) })
    expect(board.claims).toHaveLength(2)
    clock.tick(4_499)
    board.claims[1]!.answer('granted')
    await settled()
    expect('permit' in breaker.acquire()).toBe(true)
  })

  it('goes on only while the claim does, which is renewed while trials are under way', async () => {
    const { clock, board, breaker, trip, beginTrial } = world({ trialLeaseMs: 60_000 })
    trip()
    clock.tick(30_000)
    const trial = await beginTrial()
    for (let i = 0; i < 20; i++) {
      clock.tick(500)
      await settled()
    }
    expect(board.claims).toHaveLength(7)
    expect('permit' in breaker.acquire()).toBe(true)
    trial.report('neutral')
    board.answers = 'unknown'
    for (let i = 0; i < 9; i++) {
      // No answer takes nothing away before its time.
      if (i === 6) expect('permit' in breaker.acquire()).toBe(true)
      clock.tick(500)
      await settled()
    }
    // The last that was granted was asked for 4.5 s and more ago: the others may be at it.
    expect(breaker.acquire()).toMatchObject({ refused: 'trials_busy' })
    await settled()
    expect(breaker.refusesForMs()).toBe(1_000)
    expect(breaker.state()).toBe('half_open')
  })

  it('leaves the next turn to others where its trials hang, and closes with them', async () => {
    const { clock, board, breaker, trip, say, beginTrial } = world({ trialLeaseMs: 600_000 })
    trip()
    clock.tick(30_000)
    const trial = await beginTrial()
    for (let second = 0; second < 40; second++) {
      clock.tick(1_000)
      await settled()
    }
    const claims = board.claims.length
    clock.tick(60_000)
    await settled()
    expect(board.claims).toHaveLength(claims)
    expect(breaker.acquire()).toMatchObject({ turn: expect.any(Promise) })
    say(1, { state: 'closed', byTrials: true })
    expect(breaker.state()).toBe('closed')
    trial.report('failure')
    expect(breaker.status()).toMatchObject({ state: 'closed', calls: 0 })
  })

  it('leaves no timer and no claim behind when its trials are over', async () => {
    const { clock, board, breaker, trip, beginTrial } = world()
    trip()
    clock.tick(30_000)
    const trial = await beginTrial()
    trial.report('neutral')
    await settled()
    for (let i = 0; i < 10; i++) {
      clock.tick(500)
      await settled()
    }
    expect(board.claims).toHaveLength(1)
    expect(clock.pendingTimers).toBe(0)
    expect(breaker.acquire()).toMatchObject({ turn: expect.any(Promise) })
  })

  it('renews for a trial that begins late in the claim', async () => {
    const { clock, board, trip, beginTrial, breaker } = world({ trialLeaseMs: 60_000 })
    trip()
    clock.tick(30_000)
    const first = await beginTrial()
    first.report('neutral')
    clock.tick(4_400)
    await settled()
    expect('permit' in breaker.acquire()).toBe(true)
    expect(board.claims).toHaveLength(1)
    clock.tick(100)
    await settled()
    expect(board.claims).toHaveLength(2)
  })

  it('stops at once where another has the claim after all', async () => {
    const { clock, board, breaker, trip, beginTrial } = world()
    trip()
    clock.tick(30_000)
    await beginTrial()
    board.answers = 'held'
    clock.tick(1_500)
    await settled()
    expect(breaker.acquire()).toEqual({ refused: 'trials_busy', retryAfterMs: 1_000 })
  })

  it('is each pod’s own while the board is out of reach', async () => {
    const { clock, board, breaker, trip } = world()
    trip()
    board.inReach = false
    clock.tick(30_000)
    expect('permit' in breaker.acquire()).toBe(true)
    expect(board.claims).toEqual([])
    // Back again: what is under way goes on, and for more the claim is needed.
    board.inReach = true
    board.answers = 'held'
    expect(breaker.acquire()).toMatchObject({ turn: expect.any(Promise) })
    await settled()
    expect(breaker.refusesForMs()).toBe(1_000)
    board.inReach = false
    expect(breaker.refusesForMs()).toBe(0)
    expect('permit' in breaker.acquire()).toBe(true)
  })

  it('is not told of as another’s turn where the circuit is closed', async () => {
    const { clock, board, breaker, trip, say } = world()
    board.answers = 'held'
    trip()
    clock.tick(30_000)
    breaker.acquire()
    await settled()
    expect(breaker.refusesForMs()).toBe(1_000)
    say(1, { state: 'closed', byTrials: true })
    expect(breaker.state()).toBe('closed')
    expect(breaker.refusesForMs()).toBe(0)
  })

  it('that fails gives others the next turn: the claim runs out, and half a second more', async () => {
    const { clock, board, breaker, trip, beginTrial } = world()
    trip()
    clock.tick(30_000)
    const trial = await beginTrial()
    const claimedAt = clock.now()
    trial.report('failure')
    expect(breaker.state()).toBe('open')
    breaker.probeSucceeded()
    expect(breaker.acquire()).toEqual({ refused: 'trials_busy', retryAfterMs: 1_000 })
    clock.tick(claimedAt + 5_499 - clock.now())
    expect('turn' in breaker.acquire()).toBe(false)
    clock.tick(1)
    expect(breaker.acquire()).toMatchObject({ turn: expect.any(Promise) })
    expect(board.claims).toHaveLength(2)
  })

  it('that fails without a claim costs no turn', () => {
    const { clock, board, breaker, trip } = world()
    trip()
    board.inReach = false
    clock.tick(30_000)
    const admission = breaker.acquire()
    if ('permit' in admission) admission.permit.report('failure')
    expect(breaker.state()).toBe('open')
    board.inReach = true
    clock.tick(60_000)
    expect(breaker.acquire()).toMatchObject({ turn: expect.any(Promise) })
  })

  it('comes early on the word of a probe, but in turn; alone at once', async () => {
    const { board, breaker, trip, beginTrial } = world()
    trip()
    breaker.probeSucceeded()
    expect(breaker.state()).toBe('open')
    expect(breaker.refusesForMs()).toBe(0)
    await beginTrial()
    const other = world()
    other.trip()
    other.board.inReach = false
    other.breaker.probeSucceeded()
    expect(other.breaker.state()).toBe('half_open')
    expect(board.claims).toHaveLength(1)
  })

  it('a probe shortens no wait that is over, and opens nothing', () => {
    const { clock, breaker, trip } = world()
    breaker.probeSucceeded()
    expect(breaker.state()).toBe('closed')
    trip()
    clock.tick(40_000)
    breaker.probeSucceeded()
    expect(breaker.refusesForMs()).toBe(0)
    breaker.force('open')
    breaker.probeSucceeded()
    expect(breaker.state()).toBe('forced_open')
  })
})

describe('closing together', () => {
  const recovered = { state: 'closed', byTrials: true } as const

  it('follows the trials of another, whatever is left of the wait', () => {
    const { clock, breaker, trip, say, lastTold } = world()
    trip()
    clock.tick(1)
    say(1, recovered)
    expect(breaker.state()).toBe('closed')
    expect(lastTold()).toBeUndefined()
  })

  it('returns in steps, which are the whole fleet’s', () => {
    const { clock, board, breaker, trip, say } = world({ slowStartStepMs: 1_000, random: () => 0.999 })
    trip()
    clock.tick(1)
    say(1, recovered)
    const admitted = () => Array.from({ length: 50 }, () => breaker.acquire()).filter((a) => 'permit' in a).length
    expect(admitted()).toBe(1)
    clock.tick(1_000)
    board.count = 4
    expect(admitted()).toBe(3)
  })

  it('follows none from before it opened, nor one that is told again', () => {
    const { clock, board, breaker, trip, opened, report } = world()
    const before = opened(recovered)
    clock.tick(1)
    trip()
    board.say('pod-1', circuit, before)
    expect(breaker.state()).toBe('open')
    board.say('pod-2', circuit, opened(recovered))
    expect(breaker.state(), 'at the same moment').toBe('open')
    clock.tick(1)
    const again = opened(recovered)
    board.say('pod-3', circuit, again)
    expect(breaker.state()).toBe('closed')
    report('failure', 10)
    expect(breaker.state()).toBe('open')
    board.say('pod-3', circuit, again)
    expect(breaker.state()).toBe('open')
  })

  it.each<[string, Partial<CircuitReport>]>([
    ['closed on the word of others', { ...recovered, own: false }],
    ['was never open', { ...recovered, byTrials: false }],
    ['is forced closed', { ...recovered, state: 'forced_closed' }],
  ])('follows none that %s', (_what, more) => {
    const { clock, breaker, trip, say } = world()
    trip()
    clock.tick(1)
    say(1, more)
    expect(breaker.state()).toBe('open')
  })

  it('ends trials of its own, whose results say nothing any more', async () => {
    const { clock, breaker, trip, beginTrial, say, transitions } = world()
    trip()
    clock.tick(30_000)
    const trial = await beginTrial()
    clock.tick(1)
    say(1, recovered)
    expect(breaker.state()).toBe('closed')
    trial.report('failure')
    expect(breaker.state()).toBe('closed')
    expect(transitions).toEqual(['open', 'half_open', 'closed'])
  })

  it('on the word of another is no recovery to tell, nor is the end of an operator’s word', async () => {
    const { clock, breaker, trip, beginTrial, say, lastTold, report } = world()
    trip()
    clock.tick(30_000)
    await beginTrial()
    clock.tick(1)
    say(1, recovered)
    expect(lastTold()).toBeUndefined()
    breaker.force('open')
    breaker.force('auto')
    expect(lastTold()).toBeUndefined()
    // What this pod finds out itself from here on is its own again.
    report('failure')
    trip()
    expect(lastTold()).toMatchObject({ state: 'open', own: true })
  })

  it('leaves an operator’s word alone', () => {
    const { clock, breaker, say } = world()
    breaker.force('open')
    clock.tick(1)
    say(1, recovered)
    expect(breaker.state()).toBe('forced_open')
  })

  it('is told to the others for a minute', async () => {
    const { clock, trip, beginTrial, report, lastTold, board } = world()
    trip()
    clock.tick(30_000)
    const trial = await beginTrial()
    expect(lastTold()).toMatchObject({ state: 'half_open', own: true })
    trial.report('success')
    report('success', 2)
    const at = clock.now()
    expect(lastTold()).toEqual({ name: 'up:gpt', state: 'closed', own: true, byTrials: true, at, until: at })
    clock.tick(59_999)
    expect(lastTold()).toBeDefined()
    clock.tick(1)
    expect(board.told.at(-1)).toEqual([circuit, undefined])
    const many = board.told.length
    clock.tick(600_000)
    expect(board.told).toHaveLength(many)
  })

  it('is told no more once it is open again', async () => {
    const { clock, trip, beginTrial, report, lastTold } = world()
    trip()
    clock.tick(30_000)
    const trial = await beginTrial()
    trial.report('success')
    report('success', 2)
    trip()
    clock.tick(60_000)
    expect(lastTold()).toMatchObject({ state: 'open', own: true, byTrials: false })
  })
})

describe('staying open', () => {
  const failed = { byTrials: true } as const

  it('takes the failed trials of two pods, and then the wait is the next longer one', () => {
    const { clock, breaker, trip, say, lastTold, transitions } = world()
    trip()
    const openedAt = clock.now()
    clock.tick(20_000)
    say(1, failed)
    expect(breaker.refusesForMs()).toBe(10_000)
    clock.tick(5_000)
    say(1, failed)
    expect(breaker.refusesForMs(), 'the same pod twice').toBe(5_000)
    say(1, failed, 1)
    expect(breaker.refusesForMs()).toBe(60_000)
    expect(lastTold()).toMatchObject({ state: 'open', own: true, byTrials: false, at: openedAt })
    expect(lastTold()!.until).toBe(clock.now() + 60_000)
    expect(transitions).toEqual(['open'])
    // And two again for the next.
    clock.tick(50_000)
    say(1, failed, 2)
    expect(breaker.refusesForMs()).toBe(10_000)
    say(1, failed, 3)
    expect(breaker.refusesForMs()).toBe(120_000)
  })

  it('does not count one report twice', () => {
    const { clock, breaker, trip, board, opened } = world()
    trip()
    clock.tick(1_000)
    board.say('pod-1', circuit, opened(failed))
    breaker.heard()
    breaker.heard()
    expect(breaker.refusesForMs()).toBe(29_000)
  })

  it('counts none from before it opened', () => {
    const { clock, board, breaker, report, opened } = world()
    board.count = 1_000
    clock.tick(1)
    const first = opened(failed)
    board.say('pod-1', circuit, first)
    clock.tick(1)
    report('failure', 10)
    board.say('pod-2', circuit, opened({ ...failed, at: clock.now() }))
    clock.tick(1)
    board.say('pod-3', circuit, opened(failed))
    expect(breaker.refusesForMs()).toBe(29_999)
  })

  it('begins to count anew with each opening', () => {
    const { clock, breaker, trip, say } = world()
    trip()
    clock.tick(1)
    say(1, failed)
    clock.tick(1)
    say(1, { state: 'closed', byTrials: true }, 5)
    expect(breaker.state()).toBe('closed')
    trip()
    clock.tick(1)
    say(1, failed, 1)
    expect(breaker.refusesForMs()).toBe(29_999)
  })

  it.each<[string, Partial<CircuitReport>]>([
    ['opened by usual calls', {}],
    ['opened on the word of others', { ...failed, own: false }],
    ['try', { ...failed, state: 'half_open' }],
  ])('does not follow pods that %s', (_what, more) => {
    const { clock, breaker, trip, say } = world()
    trip()
    clock.tick(1)
    say(5, more)
    expect(breaker.refusesForMs()).toBe(29_999)
  })

  it('moves no pod that is closed or tries itself', async () => {
    const { clock, breaker, trip, say, beginTrial, lastTold } = world()
    say(5, failed)
    expect(breaker.state()).toBe('closed')
    trip()
    clock.tick(30_000)
    await beginTrial()
    clock.tick(1)
    say(5, failed, 10)
    expect(breaker.state()).toBe('half_open')
    expect(lastTold()).toMatchObject({ state: 'half_open' })
  })

  it('is what its own failed trial tells the others', async () => {
    const { clock, trip, beginTrial, lastTold } = world()
    trip()
    clock.tick(30_000)
    const trial = await beginTrial()
    trial.report('failure')
    expect(lastTold()).toMatchObject({ state: 'open', own: true, byTrials: true, at: clock.now() })
  })
})

describe('what the others are told', () => {
  it('is nothing of a closed circuit, nor of one under an operator’s word', () => {
    const { board, breaker, report, trip, lastTold } = world()
    report('success')
    report('failure')
    expect(board.told).toEqual([])
    trip()
    expect(lastTold()).toMatchObject({ state: 'open' })
    breaker.force('open')
    expect(board.told.at(-1)).toEqual([circuit, undefined])
  })

  it('ends when the circuit is not used any more, with its timers', async () => {
    const { clock, board, breaker, trip, beginTrial, report } = world()
    trip()
    clock.tick(30_000)
    const trial = await beginTrial()
    trial.report('success')
    report('success', 2)
    expect(clock.pendingTimers).toBeGreaterThan(0)
    breaker.retire()
    expect(clock.pendingTimers).toBe(0)
    expect(board.told.at(-1)).toEqual([circuit, undefined])
    const many = board.told.length
    trip()
    expect(board.told).toHaveLength(many)
  })
})

it('is a plain breaker where it is alone', async () => {
  const { clock, breaker, trip } = world({ fleet: alone })
  trip()
  breaker.heard()
  clock.tick(30_000)
  expect('permit' in breaker.acquire()).toBe(true)
  expect(breaker.state()).toBe('half_open')
  expect(await alone.claim('x', 1)).toBe('unknown')
})
