/** A fleet under a workload and an autoscaler, step by step: what it would have been, what it refused, what it cost. */
import { desiredReplicas, type ReplicaForecastOptions } from '../../src/resilience/replica-forecast.ts'
import { createHpa, type HpaSpec } from './hpa.ts'
import { createLatencyMix } from './latency.ts'
import type { Scrape } from './scrapes.ts'
import { createSimPod, type PodModel, type SimPod } from './sim-pod.ts'
import type { Workload } from './workload.ts'

export interface SimulationOptions {
  workload: Workload
  hpa: HpaSpec
  pod: PodModel
  scrape: Scrape
  /** From a scrape to the sync that goes by it: what it scraped is as old by then. */
  syncAfterScrapeMs: number
  /** What the pods' own gauge goes by. */
  forecast: ReplicaForecastOptions & { maxReplicas: number }
  /** Replicas that are there, ready, when it begins. */
  initialReplicas: number
  /** So many steps of the workload come first and are not counted. @default 0 */
  warmUpSteps?: number
}

export interface SimulationResult {
  /** `n` pods were there (and paid for) `t` seconds after the beginning. */
  pods: { t: number; n: number }[]
  podSeconds: number
  asked: number
  refused: number
  /** Streams that outlived their pod's grace. */
  cut: number
  /** Added by the gateway. */
  p99Ms: number
}

/** As in services/autoscaler. */
const forecastEveryMs = 5_000
const toldEveryMs = 5_000

export function simulate(options: SimulationOptions): SimulationResult {
  const { workload, pod: model, scrape, syncAfterScrapeMs, forecast, initialReplicas, warmUpSteps = 0 } = options
  const { stepMs, steps } = workload
  const hpa = createHpa(options.hpa)
  let mix = createLatencyMix()
  const nothing = () => ({ pods: [] as { t: number; n: number }[], podSeconds: 0, asked: 0, refused: 0, cut: 0 })
  let result = nothing()
  const longAgoMs = -60 * 60_000
  const newPod = (nowMs: number) => createSimPod({ model, scrape, stepMs, nowMs })
  let replicas = initialReplicas
  let pods: SimPod[] = Array.from({ length: replicas }, () => newPod(longAgoMs))
  let forecastReplicas: number | undefined

  for (let step = 0; step < steps.length; step++) {
    const nowMs = step * stepMs
    if (step === warmUpSteps) [mix, result] = [createLatencyMix(), nothing()]
    const each = (everyMs: number, afterMs = 0) => nowMs >= afterMs && (nowMs - afterMs) % everyMs < stepMs
    for (const pod of pods) pod.beginStep(step)
    pods = pods.filter((pod) => {
      const cut = pod.gone(nowMs)
      result.cut += cut ?? 0
      return cut === undefined
    })

    const begun = steps[step]!
    const ready = pods.filter((pod) => pod.ready(nowMs))
    const asked = begun.reduce((sum, { count }) => sum + count, 0)
    result.asked += asked
    if (ready.length === 0) result.refused += asked
    for (const pod of pods) {
      const share = pod.ready(nowMs) ? 1 / ready.length : 0
      if (nowMs >= pod.createdAtMs + model.pendingMs) result.refused += pod.serve(share ? begun : [], share, step, mix)
    }
    result.podSeconds += (pods.length * stepMs) / 1_000
    if (each(toldEveryMs)) result.pods.push({ t: nowMs / 1_000 - (warmUpSteps * stepMs) / 1_000, n: pods.length })

    if (each(forecastEveryMs)) for (const pod of ready) pod.sampleLoad(nowMs)
    if (each(scrape.everyMs)) {
      for (const pod of pods) pod.scrape(nowMs)
      forecastReplicas = meanForecast(ready)
    }
    if (each(hpa.syncPeriodMs, syncAfterScrapeMs) && step > 0) {
      const views = pods.map((pod) => pod.view(nowMs))
      const external = { autoscaler_desired_replicas: forecastReplicas }
      scaleTo(hpa.sync({ nowMs, replicas, pods: views, external }), nowMs)
    }
  }
  return { ...result, p99Ms: mix.p99Ms() }

  /** What `avg(autoscaler_desired_replicas)` is. */
  function meanForecast(ready: readonly SimPod[]): number | undefined {
    if (ready.length === 0) return undefined
    const told = ready.map((pod) => desiredReplicas(pod.demand(forecast), ready.length, forecast.maxReplicas).replicas)
    return told.reduce((sum, count) => sum + count, 0) / told.length
  }

  function scaleTo(wanted: number, nowMs: number) {
    for (let i = replicas; i < wanted; i++) pods.push(newPod(nowMs))
    // As a ReplicaSet chooses: those that serve nobody yet, then the youngest.
    const last = pods
      .filter((pod) => pod.phase(nowMs) !== 'deleted')
      .sort((a, b) => Number(a.ready(nowMs)) - Number(b.ready(nowMs)) || b.createdAtMs - a.createdAtMs)
    for (const pod of last.slice(0, Math.max(0, replicas - wanted))) pod.delete(nowMs)
    replicas = wanted
  }
}
