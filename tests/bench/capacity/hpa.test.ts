/**
 * The model beside what Kubernetes' own project says its autoscaler does: the numbers are those of the replica
 * calculator's and the controller's test tables, of KEP-853 and of the documentation's examples.
 */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createHpa, type HpaSpec } from '../../../bench/capacity/hpa.ts'
import {
  type Behavior,
  defaultBehavior,
  limitRate,
  noHistory,
  type Policy,
  type ScalingRules,
  stabilise,
} from '../../../bench/capacity/hpa-behavior.ts'
import {
  type ClusterView,
  type ControllerFlags,
  defaultFlags,
  type Metric,
  type PodView,
  replicasFor,
} from '../../../bench/capacity/hpa-replicas.ts'

const minute = 60_000
const nowMs = 60 * minute

interface Given {
  current: number
  metric: Metric
  /** Of each pod, in order; one that is left out has not been measured. */
  levels?: (number | undefined)[]
  /** Cores. @default 1 each */
  requests?: number[]
  /** @default all */
  ready?: boolean[]
  startedAgoMs?: number[]
  pods?: number
  external?: number
  flags?: Partial<ControllerFlags>
  phases?: PodView['phase'][]
}

function asked(given: Given): number | undefined {
  const { metric, levels = [], ready = [], startedAgoMs = [], requests = [], phases = [] } = given
  const pods = Array.from({ length: given.pods ?? given.current }, (_, i): PodView => {
    const started = nowMs - (startedAgoMs[i] ?? 60 * minute)
    const value = levels[i]
    return {
      phase: phases[i] ?? 'running',
      ready: ready[i] ?? true,
      startedAtMs: started,
      readyChangedAtMs: started,
      requests: { cpu: requests[i] ?? 1, memory: 1 },
      samples: value === undefined ? {} : { [metric.name]: { value, atMs: nowMs, windowMs: minute } },
    }
  })
  const external = given.external === undefined ? {} : { [metric.name]: given.external }
  return replicasFor(metric, { nowMs, replicas: given.current, pods, external }, { ...defaultFlags, ...given.flags })
}

const cpu = (averageUtilization: number): Metric => ({ kind: 'resource', name: 'cpu', averageUtilization })
const qps = (averageValue: number): Metric => ({ kind: 'pods', name: 'qps', averageValue })
const each = (averageValue: number): Metric => ({ kind: 'external', name: 'queue', averageValue })
const whole = (value: number): Metric => ({ kind: 'external', name: 'queue', value })
const justStarted = { ready: [false, true, true], startedAgoMs: [0] }

