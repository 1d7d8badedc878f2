/**
 * How many pods the load needs by the time that one more could serve. A straight line through the last two minutes says
 * what comes; it is believed upwards only, and to twice what there is: a fall is not foreseen but waited for.
 */

/** What a pod has to do, at a moment. */
export interface LoadSample {
  /** On the process's clock. */
  atMs: number
  /** Requests a second since the sample before. */
  arrivalsPerSecond: number
  streams: number
}

export interface ReplicaForecastOptions {
  /** From wanting a pod to its first request: the autoscaler's own delay, and the pod's start. */
  leadMs: number
  /** What a pod should be given, not what it can bear. */
  podArrivalsPerSecond: number
  podStreams: number
}

/** In pods, not rounded. */
export interface Demand {
  arrivals: number
  streams: number
}

/** How far back the line is drawn, and so how far samples need be kept. */
export const windowMs = 120_000
/** What there is: a mean of so long, so that one second's burst is not taken for a load. */
const levelMs = 20_000
/** A line through fewer says nothing. */
const minSamples = 6

/** `samples` in the order of their times, the last one being now. */
export function forecastDemand(samples: readonly LoadSample[], options: ReplicaForecastOptions): Demand {
  const { leadMs, podArrivalsPerSecond, podStreams } = options
  const of = (value: (sample: LoadSample) => number) => ahead(samples, value, leadMs)
  return {
    arrivals: of((sample) => sample.arrivalsPerSecond) / podArrivalsPerSecond,
    streams: of((sample) => sample.streams) / podStreams,
  }
}

function ahead(samples: readonly LoadSample[], value: (sample: LoadSample) => number, leadMs: number): number {
  const last = samples.at(-1)
  if (!last) return 0
  const recent = samples.filter(({ atMs }) => atMs > last.atMs - levelMs)
  const level = mean(recent.map(value))
  const within = samples.filter(({ atMs }) => atMs > last.atMs - windowMs)
  if (within.length < minSamples) return level
  return Math.min(Math.max(line(within, value, last.atMs + leadMs), level), 2 * level)
}

/** Least squares. */
function line(samples: readonly LoadSample[], value: (sample: LoadSample) => number, atMs: number): number {
  const middle = mean(samples.map((sample) => sample.atMs))
  const height = mean(samples.map(value))
  let [product, square] = [0, 0]
  for (const sample of samples) {
    product += (sample.atMs - middle) * (value(sample) - height)
    square += (sample.atMs - middle) ** 2
  }
  return square === 0 ? height : height + (product / square) * (atMs - middle)
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

/** Why it is that many. */
export type ReplicaReason = 'idle' | 'arrivals' | 'streams' | 'spend_cap'

export interface DesiredReplicas {
  replicas: number
  reason: ReplicaReason
}

/** `demand` is a pod's own; where load is spread evenly each of `pods` has as much. */
export function desiredReplicas(demand: Demand, pods: number, maxReplicas: number): DesiredReplicas {
  const most = Math.max(demand.arrivals, demand.streams)
  // What a float is off by must not cost a pod.
  const replicas = Math.ceil(most * pods - 1e-9)
  if (replicas <= 1) return { replicas: 1, reason: 'idle' }
  if (replicas > maxReplicas) return { replicas: maxReplicas, reason: 'spend_cap' }
  return { replicas, reason: demand.arrivals >= demand.streams ? 'arrivals' : 'streams' }
}
