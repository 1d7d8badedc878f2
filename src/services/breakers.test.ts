import { describe, expect, it } from 'vitest'
import { FakeBoard } from '../../tests/support/fake-board.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import type { BreakerState, Verdict } from '../resilience/circuit-breaker.ts'
import { createUpstream } from '../upstream/upstream.ts'
import { createBreakers } from './breakers.ts'

function world(fleet?: FakeBoard) {
  const clock = new FakeClock()
  const create = (name: string) =>
    createUpstream({
      name,
      clock,
      random: () => 0.5,
      metrics: new FakeMetrics(),
      maxConcurrent: 10,
      retryBudgetRatio: 0.1,
      breaker: {},
      circuitName: (key) => (key === 'list' || key === 'org/gpt' ? `${name}:${key}` : `${name}:other`),
      onTransition: () => {},
    })
  const [openai, vastai] = [create('openai'), create('vastai')]
  const breakers = createBreakers({
    clock,
    names: () => ['vastai:list', 'openai:other', 'billing'],
    upstreams: () => [openai, vastai],
    pod: 'pod-1',
    fleet,
  })
  const report = (key: string, verdict: Verdict, times: number) => {
    for (let i = 0; i < times; i++) {
      const admission = openai.circuit(key).breaker.acquire()
      if ('permit' in admission) admission.permit.report(verdict)
    }
  }
  const row = (name: string) => breakers.list().find((found) => found.name === name)
  return { clock, openai, breakers, report, row }
}

const createMachine = (clock: FakeClock, id: string) =>
  createUpstream({
    name: 'rented',
    id: `rented/${id}`,
    clock,
    random: () => 0.5,
    metrics: new FakeMetrics(),
    maxConcurrent: 10,
    retryBudgetRatio: 0.1,
    breaker: {},
    circuitName: () => 'rented:other',
    onTransition: () => {},
  })

describe('the list', () => {
  it('has the names known from the first, closed, before any call', () => {
    const { breakers } = world()
    expect(breakers.list()).toEqual(
      ['vastai:list', 'openai:other', 'billing'].map((name) => ({
        name,
        state: 'closed',
        failureRate: 0,
        calls: 0,
        nextProbeAt: undefined,
        pods: [{ pod: 'pod-1', state: 'closed' }],
      })),
    )
  })

  it('has one row a name: the worst state, calls and failures of all the circuits together', () => {
    const { clock, report, row } = world()
    report('a', 'success', 30)
    report('b', 'failure', 10)
    clock.tick(5_000)
    report('c', 'failure', 10)
    report('org/gpt', 'success', 4)
    expect(row('openai:other')).toEqual({
      name: 'openai:other',
      state: 'open',
      failureRate: 0.4,
      calls: 50,
      // Of the two that wait, the one that has waited longer.
      nextProbeAt: new Date(clock.wallNow() + 25_000),
      pods: [{ pod: 'pod-1', state: 'open' }],
    })
    expect(row('openai:org/gpt')).toMatchObject({ state: 'closed', calls: 4, nextProbeAt: undefined })
    clock.tick(25_000)
    report('b', 'neutral', 1)
    report('c', 'neutral', 1)
    expect(row('openai:other')).toMatchObject({ state: 'open' })
    clock.tick(5_000)
    report('c', 'neutral', 1)
    expect(row('openai:other')).toMatchObject({ state: 'half_open', nextProbeAt: undefined })
  })
})

describe('an operator’s word', () => {
  it('forces all circuits of the name, and is told', () => {
    const { openai, breakers, report, row } = world()
    report('a', 'success', 1)
    expect(breakers.set('openai:other', 'open')).toMatchObject({ name: 'openai:other', state: 'forced_open' })
    expect(openai.circuit('later').breaker.acquire()).toMatchObject({ refused: 'open' })
    expect(row('openai:other')).toMatchObject({ state: 'forced_open', nextProbeAt: undefined })
    expect(breakers.set('openai:other', 'closed')).toMatchObject({ state: 'forced_closed' })
    expect(row('openai:other')).toMatchObject({ state: 'forced_closed' })
    expect(breakers.set('openai:other', 'auto')).toMatchObject({ state: 'closed' })
  })

  it('forces all that share a name, as rented machines do', () => {
    const { clock } = world()
    const machines = ['a', 'b'].map((id) => createMachine(clock, id))
    const breakers = createBreakers({ clock, names: () => [], upstreams: () => machines, pod: 'pod-1' })
    for (const machine of machines) machine.circuit('m')
    breakers.set('rented:other', 'open')
    for (const machine of machines) expect(machine.circuit('m').breaker.acquire()).toMatchObject({ refused: 'open' })
  })

  it('is taken for a name that has no circuit yet, and for one that holds a slash', () => {
    const { breakers, report } = world()
    expect(breakers.set('vastai:list', 'open')).toMatchObject({ state: 'forced_open' })
    report('org/gpt', 'success', 1)
    expect(breakers.set('openai:org/gpt', 'open')).toMatchObject({ state: 'forced_open' })
  })

  it.each(['openai:nothing', 'nobody:list', '', 'openai', 'constructor'])('on %j is refused', (name) => {
    const { breakers } = world()
    expect(() => breakers.set(name, 'open')).toThrow(expect.objectContaining({ code: 'unknown_breaker' }))
  })

  it('on a service that is not configured is refused in words that say so', () => {
    expect(() => world().breakers.set('billing', 'open')).toThrow(/billing stands for a service that is not configured/)
  })
})

describe('the other pods', () => {
  const said = (name: string, state: BreakerState) => ({ name, state, own: true, byTrials: false, at: 0, until: 0 })

  it('are listed by the names that operators know, each with the worst of its circuits, also those that say nothing', () => {
    const board = new FakeBoard()
    const { row } = world(board)
    board.say('gateway-7d9f-0199f2c4-1111-7abc-8def-0123456789ab', 'openai/a', said('openai:other', 'half_open'))
    board.say('gateway-7d9f-0199f2c4-1111-7abc-8def-0123456789ab', 'openai/b', said('openai:other', 'open'))
    board.say('plain', 'openai/c', said('openai:org/gpt', 'open'))
    expect(row('openai:other')?.pods).toEqual([
      { pod: 'pod-1', state: 'closed' },
      { pod: 'gateway-7d9f', state: 'open' },
      { pod: 'plain', state: 'closed' },
    ])
    expect(row('openai:other')?.state, 'the row is this pod’s').toBe('closed')
  })

  it('are reached by an operator’s word, and by none that is refused', () => {
    const board = new FakeBoard()
    const { breakers } = world(board)
    breakers.set('openai:other', 'open')
    expect(() => breakers.set('openai:nothing', 'open')).toThrow()
    expect([...board.given]).toEqual([['openai:other', 'open']])
    breakers.set('openai:other', 'auto')
    expect([...board.given]).toEqual([])
  })
})
