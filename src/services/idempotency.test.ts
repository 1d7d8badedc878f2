import { beforeEach, describe, expect, test, vi } from 'vitest'
import { createMemoryIdempotency } from '../../adapters/memory/idempotency.ts'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { type Ending, type HeldKey, keptMs, silentMs } from '../domain/idempotency.ts'
import type { Idempotency, OutcomeOf } from '../ports.ts'
import { createKeyedExecutions, type Execution } from './idempotency.ts'

const key = { accountId: 'a', digest: 'd' }
const answered: Ending = { outcome: 'answered', answer: { status: 200, headers: {}, body: new Uint8Array([1]) } }

let clock: FakeClock
let store: Idempotency
let outcomeOf: ReturnType<typeof vi.fn<OutcomeOf>>
const log = { warn: vi.fn() }

function pod(own: Partial<Idempotency> = {}, mode = { readOnly: false }) {
  return createKeyedExecutions({
    clock,
    random: () => 0.5,
    store: { ...store, ...own },
    outcomeOf,
    mode,
    metrics: new FakeMetrics(),
    log,
  })
}
const begin = async (executions: ReturnType<typeof pod>, requestId: string, digest = key.digest) =>
  (await executions.begin({ ...key, digest }, { requestId, fingerprint: 'f' })) as Execution
const stateOf = async (digest = key.digest) => {
  const claim = await store.claim({ ...key, digest, requestId: 'somebody' }, 'f')
  if (claim.state === 'claimed') await store.release({ ...key, digest, requestId: 'somebody' })
  return claim.state === 'ended' ? claim.ending.outcome : claim.state
}

beforeEach(() => {
  clock = new FakeClock()
  store = createMemoryIdempotency({ clock })
  outcomeOf = vi.fn<OutcomeOf>(async () => 'spent')
  log.warn.mockClear()
})

describe('an execution under way', () => {
  test('is heard of for as long as it takes, by one call for all of the pod', async () => {
    const beat = vi.fn(store.beat)
    const executions = pod({ beat })
    const running = [await begin(executions, 'r1', 'd1'), await begin(executions, 'r2', 'd2')]
    await clock.advance(10 * silentMs)
    expect([await stateOf('d1'), await stateOf('d2')]).toEqual(['running', 'running'])
    expect(beat).toHaveBeenCalledTimes(40)
    expect(beat.mock.calls[0]![0]).toHaveLength(2)
    for (const each of running) await each.end(answered)
    await clock.advance(silentMs)
    expect(beat).toHaveBeenCalledTimes(40)
  })

  test('survives three beats that fail', async () => {
    const beat = vi.fn(store.beat)
    for (let i = 0; i < 3; i++) beat.mockRejectedValueOnce(new Error('down'))
    await begin(pod({ beat }), 'r1')
    await clock.advance(silentMs)
    expect(await stateOf()).toBe('running')
  })
})

describe('an ending that the database does not take', () => {
  const failing = (times: number) => {
    const end = vi.fn(store.end)
    for (let i = 0; i < times; i++) end.mockRejectedValueOnce(new Error('down'))
    return end
  }

  test('is offered again, and the key is kept meanwhile', async () => {
    const execution = await begin(pod({ end: failing(7) }), 'r1')
    await execution.end(answered)
    expect(await stateOf()).toBe('running')
    await clock.advance(silentMs / 2)
    expect(await stateOf()).toBe('running')
    await clock.advance(10 * silentMs)
    expect(await stateOf()).toBe('answered')
    expect(log.warn).not.toHaveBeenCalled()
  })

  test('is given up after eight tries: the key goes silent and is reconciled', async () => {
    const execution = await begin(pod({ end: failing(8) }), 'r1')
    await execution.end(answered)
    await clock.advance(10 * silentMs)
    expect(log.warn).toHaveBeenCalledOnce()
    expect(await stateOf()).toBe('silent')
    await expect(begin(pod(), 'r2')).rejects.toMatchObject({ code: 'idempotency_outcome_lost' })
    expect(await stateOf()).toBe('lost')
  })

  test('waits with at most 199 others', async () => {
    const executions = pod({ end: () => Promise.reject(new Error('down')) })
    const all = await Promise.all(Array.from({ length: 201 }, (_, i) => begin(executions, `r${i}`, `d${i}`)))
    for (const each of all) await each.end(answered)
    expect(log.warn).toHaveBeenCalledOnce()
  })

  test('is offered no more once the pod stops, which leaves no timer', async () => {
    const end = failing(2)
    const executions = pod({ end })
    await (await begin(executions, 'r1')).end(answered)
    executions.stop()
    expect(clock.pendingTimers).toBe(0)
    await clock.advance(silentMs)
    expect(end).toHaveBeenCalledOnce()
  })
})

