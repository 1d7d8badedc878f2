/**
 * Every metric's name, labels, buckets and meaning. Label values come from small fixed sets, so that no caller can
 * grow the number of series. `docs/metrics.md` is checked against this table.
 */
interface Instrument {
  name: string
  help: string
  labels: readonly string[]
  /** Tells of the operator's business: there only where `/metrics` asks for a token. */
  business?: true
}
export interface Counter extends Instrument {
  kind: 'counter'
  /**
   * All values of each label, where they are a fixed set: then every series is there with 0 from the first scrape. One
   * that first appears with 1 has no increase for Prometheus, and an alert on it would miss the first event.
   */
  values?: { readonly [label: string]: readonly string[] }
}
export interface Gauge extends Instrument {
  kind: 'gauge'
}
export interface Histogram extends Instrument {
  kind: 'histogram'
  /** Upper bounds, in seconds. */
  buckets: readonly number[]
}
export type Labels<I extends Instrument> = I extends { values: infer V extends { [label: string]: readonly string[] } }
  ? { [L in keyof V]: V[L][number] }
  : Record<I['labels'][number], string>

/** The series that a counter begins with; none where its labels' values are found out as it runs. */
export function firstSeries({ values }: Counter): Record<string, string>[] {
  if (!values) return []
  return Object.entries(values).reduce<Record<string, string>[]>(
    (all, [label, each]) => all.flatMap((labels) => each.map((value) => ({ ...labels, [label]: value }))),
    [{}],
  )
}

const requestSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
const overheadSeconds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5]

const counter = <const L extends readonly string[]>(name: string, labels: L, help: string) =>
  ({ kind: 'counter', name, labels, help }) as const
/** One whose labels' values are a fixed set. */
const fixedCounter = <const V extends { readonly [label: string]: readonly string[] }>(
  name: string,
  values: V,
  help: string,
) => ({ kind: 'counter', name, labels: Object.keys(values) as (keyof V & string)[], values, help }) as const
const gauge = <const L extends readonly string[]>(name: string, labels: L, help: string) =>
  ({ kind: 'gauge', name, labels, help }) as const
const histogram = <const L extends readonly string[]>(
  name: string,
  labels: L,
  buckets: readonly number[],
  help: string,
) => ({ kind: 'histogram', name, labels, buckets, help }) as const

const business = <I extends Counter | Gauge>(instrument: I): I & { business: true } => ({
  ...instrument,
  business: true,
})

