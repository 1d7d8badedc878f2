/**
 * What this pod does now, for whoever watches: read from its own metrics every two seconds while anybody does, once for
 * all of them. What other pods say of their breakers is in it, too.
 */
import { ApiError } from '../errors.ts'
import type { Clock, Metrics, WriteMode } from '../ports.ts'
import { sleep } from '../resilience/clock.ts'
import { quantileBetween, readSamples, type Samples } from '../telemetry/samples.ts'
import type { Breakers } from './breakers.ts'

export interface LiveOptions {
  clock: Clock
  metrics: Pick<Metrics, 'render'>
  breakers: Pick<Breakers, 'list'>
  writeMode: Pick<WriteMode, 'status'>
  version: string
  pod: string
}

export interface Live {
  /**
   * Server-sent events, until the signal, `stop`, or the caller's credential is good no more.
   * @throws ApiError where too many watch
   */
  watch(signal: AbortSignal, stillGood: () => Promise<boolean>): AsyncIterable<string>
  stop(): void
}

const everyMs = 2_000
const maxWatchers = 32
const duration = 'http_request_duration_seconds'

export function createLive({ clock, metrics, breakers, writeMode, version, pod }: LiveOptions): Live {
  let watchers = 0
  let latest: { at: number; samples: Samples; text: string } | undefined
  let looking: Promise<string> | undefined
  const stopping = new AbortController()

  async function look(): Promise<string> {
    const before = latest
    const samples = readSamples((await metrics.render()).text)
    const at = clock.now()
    const known = before && at - before.at <= 3 * everyMs ? before : undefined
    const seconds = known ? Math.max((at - known.at) / 1_000, 0.001) : 0
    const text = JSON.stringify({
      at: new Date(clock.wallNow()).toISOString(),
      version,
      pod,
      pods: samples.sum('fleet_pods') || 1,
      mode: modeOut(writeMode.status()),
      ...(known && traffic(known.samples, samples, seconds)),
      streams: samples.sum('streams_in_flight'),
      in_flight: samples.sum('http_requests_in_flight'),
      queue: samples.sum('admission_queue_depth'),
      brownout: samples.sum('brownout_level'),
      desired_replicas: samples.sum('autoscaler_desired_replicas'),
      redis_up: samples.by('redis_up', '').get('') ?? null,
      ledger_pending: samples.sum('ledger_pending_events'),
      ledger_lost: samples.sum('ledger_lost_events_total'),
      upstreams: upstreamsOf(samples),
      cache: cachesOf(samples),
      pools: poolsOf(samples),
      replica_lag_s: Object.fromEntries(samples.by('db_replica_lag_seconds', 'replica')),
      instances: Object.fromEntries(samples.by('gpu_instances', 'status')),
      breakers: breakersOf(samples),
    })
    latest = { at, samples, text }
    return text
  }

  function breakersOf(samples: Samples) {
    const trips = samples.by('circuit_breaker_transitions_total', 'name', { to: 'open' })
    return breakers.list().map(({ name, state, failureRate, calls, nextProbeAt, pods }) => ({
      ...{ name, state, failure_rate: failureRate, calls, pods },
      next_probe_at: nextProbeAt?.toISOString() ?? null,
      trips: trips.get(name) ?? 0,
    }))
  }

  /** All who watch see the same look, whenever they came: rates between two that are close together would be chance. */
  async function shared(): Promise<string> {
    if (latest && clock.now() - latest.at < everyMs / 2) return latest.text
    looking ??= look().finally(() => {
      looking = undefined
    })
    return looking
  }

  return {
    async *watch(signal, stillGood) {
      if (watchers >= maxWatchers) {
        throw new ApiError('overloaded', { message: `${maxWatchers} already watch this pod.`, retryAfterMs: 10_000 })
      }
      watchers++
      const either = AbortSignal.any([signal, stopping.signal])
      try {
        while (!either.aborted && (await stillGood())) {
          yield `data: ${await shared()}\n\n`
          await sleep(clock, everyMs, either).catch(() => {})
        }
      } finally {
        watchers--
      }
    },
    stop: () => stopping.abort(),
  }
}

function traffic(before: Samples, now: Samples, seconds: number) {
  const more = (name: string, labels?: Record<string, string>) =>
    Math.max(now.sum(name, labels) - before.sum(name, labels), 0) / seconds
  const ms = (name: string, q: number) => {
    const found = quantileBetween(before.buckets(name), now.buckets(name), q)
    return found === undefined ? null : Math.round(found * 10_000) / 10
  }
  const statuses = now.by('http_requests_total', 'status')
  const earlier = before.by('http_requests_total', 'status')
  let failed = 0
  let refused = 0
  for (const [status, count] of statuses) {
    const rate = Math.max(count - (earlier.get(status) ?? 0), 0) / seconds
    if (status.startsWith('5')) failed += rate
    else if (status.startsWith('4')) refused += rate
  }
  return {
    requests_per_s: more('http_requests_total'),
    failed_per_s: failed,
    refused_per_s: refused,
    p50_ms: ms(duration, 0.5),
    p99_ms: ms(duration, 0.99),
    first_token_p50_ms: ms('time_to_first_token_seconds', 0.5),
    overhead_p99_ms: ms('gateway_overhead_seconds', 0.99),
    retries_per_s: more('upstream_retries_total'),
    shed_per_s: more('requests_shed_total'),
  }
}

const upstreamsOf = (samples: Samples) => {
  const limits = samples.by('upstream_concurrency_limit', 'upstream')
  const inFlight = samples.by('upstream_requests_in_flight', 'upstream')
  const exhausted = samples.by('retry_budget_exhausted_total', 'upstream')
  return [...limits].map(([name, limit]) => ({
    ...{ name, limit, in_flight: inFlight.get(name) ?? 0 },
    retries_refused: exhausted.get(name) ?? 0,
  }))
}

const cachesOf = (samples: Samples) => {
  const bytes = samples.by('cache_bytes', 'cache')
  const names = samples.by('cache_requests_total', 'cache')
  return [...names].map(([name, lookups]) => {
    const results = samples.by('cache_requests_total', 'result', { cache: name })
    const hits = ['memory', 'redis', 'stale'].reduce((sum, result) => sum + (results.get(result) ?? 0), 0)
    return { name, lookups, hit_ratio: lookups === 0 ? null : hits / lookups, bytes: bytes.get(name) ?? 0 }
  })
}

const poolsOf = (samples: Samples) =>
  [...samples.by('db_pool_connections', 'role').keys()].map((role) => ({
    role,
    ...Object.fromEntries(samples.by('db_pool_connections', 'state', { role })),
  }))

const modeOut = ({ readOnly, reason }: ReturnType<WriteMode['status']>) => ({
  read_only: readOnly,
  reason: reason ?? null,
})