describe('what one metric asks for', () => {
  test.each<[string, Given, number | undefined]>([
    ['twice the target doubles', { current: 1, metric: cpu(100), levels: [2] }, 2],
    ['half the target halves', { current: 2, metric: cpu(100), levels: [0.5, 0.5] }, 1],
    ['CPU above target', { current: 3, metric: cpu(30), levels: [0.3, 0.5, 0.7] }, 5],
    ['CPU below target', { current: 5, metric: cpu(50), levels: [0.1, 0.3, 0.5, 0.25, 0.25] }, 3],
    ['within 10 %', { current: 3, metric: cpu(100), requests: [0.9, 1, 1.1], levels: [1.01, 1.03, 1.02] }, 3],
    ['no tolerance', { current: 3, metric: cpu(100), levels: [0.909, 1.01, 1.111], flags: { tolerance: 0 } }, 4],
    [
      'a pod that is not ready counts for nothing',
      { current: 4, metric: cpu(30), levels: [undefined, 0.3, 0.5, 0.7], phases: ['pending'] },
      5,
    ],
    ['missing metrics count as full on the way down', { current: 4, metric: cpu(100), levels: [0.4, 0.095] }, 3],
    ['none at all', { current: 4, metric: cpu(100), levels: [] }, undefined],
    ['one missing, the other at its target', { current: 2, metric: cpu(100), levels: [1] }, 2],
    ['one missing, the other above', { current: 2, metric: cpu(100), levels: [1.9] }, 2],
    ['one missing, the other below', { current: 2, metric: cpu(100), levels: [0.6] }, 2],
    ['unready and missing', { current: 3, metric: cpu(50), levels: [0.1, 0.45], ...justStarted }, 3],
    ['unready and missing, far above', { current: 3, metric: cpu(50), levels: [0.1, 2], ...justStarted }, 4],
    [
      'unready and missing, far below',
      { current: 4, metric: cpu(50), levels: [0.1, 0.1, 0.1], ready: [false], startedAgoMs: [0] },
      3,
    ],
    [
      'a target above the request',
      {
        current: 4,
        metric: cpu(300),
        requests: [1, 1, 2, 2],
        levels: [0.2, 0.1, 0.1],
        ready: [false],
        startedAgoMs: [0],
      },
      2,
    ],
    ['a rolling update is one pod more', { current: 2, pods: 3, metric: cpu(50), levels: [0.1, 0.1] }, 2],
    [
      'pods that are ending are not there',
      { current: 2, pods: 3, metric: cpu(50), levels: [0.5, 0.5, 1], phases: ['running', 'running', 'deleted'] },
      2,
    ],
    ['a pods metric above', { current: 3, metric: qps(15), levels: [20, 10, 30] }, 4],
    [
      'a pods metric counts pods that only just started',
      {
        current: 3,
        metric: qps(15),
        levels: [50, 10, 30],
        ready: [true, true, false],
        startedAgoMs: [minute * 60, minute * 60, 0],
      },
      6,
    ],
    [
      'and those that are not ready',
      { current: 3, metric: qps(15), levels: [50, 15, 30], ready: [false, true, false] },
      7,
    ],
    ['a pods metric below', { current: 5, metric: qps(20), levels: [12, 12, 12, 12, 12] }, 3],
    ['a pods metric within', { current: 3, metric: qps(20), levels: [20, 21, 21] }, 3],
    ['a pods metric, two missing', { current: 5, metric: qps(20), levels: [20, 19, 21] }, 5],
    ['a pods metric in a rolling update', { current: 2, pods: 3, metric: qps(17), levels: [10, 10] }, 2],
    ['external, divided, above', { current: 3, metric: each(2.15), external: 8.6 }, 4],
    ['external, divided, within', { current: 3, metric: each(2.9), external: 8.6 }, 3],
    ['external, divided, below', { current: 5, metric: each(2.867), external: 8.6 }, 3],
    ['external, as it is, below', { current: 5, metric: whole(14.334), external: 8.6 }, 3],
    ['external, as it is, within', { current: 3, metric: whole(8.888), external: 8.6 }, 3],
    [
      'external, as it is, of ready pods only',
      { current: 3, metric: whole(4.4), external: 8.6, ready: [false, true, false] },
      2,
    ],
    ['external, not known', { current: 3, metric: whole(4.4) }, undefined],
  ])('%s', (_, given, replicas) => {
    expect(asked(given)).toBe(replicas)
  })

  // The forecast as a plain value of a target of 1: five pods that want to be five become 25.
  test('an external value that is a number of pods must be divided among them', () => {
    expect(asked({ current: 5, metric: whole(1), external: 5 })).toBe(25)
    expect(asked({ current: 5, metric: each(1), external: 5 })).toBe(5)
  })

  test.each<[string, Partial<PodView>, { atMs: number; windowMs: number }, boolean]>([
    [
      'a minute old, ready for 30 s, measured over 30 s',
      { startedAtMs: nowMs - minute, readyChangedAtMs: nowMs - 30_000 },
      { atMs: nowMs, windowMs: 30_000 },
      true,
    ],
    [
      'measured over 60 s',
      { startedAtMs: nowMs - minute, readyChangedAtMs: nowMs - 30_000 },
      { atMs: nowMs, windowMs: 60_000 },
      false,
    ],
    [
      'past its initialisation, measured long ago',
      { startedAtMs: nowMs - 10 * minute, readyChangedAtMs: nowMs - 30_000 },
      { atMs: nowMs - 2 * minute, windowMs: 60_000 },
      true,
    ],
    [
      'past it, never ready',
      { ready: false, startedAtMs: nowMs - 10 * minute, readyChangedAtMs: nowMs - 10 * minute + 6_000 },
      { atMs: nowMs, windowMs: minute },
      false,
    ],
    [
      'past it, unready since',
      { ready: false, startedAtMs: nowMs - 10 * minute, readyChangedAtMs: nowMs - minute },
      { atMs: nowMs, windowMs: minute },
      true,
    ],
  ])('CPU of a pod %s', (_, pod, sample, counts) => {
    const view: ClusterView = {
      nowMs,
      replicas: 1,
      external: {},
      pods: [
        {
          phase: 'running',
          ready: true,
          startedAtMs: 0,
          readyChangedAtMs: 0,
          requests: { cpu: 1, memory: 1 },
          samples: { cpu: { value: 2, ...sample } },
          ...pod,
        },
      ],
    }
    expect(replicasFor(cpu(100), view, defaultFlags)).toBe(counts ? 2 : undefined)
  })
})

