import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { desiredReplicas, forecastDemand, type LoadSample } from './replica-forecast.ts'

const options = { leadMs: 60_000, podArrivalsPerSecond: 1_000, podStreams: 500 }

/** A sample every 5 s, the last one at 10 minutes. */
const samples = (count: number, at: (secondsAgo: number) => Partial<LoadSample>): LoadSample[] =>
  Array.from({ length: count }, (_, i) => {
    const secondsAgo = 5 * (count - 1 - i)
    return { atMs: 600_000 - secondsAgo * 1_000, arrivalsPerSecond: 0, streams: 0, ...at(secondsAgo) }
  })

describe('the forecast', () => {
  test('is the load itself where that stays as it is', () => {
    const steady = samples(30, () => ({ arrivalsPerSecond: 2_500, streams: 1_000 }))
    expect(forecastDemand(steady, options)).toEqual({ arrivals: 2.5, streams: 2 })
  })

  test('follows a rise as far ahead as a pod takes to start', () => {
    const rising = samples(25, (ago) => ({ arrivalsPerSecond: 5_000 - 10 * ago }))
    expect(forecastDemand(rising, options).arrivals).toBeCloseTo(5.6)
    expect(forecastDemand(rising, { ...options, leadMs: 0 }).arrivals).toBeCloseTo(5)
  })

  test('does not foresee a fall: the load of the last seconds must be carried', () => {
    const falling = samples(25, (ago) => ({ streams: 1_000 + 10 * ago }))
    expect(forecastDemand(falling, options).streams).toBeCloseTo((1_000 + 10 * 7.5) / 500)
  })

  test('takes a sudden load for twice itself at most', () => {
    const sudden = samples(25, (ago) => ({ arrivalsPerSecond: ago < 60 ? 10_000 : 0 }))
    expect(forecastDemand(sudden, { ...options, leadMs: 180_000 }).arrivals).toBe(20)
  })

  test('says what there is while it has seen too little for a line', () => {
    const young = samples(3, (ago) => ({ arrivalsPerSecond: 1_000 - 50 * ago }))
    expect(forecastDemand(young, options).arrivals).toBeCloseTo(0.75)
    expect(forecastDemand([], options)).toEqual({ arrivals: 0, streams: 0 })
  })

  test('forgets what is older than two minutes', () => {
    const long = samples(100, (ago) => ({ arrivalsPerSecond: ago < 120 ? 1_000 : 50_000 }))
    expect(forecastDemand(long, options).arrivals).toBeCloseTo(1)
  })
})

describe('the number of pods', () => {
  test.each([
    ['nothing to do', { arrivals: 0, streams: 0 }, 3, 1, 'idle'],
    ['a third of a pod each', { arrivals: 1 / 3, streams: 0.1 }, 3, 1, 'idle'],
    ['arrivals ask for more', { arrivals: 1.2, streams: 0.1 }, 10, 12, 'arrivals'],
    ['streams ask for more', { arrivals: 1.2, streams: 2.01 }, 10, 21, 'streams'],
    ['more than is paid for', { arrivals: 9, streams: 1 }, 10, 60, 'spend_cap'],
    ['a float that is off', { arrivals: 0.1 + 0.2, streams: 0 }, 10, 3, 'arrivals'],
  ] as const)('%s', (_, demand, pods, replicas, reason) => {
    expect(desiredReplicas(demand, pods, 60)).toEqual({ replicas, reason })
  })
})

test('whatever was seen, the forecast is between the load and twice the load, and grows with it', () => {
  // In thousandths: of numbers near the smallest that there is no float knows twice.
  const load = fc.nat({ max: 1_000_000_000 }).map((thousandths) => thousandths / 1_000)
  const history = fc.array(fc.record({ arrivalsPerSecond: load, streams: load }), { minLength: 1, maxLength: 60 })
  void fc.assert(
    fc.property(history, fc.double({ min: 1, max: 10, noNaN: true }), (seen, times) => {
      const all = samples(seen.length, (ago) => seen[seen.length - 1 - ago / 5]!)
      const more = all.map((s) => ({ ...s, arrivalsPerSecond: s.arrivalsPerSecond * times }))
      const last = all.slice(-4).map((s) => s.arrivalsPerSecond)
      const level = last.reduce((sum, value) => sum + value, 0) / last.length / 1_000
      const { arrivals } = forecastDemand(all, options)
      expect(arrivals).toBeGreaterThanOrEqual(level * 0.999_999)
      expect(arrivals).toBeLessThanOrEqual(2 * level * 1.000_001)
      expect(forecastDemand(more, options).arrivals).toBeGreaterThanOrEqual(arrivals * 0.999_999)
    }),
  )
})
