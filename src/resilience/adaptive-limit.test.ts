import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import { createAdaptiveLimit, type LimitSample } from './adaptive-limit.ts'

/** Callers who each ask again once answered, as many at once as the limit lets, and a server whose latency they raise. */
function closedLoop({ callers = 200, capacity = 50, seed = 1, maxLimit = 10_000 } = {}) {
  const clock = new FakeClock()
  const random = seededRandom(seed)
  const changes: number[] = []
  const limit = createAdaptiveLimit({ clock, maxLimit, onChange: (to) => changes.push(to) })
  const world = {
    clock,
    limit,
    changes,
    random,
    callers,
    /** Calls at once that it takes without becoming slower. */
    capacity,
    usualMs: 800,
    /** What chance does to one call's time. */
    noise: () => 0.8 + 0.4 * random(),
    inFlight: 0,
    run(ms: number) {
      start()
      clock.tick(ms)
    },
  }
  const start = () => {
    while (world.inFlight < Math.min(world.callers, limit.limit)) {
      world.inFlight++
      const rttMs = world.usualMs * Math.max(1, world.inFlight / world.capacity) * world.noise()
      clock.setTimer(rttMs, () => {
        limit.sample({ baseline: 'model', rttMs, inFlight: world.inFlight })
        world.inFlight--
        start()
      })
    }
  }
  return world
}