describe('where nobody knows what came of it', () => {
  test.each([
    ['none', 'claimed'],
    ['spent', 'lost'],
  ] as const)('%s leaves the key %s', async (outcome, state) => {
    outcomeOf.mockResolvedValue(outcome)
    await (await begin(pod(), 'r1')).doubt()
    expect(outcomeOf.mock.calls).toEqual([['a', 'r1', undefined]])
    expect(await stateOf()).toBe(state)
  })
})

describe('a key whose execution went silent', () => {
  const silence = async () => {
    await store.claim({ ...key, requestId: 'dead' }, 'f')
    clock.tick(silentMs)
  }

  test('is taken over where nothing was sent, by the first of many', async () => {
    await silence()
    outcomeOf.mockResolvedValue('none')
    const pods = [pod(), pod()] as const
    const begun = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => begin(pods[i % 2]!, `r${i}`)))
    expect(begun.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(outcomeOf).toHaveBeenCalledWith('a', 'dead', 'memory')
    for (const each of begun) {
      if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'idempotency_in_flight' })
    }
  })

  test('is not executed while its outcome cannot be told', async () => {
    await silence()
    outcomeOf.mockRejectedValue(new Error('no ledger'))
    await expect(begin(pod(), 'r1')).rejects.toMatchObject({ code: 'idempotency_unavailable' })
    expect(await stateOf()).toBe('silent')
  })

  test('has its answer after all where the one given up for dead comes back with it', async () => {
    await silence()
    await expect(begin(pod(), 'r1')).rejects.toMatchObject({ code: 'idempotency_outcome_lost' })
    await store.end({ ...key, requestId: 'dead' }, answered)
    expect(await begin(pod(), 'r2')).toMatchObject({ kind: 'replay', requestId: 'dead' })
  })
})

test('a key that comes and goes at every look is told to be in flight', async () => {
  const claim = vi.fn(async () => ({ state: 'silent', requestId: 'x', podId: 'p' }) as const)
  outcomeOf.mockResolvedValue('none')
  const executions = pod({ claim, takeOver: async () => false })
  await expect(begin(executions, 'r1')).rejects.toMatchObject({ code: 'idempotency_in_flight' })
  expect(claim).toHaveBeenCalledTimes(3)
})

test('at most 10,000 keys are held at once', async () => {
  const executions = pod({ claim: async () => ({ state: 'claimed' }) })
  for (let i = 0; i < 10_000; i++) await begin(executions, `r${i}`, `d${i}`)
  await expect(begin(executions, 'r')).rejects.toMatchObject({ code: 'idempotency_unavailable' })
})

describe('old keys', () => {
  const claimAll = async (count: number) => {
    const keys = Array.from({ length: count }, (_, i): HeldKey => ({ ...key, digest: `old${i}`, requestId: 'r' }))
    for (const each of keys) await store.claim(each, 'f')
  }

  test('are purged in bounded steps, every ten minutes', async () => {
    const purge = vi.fn(store.purge)
    await claimAll(2_500)
    pod({ purge })
    await clock.advance(keptMs - 1)
    purge.mockClear()
    await clock.advance(10 * 60_000)
    expect(purge.mock.calls).toEqual([[1_000], [1_000], [1_000]])
    expect(await store.purge(1)).toBe(0)
  })

  test('wait while nothing may be written, and one failure is not the end', async () => {
    const purge = vi.fn(store.purge)
    const mode = { readOnly: true }
    pod({ purge }, mode)
    await clock.advance(10 * 60_000)
    expect(purge).not.toHaveBeenCalled()
    mode.readOnly = false
    purge.mockRejectedValueOnce(new Error('down'))
    await clock.advance(20 * 60_000)
    await settled()
    expect(purge).toHaveBeenCalledTimes(2)
  })
})
