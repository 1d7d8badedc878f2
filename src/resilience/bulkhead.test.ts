import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { listening } from '../../tests/support/listening.ts'
import { createBulkhead, type Release } from './bulkhead.ts'

/** A caller who asked for a place, and what became of it. */
function ask(bulkhead: ReturnType<typeof createBulkhead>, maxWaitMs = 100, signal?: AbortSignal) {
  const caller: { release?: Release; refused?: unknown } = {}
  const place = bulkhead.acquire(maxWaitMs, signal)
  if (typeof place === 'function') caller.release = place
  else {
    place.then(
      (release) => {
        caller.release = release
      },
      (reason) => {
        caller.refused = reason
      },
    )
  }
  return caller
}

const world = (limit: number, maxQueue?: number) => {
  const clock = new FakeClock()
  return { clock, bulkhead: createBulkhead({ clock, limit, ...(maxQueue !== undefined && { maxQueue }) }) }
}

describe('a bulkhead', () => {
  it('gives places at once up to its limit, and queues half as many', async () => {
    const { bulkhead } = world(4)
    const callers = Array.from({ length: 10 }, () => ask(bulkhead))
    await settled()
    expect(callers.filter(({ release }) => release)).toHaveLength(4)
    expect(callers.slice(6).map(({ refused }) => (refused as Error).message)).toEqual(
      Array(4).fill('bulkhead: queue_full'),
    )
    expect(bulkhead).toMatchObject({ inUse: 4, waiting: 2 })
  })

  it('never queues more than 1,000', async () => {
    const { bulkhead } = world(1_000_000)
    expect(bulkhead.limit).toBe(1_000_000)
    const places = Array.from({ length: 1_000_000 }, () => bulkhead.acquire(0))
    expect(places.every((place) => typeof place === 'function')).toBe(true)
    for (let i = 0; i < 1_001; i++) ask(bulkhead)
    expect(bulkhead.waiting).toBe(1_000)
  })

  it('serves its queue in order while it is not overloaded', async () => {
    const { clock, bulkhead } = world(1, 10)
    const first = ask(bulkhead)
    const queue = [ask(bulkhead), ask(bulkhead), ask(bulkhead)]
    await clock.advance(50)
    first.release!()
    await settled()
    expect(queue.map(({ release }) => release !== undefined)).toEqual([true, false, false])
  })

  it('serves the newest first once the oldest has used half of its patience', async () => {
    const { clock, bulkhead } = world(1, 10)
    const first = ask(bulkhead)
    const queue = [ask(bulkhead)]
    await clock.advance(51)
    queue.push(ask(bulkhead), ask(bulkhead))
    first.release!()
    await settled()
    expect(queue.map(({ release }) => release !== undefined)).toEqual([false, false, true])
  })

  it('lets nobody wait longer than asked', async () => {
    const { clock, bulkhead } = world(1)
    ask(bulkhead)
    const waiting = ask(bulkhead, 100)
    await clock.advance(99)
    expect(waiting.refused).toBeUndefined()
    await clock.advance(1)
    expect(waiting.refused).toMatchObject({ name: 'BulkheadFull', reason: 'wait_exceeded' })
    expect(bulkhead.waiting).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  })

  it('refuses at once who will not wait', async () => {
    const { bulkhead } = world(1)
    ask(bulkhead)
    await expect(bulkhead.acquire(0)).rejects.toMatchObject({ reason: 'queue_full' })
  })

  it('forgets a caller who leaves the queue, and gives the reason for leaving', async () => {
    const { clock, bulkhead } = world(1)
    const holder = ask(bulkhead)
    const leaving = new AbortController()
    const listeners = listening(leaving.signal)
    const left = ask(bulkhead, 100, leaving.signal)
    leaving.abort('gone')
    await settled()
    expect(left.refused).toBe('gone')
    expect(bulkhead.waiting).toBe(0)
    expect(clock.pendingTimers).toBe(0)
    expect(listeners()).toBe(0)
    holder.release!()
    expect(bulkhead.inUse).toBe(0)
  })

  it('keeps no listener on a caller who was served or waited in vain', async () => {
    const { clock, bulkhead } = world(1, 2)
    const holder = ask(bulkhead)
    const { signal } = new AbortController()
    const listeners = listening(signal)
    const served = ask(bulkhead, 100, signal)
    holder.release!()
    await settled()
    ask(bulkhead, 100, signal)
    await clock.advance(100)
    expect(listeners()).toBe(0)
    served.release!()
    expect(bulkhead.inUse).toBe(0)
  })

  it('refuses who has already left, though there is room', async () => {
    const { bulkhead } = world(1)
    await expect(bulkhead.acquire(100, AbortSignal.abort('gone'))).rejects.toBe('gone')
    expect(bulkhead.inUse).toBe(0)
  })

  it('ignores a second release', async () => {
    const { bulkhead } = world(1)
    const first = ask(bulkhead)
    first.release!()
    const second = ask(bulkhead)
    first.release!()
    expect(bulkhead.inUse).toBe(1)
    second.release!()
    expect(bulkhead.inUse).toBe(0)
  })

  it('refuses a limit below 1 by name', () => {
    expect(() => world(0)).toThrow('limit must be at least 1, got 0')
    expect(() => world(Number.NaN)).toThrow('limit must be at least 1, got NaN')
  })

  it('under any history never has more in use than its limit, answers everyone, and ends empty', async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant('ask' as const), wait: fc.constantFrom(0, 10, 100) }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat(20) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('leave' as const), which: fc.nat(20) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 7, 60) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), async (steps, limit) => {
        const { clock, bulkhead } = world(limit, 3)
        const callers: { caller: ReturnType<typeof ask>; leaving: AbortController; listeners: () => number }[] = []
        for (const current of steps) {
          if (current.do === 'ask') {
            const leaving = new AbortController()
            const listeners = listening(leaving.signal)
            callers.push({ caller: ask(bulkhead, current.wait, leaving.signal), leaving, listeners })
          } else if (current.do === 'release') callers[current.which]?.caller.release?.()
          else if (current.do === 'leave') callers[current.which]?.leaving.abort('gone')
          else await clock.advance(current.ms)
          await settled()
          expect(bulkhead.inUse).toBeLessThanOrEqual(limit)
          expect(bulkhead.waiting).toBeLessThanOrEqual(3)
          if (bulkhead.waiting > 0) expect(bulkhead.inUse, 'nobody waits beside a free place').toBe(limit)
          expect(clock.pendingTimers).toBe(bulkhead.waiting)
        }
        await clock.advance(100)
        for (const { caller, listeners } of callers) {
          expect(caller.release !== undefined || caller.refused !== undefined).toBe(true)
          expect(listeners()).toBe(0)
          caller.release?.()
        }
        expect(bulkhead).toMatchObject({ inUse: 0, waiting: 0 })
        expect(clock.pendingTimers).toBe(0)
      }),
      { numRuns: 300 },
    )
  })
})
