/** The autoscalers that are compared, and the pod they scale: what the manifests say and what was measured. */
import type { HpaSpec } from './hpa.ts'
import type { Behavior } from './hpa-behavior.ts'
import type { Metric } from './hpa-replicas.ts'
import type { Scrape } from './scrapes.ts'
import type { PodModel } from './sim-pod.ts'

const mib = 1024 * 1024

/** manifests/base/hpa.yaml */
const limits = { minReplicas: 3, maxReplicas: 50 }
const behavior: Behavior = {
  scaleUp: {
    stabilizationMs: 0,
    selectPolicy: 'Max',
    policies: [
      { type: 'Percent', value: 100, periodMs: 15_000 },
      { type: 'Pods', value: 4, periodMs: 15_000 },
    ],
  },
  scaleDown: {
    stabilizationMs: 300_000,
    selectPolicy: 'Min',
    policies: [
      { type: 'Percent', value: 10, periodMs: 60_000 },
      { type: 'Pods', value: 2, periodMs: 60_000 },
    ],
  },
}
const cpu: Metric = { kind: 'resource', name: 'cpu', averageUtilization: 70 }
const core: Metric = { kind: 'resource', name: 'cpu', averageUtilization: 350 }
const memory: Metric = { kind: 'resource', name: 'memory', averageUtilization: 80 }
const requests: Metric = { kind: 'pods', name: 'http_requests_per_second', averageValue: 1_000 }
const streams: Metric = { kind: 'pods', name: 'streams_in_flight', averageValue: 500 }
const forecast: Metric = { kind: 'external', name: 'autoscaler_desired_replicas', averageValue: 1 }

export interface PolicyChoice {
  does: string
  hpa: HpaSpec
}

const by = (does: string, ...metrics: Metric[]): PolicyChoice => ({ does, hpa: { ...limits, behavior, metrics } })

export const policies = {
  cpu: by('CPU, 70 % of the request of 200m', cpu),
  core: by('CPU, 70 % of the limit (350 % of the request)', core),
  memory: by('memory, 80 % of the request of 256Mi', memory),
  requests: by('1,000 requests/s a pod', requests),
  streams: by('500 streams in flight a pod', streams),
  guide: by('CPU, memory and requests', cpu, memory, requests),
  manifests: by('and streams', cpu, memory, requests, streams),
  forecast: by('autoscaler_desired_replicas', forecast),
  fixed: {
    does: 'as many as may be, always',
    hpa: { minReplicas: limits.maxReplicas, maxReplicas: limits.maxReplicas, metrics: [streams] },
  },
} satisfies Record<string, PolicyChoice>

export type PolicyName = keyof typeof policies

/** Where each figure comes from: docs/capacity.md. */
export const pod: PodModel = {
  cores: 1,
  requests: { cpu: 0.2, memory: 256 * mib },
  idleCores: 0.01,
  requestCpuMs: 0.11,
  tokenCpuMs: 0.019,
  refusalCpuMs: 0.1,
  idleBytes: 131 * mib,
  streamBytes: 0.2 * mib,
  pendingMs: 10_000,
  startMs: 5_000,
  minDrainMs: 15_000,
  maxDrainMs: 605_000,
  latency: { idleP99Ms: 3, fullP99Ms: 600 },
}

/** metrics-server and Prometheus each look every 15 s; prometheus-adapter's query is over a minute. */
export const scrape: Scrape = { everyMs: 15_000, rateMs: 60_000 }
export const syncAfterScrapeMs = 7_000

/** The variables AUTOSCALER_* as they are by default; 30 s of boot and 30 s of the autoscaler's own. */
export const forecastDefaults = {
  leadMs: 60_000,
  podArrivalsPerSecond: 1_000,
  podStreams: 500,
  maxReplicas: Number.POSITIVE_INFINITY,
}