const policies = (pods: number, podsMs: number, percent: number, percentMs: number): Policy[] => [
  ...(pods === 0 ? [] : [{ type: 'Pods' as const, value: pods, periodMs: podsMs }]),
  ...(percent === 0 ? [] : [{ type: 'Percent' as const, value: percent, periodMs: percentMs }]),
]
const rules = (list: Policy[], more: Partial<ScalingRules> = {}): ScalingRules => ({
  stabilizationMs: 0,
  selectPolicy: 'Max',
  policies: list,
  ...more,
})
const up = (list: Policy[], more?: Partial<ScalingRules>): Behavior => ({
  ...defaultBehavior,
  scaleUp: rules(list, more),
})
const down = (list: Policy[], more?: Partial<ScalingRules>): Behavior => ({
  ...defaultBehavior,
  scaleDown: rules(list, more),
})
/** Changes spread over the last two minutes, each in the middle of its part. */
const spread = (counts: number[]) =>
  counts.map((count, i) => ({ atMs: nowMs - 2 * minute + ((i + 0.5) * 2 * minute) / counts.length, count }))

interface Step {
  from: number
  wanted: number
  behavior?: Behavior
  min?: number
  max?: number
  ups?: number[]
  downs?: number[]
}

describe('how fast replicas change', () => {
  test.each<[string, Step, number]>([
    ['within everything', { from: 5, wanted: 7, min: 3, max: 8 }, 7],
    ['the minimum', { from: 3, wanted: 1, min: 2, max: 8 }, 2],
    ['the maximum', { from: 100, wanted: 1000, min: 100, max: 150 }, 150],
    ['1 % of three is one pod', { from: 3, wanted: 1000, max: 2000, behavior: up(policies(0, 0, 1, minute)) }, 4],
    ['the default doubles', { from: 10, wanted: 50 }, 20],
    ['pods, the larger', { from: 10, wanted: 500, behavior: up(policies(100, minute, 100, minute)) }, 110],
    ['percent, the larger', { from: 10, wanted: 500, behavior: up(policies(2, minute, 100, minute)) }, 20],
    [
      'the smaller of the two',
      { from: 10, wanted: 500, behavior: up(policies(2, minute, 100, minute), { selectPolicy: 'Min' }) },
      12,
    ],
    ['pods alone', { from: 10, wanted: 50, behavior: up(policies(30, minute, 0, 0)) }, 40],
    ['percent alone', { from: 10, wanted: 50, behavior: up(policies(0, 0, 200, minute)) }, 30],
    ['switched off', { from: 10, wanted: 50, behavior: up([], { selectPolicy: 'Disabled' }) }, 10],
    [
      '20 pods down of 1,000',
      { from: 1000, wanted: 3, min: 3, max: 2000, behavior: down(policies(20, minute, 0, 0)) },
      980,
    ],
    ['down by the larger', { from: 100, wanted: 2, behavior: down(policies(20, minute, 1, minute)) }, 80],
    ['down by the larger, pods', { from: 100, wanted: 2, behavior: down(policies(2, minute, 1, minute)) }, 98],
    [
      'down by the smaller',
      { from: 100, wanted: 2, behavior: down(policies(20, minute, 1, minute), { selectPolicy: 'Min' }) },
      99,
    ],
    [
      'down no further than the minimum',
      { from: 10, wanted: 2, min: 5, behavior: down(policies(0, 0, 100, minute)) },
      5,
    ],
    ['down by half', { from: 10, wanted: 5, behavior: down(policies(0, 0, 50, minute)) }, 5],
    ['down switched off', { from: 10, wanted: 5, behavior: down([], { selectPolicy: 'Disabled' }) }, 10],
    [
      'up after changes',
      { from: 100, wanted: 500, ups: [1, 5, 9], behavior: up(policies(150, 2 * minute, 0, 0)) },
      235,
    ],
    [
      'up in percent after changes',
      { from: 100, wanted: 500, ups: [1, 5, 9], behavior: up(policies(0, 0, 200, 2 * minute)) },
      255,
    ],
    [
      'more has come already than may',
      { from: 100, wanted: 500, ups: [1, 5, 9], behavior: up(policies(5, 2 * minute, 0, 0)) },
      100,
    ],
    [
      'down after changes',
      { from: 100, wanted: 0, downs: [2, 4, 6], behavior: down(policies(0, 0, 50, 2 * minute)) },
      56,
    ],
    [
      'more has gone already than may',
      { from: 100, wanted: 2, downs: [1, 5, 9], behavior: down(policies(5, 2 * minute, 0, 0)) },
      100,
    ],
    [
      'below nothing',
      { from: 10, wanted: 5, downs: [10, 10, 10], behavior: down(policies(0, 0, 1000, 2 * minute)) },
      5,
    ],
  ])('%s', (_, { from, wanted, behavior = defaultBehavior, min = 1, max = 1000, ups = [], downs = [] }, replicas) => {
    const history = { ...noHistory(), ups: spread(ups), downs: spread(downs) }
    const limits = { minReplicas: min, maxReplicas: max }
    expect(limitRate(wanted, from, behavior, limits, history, nowMs)).toBe(replicas)
  })

  /** One recommendation a minute, as the KEP's stories have it. */
  const follow = (spec: Partial<HpaSpec>, from: number, recommendations: number[]): number[] => {
    const hpa = createHpa({ minReplicas: 1, maxReplicas: 10_000, metrics: [each(1)], flags: { tolerance: 0 }, ...spec })
    let replicas = from
    return recommendations.map((queue, i) => {
      replicas = hpa.sync({ nowMs: nowMs + i * minute, replicas, pods: [], external: { queue } })
      return replicas
    })
  }
  const daily = (count: number) => Array.from({ length: count }, () => 10_000)

  test('KEP-853, story 1: as fast as possible', () => {
    expect(follow({ behavior: up(policies(0, 0, 900, minute)) }, 1, daily(3))).toEqual([10, 100, 1000])
  })

  test('story 2: one pod down in ten minutes', () => {
    const behavior = down(policies(1, 10 * minute, 0, 0))
    const steps = follow({ behavior }, 1000, Array(22).fill(1))
    expect([steps[0], steps[9], steps[10], steps[19], steps[20]]).toEqual([1000 - 1, 999, 998, 998, 997])
  })

  test('story 3: one pod up in five minutes', () => {
    const steps = follow({ behavior: up(policies(1, 5 * minute, 0, 0)) }, 1, daily(15))
    expect([steps[0], steps[4], steps[5], steps[10]]).toEqual([2, 2, 3, 4])
  })

  test('story 4: never down', () => {
    expect(follow({ behavior: down([], { selectPolicy: 'Disabled' }) }, 10, [1, 1, 1])).toEqual([10, 10, 10])
  })

  test('story 5: the highest of ten minutes before it goes down', () => {
    const behavior = down(policies(5, minute, 0, 0), { stabilizationMs: 10 * minute })
    const steps = follow({ behavior }, 10, [10, 9, 8, 9, 9, 8, 9, 8, 9, 8, 7])
    expect(steps).toEqual([10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 9])
  })

  test('story 6: the lowest of five minutes before it goes up', () => {
    const behavior = up(policies(20, minute, 0, 0), { stabilizationMs: 5 * minute })
    expect(follow({ behavior }, 2, [2, 3, 19, 10, 3, 4])).toEqual([2, 2, 2, 2, 2, 3])
  })

  test.each<[string, { count: number; agoMs: number }[], number]>([
    ['no recommendation before', [], 3],
    [
      'higher ones a while ago',
      [
        { count: 4, agoMs: 2 * minute },
        { count: 5, agoMs: minute },
      ],
      5,
    ],
    [
      'lower ones a while ago',
      [
        { count: 1, agoMs: 2 * minute },
        { count: 2, agoMs: minute },
      ],
      3,
    ],
    [
      'higher ones too long ago',
      [
        { count: 10, agoMs: 10 * minute },
        { count: 9, agoMs: 9 * minute },
      ],
      3,
    ],
  ])('five minutes of stabilisation: %s', (_, before, replicas) => {
    const recommendations = before.map(({ count, agoMs }) => ({ count, atMs: nowMs - agoMs }))
    expect(stabilise(3, 100, defaultBehavior, { ...noHistory(), recommendations }, nowMs)).toBe(replicas)
  })
})

