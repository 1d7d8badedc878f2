import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { addedP99Ms, createLatencyMix } from '../../../bench/capacity/latency.ts'
import { forecastDefaults, pod, policies, scrape } from '../../../bench/capacity/policies.ts'
import { type SimulationOptions, simulate } from '../../../bench/capacity/simulate.ts'
import { type Workload, workloadOf } from '../../../bench/capacity/workload.ts'

/** Streams of 200 tokens, one each 20 ms: 4 s. */
const steady = (perSecond: number, seconds: number, steps = 4): Workload => ({
  stepMs: 1_000,
  steps: Array.from({ length: seconds }, () => [{ count: perSecond, steps, tokensPerStep: 200 / steps }]),
})
const run = (workload: Workload, more: Partial<SimulationOptions> = {}) =>
  simulate({
    workload,
    hpa: policies.streams.hpa,
    pod,
    scrape,
    syncAfterScrapeMs: 7_000,
    forecast: forecastDefaults,
    initialReplicas: 3,
    ...more,
  })
const fixed = (replicas: number) => ({
  hpa: { minReplicas: replicas, maxReplicas: replicas, metrics: [] },
  initialReplicas: replicas,
})
const last = ({ pods }: ReturnType<typeof run>) => pods.at(-1)!.n

test('a fleet with nothing to do is the smallest there may be, and paid for', () => {
  expect(run(steady(0, 600))).toMatchObject({ podSeconds: 1_800, asked: 0, refused: 0, cut: 0 })
})

test('one pod relays 250 streams of 200 tokens a second, and refuses what is more', () => {
  expect(run(steady(240, 300), fixed(1)).refused).toBe(0)
  const over = run(steady(500, 300), fixed(1))
  const answeredPerSecond = (over.asked - over.refused) / 300
  expect(answeredPerSecond).toBeGreaterThan(230)
  expect(answeredPerSecond).toBeLessThan(260)
  expect(over.p99Ms).toBeGreaterThan(500)
})

test('streams are followed to as many pods as their number wants', () => {
  expect(last(run(steady(1_500, 600)))).toBe(12)
})

test('so are requests, by the mean of a minute', () => {
  expect(last(run(steady(4_500, 600, 1), { hpa: policies.requests.hpa }))).toBe(5)
})

test('and the forecast, which asks for what the load is where that stays, to within the tolerance of a tenth', () => {
  const pods = last(run(steady(1_500, 900), { hpa: policies.forecast.hpa }))
  expect(pods).toBeGreaterThanOrEqual(12)
  expect(pods).toBeLessThanOrEqual(13)
})

test('70 % of a request of 200m is a seventh of a core: seven times the pods that the work fills', () => {
  const workload = steady(250, 900)
  expect(last(run(workload, { hpa: policies.cpu.hpa }))).toBeGreaterThanOrEqual(7)
})

test('a pod that is asked for serves when it has booted, not before', () => {
  const slow = { ...pod, pendingMs: 120_000, startMs: 60_000 }
  const [fast, late] = [run(steady(1_500, 600)), run(steady(1_500, 600), { pod: slow })]
  expect(late.refused).toBeGreaterThan(fast.refused * 5)
})

/** Ten pods' work for a while, then a twentieth of it. */
const falling: Workload = {
  stepMs: 1_000,
  steps: Array.from({ length: 1_800 }, (_, i) => [{ count: i < 600 ? 50 : 2.5, steps: 100, tokensPerStep: 2 }]),
}

test('a pod that ends has all the time its streams need, and is paid for until then', () => {
  expect(run(falling).cut).toBe(0)
})

test('with less than that they are cut', () => {
  expect(run(falling, { pod: { ...pod, minDrainMs: 10_000, maxDrainMs: 10_000 } }).cut).toBeGreaterThan(1)
})

test('what comes before the counting is not counted', () => {
  const counted = run(steady(100, 900), { warmUpSteps: 300 })
  expect(counted.asked).toBeCloseTo(60_000)
  expect(counted.pods[0]!.t).toBe(0)
  expect(counted.podSeconds).toBe(1_800)
})

test('every request is in the workload as often as the rate says, and with all its tokens', () => {
  const requests = fc.array(
    fc.record({
      atMs: fc.integer({ min: 0, max: 60_000 }),
      promptTokens: fc.constant(1),
      generatedTokens: fc.integer({ min: 1, max: 2_000 }),
    }),
    { minLength: 1, maxLength: 50 },
  )
  void fc.assert(
    fc.property(requests, fc.integer({ min: 1, max: 500 }), fc.constantFrom(0, 10_000), (unsorted, rate, spreadMs) => {
      const trace = unsorted.toSorted((a, b) => a.atMs - b.atMs)
      const { steps } = workloadOf(trace, { stepMs: 1_000, rate, spreadMs, firstTokenMs: 500, tokenMs: 20 })
      const all = steps.flat()
      const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)
      expect(sum(all.map(({ count }) => count))).toBeCloseTo(rate * trace.length, 5)
      const tokens = sum(all.map(({ count, steps, tokensPerStep }) => count * steps * tokensPerStep))
      expect(tokens / (rate * sum(trace.map(({ generatedTokens }) => generatedTokens)))).toBeCloseTo(1, 8)
    }),
  )
})

test('whatever comes, the policies keep to their limits and nothing is answered that was not asked', () => {
  const loads = fc.array(fc.double({ min: 0, max: 20_000, noNaN: true }), { minLength: 1, maxLength: 40 })
  void fc.assert(
    fc.property(loads, fc.constantFrom('cpu', 'guide', 'manifests', 'forecast'), (minutes, policy) => {
      const steps = minutes.flatMap((count) =>
        Array.from({ length: 15 }, () => [{ count, steps: 3, tokensPerStep: 50 }]),
      )
      const { pods, asked, refused, cut } = run({ stepMs: 1_000, steps }, { hpa: policies[policy].hpa })
      expect(refused).toBeLessThanOrEqual(asked + 1e-6)
      expect(cut).toBe(0)
      // Pods that drain are still there.
      for (const { n } of pods) expect(n).toBeGreaterThanOrEqual(3)
    }),
    { numRuns: 30 },
  )
})

test('what is added grows with the core’s load, between what was measured idle and full', () => {
  const model = { idleP99Ms: 3, fullP99Ms: 600 }
  expect([0, 0.5, 0.9, 1].map((u) => Math.round(addedP99Ms(model, u)))).toEqual([3, 6, 30, 600])
})

test('the p99 of a mix is that of its part where it has one, and lies between those of two', () => {
  const one = createLatencyMix()
  one.add(30, 5)
  expect(one.p99Ms() / 30).toBeCloseTo(1, 1)
  const two = createLatencyMix()
  two.add(10, 99)
  two.add(1_000, 1)
  expect(two.p99Ms()).toBeGreaterThan(10)
  expect(two.p99Ms()).toBeLessThan(1_000)
  expect(createLatencyMix().p99Ms()).toBeNaN()
})
