/** One pod of a simulated fleet: boots, relays streams on its core, refuses what does not fit, drains. */
import {
  type Demand,
  forecastDemand,
  type LoadSample,
  type ReplicaForecastOptions,
  windowMs,
} from '../../src/resilience/replica-forecast.ts'
import type { PodView } from './hpa-replicas.ts'
import { addedP99Ms, type LatencyMix, type LatencyModel } from './latency.ts'
import { createScrapes, type Scrape } from './scrapes.ts'
import type { Streams } from './workload.ts'

export interface PodModel {
  /** Its limit. */
  cores: number
  requests: PodView['requests']
  idleCores: number
  /** Of a core. */
  requestCpuMs: number
  tokenCpuMs: number
  refusalCpuMs: number
  idleBytes: number
  streamBytes: number
  /** From being asked for: scheduled, image there, container started. Then until ready. */
  pendingMs: number
  startMs: number
  /** From being told to end: as long at least, and as long as streams run, at most. */
  minDrainMs: number
  maxDrainMs: number
  latency: LatencyModel
}

export interface SimPod {
  readonly createdAtMs: number
  readonly streams: number
  phase(nowMs: number): PodView['phase']
  ready(nowMs: number): boolean
  /** Streams that end in this step. */
  beginStep(step: number): void
  /** Takes its share of what begins, as far as it fits; answers how many were refused. */
  serve(begun: readonly Streams[], share: number, step: number, mix: LatencyMix): number
  sampleLoad(nowMs: number): void
  demand(options: ReplicaForecastOptions): Demand
  scrape(nowMs: number): void
  view(nowMs: number): PodView
  delete(nowMs: number): void
  /** How many streams were cut, once it is gone; undefined while it is there. */
  gone(nowMs: number): number | undefined
}

export function createSimPod(options: { model: PodModel; scrape: Scrape; stepMs: number; nowMs: number }): SimPod {
  const { model, scrape, stepMs, nowMs: createdAtMs } = options
  const startedAtMs = createdAtMs + model.pendingMs
  const readyAtMs = startedAtMs + model.startMs
  const endings = new Map<number, { streams: number; tokens: number }>()
  let deletedAtMs: number | undefined
  let [streams, tokensPerStep, cpuMs, arrivals] = [0, 0, 0, 0]
  const scrapes = createScrapes(scrape)
  let samples: LoadSample[] = []
  let sampled: { atMs: number; arrivals: number } | undefined

  const phase = (nowMs: number) => (deletedAtMs !== undefined ? 'deleted' : nowMs < startedAtMs ? 'pending' : 'running')
  const ready = (nowMs: number) => deletedAtMs === undefined && nowMs >= readyAtMs

  return {
    createdAtMs,
    get streams() {
      return streams
    },
    phase,
    ready,
    beginStep(step) {
      const ended = endings.get(step)
      if (!ended) return
      endings.delete(step)
      streams -= ended.streams
      tokensPerStep -= ended.tokens
    },
    serve(begun, share, step, mix) {
      const capacityMs = model.cores * stepMs
      const asked = begun.reduce((sum, { count }) => sum + count, 0) * share
      const costMs = asked === 0 ? 0 : begun.reduce((sum, each) => sum + share * each.count * costOf(each), 0) / asked
      const runningMs = model.idleCores * stepMs + tokensPerStep * model.tokenCpuMs
      // What is refused costs, too: the more are refused, the fewer fit.
      const fits = (capacityMs - runningMs - asked * model.refusalCpuMs) / (costMs - model.refusalCpuMs)
      const taken = asked * costMs + runningMs <= capacityMs ? asked : Math.min(Math.max(fits, 0), asked)
      for (const each of begun) accept(each, asked === 0 ? 0 : (each.count * share * taken) / asked, step)
      const usedMs = Math.min(capacityMs, runningMs + taken * costMs + (asked - taken) * model.refusalCpuMs)
      cpuMs += usedMs
      arrivals += asked
      if (taken > 0) mix.add(addedP99Ms(model.latency, usedMs / capacityMs), taken)
      return asked - taken
    },
    sampleLoad(nowMs) {
      const before = sampled
      sampled = { atMs: nowMs, arrivals }
      if (!before) return
      const arrivalsPerSecond = ((arrivals - before.arrivals) / (nowMs - before.atMs)) * 1_000
      samples = samples.filter(({ atMs }) => atMs > nowMs - windowMs)
      samples.push({ atMs: nowMs, arrivalsPerSecond, streams })
    },
    demand: (of) => forecastDemand(samples, of),
    scrape(nowMs) {
      if (nowMs < startedAtMs) return
      scrapes.add({
        atMs: nowMs,
        cpuMs,
        requests: arrivals,
        streams,
        bytes: model.idleBytes + streams * model.streamBytes,
      })
    },
    view: (nowMs) => ({
      phase: phase(nowMs),
      ready: ready(nowMs),
      startedAtMs,
      readyChangedAtMs: nowMs >= readyAtMs ? readyAtMs : startedAtMs,
      requests: model.requests,
      samples: scrapes.samples(),
    }),
    delete(nowMs) {
      deletedAtMs = nowMs
    },
    gone(nowMs) {
      if (deletedAtMs === undefined) return undefined
      const drainedMs = nowMs - deletedAtMs
      // What a sum of floats is off by is no stream.
      if (streams < 1e-6) return drainedMs >= model.minDrainMs || nowMs < readyAtMs ? 0 : undefined
      return drainedMs >= model.maxDrainMs ? streams : undefined
    },
  }

  function costOf({ tokensPerStep: tokens }: Streams): number {
    return model.requestCpuMs + tokens * model.tokenCpuMs
  }

  function accept({ steps, tokensPerStep: tokens }: Streams, count: number, step: number) {
    streams += count
    tokensPerStep += count * tokens
    const ended = endings.get(step + steps) ?? { streams: 0, tokens: 0 }
    ended.streams += count
    ended.tokens += count * tokens
    endings.set(step + steps, ended)
  }
}