describe('the controller', () => {
  const view = (replicas: number, external: Record<string, number>, atMs = nowMs): ClusterView => ({
    nowMs: atMs,
    replicas,
    pods: [],
    external,
  })
  const two: Metric[] = [each(1), { kind: 'external', name: 'other', averageValue: 1 }]

  test('the metric that asks for most decides', () => {
    const hpa = createHpa({ minReplicas: 1, maxReplicas: 100, metrics: two })
    expect(hpa.sync(view(3, { queue: 4, other: 5 }))).toBe(5)
  })

  test('where a metric is not known the others may add pods but take none away', () => {
    const hpa = createHpa({ minReplicas: 1, maxReplicas: 100, metrics: two })
    expect(hpa.sync(view(3, { queue: 5 }))).toBe(5)
    expect(hpa.sync(view(5, { queue: 1 }, nowMs + 10 * minute))).toBe(5)
    expect(hpa.sync(view(5, {}, nowMs + 20 * minute))).toBe(5)
  })

  test('nothing goes down within the window of its own start', () => {
    const hpa = createHpa({ minReplicas: 1, maxReplicas: 100, metrics: [each(1)] })
    expect(hpa.sync(view(10, { queue: 2 }))).toBe(10)
    expect(hpa.sync(view(10, { queue: 2 }, nowMs + 5 * minute))).toBe(2)
  })

  test('a number set by hand is brought within the limits at once, and none is left alone', () => {
    const hpa = createHpa({ minReplicas: 3, maxReplicas: 50, metrics: [each(1)] })
    expect(hpa.sync(view(100, { queue: 100 }))).toBe(50)
    expect(hpa.sync(view(1, { queue: 1 }))).toBe(3)
    expect(hpa.sync(view(0, { queue: 100 }))).toBe(0)
  })

  test('a specification that the cluster would refuse is refused', () => {
    expect(() => createHpa({ minReplicas: 5, maxReplicas: 3, metrics: [] })).toThrow('5 to 3')
  })
})

