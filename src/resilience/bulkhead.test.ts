import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { listening } from '../../tests/support/listening.ts'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import { type Bulkhead, type BulkheadFull, createBulkhead, type Priority, type Release, type Want } from './bulkhead.ts'

/** A caller who asked for a place, and what became of it. */
function ask(bulkhead: Bulkhead, want: Partial<Want> = {}) {
  const caller: { release?: Release; refused?: unknown } = {}
  const place = bulkhead.acquire({ maxWaitMs: 100, ...want })
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
    const places = Array.from({ length: 1_000_000 }, () => bulkhead.acquire({ maxWaitMs: 0 }))
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

  describe('in whose queue some wait in vain', () => {
    const standingWorld = () => {
      const clock = new FakeClock()
      const bulkhead = createBulkhead({
        clock,
        limit: 1,
        maxQueue: 10,
        standing: { ms: 1_000, patienceMs: 100, maxQueue: 2 },
      })
      return { clock, bulkhead, first: ask(bulkhead) }
    }

    it('lets few wait, until for a while nobody had to be refused', async () => {
      const { clock, bulkhead } = standingWorld()
      for (let i = 0; i < 5; i++) ask(bulkhead)
      expect(bulkhead.waiting).toBe(5)
      await clock.advance(100)
      for (let i = 0; i < 5; i++) ask(bulkhead)
      expect(bulkhead.waiting, 'five waited in vain').toBe(2)
      await clock.advance(999)
      ask(bulkhead)
      // The two before have been refused meanwhile.
      await clock.advance(99)
      for (let i = 0; i < 5; i++) ask(bulkhead)
      expect(bulkhead.waiting).toBe(2)
      await clock.advance(1_100)
      for (let i = 0; i < 5; i++) ask(bulkhead)
      expect(bulkhead.waiting).toBe(5)
    })

    it('does not go by those who would not have waited', async () => {
      const { clock, bulkhead } = standingWorld()
      ask(bulkhead, { maxWaitMs: 99 })
      ask(bulkhead, { maxWaitMs: 0 })
      await clock.advance(99)
      for (let i = 0; i < 5; i++) ask(bulkhead)
      expect(bulkhead.waiting).toBe(5)
    })

    it('goes on like that while it refuses, and keeps who waits already', async () => {
      const { clock, bulkhead } = standingWorld()
      const patient = Array.from({ length: 4 }, () => ask(bulkhead, { maxWaitMs: 5_000 }))
      ask(bulkhead)
      await clock.advance(100)
      for (let ms = 0; ms < 2_000; ms += 500) {
        expect(ask(bulkhead).release).toBeUndefined()
        expect(bulkhead.waiting).toBe(4)
        await clock.advance(500)
      }
      expect(patient.every(({ refused }) => refused === undefined)).toBe(true)
    })

    it('goes by those who had to make room, too', async () => {
      const { clock, bulkhead } = standingWorld()
      const loud = Array.from({ length: 10 }, () => ask(bulkhead, { key: 'loud', maxWaitMs: 5_000 }))
      await clock.advance(100)
      expect(bulkhead.refuse({ maxWaitMs: 0, key: 'loud' }), 'the queue is full, and long').toBe(true)
      ask(bulkhead, { key: 'quiet', maxWaitMs: 5_000 })
      await settled()
      expect(loud.filter(({ refused }) => refused)).toHaveLength(1)
      bulkhead.resize(8)
      await settled()
      expect(bulkhead.waiting).toBe(3)
      ask(bulkhead, { key: 'loud' })
      await settled()
      expect(bulkhead.waiting, 'nobody more: it is short').toBe(3)
    })

    it('goes on like that while it refuses without being asked for a place', async () => {
      const { clock, bulkhead } = standingWorld()
      for (let i = 0; i < 2; i++) ask(bulkhead, { maxWaitMs: 5_000 })
      ask(bulkhead)
      await clock.advance(100)
      for (let ms = 0; ms < 2_000; ms += 500) {
        expect(bulkhead.refuse({ maxWaitMs: 99 })).toBe(true)
        expect(bulkhead.refuse({ maxWaitMs: 100 })).toBe(true)
        await clock.advance(500)
      }
      expect(bulkhead.refuse({ maxWaitMs: 100 })).toBe(true)
      await clock.advance(999)
      expect(bulkhead.refuse({ maxWaitMs: 99 }), 'who has no patience says nothing of the queue').toBe(true)
      await clock.advance(1)
      expect(bulkhead.refuse({ maxWaitMs: 100 })).toBe(false)
    })

    it('takes a key that asks for less in place of one that asks for more', async () => {
      const { clock, bulkhead, first } = standingWorld()
      ask(bulkhead, { key: 'loud' })
      await clock.advance(100)
      const loud = [ask(bulkhead, { key: 'loud' }), ask(bulkhead, { key: 'loud' })]
      const quiet = ask(bulkhead, { key: 'quiet' })
      await settled()
      expect(loud[1]!.refused).toMatchObject({ reason: 'queue_full' })
      first.release!()
      await settled()
      expect([loud[0]!.release, quiet.release].filter(Boolean)).toHaveLength(1)
      expect(bulkhead.waiting).toBe(1)
    })
  })

  it('lets nobody wait longer than asked', async () => {
    const { clock, bulkhead } = world(1)
    ask(bulkhead)
    const waiting = ask(bulkhead)
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
    await expect(bulkhead.acquire({ maxWaitMs: 0 })).rejects.toMatchObject({ reason: 'queue_full' })
  })

  it('forgets a caller who leaves the queue, and gives the reason for leaving', async () => {
    const { clock, bulkhead } = world(1)
    const holder = ask(bulkhead)
    const leaving = new AbortController()
    const listeners = listening(leaving.signal)
    const left = ask(bulkhead, { signal: leaving.signal })
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
    const served = ask(bulkhead, { signal })
    holder.release!()
    await settled()
    ask(bulkhead, { signal })
    await clock.advance(100)
    expect(listeners()).toBe(0)
    served.release!()
    expect(bulkhead.inUse).toBe(0)
  })

  it('refuses who has already left, though there is room', async () => {
    const { bulkhead } = world(1)
    await expect(bulkhead.acquire({ maxWaitMs: 100, signal: AbortSignal.abort('gone') })).rejects.toBe('gone')
    expect(bulkhead.inUse).toBe(0)
  })

  it('asks for a signal only where somebody has to wait, and heeds it from there on', async () => {
    const { bulkhead } = world(1, 1)
    const leaving = new AbortController()
    let asked = 0
    const signal = () => {
      asked++
      return leaving.signal
    }
    const first = ask(bulkhead, { signal })
    expect([first.release !== undefined, asked]).toEqual([true, 0])
    const second = ask(bulkhead, { signal })
    const third = ask(bulkhead, { signal })
    await settled()
    expect(third.refused).toMatchObject({ reason: 'queue_full' })
    expect(asked).toBe(1)
    leaving.abort('gone')
    await settled()
    expect(second.refused).toBe('gone')
    expect(ask(bulkhead, { signal, key: 'late' }).release).toBeUndefined()
    await settled()
    expect(bulkhead.waiting).toBe(0)
  })

  it('takes nobody out of its queue for a caller who has left', async () => {
    const { bulkhead } = world(1, 1)
    ask(bulkhead, { key: 'loud' })
    const loud = ask(bulkhead, { key: 'loud' })
    const gone = ask(bulkhead, { key: 'quiet', signal: () => AbortSignal.abort('gone') })
    await settled()
    expect(gone.refused).toBeDefined()
    expect([loud.refused, bulkhead.waiting]).toEqual([undefined, 1])
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

  it('grows at once for those who wait, and shrinks as places come back', async () => {
    const { bulkhead } = world(2, 10)
    const held = [ask(bulkhead), ask(bulkhead)]
    const queue = [ask(bulkhead), ask(bulkhead), ask(bulkhead)]
    bulkhead.resize(4)
    await settled()
    expect(queue.map(({ release }) => release !== undefined)).toEqual([true, true, false])
    bulkhead.resize(1)
    expect(bulkhead).toMatchObject({ limit: 1, inUse: 4, waiting: 1 })
    for (const { release } of [...held, queue[0]!]) release!()
    await settled()
    expect(queue[2]!.release).toBeUndefined()
    expect(bulkhead.inUse).toBe(1)
    queue[1]!.release!()
    await settled()
    expect(queue[2]!.release).toBeDefined()
    expect(() => bulkhead.resize(0)).toThrow('limit must be at least 1, got 0')
  })

  it('queues half of its present limit', () => {
    const { bulkhead } = world(Number.POSITIVE_INFINITY)
    for (let i = 0; i < 10; i++) ask(bulkhead)
    bulkhead.resize(8)
    for (let i = 0; i < 10; i++) ask(bulkhead)
    expect(bulkhead.waiting).toBe(4)
  })

  describe('shared by keys', () => {
    const served = (callers: ReturnType<typeof ask>[]) => callers.map(({ release }) => release !== undefined)
    const reasons = (callers: ReturnType<typeof ask>[]) =>
      callers.map(({ refused }) => (refused as BulkheadFull | undefined)?.reason)

    it('serves the key with the fewest places next, whatever another has queued before', async () => {
      const { bulkhead } = world(3, 10)
      const held = [ask(bulkhead, { key: 'loud' }), ask(bulkhead, { key: 'loud' }), ask(bulkhead, { key: 'loud' })]
      const loud = [ask(bulkhead, { key: 'loud' }), ask(bulkhead, { key: 'loud' })]
      const quiet = ask(bulkhead, { key: 'quiet' })
      held[0]!.release!()
      await settled()
      expect(quiet.release).toBeDefined()
      expect(served(loud)).toEqual([false, false])
      held[1]!.release!()
      await settled()
      expect(served(loud)).toEqual([true, false])
    })

    it('lets keys with equally many places take turns', async () => {
      const { bulkhead } = world(1, 10)
      const first = ask(bulkhead, { key: 'a' })
      const a = [ask(bulkhead, { key: 'a' }), ask(bulkhead, { key: 'a' })]
      const b = [ask(bulkhead, { key: 'b' }), ask(bulkhead, { key: 'b' })]
      const order: string[] = []
      let holder: ReturnType<typeof ask> | undefined = first
      while (holder) {
        holder.release!()
        await settled()
        holder = [...a, ...b].find((caller) => caller.release && !order.includes(nameOf(caller)))
        if (holder) order.push(nameOf(holder))
      }
      function nameOf(caller: ReturnType<typeof ask>) {
        return a.includes(caller) ? `a${a.indexOf(caller)}` : `b${b.indexOf(caller)}`
      }
      expect(order).toEqual(['a0', 'b0', 'a1', 'b1'])
      expect(bulkhead).toMatchObject({ inUse: 0, waiting: 0 })
    })

    it('serves low priority only when nobody else waits, even of a key that holds nothing', async () => {
      const { bulkhead } = world(2, 10)
      const held = [ask(bulkhead, { key: 'a' }), ask(bulkhead, { key: 'a' })]
      const low = ask(bulkhead, { key: 'b', priority: 'low' })
      const normal = ask(bulkhead, { key: 'a' })
      held[0]!.release!()
      await settled()
      expect(served([normal, low])).toEqual([true, false])
      held[1]!.release!()
      await settled()
      expect(served([low])).toEqual([true])
    })

    it('refuses the newest waiter of the greediest key, low first, for a newcomer of a modest one', async () => {
      const { bulkhead } = world(1, 3)
      ask(bulkhead, { key: 'loud' })
      const loud = [
        ask(bulkhead, { key: 'loud' }),
        ask(bulkhead, { key: 'loud', priority: 'low' }),
        ask(bulkhead, { key: 'loud' }),
      ]
      const modest = [ask(bulkhead, { key: 'modest' })]
      await settled()
      expect(reasons(loud)).toEqual([undefined, 'queue_full', undefined])
      modest.push(ask(bulkhead, { key: 'modest', priority: 'low' }))
      await settled()
      expect(reasons(loud)).toEqual([undefined, 'queue_full', 'queue_full'])
      modest.push(ask(bulkhead, { key: 'modest', priority: 'low' }))
      await settled()
      expect(reasons(modest), 'as greedy as the other by now').toEqual([undefined, undefined, 'queue_full'])
      expect(bulkhead.waiting).toBe(3)
    })

    it('lets a normal newcomer replace a low waiter of its own key, and not the other way round', async () => {
      const { bulkhead } = world(1, 1)
      const held = ask(bulkhead, { key: 'other' })
      const low = ask(bulkhead, { key: 'a', priority: 'low' })
      const normal = ask(bulkhead, { key: 'a' })
      const late = [ask(bulkhead, { key: 'a' }), ask(bulkhead, { key: 'a', priority: 'low' })]
      await settled()
      expect(reasons([low, normal, ...late])).toEqual(['queue_full', undefined, 'queue_full', 'queue_full'])
      held.release!()
      await settled()
      expect(served([normal])).toEqual([true])
      normal.release!()
      expect(bulkhead).toMatchObject({ inUse: 0, waiting: 0 })
    })

    it('gives of its reserve to keys below their fair share only, at once, and not for low priority', () => {
      const bulkhead = createBulkhead({ clock: new FakeClock(), limit: 10, reserve: 0.2 })
      const took = (key: string, priority?: Priority) => {
        const { release } = ask(bulkhead, { key, priority, maxWaitMs: 0 })
        return release
      }
      const loud = Array.from({ length: 12 }, () => took('loud'))
      expect(loud.filter(Boolean)).toHaveLength(10)
      expect(took('quiet', 'low')).toBeUndefined()
      const quiet = [took('quiet'), took('other'), took('third')]
      expect(quiet.map((release) => release !== undefined)).toEqual([true, true, false])
      expect(bulkhead.inUse).toBe(12)
      for (const release of [...loud, ...quiet]) release?.()
      expect(bulkhead.inUse).toBe(0)
    })

    it('refuses beforehand neither who has a claim on the reserve nor who displaces another', async () => {
      const { bulkhead } = world(2, 2)
      const loud = [ask(bulkhead, { key: 'loud' }), ask(bulkhead, { key: 'loud' })]
      expect(bulkhead.refuse({ maxWaitMs: 100, key: 'loud' }), 'some may wait').toBe(false)
      ask(bulkhead, { key: 'loud', priority: 'low' })
      ask(bulkhead, { key: 'loud' })
      expect(bulkhead.refuse({ maxWaitMs: 100, key: 'loud' }), 'low makes way').toBe(false)
      expect(bulkhead.refuse({ maxWaitMs: 100, key: 'loud', priority: 'low' })).toBe(true)
      expect(bulkhead.refuse({ maxWaitMs: 100, key: 'quiet' }), 'displaces').toBe(false)
      expect(bulkhead.refuse({ maxWaitMs: 100 }), 'so does who has no key').toBe(false)
      loud[0]!.release!()
      await settled()
      const quiet = ask(bulkhead, { key: 'quiet' })
      expect(bulkhead.refuse({ maxWaitMs: 100, key: 'quiet' }), 'asks for less').toBe(false)
      ask(bulkhead, { key: 'loud' })
      expect(quiet.refused).toBeUndefined()

      const reserving = createBulkhead({ clock: new FakeClock(), limit: 10, maxQueue: 0, reserve: 0.2 })
      for (let i = 0; i < 8; i++) ask(reserving, { key: 'loud' })
      for (let i = 0; i < 2; i++) ask(reserving, { key: 'quiet' })
      expect(reserving.refuse({ maxWaitMs: 100, key: 'loud' })).toBe(true)
      expect(reserving.refuse({ maxWaitMs: 100, key: 'quiet', priority: 'low' })).toBe(true)
      expect(reserving.refuse({ maxWaitMs: 100, key: 'quiet' })).toBe(false)
      expect(reserving.refuse({ maxWaitMs: 100, key: 'new' })).toBe(false)
      expect(reserving.refuse({ maxWaitMs: 100, key: 'new', priority: 'low' })).toBe(true)
    })

    it('lets nobody make room for a key that asks for as much: it has waited longer', async () => {
      const { bulkhead } = world(2, 2)
      const all = ['a', 'b', 'c', 'd'].map((key) => ask(bulkhead, { key }))
      expect(bulkhead.refuse({ maxWaitMs: 100, key: 'e' })).toBe(true)
      const last = ask(bulkhead, { key: 'e' })
      await settled()
      expect(reasons([last, ...all])).toEqual(['queue_full', undefined, undefined, undefined, undefined])
    })

    it('gives of its reserve also while more is in use than a limit that has fallen allows, and takes it back', async () => {
      const bulkhead = createBulkhead({ clock: new FakeClock(), limit: 20, reserve: 0.2 })
      const loud = Array.from({ length: 20 }, () => ask(bulkhead, { key: 'loud' }))
      bulkhead.resize(10)
      const quiet = Array.from({ length: 3 }, () => ask(bulkhead, { key: 'quiet' }))
      expect(served(quiet), 'a fifth of 10').toEqual([true, true, false])
      quiet[0]!.release!()
      await settled()
      expect(served(quiet)).toEqual([true, true, true])
      for (const { release } of [...loud, ...quiet]) release?.()
      expect(bulkhead.inUse).toBe(0)
    })

    it('gives of its reserve up to a fair share between all that are there', () => {
      const bulkhead = createBulkhead({ clock: new FakeClock(), limit: 12, reserve: 0.5 })
      const took = (key: string) => ask(bulkhead, { key, maxWaitMs: 0 }).release !== undefined
      expect(Array.from({ length: 11 }, () => took('loud'))).not.toContain(false)
      expect(took('b')).toBe(true)
      expect(Array.from({ length: 5 }, () => took('a'))).toEqual([true, true, true, true, false])
    })

    it.each<[string, (bulkhead: Bulkhead, clock: FakeClock, key: string) => unknown]>([
      ['been served', (bulkhead, _clock, key) => ask(bulkhead, { key }).release!()],
      ['been refused', (bulkhead, _clock, key) => ask(bulkhead, { key, priority: 'low', maxWaitMs: 0 })],
      [
        'waited in vain',
        async (bulkhead, clock, key) => {
          ask(bulkhead, { key, priority: 'low' })
          await clock.advance(100)
        },
      ],
    ])('forgets keys that have %s, so that they take no share', async (how, pass) => {
      const clock = new FakeClock()
      const bulkhead = createBulkhead({ clock, limit: 10, reserve: 0.2 })
      const loud = Array.from({ length: 10 }, () => ask(bulkhead, { key: 'loud' }))
      if (how === 'been served') loud.pop()!.release!()
      for (let i = 0; i < 20; i++) await pass(bulkhead, clock, `passer-by ${i}`)
      if (how === 'been served') ask(bulkhead, { key: 'loud' })
      const quiet = [ask(bulkhead, { key: 'quiet' }), ask(bulkhead, { key: 'quiet' })]
      expect(served(quiet)).toEqual([true, true])
    })

    it('serves a waiter below its fair share from the reserve while the others wait on', async () => {
      const bulkhead = createBulkhead({ clock: new FakeClock(), limit: 10, reserve: 0.1 })
      const loud = Array.from({ length: 11 }, () => ask(bulkhead, { key: 'loud' }))
      const quiet = [ask(bulkhead, { key: 'quiet' }), ask(bulkhead, { key: 'quiet' })]
      quiet[0]!.release!()
      await settled()
      expect(served([...quiet, loud[10]!])).toEqual([true, true, false])
      loud[0]!.release!()
      await settled()
      expect(served([loud[10]!]), 'ten of the limit are in use').toEqual([false])
      loud[1]!.release!()
      await settled()
      expect(served([loud[10]!])).toEqual([true])
    })

    it('never refuses a key that asks for less than its share while others flood, and serves it within one release', async () => {
      const anySeed = fc.integer({ min: 1, max: 2 ** 31 })
      // At least a place for each of three keys.
      const anyLimit = fc.integer({ min: 3, max: 12 })
      const simulation = fc.asyncProperty(
        anySeed,
        anyLimit,
        fc.integer({ min: 1, max: 2 }),
        async (seed, limit, floods) => {
          const random = seededRandom(seed)
          const { clock, bulkhead } = world(limit)
          const callers: (ReturnType<typeof ask> & { quiet: boolean; endsAt?: number })[] = []
          for (let ms = 0; ms < 500; ms += 5) {
            for (let i = 0; i < limit * floods; i++) {
              callers.push(Object.assign(ask(bulkhead, { key: `flood ${i % floods}` }), { quiet: false }))
            }
            const lastQuiet = callers.findLast(({ quiet }) => quiet)
            if (!lastQuiet || (lastQuiet.endsAt ?? Infinity) <= clock.now()) {
              callers.push(Object.assign(ask(bulkhead, { key: 'quiet' }), { quiet: true }))
            }
            await settled()
            for (const caller of callers) if (caller.release) caller.endsAt ??= clock.now() + 10 + random() * 20
            await clock.advance(5)
            for (const { release, endsAt = Infinity } of callers) if (clock.now() >= endsAt) release?.()
            expect(bulkhead.inUse).toBeLessThanOrEqual(limit)
          }
          const quiet = callers.filter((caller) => caller.quiet)
          // One lasts at most 30 ms, and so does the wait for the first of others to end; a step takes 5 ms.
          expect(quiet.length).toBeGreaterThanOrEqual(500 / (35 + 35))
          expect(quiet.filter(({ refused }) => refused)).toEqual([])
        },
      )
      await fc.assert(simulation, { numRuns: 50 })
    })
  })

  it('under any history never has more in use than its limit, answers everyone, and ends empty', async () => {
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          do: fc.constant('ask' as const),
          want: fc.record({
            maxWaitMs: fc.constantFrom(0, 10, 100),
            key: fc.constantFrom(undefined, 'a', 'b', 'c'),
            priority: fc.constantFrom(undefined, 'normal' as const, 'low' as const),
          }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('resize' as const), to: fc.integer({ min: 1, max: 5 }) }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat(20) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('leave' as const), which: fc.nat(20) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 7, 60) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), async (steps, limit) => {
        const { clock, bulkhead } = world(limit, 3)
        let [allowed, mostAllowed] = [limit, limit]
        const given = new Set<Release>()
        const giveBack = (release?: Release) => {
          if (!release) return
          release()
          given.add(release)
        }
        const callers: { caller: ReturnType<typeof ask>; leaving: AbortController; listeners: () => number }[] = []
        for (const current of steps) {
          if (current.do === 'ask') {
            const refuses = bulkhead.refuse(current.want)
            const leaving = new AbortController()
            const listeners = listening(leaving.signal)
            const caller = ask(bulkhead, { ...current.want, signal: leaving.signal })
            callers.push({ caller, leaving, listeners })
            await settled()
            const refused = (caller.refused as BulkheadFull | undefined)?.reason === 'queue_full'
            if (refuses) expect(refused, 'what is refused beforehand would have been').toBe(true)
            else if (current.want.maxWaitMs > 0) expect(refused, 'and what is not, not').toBe(false)
          } else if (current.do === 'release') giveBack(callers[current.which]?.caller.release)
          else if (current.do === 'leave') callers[current.which]?.leaving.abort('gone')
          else if (current.do === 'resize') {
            allowed = current.to
            bulkhead.resize(allowed)
          } else await clock.advance(current.ms)
          await settled()
          // Places given before the limit fell come back in their own time.
          mostAllowed = Math.max(allowed, Math.min(mostAllowed, bulkhead.inUse))
          expect(bulkhead.inUse).toBeLessThanOrEqual(mostAllowed)
          expect(bulkhead.waiting).toBeLessThanOrEqual(3)
          if (bulkhead.waiting > 0) {
            expect(bulkhead.inUse, 'nobody waits beside a free place').toBeGreaterThanOrEqual(allowed)
          }
          const held = callers.filter(({ caller }) => caller.release && !given.has(caller.release)).length
          expect(bulkhead.inUse, 'every place is with somebody').toBe(held)
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
