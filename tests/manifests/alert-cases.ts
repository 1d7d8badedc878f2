/** For each alert what makes it fire, and what comes close and must not. Series as promtool writes them, one value a minute. */

export interface AlertCase {
  fires: Record<string, string>
  silent: Record<string, string>
  /** When it is looked at, in minutes. */
  at: number
}

const answered = (status: string, aMinute: number) => ({
  [`http_requests_total{route="/v1/chat/completions",status="${status}"}`]: `0+${aMinute}x500`,
})
/** Probes fail, which is nobody's trouble. */
const failedProbes = { 'http_requests_total{route="/readyz",status="503"}': '0+1000x500' }
/** Of those answered 504, by whom the time was set: it is as if they had left. */
const byCallers = (aMinute: number) => ({ caller_deadlines_total: `0+${aMinute}x500` })
const overhead = (bound: string) => ({
  ...Object.fromEntries(
    ['0.01', '0.1', '+Inf'].map((le) => [
      `gateway_overhead_seconds_bucket{le="${le}"}`,
      le === '+Inf' || Number(le) >= Number(bound) ? '0+100x60' : '0+0x60',
    ]),
  ),
})
const pool = (inUse: number, waiting = 0) => ({
  'db_pool_connections{instance="a",role="general",state="in_use"}': `${inUse}x30`,
  'db_pool_connections{instance="a",role="general",state="max"}': '100x30',
  'db_pool_connections{instance="a",role="general",state="waiting"}': `${waiting}x30`,
})
const hpa = (pods: number) => ({
  'kube_horizontalpodautoscaler_status_current_replicas{namespace="default",horizontalpodautoscaler="aiserve-gpuproxy-hpa"}': `${pods}x60`,
  'kube_horizontalpodautoscaler_spec_max_replicas{namespace="default",horizontalpodautoscaler="aiserve-gpuproxy-hpa"}':
    '50x60',
})
const constant = (series: string, value: number, minutes = 60) => ({ [series]: `${value}x${minutes}` })
const stepped = (series: string, by: number) => ({ [series]: `0x5 ${by}x60` })
const gateways = {
  ...constant('autoscaler_desired_replicas{instance="a"}', 3),
  ...constant('autoscaler_desired_replicas{instance="b"}', 3),
}
const day = 86_400