export const instruments = {
  httpRequests: counter('http_requests_total', ['method', 'route', 'status'], 'Requests answered, by route pattern.'),
  httpDuration: histogram(
    'http_request_duration_seconds',
    ['method', 'route'],
    requestSeconds,
    'From the first byte of a request to the last byte of its answer.',
  ),
  httpInFlight: gauge('http_requests_in_flight', [], 'Requests being answered.'),
  overhead: histogram(
    'gateway_overhead_seconds',
    [],
    overheadSeconds,
    'Time until the answer began, less the time spent waiting for a provider, a password check or a receipt on its way.',
  ),
  callerDeadlines: fixedCounter(
    'caller_deadlines_total',
    {},
    'Requests answered 504 at the end of the time that their callers gave; `http_requests_total` has them, too.',
  ),
  timeToFirstToken: histogram(
    'time_to_first_token_seconds',
    ['provider'],
    requestSeconds,
    "From sending a streamed call to the first event of the provider's answer.",
  ),
  streamsInFlight: gauge('streams_in_flight', [], 'Streamed answers being relayed.'),
  streamInterrupted: counter(
    'stream_interrupted_total',
    ['provider', 'rescued'],
    'Streams that a provider broke after their first event.',
  ),
  malformedEvents: counter('stream_malformed_events_total', ['provider'], 'Stream events dropped as unreadable.'),
  breakerState: gauge('circuit_breaker_state', ['name'], '0 closed, 1 half-open, 2 open.'),
  circuitSilent: gauge(
    'circuit_silent_seconds',
    ['name'],
    'For how long nobody has been answered while ten wait, where that is unusual; new requests ask others first. Else 0.',
  ),
  breakerTransitions: counter('circuit_breaker_transitions_total', ['name', 'to'], 'Changes of state.'),
  breakerCalls: counter(
    'circuit_breaker_calls_total',
    ['name', 'outcome'],
    'Verdicts on calls (success, slow, failure, neutral) and calls refused.',
  ),
  upstreamRequests: counter('upstream_requests_total', ['upstream', 'outcome'], 'Tries, by outcome class.'),
  upstreamDuration: histogram(
    'upstream_request_duration_seconds',
    ['upstream'],
    requestSeconds,
    'One try, until its answer is whole or its stream has begun.',
  ),
  upstreamRetries: counter('upstream_retries_total', ['upstream', 'reason'], 'Further tries, by what they answer.'),
  retryBudgetExhausted: counter('retry_budget_exhausted_total', ['upstream'], 'Retries refused by the retry budget.'),
  upstreamConcurrencyLimit: gauge('upstream_concurrency_limit', ['upstream'], 'Calls allowed at once.'),
  upstreamInFlight: gauge('upstream_requests_in_flight', ['upstream'], 'Calls under way.'),
  admissionQueueDepth: gauge('admission_queue_depth', [], 'Calls waiting for a place.'),
  requestsShed: fixedCounter(
    'requests_shed_total',
    { reason: ['admission', 'brownout', 'bodies', 'upstream_concurrency'] },
    'Requests refused to protect the gateway.',
  ),
  brownout: gauge('brownout_level', [], 'What is shed: 0 nothing, 1 searches, 2 low priority too, 3 all that is new.'),
  hedges: counter('hedges_total', ['upstream', 'won'], 'Second calls of a read, by whose answer was taken.'),
  faultsInjected: fixedCounter(
    'faults_injected_total',
    { kind: ['cut', 'stall', 'malformed', 'no_done', '429', 'reset', 'slow', 'price_spike'] },
    "Faults injected on an administrator's word, by kind.",
  ),
  credentialRejected: counter(
    'upstream_credential_rejected_total',
    ['upstream'],
    "Answers by which a provider refused the gateway's own credential.",
  ),
  cacheRequests: counter(
    'cache_requests_total',
    ['cache', 'result'],
    'Look-ups: memory, redis, stale, miss, bypass, error.',
  ),
  cacheBytes: gauge('cache_bytes', ['cache'], 'Bytes held in memory.'),
  dbPool: gauge(
    'db_pool_connections',
    ['role', 'state'],
    'Permits for connections (max, in_use) and callers waiting for one, by what they are for.',
  ),
  dbDuration: histogram(
    'db_query_duration_seconds',
    ['role'],
    requestSeconds,
    'Queries, waiting for a place included.',
  ),
  replicaLag: gauge(
    'db_replica_lag_seconds',
    ['replica'],
    'How far a read replica is behind; of one that does not answer, since when. Beyond 10 s it is not read from.',
  ),
  readOnly: gauge(
    'gateway_read_only',
    ['reason'],
    'Whether callers may change nothing in this pod (1), and why: environment, operator, primary_lost.',
  ),
  ledgerPending: gauge('ledger_pending_events', [], 'Ledger events in the journal that are not in the database yet.'),
  ledgerEntries: fixedCounter(
    'ledger_entries_total',
    { kind: ['hold', 'settle', 'release'] },
    'Holds, and ends of them: settle, release.',
  ),
  guardrailBlocked: counter(
    'guardrail_blocked_total',
    ['window'],
    'Requests that a guard rail refused, or in shadow mode would have.',
  ),
  ledgerLostEvents: fixedCounter(
    'ledger_lost_events_total',
    {},
    'Ledger events lost: torn by a crash, refused by the database, or more than the journal holds.',
  ),
  idempotentRequests: counter(
    'idempotent_requests_total',
    ['result'],
    'Requests with an Idempotency-Key: executed, replayed, or why they were refused.',
  ),
  billingOutboxPending: gauge(
    'billing_outbox_pending',
    [],
    'Operations that the billing system has not been told of, counted up to 100,000 every 5 s.',
  ),
  billingCharges: fixedCounter(
    'billing_charges_total',
    { result: ['delivered', 'parked', 'failed'] },
    'Charges delivered, refused by the billing system (parked), or failed and told again later.',
  ),
  payments: fixedCounter(
    'payments_total',
    { state: ['created', 'processing', 'requires_action', 'succeeded', 'failed', 'canceled', 'parked'] },
    'Payments by card that came to a state; parked ones need a person.',
  ),
  stripeEvents: fixedCounter(
    'stripe_events_total',
    { result: ['applied', 'ignored', 'forged'] },
    'Webhooks of Stripe: applied, ignored, forged (or too old, or unreadable).',
  ),
  gpuInstances: gauge(
    'gpu_instances',
    ['provider', 'status'],
    'Rented machines of all accounts, by the status that their owners are shown; read every 15 s.',
  ),
  gpuOrphans: fixedCounter(
    'gpu_orphans_total',
    { provider: ['vastai', 'ionet'], action: ['adopted', 'reported', 'destroyed'] },
    'Machines whose creation nobody had heard of: adopted by their label; or that no rental accounts for: reported, destroyed.',
  ),
  gpuStuck: fixedCounter(
    'gpu_rentals_stuck_total',
    { provider: ['vastai', 'ionet'] },
    'Rented machines that for ten minutes could not be ended or gone on with; each is counted once.',
  ),
  gpuProxyOpen: gauge('gpu_proxy_open', ['kind'], 'Calls and WebSockets (tunnels) under way to rented machines.'),
  redisUp: gauge('redis_up', [], 'Whether Redis answers: 1 yes, 0 no; absent where there is none.'),
  redisFailures: fixedCounter(
    'redis_failures_total',
    { kind: ['disconnected', 'timeout', 'refusing', 'full', 'read_only', 'error'] },
    'Calls that Redis did not answer or that were not sent to it.',
  ),
  autoscalerDesired: gauge(
    'autoscaler_desired_replicas',
    [],
    'Pods that the fleet needs by the time one more could serve, by this pod; the mean over pods is the forecast.',
  ),
  autoscalerDemand: gauge(
    'autoscaler_demand_replicas',
    ['reason'],
    "This pod's own share of them, neither rounded nor capped: by arrivals, by streams; the sum over pods is the fleet's.",
  ),
  fleetPods: gauge('fleet_pods', [], 'Pods heard of lately, this one included.'),
  rateLimited: fixedCounter(
    'rate_limited_total',
    { scope: ['key', 'account', 'provider', 'address'] },
    'Requests refused by a limit.',
  ),
  signIns: fixedCounter(
    'sign_ins_total',
    { result: ['signed_in', 'wrong', 'delayed'] },
    'Attempts to sign in: signed_in, wrong, delayed.',
  ),
  routingReloads: fixedCounter(
    'routing_reloads_total',
    { result: ['ok', 'refused'] },
    'Changed routing files, taken (ok) or refused.',
  ),
  revenue: business(
    fixedCounter(
      'revenue_usd_total',
      { kind: ['inference', 'gpu'] },
      'What this pod has charged accounts, in US dollars: inference, gpu. Only with `METRICS_TOKEN`.',
    ),
  ),
  refunds: business(
    fixedCounter(
      'refunds_usd_total',
      { kind: ['gpu'] },
      'What it has given back of that, where a market billed less: gpu. Only with `METRICS_TOKEN`.',
    ),
  ),
  providerCost: business(
    counter(
      'provider_cost_usd_total',
      ['provider'],
      'What providers bill for the requests charged, by `provider_cost` of the routing file, in US dollars. Only with `METRICS_TOKEN`.',
    ),
  ),
  costedRevenue: business(
    counter(
      'costed_revenue_usd_total',
      ['provider'],
      'What was charged for those same requests: the difference is the margin. Only with `METRICS_TOKEN`.',
    ),
  ),
  servingGpus: business(
    gauge(
      'gpu_machines_serving',
      ['state'],
      'Machines of deployments that this pod sends calls to: busy (a call is under way), idle. Only with `METRICS_TOKEN`.',
    ),
  ),
  buildInfo: gauge('build_info', ['version'], 'Always 1.'),
} satisfies Record<string, Counter | Gauge | Histogram>
