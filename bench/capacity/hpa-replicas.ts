/**
 * How many replicas one metric asks for, as Kubernetes' horizontal pod autoscaler reckons it (autoscaling/v2; the replica
 * calculator of v1.31): what is unknown of a pod is taken to hold back whatever the known ones ask for.
 * https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
 */

/** A measurement of one pod, over the `windowMs` before `atMs`. */
export interface Sample {
  value: number
  atMs: number
  windowMs: number
}

export interface PodView {
  /** `deleted`: it has been told to end, or it has failed. */
  phase: 'pending' | 'running' | 'deleted'
  ready: boolean
  startedAtMs: number
  /** When `ready` last changed. */
  readyChangedAtMs: number
  /** Cores and bytes. */
  requests: Readonly<Record<'cpu' | 'memory', number>>
  /** By the metric's name; absent = not measured yet. */
  samples: Readonly<Record<string, Sample | undefined>>
}

export type Metric =
  /** Percent of the pods' request: 70 of a request of 200m is 140m, whatever the limit is. */
  | { kind: 'resource'; name: 'cpu' | 'memory'; averageUtilization: number }
  | { kind: 'pods'; name: string; averageValue: number }
  /** One number for all pods. `averageValue`: divided among them. `value`: compared as it is, and the pods multiplied. */
  | { kind: 'external'; name: string; averageValue: number }
  | { kind: 'external'; name: string; value: number }

export interface ClusterView {
  nowMs: number
  /** As the deployment's specification says. */
  replicas: number
  pods: readonly PodView[]
  external: Readonly<Record<string, number | undefined>>
}

/** Of the controller, not of one autoscaler; the defaults of kube-controller-manager. */
export interface ControllerFlags {
  syncPeriodMs: number
  tolerance: number
  /** How long after its start a pod's CPU counts only once it is ready and measured since. */
  cpuInitializationMs: number
  /** A pod that has become unready so soon after its start has never been ready. */
  initialReadinessDelayMs: number
}

export const defaultFlags: ControllerFlags = {
  syncPeriodMs: 15_000,
  tolerance: 0.1,
  cpuInitializationMs: 5 * 60_000,
  initialReadinessDelayMs: 30_000,
}

/** undefined: the metric is not known. */
export function replicasFor(metric: Metric, view: ClusterView, flags: ControllerFlags): number | undefined {
  if (metric.kind === 'external') return forExternal(metric, view, flags)
  const groups = groupPods(metric, view, flags)
  const target = metric.kind === 'resource' ? metric.averageUtilization : thousandths(metric.averageValue)
  if (groups.measured.length === 0) return undefined

  const ratioOf = (loads: readonly Load[]) => usage(metric, loads) / target
  const ratio = ratioOf(groups.measured)
  const idle = (pod: PodView): Load => ({ used: 0, requested: requested(metric, pod) })
  const unready = ratio > 1 ? groups.unready.map(idle) : []
  if (unready.length === 0 && groups.missing.length === 0) {
    return isWithin(ratio, flags) ? view.replicas : Math.ceil(ratio * groups.measured.length)
  }
  const missing = groups.missing.map((pod) => (ratio < 1 ? full(metric, pod) : ratio > 1 ? idle(pod) : undefined))
  const all = [...groups.measured, ...missing.filter((load) => load !== undefined), ...unready]
  const second = ratioOf(all)
  if (isWithin(second, flags) || (ratio < 1 && second > 1) || (ratio > 1 && second < 1)) return view.replicas
  const replicas = Math.ceil(second * all.length)
  const turned = (second < 1 && replicas > view.replicas) || (second > 1 && replicas < view.replicas)
  return turned ? view.replicas : replicas
}

function forExternal(metric: Metric & { kind: 'external' }, view: ClusterView, flags: ControllerFlags) {
  const told = view.external[metric.name]
  if (told === undefined) return undefined
  const found = thousandths(told)
  if ('averageValue' in metric) {
    const target = thousandths(metric.averageValue)
    return isWithin(found / (target * view.replicas), flags) ? view.replicas : Math.ceil(found / target)
  }
  const ratio = found / thousandths(metric.value)
  const ready = view.pods.filter((pod) => pod.phase === 'running' && pod.ready).length
  return isWithin(ratio, flags) ? view.replicas : Math.ceil(ratio * ready)
}

/** What a pod uses and has asked for, in thousandths: the controller counts in whole ones. */
interface Load {
  used: number
  requested: number
}

interface Groups {
  measured: Load[]
  unready: PodView[]
  missing: PodView[]
}

function groupPods(metric: Metric & { kind: 'resource' | 'pods' }, view: ClusterView, flags: ControllerFlags): Groups {
  const groups: Groups = { measured: [], unready: [], missing: [] }
  for (const pod of view.pods) {
    const sample = pod.samples[metric.name]
    if (pod.phase === 'deleted') continue
    if (pod.phase === 'pending') groups.unready.push(pod)
    else if (!sample) groups.missing.push(pod)
    else if (metric.name === 'cpu' && metric.kind === 'resource' && !cpuCounts(pod, sample, view.nowMs, flags)) {
      groups.unready.push(pod)
    } else groups.measured.push({ used: thousandths(sample.value), requested: requested(metric, pod) })
  }
  return groups
}

function cpuCounts(pod: PodView, sample: Sample, nowMs: number, flags: ControllerFlags): boolean {
  if (pod.startedAtMs + flags.cpuInitializationMs > nowMs) {
    return pod.ready && sample.atMs >= pod.readyChangedAtMs + sample.windowMs
  }
  return pod.ready || pod.startedAtMs + flags.initialReadinessDelayMs <= pod.readyChangedAtMs
}

/** Percent of what was asked for, or the mean, in whole ones as the controller has it. */
function usage(metric: Metric & { kind: 'resource' | 'pods' }, loads: readonly Load[]): number {
  const used = loads.reduce((sum, load) => sum + load.used, 0)
  if (metric.kind === 'pods') return Math.trunc(used / loads.length)
  return Math.trunc((used * 100) / loads.reduce((sum, load) => sum + load.requested, 0))
}

function full(metric: Metric & { kind: 'resource' | 'pods' }, pod: PodView): Load {
  const request = requested(metric, pod)
  if (metric.kind === 'pods') return { used: thousandths(metric.averageValue), requested: request }
  return { used: Math.trunc((request * Math.max(100, metric.averageUtilization)) / 100), requested: request }
}

const requested = (metric: Metric & { kind: 'resource' | 'pods' }, pod: PodView) =>
  metric.kind === 'resource' ? thousandths(pod.requests[metric.name]) : 0

const isWithin = (ratio: number, { tolerance }: ControllerFlags) => ratio >= 1 - tolerance && ratio <= 1 + tolerance
const thousandths = (value: number) => Math.round(value * 1_000)