describe('an adaptive limit', () => {
  it('stays at its maximum while nothing slows down', () => {
    const world = closedLoop({ callers: 40 })
    world.run(60_000)
    expect(world.changes).toEqual([])
  })

  it('comes down to about what the server takes within some windows, and stays there', () => {
    const world = closedLoop({ callers: 10 })
    world.run(5_000)
    world.callers = 200
    world.run(30_000)
    const seen: number[] = []
    for (let second = 0; second < 120; second++) {
      world.run(1_000)
      seen.push(world.limit.limit)
    }
    expect(Math.min(...seen)).toBeGreaterThan(0.7 * world.capacity)
    expect(Math.max(...seen)).toBeLessThan(2.2 * world.capacity)
  })

  it('takes its first step down from what is in flight, not from a limit far above', () => {
    const world = closedLoop({ callers: 10 })
    world.run(5_000)
    world.callers = 200
    while (world.changes.length === 0) world.run(100)
    expect(world.changes[0]).toBeLessThan(125)
    expect(world.clock.now()).toBeLessThan(5_000 + 5_000 + 6_000)
  })

  it('grows back once the server takes more', () => {
    const world = closedLoop({ callers: 10 })
    world.run(5_000)
    world.callers = 150
    world.run(30_000)
    expect(world.limit.limit).toBeLessThan(100)
    world.capacity = 1_000
    world.run(60_000)
    expect(world.inFlight).toBe(150)
  })

  it('accepts a server that is slow whatever we do, instead of staying at its least', () => {
    const world = closedLoop({ callers: 100, capacity: 1_000 })
    world.run(20_000)
    world.usualMs *= 3
    world.run(120_000)
    expect(world.inFlight).toBe(100)
  })

  it('with heavy-tailed latencies at low load never goes below what is in use', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 }), fc.integer({ min: 1, max: 40 }), (seed, callers) => {
        const world = closedLoop({ callers, seed, capacity: 1_000 })
        // Pareto with a shape of 1.3: the mean is far above the median, and one call in a hundred takes 35 times as long.
        world.noise = () => (1 - world.random()) ** (-1 / 1.3)
        world.run(60_000)
        expect(world.limit.limit).toBeGreaterThanOrEqual(callers)
      }),
      { numRuns: 30 },
    )
  })

  type Sample = Partial<LimitSample>
  /** The limit after windows of 50 samples each. */
  function fed(...windows: ((i: number) => Sample)[]) {
    const clock = new FakeClock()
    const limit = createAdaptiveLimit({ clock, maxLimit: 1_000 })
    for (const sample of windows) {
      for (let i = 0; i < 50; i++) {
        if (i === 49) clock.tick(1_000)
        limit.sample({ baseline: 'a', rttMs: 100, inFlight: 100, ...sample(i) })
      }
    }
    return limit.limit
  }
  const usual = () => ({})
  const dropped = (every: number) => (i: number) => ({ dropped: i % every === 0 })

  it('compares each model with itself', () => {
    const slow = { baseline: 'slow', rttMs: 5_000 }
    const mixed = (i: number) => (i % 2 ? slow : {})
    expect(
      fed(
        mixed,
        mixed,
        () => slow,
        () => slow,
        usual,
      ),
    ).toBe(1_000)
  })

  it('does not take a few long prompts for a slow server', () => {
    const someLong = (i: number) => (i % 4 === 0 ? { rttMs: 5_000 } : {})
    expect(fed(usual, usual, someLong, someLong, someLong)).toBe(1_000)
  })

  it('does not blame an upstream that answers in no time for the lateness of our own loop', () => {
    const quick = () => ({ rttMs: 2 })
    const lateLoop = () => ({ rttMs: 50 })
    expect(fed(quick, quick, lateLoop, lateLoop)).toBe(1_000)
  })

  it('decides nothing by fewer than 20 calls, however late', () => {
    const clock = new FakeClock()
    const limit = createAdaptiveLimit({ clock, maxLimit: 1_000 })
    for (let i = 0; i < 50; i++) {
      clock.tick(50)
      limit.sample({ baseline: 'a', rttMs: 100, inFlight: 10 })
    }
    clock.tick(60_000)
    for (let i = 0; i < 9; i++) limit.sample({ baseline: 'a', rttMs: 10_000, inFlight: 10 })
    expect(limit.limit).toBe(1_000)
  })

  it('takes many dropped calls for evidence, once, and few for chance', () => {
    expect(fed(usual, dropped(20), dropped(20))).toBe(1_000)
    expect(fed(usual, dropped(2))).toBe(90)
    expect(fed(usual, dropped(2), dropped(2)), 'asked for before the first decision').toBe(90)
    expect(fed(usual, dropped(1))).toBe(90)
  })

  it('counts answers that came as a whole beside those that were dropped, and no window by them', () => {
    const whole = { rttMs: undefined }
    // Half of the streams are dropped: of all calls one in twenty, or one in eight.
    const mixed = (every: number) => (i: number) => (i % every === 0 ? { dropped: i % (2 * every) === 0 } : whole)
    const windows = (every: number) => Array.from({ length: 2 * every }, () => mixed(every))
    expect(fed(usual, ...windows(10))).toBe(1_000)
    expect(fed(usual, ...windows(4))).toBeLessThan(1_000)
    expect(fed(usual, ...Array.from({ length: 9 }, () => () => ({ ...whole, dropped: true })))).toBe(1_000)
  })

  it('decides by twenty calls in a second, not by nineteen, nor by twenty in less', () => {
    const after = (calls: number, ms: number) => {
      const clock = new FakeClock()
      const limit = createAdaptiveLimit({ clock, maxLimit: 1_000 })
      clock.tick(ms)
      for (let i = 0; i < calls; i++) limit.sample({ baseline: 'a', rttMs: 0, inFlight: 100, dropped: true })
      return limit.limit
    }
    expect(after(19, 1_000)).toBe(1_000)
    expect(after(20, 999)).toBe(1_000)
    expect(after(20, 1_000)).toBe(90)
  })

  describe('where only whole answers come', () => {
    /** A limit of 90 that streams have lowered, and a way to ask for whole answers, the last of them so much later. */
    function lowered() {
      const clock = new FakeClock()
      const changes: number[] = []
      const limit = createAdaptiveLimit({ clock, maxLimit: 1_000, onChange: (to) => changes.push(to) })
      const stream = (of: Partial<LimitSample> = {}) =>
        limit.sample({ baseline: 'a', rttMs: 100, inFlight: 100, ...of })
      const window = (of?: Partial<LimitSample>) => {
        for (let i = 0; i < 49; i++) stream(of)
        clock.tick(1_000)
        stream(of)
      }
      window()
      window({ dropped: true })
      expect(changes).toEqual([90])
      const whole = (calls: number, ms: number, of: (i: number) => Partial<LimitSample> = () => ({})) => {
        for (let i = 0; i < calls; i++) {
          if (i === calls - 1) clock.tick(ms)
          stream({ rttMs: undefined, ...of(i) })
        }
        return limit.limit
      }
      return { clock, limit, changes, stream, window, whole }
    }

    it('grows by twenty of them in a second, not by nineteen, nor by twenty in less', () => {
      expect(lowered().whole(20, 1_000)).toBe(99)
      expect(lowered().whole(19, 1_000)).toBe(90)
      expect(lowered().whole(20, 999)).toBe(90)
      expect(lowered().whole(39, 1_000)).toBe(99)
    })

    it('grows again by the next twenty in a second', () => {
      const { whole, changes } = lowered()
      whole(20, 1_000)
      expect(whole(19, 1_000)).toBe(99)
      expect(whole(1, 0)).toBe(108)
      expect(whole(20, 999)).toBe(108)
      for (let i = 0; i < 100; i++) whole(20, 1_000, () => ({ inFlight: 1_000 }))
      expect(changes.at(-1)).toBe(1_000)
    })

    it('holds where less than half of it is in use, or more than a tenth is dropped, and never comes down', () => {
      expect(lowered().whole(20, 1_000, () => ({ inFlight: 44 }))).toBe(90)
      expect(lowered().whole(20, 1_000, () => ({ inFlight: 45 }))).toBe(99)
      expect(lowered().whole(20, 1_000, (i) => ({ dropped: i < 2 }))).toBe(99)
      expect(lowered().whole(20, 1_000, (i) => ({ dropped: i < 3 }))).toBe(90)
      expect(lowered().whole(20, 1_000, () => ({ dropped: true }))).toBe(90)
    })

    it('forgets what was in use before', () => {
      const { whole } = lowered()
      expect(whole(20, 1_000)).toBe(99)
      expect(whole(20, 1_000, () => ({ inFlight: 49 }))).toBe(99)
    })

    it('begins anew with each stream, whose own window goes on', () => {
      const { clock, limit, stream, window, whole } = lowered()
      window()
      for (let i = 0; i < 19; i++) {
        whole(19, 1_000)
        stream({ rttMs: 10_000 })
      }
      expect(limit.limit).toBe(90)
      whole(20, 1_000)
      expect(limit.limit).toBe(99)
      clock.tick(1_000)
      stream({ rttMs: 10_000 })
      expect(limit.limit).toBe(49)
    })
  })

  it('comes down by as much as the upstream has become slower, and by half at most', () => {
    // With the 200 ms that our own loop may be late: 420 against 300, and 1,200 against 300.
    expect(fed(usual, () => ({ rttMs: 220 }))).toBe(71)
    expect(fed(usual, () => ({ rttMs: 1_000 }))).toBe(50)
  })

  it('grows where half of it is in use, and holds below that', () => {
    const using = (inFlight: number) => () => ({ inFlight })
    expect(fed(usual, dropped(2), usual, using(44))).toBe(90)
    expect(fed(usual, dropped(2), usual, using(45))).toBe(99)
  })

  it('takes a tenth of dropped calls for chance', () => {
    expect(fed(usual, dropped(10))).toBe(1_000)
    expect(fed(usual, dropped(9))).toBe(90)
  })

  it('remembers the 256 models used last', () => {
    const fedOthers = (others: number) => {
      const clock = new FakeClock()
      const limit = createAdaptiveLimit({ clock, maxLimit: 1_000 })
      const window = (models: string[], rttMs: number) => {
        for (const baseline of models) limit.sample({ baseline, rttMs, inFlight: 100 })
        clock.tick(1_000)
        limit.sample({ baseline: models.at(-1)!, rttMs, inFlight: 100 })
      }
      const a = Array<string>(50).fill('a')
      window([...a, ...Array.from({ length: 100 }, (_, i) => `before ${i}`), ...a], 100)
      window(
        Array.from({ length: others }, (_, i) => `model ${i}`),
        100,
      )
      window(a, 5_000)
      return limit.limit
    }
    expect(fedOthers(255)).toBeLessThan(1_000)
    expect(fedOthers(256)).toBe(1_000)
  })

  it('never leaves its bounds', () => {
    const slow = () => ({ rttMs: 1_000, inFlight: 5 })
    expect(fed(usual, slow, slow, slow, slow)).toBe(20)
    const clock = new FakeClock()
    expect(createAdaptiveLimit({ clock, maxLimit: 4 }).limit).toBe(4)
    expect(createAdaptiveLimit({ clock, maxLimit: 1, minLimit: 1 }).limit).toBe(1)
    expect(() => createAdaptiveLimit({ clock, maxLimit: 0 })).toThrow('maxLimit must be at least 1, got 0')
    expect(() => createAdaptiveLimit({ clock, maxLimit: 5, minLimit: 0 })).toThrow('minLimit must be at least 1, got 0')
  })
})