describe('whatever the load', () => {
  const behavior: Behavior = {
    scaleUp: rules(policies(4, 15_000, 100, 15_000)),
    scaleDown: rules(policies(2, minute, 10, minute), { selectPolicy: 'Min', stabilizationMs: 5 * minute }),
  }
  const run = (loads: readonly number[], from = 3) => {
    const hpa = createHpa({ minReplicas: 3, maxReplicas: 50, metrics: [each(1)], behavior })
    let replicas = from
    return loads.map((queue, i) => {
      replicas = hpa.sync({ nowMs: nowMs + i * 15_000, replicas, pods: [], external: { queue } })
      return replicas
    })
  }
  const loads = fc.array(fc.double({ min: 0, max: 200, noNaN: true }), { minLength: 1, maxLength: 200 })

  test('replicas stay within their limits', () => {
    void fc.assert(fc.property(loads, (each) => run(each).every((replicas) => replicas >= 3 && replicas <= 50)))
  })

  test('in 15 s they double at most, or grow by four; in a minute they lose two at most', () => {
    void fc.assert(
      fc.property(loads, (each) => {
        const steps = [3, ...run(each)]
        return steps.every((replicas, i) => {
          const before = steps[i - 1] ?? 3
          const minuteAgo = steps[Math.max(0, i - 4)]!
          const least = Math.min(minuteAgo, ...steps.slice(Math.max(0, i - 3), i + 1))
          return replicas <= Math.max(before * 2, before + 4) && minuteAgo - least <= 2
        })
      }),
    )
  })

  test('they lose none while five minutes hold a load that wants as many', () => {
    void fc.assert(
      fc.property(loads, (each) => {
        const steps = [3, ...run(each)]
        return each.every((_, i) => {
          const highest = Math.max(...each.slice(Math.max(0, i - 19), i + 1))
          return steps[i + 1]! >= steps[i]! || Math.min(50, Math.ceil(highest)) <= steps[i]!
        })
      }),
    )
  })

  test('a load that stays is followed to its number, or to within a tenth of it, and left there', () => {
    void fc.assert(
      fc.property(loads, fc.double({ min: 0, max: 200, noNaN: true }), (before, last) => {
        const steps = run([...before, ...Array(200).fill(last)])
        const [end, earlier] = [steps.at(-1)!, steps.at(-30)!]
        const wanted = Math.min(50, Math.max(3, Math.ceil(last)))
        return end === earlier && (end === wanted || Math.abs(last / end - 1) <= 0.1 + 1e-3)
      }),
    )
  })

  test('more load never asks for fewer replicas', () => {
    const level = fc.double({ min: 0, max: 100, noNaN: true })
    void fc.assert(
      fc.property(
        fc.array(level, { minLength: 1, maxLength: 20 }),
        fc.double({ min: 1, max: 5, noNaN: true }),
        (l, times) => {
          const less = asked({ current: l.length, metric: qps(15), levels: l })!
          return (
            asked({ current: l.length, metric: qps(15), levels: l.map((x) => x * times) })! >= Math.min(less, l.length)
          )
        },
      ),
    )
  })
})
