import { describe, expect, it } from 'vitest'
import { FakeBoard } from '../../tests/support/fake-board.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { instruments } from '../telemetry/instruments.ts'
import { breakerStates, createUpstream, silences, type UpstreamOptions } from './upstream.ts'

function world(fleet?: FakeBoard, id?: string, probe?: UpstreamOptions['probe']) {
  const clock = new FakeClock()
  const metrics = new FakeMetrics()
  const transitions: string[] = []
  const upstream = createUpstream({
    name: 'openai',
    id,
    clock,
    random: () => 0.5,
    metrics,
    maxConcurrent: 10,
    retryBudgetRatio: 0.1,
    breaker: {},
    circuitName: (key) => (key === 'list' ? 'openai:list' : 'openai:other'),
    onTransition: (circuit, to) => transitions.push(`${circuit} ${to}`),
    fleet,
    probe,
  })
  return { clock, metrics, upstream, transitions }
}

it('has one circuit a key, and one broken model does not take the others with it', () => {
  const { upstream } = world()
  upstream.circuit('broken').breaker.force('open')
  expect(upstream.circuit('broken').breaker.status().state).toBe('forced_open')
  expect(upstream.circuit('sound').breaker.status().state).toBe('closed')
  expect(upstream.circuit('sound')).toBe(upstream.circuit('sound'))
})

it('keeps 256 circuits and drops the least recently used', () => {
  const { upstream } = world()
  const kept = upstream.circuit('used')
  const first = upstream.circuit('0')
  for (let i = 1; i < 1_000; i++) {
    upstream.circuit(`${i}`)
    expect(upstream.circuit('used')).toBe(kept)
  }
  expect([...upstream.circuits()]).toHaveLength(256)
  expect(upstream.circuit('0')).not.toBe(first)
})

it('keeps an open circuit, however many other names are asked for', () => {
  const { upstream } = world()
  const failing = upstream.circuit('failing')
  failing.breaker.force('open')
  for (let i = 0; i < 1_000; i++) upstream.circuit(`${i}`)
  expect(upstream.circuit('failing')).toBe(failing)
  expect([...upstream.circuits()]).toHaveLength(256)
})

it('calls its circuits by new names, and what happens to them too, when those change', () => {
  const clock = new FakeClock()
  let named = 'openai:other'
  const transitions: string[] = []
  const upstream = createUpstream({
    name: 'openai',
    clock,
    random: () => 0.5,
    metrics: new FakeMetrics(),
    maxConcurrent: 10,
    retryBudgetRatio: 0.1,
    breaker: {},
    circuitName: () => named,
    onTransition: (circuit, to) => transitions.push(`${circuit} ${to}`),
  })
  const circuit = upstream.circuit('gpt')
  named = 'openai:gpt'
  upstream.rename()
  expect(circuit.name).toBe('openai:gpt')
  circuit.breaker.force('open')
  expect(transitions).toEqual(['openai:gpt forced_open'])
})

it('counts and tells each transition under the circuit’s name', () => {
  const { upstream, metrics, transitions } = world()
  upstream.circuit('gpt').breaker.force('open')
  expect(transitions).toEqual(['openai:other forced_open'])
  expect(metrics.counted(instruments.breakerTransitions, { name: 'openai:other', to: 'forced_open' })).toBe(1)
})

it('shows the worst state of the circuits that share a name, and names that have no circuit yet', () => {
  const { upstream } = world()
  upstream.circuit('list')
  upstream.circuit('a')
  upstream.circuit('b').breaker.force('open')
  upstream.circuit('c')
  expect([...breakerStates(['billing', 'openai:list'], [upstream])]).toEqual([
    [{ name: 'billing' }, 0],
    [{ name: 'openai:list' }, 0],
    [{ name: 'openai:other' }, 2],
  ])
})

it('shows an open circuit also where another upstream of that name is held closed', () => {
  const [failing, held] = [world().upstream, world().upstream]
  for (let i = 0; i < 10; i++) {
    const admission = failing.circuit('a').breaker.acquire()
    if ('permit' in admission) admission.permit.report('failure')
  }
  held.force('openai:other', 'closed')
  expect([...breakerStates([], [failing, held])]).toEqual([[{ name: 'openai:other' }, 2]])
})

it('shows the longest silence of the circuits that share a name', () => {
  const { upstream, clock } = world()
  for (const [key, waitMs] of [
    ['a', 500],
    ['b', 1_500],
    ['list', 0],
  ] as const) {
    const { silence } = upstream.circuit(key)
    silence.sent()
    silence.heard(10)
    for (let i = 0; i < 10; i++) silence.sent()
    clock.tick(waitMs)
  }
  expect([...silences(['billing', 'openai:list'], [upstream])]).toEqual([
    [{ name: 'billing' }, 0],
    [{ name: 'openai:list' }, 0],
    [{ name: 'openai:other' }, 2],
  ])
})

it('keeps an operator’s word for circuits of that name that are made or made again later, and for no other', () => {
  const { upstream, transitions } = world()
  const before = upstream.circuit('a')
  upstream.force('openai:other', 'open')
  expect(before.breaker.status().state).toBe('forced_open')
  expect(upstream.circuit('b').breaker.status().state).toBe('forced_open')
  expect(upstream.circuit('list').breaker.status().state).toBe('closed')
  for (let i = 0; i < 300; i++) upstream.circuit(`${i}`)
  const again = upstream.circuit('a')
  expect(again).not.toBe(before)
  expect(again.breaker.acquire()).toMatchObject({ refused: 'open' })
  // What is made under a word has not changed its state.
  expect(transitions).toEqual(['openai:other forced_open'])
  upstream.force('openai:other', 'auto')
  expect(again.breaker.status().state).toBe('closed')
  expect(upstream.circuit('c').breaker.status().state).toBe('closed')
})

