/** A thousand callers fail at the same moment: their later tries must not come together again. */
import { setTimeout as sleep } from 'node:timers/promises'
import { atLeast, atMost, type StormRow, told } from '../bars.ts'
import { type Caller, failuresOf } from './load.ts'
import { type Arrival, type StormProvider, wallNow } from './provider.ts'

export const herdSize = 1_000
const binMs = 50
const maxPeakOverMean = 3
/** First calls that save up the retry budget for the storm. */
const savingCalls = 100
/** A pod has forgotten by then that it was at its limit. */
const calmMs = 11_000
/** Fewer would show nothing. */
const minThirdTries = 100

/**
 * The longest time over which third tries are spread if nothing else delays them: two waits, each at its upper end.
 * A failure waits up to 100 and 200 ms; a call to slow down 0.5 to 1 and 1 to 2 s.
 */
const lawMs = { 503: 300, 429: 1_500 }

export async function herd(options: {
  status: 503 | 429
  provider: StormProvider
  caller: Caller
  /** Each leads to an upstream of its own, or the retry budget of one would stop all but a hundred. */
  models: readonly string[]
}): Promise<StormRow> {
  const { status, provider, caller, models } = options
  await provider.set({ kind: 'well' })
  await caller.connect()
  for (let i = 0; i < savingCalls; i++) await Promise.all(models.map((model) => caller.send(model)))
  // A gateway that has just been driven to its limit would shed most of the herd. The question is the first look after it.
  await sleep(calmMs)
  await caller.send(models[0]!)

  await provider.set({ kind: 'fail_first', tries: 2, status })
  await provider.take()
  const since = wallNow()
  const sent = await Promise.all(
    Array.from({ length: herdSize }, (_, i) => caller.send(models[i % models.length]!, { user: `client-${i}` })),
  )
  const { arrivals } = await provider.take()
  await provider.set({ kind: 'well' })

  const tries = nthTries(arrivals)
  const third = tries[2] ?? []
  return {
    storm: `${herdSize} at once, ${status} without a hint`,
    bars: [
      atMost('peak over mean of 50 ms, third tries', maxPeakOverMean, peakOverMean(third, lawMs[status])),
      atLeast('third tries', minThirdTries, third.length),
      ...tries.map((times, i) => told(`try ${i + 1}`, `${times.length} from ${span(times, since)} ms`)),
      told('answered', `${sent.filter(({ ok }) => ok).length} of ${sent.length}, over ${models.length} upstreams`),
      told('refused', failuresOf(sent)),
    ],
  }
}

/** The times of all first tries, of all second ones, and so on. */
function nthTries(arrivals: readonly Arrival[]): number[][] {
  const count = new Map<string, number>()
  const times: number[][] = []
  for (const { client, at } of arrivals) {
    const nth = count.get(client) ?? 0
    count.set(client, nth + 1)
    times[nth] ??= []
    times[nth].push(at)
  }
  return times
}

/** The mean is over the time they should be spread over, or were where that is longer: one heap must not look even. */
export function peakOverMean(times: readonly number[], leastSpanMs: number): number {
  if (times.length === 0) return Number.NaN
  const first = Math.min(...times)
  const bins = new Map<number, number>()
  for (const at of times) {
    const bin = Math.floor((at - first) / binMs)
    bins.set(bin, (bins.get(bin) ?? 0) + 1)
  }
  const count = Math.max(Math.ceil(leastSpanMs / binMs), Math.max(...bins.keys()) + 1)
  return Math.max(...bins.values()) / (times.length / count)
}

const span = (times: readonly number[], since: number) =>
  `${Math.round(Math.min(...times) - since)} to ${Math.round(Math.max(...times) - since)}`
