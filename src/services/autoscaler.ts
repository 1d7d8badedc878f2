/**
 * What this pod tells an autoscaler: how many pods the fleet needs soon. A pod counts its own load only, and takes it to
 * be every pod's: the mean over the pods is then the fleet's. It decides nothing.
 */
import type { Clock, Log } from '../ports.ts'
import {
  type Demand,
  type DesiredReplicas,
  desiredReplicas,
  forecastDemand,
  type LoadSample,
  type ReplicaForecastOptions,
  windowMs,
} from '../resilience/replica-forecast.ts'
import { type Background, startBackground } from './background.ts'

export interface AutoscalerOptions extends ReplicaForecastOptions {
  clock: Clock
  random: () => number
  log: Log
  /** Live pods, this one included. */
  pods: () => number
  /** Inference asked for so far by callers who may ask, whether or not it was shed. */
  arrivals: () => number
  /** Streams being relayed. */
  streams: () => number
  /** As many as the spend cap pays for. */
  maxReplicas: number
}

export interface Autoscaler {
  start(): void
  stop(): void
  /** This pod's own share, in pods. */
  demand(): Demand
  desired(): DesiredReplicas
}

const everyMs = 5_000
/** Rounds come half as often at least: more samples than a window can hold are never kept. */
const maxSamples = Math.ceil(windowMs / (everyMs / 2))

export function createAutoscaler(options: AutoscalerOptions): Autoscaler {
  const { clock, random, log, pods, arrivals, streams, maxReplicas } = options
  let samples: LoadSample[] = []
  let counted = { atMs: clock.now(), arrivals: arrivals() }
  let told: DesiredReplicas = { replicas: 1, reason: 'idle' }
  let background: Background | undefined

  const demand = () => forecastDemand(samples, options)
  const desired = () => desiredReplicas(demand(), pods(), maxReplicas)

  const sample = () => {
    const now = { atMs: clock.now(), arrivals: arrivals() }
    const seconds = (now.atMs - counted.atMs) / 1000
    // The first round comes with the start: a rate over no time is none.
    if (seconds < 1) return
    const arrivalsPerSecond = (now.arrivals - counted.arrivals) / seconds
    samples = [...samples, { atMs: now.atMs, arrivalsPerSecond, streams: streams() }].slice(-maxSamples)
    counted = now
    const { replicas, reason } = desired()
    if (replicas === told.replicas && reason === told.reason) return
    told = { replicas, reason }
    log.info('another number of pods is wanted', { state: reason, detail: `${replicas} pods` })
  }

  return {
    start() {
      background ??= startBackground({
        clock,
        random,
        everyMs,
        async round() {
          sample()
          return false
        },
        onError: (error) => log.error('the load could not be looked at', { error: String(error) }),
      })
    },
    stop: () => void background?.stop(),
    demand,
    desired,
  }
}