it('shows a name under an operator’s word also while it has no circuit', () => {
  const { upstream } = world()
  upstream.force('openai:other', 'open')
  upstream.force('openai:list', 'closed')
  expect([...breakerStates(['openai:list'], [upstream])]).toEqual([
    [{ name: 'openai:list' }, 0],
    [{ name: 'openai:other' }, 2],
  ])
})

describe('in a fleet', () => {
  const trip = (upstream: ReturnType<typeof world>['upstream'], key: string) => {
    for (let i = 0; i < 10; i++) {
      const admission = upstream.circuit(key).breaker.acquire()
      if ('permit' in admission) admission.permit.report('failure')
    }
  }
  const report = { name: 'x', state: 'closed', own: true, byTrials: true, at: 6_000, until: 6_000 } as const

  it('each circuit is told by its upstream and key, and hears of its own', () => {
    const board = new FakeBoard()
    const { upstream } = world(board)
    trip(upstream, 'org/gpt')
    expect(board.told).toMatchObject([['openai/org/gpt', { name: 'openai:other', state: 'open' }]])
    board.say('pod-2', 'vastai/org/gpt', report)
    board.say('pod-2', 'openai/gpt', report)
    expect(upstream.circuit('org/gpt').breaker.state()).toBe('open')
    board.say('pod-2', 'openai/org/gpt', report)
    expect(upstream.circuit('org/gpt').breaker.state()).toBe('closed')
  })

  it('those that share a name are told apart by their ids', () => {
    const board = new FakeBoard()
    const [one, other] = ['openai/1', 'openai/2'].map((id) => world(board, id).upstream)
    trip(one!, 'gpt')
    trip(other!, 'gpt')
    expect(board.told.map(([circuit]) => circuit)).toEqual(['openai/1/gpt', 'openai/2/gpt'])
    board.say('pod-2', 'openai/2/gpt', report)
    expect([one, other].map((upstream) => upstream!.circuit('gpt').breaker.state())).toEqual(['open', 'closed'])
  })

  it('a name that is longer than any model’s is no matter of the fleet’s', () => {
    const board = new FakeBoard()
    const { upstream } = world(board)
    trip(upstream, 'x'.repeat(301))
    expect(board.told).toEqual([])
    trip(upstream, 'x'.repeat(300))
    expect(board.told).toHaveLength(1)
  })

  it('an operator’s word comes from the board, for what there is and what comes later', () => {
    const board = new FakeBoard()
    board.given.set('openai:list', 'open').set('vastai:list', 'open')
    const { upstream } = world(board)
    expect([...upstream.forced]).toEqual([['openai:list', 'open']])
    expect(upstream.circuit('list').breaker.state()).toBe('forced_open')
    for (const listener of board.listeners) {
      listener.onWord?.('openai:list', 'auto')
      listener.onWord?.('openai:other', 'closed')
      listener.onWord?.('openai', 'open')
      listener.onWord?.('vastai:list', 'closed')
    }
    expect([...upstream.forced]).toEqual([
      ['openai:other', 'closed'],
      ['openai', 'open'],
    ])
    expect(upstream.circuit('list').breaker.state()).toBe('closed')
    const forced = { own: false, byTrials: false, at: 5_000, until: 5_000 }
    expect(board.told.filter(([, said]) => said?.state !== 'closed')).toEqual([
      ['openai:list', { ...forced, name: 'openai:list', state: 'forced_open' }],
      ['openai/list', undefined],
      ['openai:list', undefined],
      ['openai:other', { ...forced, name: 'openai:other', state: 'forced_closed' }],
      ['openai', { ...forced, name: 'openai', state: 'forced_open' }],
    ])
  })

  it('what is dropped for another circuit is told no more', () => {
    const board = new FakeBoard()
    const { upstream } = world(board)
    upstream.circuit('0')
    for (let i = 1; i < 256; i++) trip(upstream, `${i}`)
    board.told.length = 0
    upstream.circuit('one more')
    expect(board.told).toEqual([['openai/0', undefined]])
  })

  it('says nothing and hears nothing once it is retired', () => {
    const board = new FakeBoard()
    const { upstream } = world(board)
    trip(upstream, 'gpt')
    upstream.force('openai:list', 'open')
    board.told.length = 0
    upstream.retire()
    expect(board.told).toEqual([
      ['openai/gpt', undefined],
      ['openai:list', undefined],
    ])
    expect(board.listeners.size).toBe(0)
  })

  it('leaves no probe’s answer on the board once it is retired', async () => {
    const board = new FakeBoard()
    const { upstream, clock } = world(board, 'openai/1', async () => false)
    trip(upstream, 'gpt')
    await clock.advance(5_000)
    expect(board.told.map(([what]) => what)).toEqual(['openai/1/gpt', 'openai/1?'])
    upstream.retire()
    await clock.advance(60_000)
    expect(new Map(board.told)).toEqual(
      new Map([
        ['openai/1/gpt', undefined],
        ['openai/1?', undefined],
      ]),
    )
  })

  it('shares its retries with the other pods', () => {
    const board = new FakeBoard()
    board.count = 10
    const { upstream } = world(board)
    expect(upstream.budget.retry()).toBeDefined()
    expect(upstream.budget.retry()).toBeUndefined()
  })
})
