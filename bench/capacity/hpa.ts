/** A horizontal pod autoscaler, without a cluster: what it would set the replicas to, sync after sync. */
import {
  type Behavior,
  defaultBehavior,
  type Limits,
  limitRate,
  noHistory,
  noteChange,
  stabilise,
} from './hpa-behavior.ts'
import { type ClusterView, type ControllerFlags, defaultFlags, type Metric, replicasFor } from './hpa-replicas.ts'

export interface HpaSpec extends Limits {
  metrics: readonly Metric[]
  /** @default that of Kubernetes */
  behavior?: Behavior
  flags?: Partial<ControllerFlags>
}

export interface Hpa {
  readonly syncPeriodMs: number
  /** What the deployment's replicas are from now on. */
  sync(view: ClusterView): number
}

/** @throws RangeError where the cluster would refuse the specification. */
export function createHpa(spec: HpaSpec): Hpa {
  const { minReplicas, maxReplicas, metrics, behavior = defaultBehavior } = spec
  if (!(minReplicas >= 1 && maxReplicas >= minReplicas)) {
    throw new RangeError(`replicas must be from 1 to a maximum, got ${minReplicas} to ${maxReplicas}`)
  }
  const flags = { ...defaultFlags, ...spec.flags }
  const history = noHistory()

  /** undefined: nothing can be said, or some metric is not known and the others would take pods away. */
  const wanted = (view: ClusterView): number | undefined => {
    const asked = metrics.map((metric) => replicasFor(metric, view, flags))
    const known = asked.filter((replicas) => replicas !== undefined)
    if (known.length === 0) return undefined
    const most = Math.max(...known)
    return known.length < asked.length && most < view.replicas ? undefined : most
  }

  const next = (view: ClusterView): number => {
    const { replicas: current, nowMs } = view
    // Scaled to nothing by hand is switched off.
    if (current === 0) return 0
    if (current > maxReplicas) return maxReplicas
    if (current < minReplicas) return minReplicas
    if (history.recommendations.length === 0) history.recommendations.push({ atMs: nowMs, count: current })
    const asked = wanted(view)
    if (asked === undefined) return current
    const stable = stabilise(asked, current, behavior, history, nowMs)
    return limitRate(stable, current, behavior, spec, history, nowMs)
  }

  return {
    syncPeriodMs: flags.syncPeriodMs,
    sync(view) {
      const replicas = next(view)
      if (replicas !== view.replicas) noteChange(view.replicas, replicas, behavior, history, view.nowMs)
      return replicas
    },
  }
}