export const alertCases: Record<string, AlertCase> = {
  GatewayErrorBudgetBurnsFast: {
    fires: {
      ...answered('200', 96),
      ...answered('503', 3),
      ...answered('504', 1),
      ...byCallers(1),
      // Of another service, and of strangers.
      'http_requests_total{job="other",code="200"}': '0+10000x500',
      'http_requests_total{route="unmatched",status="404"}': '0+10000x500',
    },
    silent: { ...answered('200', 94), ...answered('503', 1), ...answered('504', 5), ...byCallers(5), ...failedProbes },
    at: 90,
  },
  GatewayErrorBudgetBurnsSlowly: {
    fires: { ...answered('200', 990), ...answered('503', 10) },
    silent: {
      ...answered('200', 989),
      ...answered('503', 1),
      ...answered('504', 10),
      ...byCallers(10),
      ...failedProbes,
    },
    at: 420,
  },
  GatewaySlow: { fires: overhead('0.1'), silent: overhead('0.01'), at: 30 },
  CircuitBreakerOpen: {
    // Now and then a trial is under way, which a silent provider lets run into its time limit.
    fires: { 'circuit_breaker_state{name="openai:other"}': '2 2 1 2 2 2 1 2 2 2 2 1 2 2' },
    silent: constant('circuit_breaker_state{name="openai:other"}', 1),
    at: 10,
  },
  ProviderRefusesOurCredential: {
    fires: stepped('upstream_credential_rejected_total{upstream="openai"}', 1),
    // What a stranger's machine answers to its own key is nothing that a new secret would mend.
    silent: {
      ...constant('upstream_credential_rejected_total{upstream="openai"}', 7),
      ...stepped('upstream_credential_rejected_total{upstream="rented"}', 1),
    },
    at: 8,
  },
  StreamsBreakOff: {
    fires: { 'stream_interrupted_total{provider="openai",rescued="no"}': '0+12x60' },
    silent: {
      'stream_interrupted_total{provider="openai",rescued="no"}': '0+3x60',
      'stream_interrupted_total{provider="openai",rescued="resumed"}': '0+600x60',
    },
    at: 30,
  },
  RoutingFileRefused: {
    fires: stepped('routing_reloads_total{instance="a",result="refused"}', 1),
    silent: {
      ...stepped('routing_reloads_total{instance="a",result="ok"}', 1),
      ...constant('routing_reloads_total{instance="a",result="refused"}', 1),
    },
    at: 8,
  },
  DatabasePoolNearlyEmpty: {
    fires: pool(95),
    // Of a large fleet each pod has few connections, and some role a single one, which is used or not.
    silent: {
      ...pool(85, 3),
      ...constant('db_pool_connections{instance="a",role="ledger",state="in_use"}', 1),
      ...constant('db_pool_connections{instance="a",role="ledger",state="max"}', 1),
      ...constant('db_pool_connections{instance="a",role="watch",state="in_use"}', 5),
      ...constant('db_pool_connections{instance="a",role="watch",state="max"}', 5),
    },
    at: 10,
  },
  PrimaryLost: {
    fires: {
      ...constant('gateway_read_only{instance="a",reason="primary_lost"}', 0),
      ...constant('gateway_read_only{instance="b",reason="primary_lost"}', 1),
    },
    silent: {
      ...constant('gateway_read_only{instance="a",reason="primary_lost"}', 0),
      ...constant('gateway_read_only{instance="a",reason="operator"}', 1),
    },
    at: 5,
  },
  ReplicaLags: {
    fires: constant('db_replica_lag_seconds{replica="1"}', 15),
    silent: constant('db_replica_lag_seconds{replica="1"}', 5),
    at: 10,
  },
  RedisDown: {
    fires: { ...gateways, ...constant('redis_up{instance="a"}', 1), ...constant('redis_up{instance="b"}', 0) },
    // Somebody's exporter tells of a Redis that is none of ours.
    silent: {
      ...gateways,
      ...constant('redis_up{instance="a"}', 1),
      ...constant('redis_up{instance="b"}', 1),
      ...constant('redis_up{instance="exporter"}', 0),
    },
    at: 5,
  },
  LedgerBacklog: {
    fires: constant('ledger_pending_events{instance="a"}', 30_000),
    silent: constant('ledger_pending_events{instance="a"}', 10_000),
    at: 10,
  },
  LedgerEventsLost: {
    fires: stepped('ledger_lost_events_total{instance="a"}', 2),
    silent: constant('ledger_lost_events_total{instance="a"}', 4),
    at: 8,
  },
  ChargeOrPaymentParked: {
    fires: stepped('billing_charges_total{result="parked"}', 1),
    silent: stepped('billing_charges_total{result="delivered"}', 100),
    at: 8,
  },
  ChargesAreNotTaken: {
    // One account, which rests for half a minute between two tries.
    fires: {
      'billing_charges_total{result="failed"}': '0+2x90',
      'billing_charges_total{result="delivered"}': '0+50x90',
    },
    silent: {
      'billing_charges_total{result="failed"}': '0x10 12x80',
      'billing_charges_total{result="parked"}': '0+2x90',
    },
    at: 60,
  },
  OrphanMachines: {
    fires: stepped('gpu_orphans_total{provider="vastai",action="reported"}', 1),
    silent: stepped('gpu_orphans_total{provider="vastai",action="adopted"}', 3),
    at: 15,
  },
  MachineStuck: {
    fires: stepped('gpu_rentals_stuck_total{provider="vastai"}', 1),
    silent: constant('gpu_rentals_stuck_total{provider="vastai"}', 2),
    at: 8,
  },
  PodsShedLoad: {
    fires: constant('brownout_level{instance="a"}', 2),
    silent: constant('brownout_level{instance="a"}', 1),
    at: 10,
  },
  NothingIsScraped: {
    fires: { ...constant('up{job="aiserve-gpuproxy"}', 0), autoscaler_desired_replicas: '3x5 stale' },
    silent: constant('autoscaler_desired_replicas{instance="a"}', 3),
    at: 20,
  },
  TooFewPods: {
    fires: constant('kube_deployment_status_replicas_available{deployment="aiserve-gpuproxy"}', 1),
    silent: constant('kube_deployment_status_replicas_available{deployment="aiserve-gpuproxy"}', 3),
    at: 5,
  },
  AutoscalerAtItsMaximum: { fires: hpa(50), silent: hpa(49), at: 30 },
  CertificateExpires: {
    fires: constant('certmanager_certificate_expiration_timestamp_seconds{name="aiserve-gpuproxy-tls"}', 10 * day, 120),
    silent: constant(
      'certmanager_certificate_expiration_timestamp_seconds{name="aiserve-gpuproxy-tls"}',
      60 * day,
      120,
    ),
    at: 90,
  },
}
