/**
 * Every environment variable: default, unit, meaning and what is allowed, in one place. `docs/configuration.md` is
 * checked against this table. Names are the operator's own, so that a search finds them everywhere.
 */
import { type WindowLimits, type WindowName, windowMinutes, windowNames } from './domain/guardrails.ts'
import type { MicroUsd } from './domain/money.ts'
import {
  bareHost,
  ConfigError,
  databaseHost,
  decimal,
  duration,
  flag,
  hosts,
  integer,
  money,
  oneOf,
  optional,
  pageOrigins,
  postgresUrl,
  redisUrl,
  required,
  secret,
  text,
  url,
  type Values,
  type Variable,
  valuesOf,
} from './variables.ts'

type GuardrailVariable = `GUARDRAILS_MAX_${Uppercase<WindowName>}_RATE`
const guardrailVariable = (name: WindowName) =>
  `GUARDRAILS_MAX_${name.toUpperCase() as Uppercase<WindowName>}_RATE` satisfies GuardrailVariable

const guardrailVariables = Object.fromEntries(
  windowNames.map((name) => {
    const hours = windowMinutes[name] / 60
    const length = name.endsWith('h') ? `${hours} hours` : `${windowMinutes[name]} minutes`
    return [guardrailVariable(name), required(money, '0', `Most that an account may spend in ${length}; 0 = off.`)]
  }),
) as Record<GuardrailVariable, Variable<MicroUsd>>

export const variables = {
  HOST: required(text, '0.0.0.0', 'Address to listen on.'),
  PORT: required(integer(0, 65_535), '8080', 'Port to listen on; 0 takes a free one.'),
  NODE_ENV: required(
    oneOf('development', 'test', 'production'),
    'development',
    'In production neither the sandbox nor the embedded database ever starts.',
  ),
  HOSTNAME: required(text, 'local', "This pod's name, as Kubernetes sets it."),
  LOG_LEVEL: required(oneOf('debug', 'info', 'warn', 'error'), 'info', 'The least important log line written.'),
  DATA_DIR: required(text, './data', 'Folder of the embedded database and of everything else that must survive.'),
  GATEWAY_CONFIG: optional(
    text,
    'Routing file (YAML, see `docs/routing.md`), taken anew when it changes; unset: all goes to the first provider.',
  ),
  METRICS_TOKEN: optional(
    secret(8),
    '`/metrics` then wants it as a bearer token, and tells of revenue, too; unset: `/metrics` is open.',
  ),
  BOOTSTRAP_API_KEY: optional(secret(20, 200), "An administrator's key that exists after start. Not in production."),
  BOOTSTRAP_CREDIT_USD: required(money, '100', 'Credit that the account of `BOOTSTRAP_API_KEY` is given, once.'),

  TRUSTED_PROXY_HOPS: required(
    integer(0, 10),
    '0',
    "Proxies in front: the caller's address is that many from the right of `X-Forwarded-For`; 0 = the socket's own.",
  ),
  CORS_ORIGINS: optional(pageOrigins, 'Pages that may call from a browser; unset: none.'),
  REGISTRATION: optional(
    oneOf('open', 'closed'),
    'Whether strangers may make an account; unset: they may outside production only.',
  ),
  SIGNUP_CREDIT_USD: required(money, '0', 'Credit of an account that registers.'),

  DATABASE_URL: optional(postgresUrl, 'PostgreSQL server; wins over `DB_HOST`.'),
  DB_HOST: optional(databaseHost, 'PostgreSQL host. With this and `DATABASE_URL` unset the embedded server starts.'),
  DB_PORT: required(integer(1, 65_535), '5432', 'PostgreSQL port.'),
  DB_NAME: required(text, 'gpuproxy', 'Database name.'),
  DB_USER: required(text, 'gpuproxy', 'Database user.'),
  DB_PASSWORD: optional(secret(1), 'Database password.'),
  DB_SSLMODE: required(
    oneOf('disable', 'prefer', 'require', 'verify-full'),
    'prefer',
    'TLS to the database; `verify-full` also checks its certificate and name.',
  ),
  DB_MAX_CONNS: required(
    integer(1, 10_000),
    '100',
    "Most connections of this pod to one server; never more than the server's `max_connections` less 5.",
  ),
  DB_MIN_CONNS: required(
    integer(0, 10_000),
    '25',
    'Connections to the primary that are opened after the start and kept, never more than `DB_MAX_CONNS`.',
  ),
  DB_FLEET_MAX_CONNS: required(
    integer(0, 1_000_000),
    '0',
    'Connections of all pods together: each uses at most this divided by the live pods. 0 = off.',
  ),
  DB_MAX_CONN_LIFETIME: required(duration(1_000), '30m', 'A connection older than this is replaced.'),
  DB_MAX_CONN_IDLE_TIME: required(duration(1_000), '10m', 'A connection idle for longer than this is closed.'),
  DB_READ_REPLICAS: optional(
    hosts,
    'Read replicas, of the same name, user and password; one that is later than 10 s is not read from.',
  ),
  DB_READ_ONLY: required(
    flag,
    'false',
    'Callers may change nothing (503 `read_only`); inference without guard rails or budgets, and reads, go on. What a start itself writes is written.',
  ),
  DB_STATEMENT_TIMEOUT: required(duration(1), '3s', 'Longest run of one statement.'),
  DB_ACQUIRE_TIMEOUT: required(duration(1), '250ms', 'Longest wait for a place in the pool.'),
  DB_PGBOUNCER: required(flag, 'false', 'Behind PgBouncer in transaction mode: no prepared statements.'),

  API_KEY_PEPPER: optional(
    secret(32),
    'Key of the hash under which API keys are stored; unset: one is made once and kept in the database.',
  ),
  JWT_SECRET: optional(
    secret(32),
    'Signs access tokens (HS256). Required in production; elsewhere, when unset, one is made once and kept in the database.',
  ),
  JWT_SECRET_PREVIOUS: optional(secret(32), 'Access tokens that it signed are taken, too: for changing `JWT_SECRET`.'),
  JWT_EXPIRATION: required(duration(1_000), '24h', 'How long an access token is good for.'),
  REFRESH_EXPIRATION: required(duration(1_000), '168h', 'How long a session lasts after its last renewal.'),

  CIRCUIT_BREAKER_FAILURE_THRESHOLD: required(decimal(0.01, 1), '0.6', 'Share of failures that opens a circuit.'),
  CIRCUIT_BREAKER_MIN_REQUESTS: required(integer(1, 1_000_000), '10', 'Calls in the window before a share counts.'),
  CIRCUIT_BREAKER_TIMEOUT: required(duration(1), '30s', 'How long an open circuit waits before trial calls.'),
  CIRCUIT_BREAKER_MAX_REQUESTS: required(integer(1, 1_000), '3', 'Trial calls, and successes that close the circuit.'),
  RETRY_MAX_ATTEMPTS: required(integer(1, 10), '3', 'Tries in all for one request, over all providers.'),
  RETRY_INITIAL_BACKOFF: required(duration(), '100ms', 'Upper end of the first wait; waits are random below it.'),
  RETRY_MAX_BACKOFF: required(duration(), '10s', 'Upper end of any wait.'),
  RETRY_MULTIPLIER: required(decimal(1, 10), '2', 'Growth of the upper end from wait to wait.'),
  RETRY_BUDGET_RATIO: required(decimal(0, 1), '0.1', 'Retries earned by each first try.'),
  RETRY_AFTER_MAX_WAIT: required(
    duration(),
    '3s',
    'Longest Retry-After that a request waits for, while another target is untried, to ask again where it was told so.',
  ),
  UPSTREAM_MAX_CONCURRENCY: required(integer(1, 100_000), '10000', 'Calls at once per model provider and pod.'),
  INFLIGHT_BODY_MB: required(
    integer(1, 100_000),
    '256',
    'Request bodies held at once, in MB; beyond it 503. Below 26 the largest that may be sent fit never.',
  ),
  REQUEST_TIMEOUT: required(
    duration(1),
    '600s',
    'Longest time for one request, tries and waits included. A model’s own `timeouts.total` may be longer.',
  ),
  CONNECT_TIMEOUT: required(duration(1), '1s', 'Longest wait for a connection to a provider.'),
  HEADERS_TIMEOUT: required(duration(1), '30s', "Longest wait for the headers of a provider's streamed answer."),
  FIRST_TOKEN_TIMEOUT: required(
    duration(1),
    '10s',
    'Longest wait for the first event while another target is untried. A model that thinks has at least 2 minutes.',
  ),
  STREAM_IDLE_TIMEOUT: required(
    duration(1),
    '15s',
    'Longest silence within a stream while another target is untried. A model that thinks has at least 2 minutes.',
  ),
  FAULTS_ENABLED: optional(flag, 'Whether administrators may inject faults; unset: outside production only.'),
  FAULTS_IN_PRODUCTION: optional(flag, 'Needed besides `FAULTS_ENABLED=true` when `NODE_ENV=production`.'),

  REDIS_URL: optional(
    redisUrl,
    'Redis server; wins over `REDIS_HOST`. With neither, nor `REDIS_NODES`, what pods would share stays in memory.',
  ),
  REDIS_HOST: optional(bareHost, 'Redis host.'),
  REDIS_PORT: required(integer(1, 65_535), '6379', 'Redis port.'),
  REDIS_PASSWORD: optional(secret(1), 'Redis password, also of a `REDIS_URL` without one.'),
  REDIS_MODE: required(oneOf('single', 'cluster'), 'single', 'Whether that is one server or a Redis Cluster.'),
  REDIS_NODES: optional(hosts, 'Nodes of a Redis Cluster, some of them at least: it tells of the others.'),
  REDIS_COMMAND_TIMEOUT: required(duration(1), '100ms', 'Longest wait for an answer of Redis.'),

  CACHE_LOCAL_SIZE_MB: required(integer(1, 100_000), '100', 'Bytes of the in-process cache, in MB.'),
  CACHE_LOCAL_TTL: required(
    duration(1),
    '5m',
    'Longest time that a value in memory is answered without asking Redis or its source again.',
  ),
  CACHE_REDIS_TTL: required(duration(1_000), '30m', 'Longest time that a value is kept in Redis.'),
  CACHE_KEY_PREFIX: required(
    text,
    'aiserve',
    'What every Redis key begins with: fleets that share a Redis need one each.',
  ),
  JOURNAL_MAX_MB: required(
    integer(1, 100_000),
    '256',
    'Usage in `DATA_DIR` that is not in the database yet, in MB; when it is full inference answers 503.',
  ),
  RATE_LIMIT_PER_MINUTE: required(
    integer(1, 100_000_000),
    '100',
    'Requests per key: an idle key may spend its minute at once, then it refills evenly.',
  ),
  GUARDRAILS_ENABLED: required(flag, 'true', 'Whether the limits below, and those of accounts, hold.'),
  ...guardrailVariables,

  OPENAI_API_KEY: optional(secret(1), "The gateway's own key at OpenAI."),
  OPENAI_BASE_URL: optional(url, 'OpenAI-compatible server, `/v1` included.'),
  IOINTELLIGENCE_API_KEY: optional(secret(1), "The gateway's own key at IO Intelligence."),
  IOINTELLIGENCE_BASE_URL: optional(url, 'IO Intelligence server, path included.'),
  VASTAI_API_KEY: optional(secret(1), "The gateway's own key at Vast.ai."),
  VASTAI_BASE_URL: optional(url, 'Vast.ai server, host root.'),
  IONET_API_KEY: optional(secret(1), "The gateway's own key at io.net."),
  IONET_BASE_URL: optional(url, 'io.net server, host root.'),
  RENTAL_LEASE: required(
    duration(1_000),
    '3m',
    'How long others wait for a pod that was at a rental, or at a list of a market, and may have died. Less than 3m may have two pods at one.',
  ),
  BILLING_API_KEY: optional(secret(1), "The gateway's own key at the billing system, see `docs/billing-api.md`."),
  BILLING_BASE_URL: optional(url, 'Billing system, host root. Nobody else can know it: a key alone is not enough.'),
  STRIPE_SECRET_KEY: optional(secret(1), "The gateway's own key at Stripe. A live one is refused beside the sandbox."),
  STRIPE_WEBHOOK_SECRET: optional(secret(1), 'What Stripe signs its webhooks with (`whsec_…`).'),
  STRIPE_BASE_URL: optional(url, 'Stripe, host root.'),

  AUTOSCALER_POD_REQUESTS_PER_SECOND: required(
    decimal(0.001, 1_000_000),
    '1000',
    'Inference that a pod should get a second: what `autoscaler_desired_replicas` divides by.',
  ),
  AUTOSCALER_POD_STREAMS: required(
    decimal(0.001, 1_000_000),
    '500',
    'Streams that a pod should relay at once, likewise.',
  ),
  AUTOSCALER_BOOT_TIME: required(
    duration(),
    '30s',
    'From asking for a pod to its first request; so far ahead, and 30 s for the autoscaler, load is foreseen.',
  ),
  AUTOSCALER_POD_USD: required(money, '50', 'What a pod costs a month.'),
  AUTOSCALER_SPEND_CAP_USD: required(
    money,
    '0',
    'Most that pods may cost a month: no more are asked for than it pays for. 0 = off.',
  ),

  OTEL_EXPORTER_OTLP_ENDPOINT: optional(
    url,
    'OpenTelemetry collector for traces, OTLP over HTTP, as in http://collector:4318; unset: nothing is traced. The other `OTEL_EXPORTER_OTLP_*` variables are read, too.',
  ),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: optional(
    url,
    'The same with its whole path, as in http://collector:4318/v1/traces.',
  ),
  OTEL_SDK_DISABLED: required(flag, 'false', 'Nothing is traced, whatever is set.'),
  OTEL_SERVICE_NAME: required(text, 'aiserve-gpuproxy', 'Name in traces.'),
  OTEL_TRACES_SAMPLER: required(
    oneOf(
      'always_on',
      'always_off',
      'traceidratio',
      'parentbased_always_on',
      'parentbased_always_off',
      'parentbased_traceidratio',
    ),
    'parentbased_always_on',
    'Which traces are sampled. Failed (5xx) and slow requests are kept all the same.',
  ),
  OTEL_TRACES_SAMPLER_ARG: required(decimal(0, 1), '1', 'Share of the traces, for the samplers by ratio.'),
  TRACE_SLOW: required(duration(1), '30s', 'A request that took so long is kept, sampled or not.'),

  DRAIN_DELAY: required(duration(), '5s', 'After SIGTERM: how long new requests are still taken.'),
  DRAIN_TIMEOUT: required(duration(), '600s', 'After that: how long running requests may take to end.'),
} satisfies Record<string, Variable<unknown>>

export type Config = Values<typeof variables>

/** What the operator lets every account spend; a window that is off is not named. */
export function operatorLimits(config: Config): WindowLimits {
  return Object.fromEntries(
    windowNames.flatMap((name) => {
      const limit = config[guardrailVariable(name)]
      return limit > 0 ? [[name, limit]] : []
    }),
  )
}

/** Pods that the spend cap pays for. */
export function maxReplicas({ AUTOSCALER_SPEND_CAP_USD: cap, AUTOSCALER_POD_USD: pod }: Config): number {
  return cap > 0 ? Math.floor(cap / pod) : Number.POSITIVE_INFINITY
}

/** @throws ConfigError at the first bad value. An empty value counts as unset. */
export function loadConfig(env: Record<string, string | undefined>, readFile: (path: string) => string): Config {
  const config = valuesOf(variables, (name) => givenValue(name, env, readFile))
  checkTogether(config)
  return config
}

function givenValue(name: string, env: Record<string, string | undefined>, readFile: (path: string) => string) {
  const path = env[`${name}_FILE`]
  if (!path) return env[name] || undefined
  if (env[name]) throw new ConfigError(`${name} and ${name}_FILE are both set: set one of them`)
  try {
    // Files made by editors and secret stores end in a newline that is not part of the value.
    return readFile(path).replace(/\r?\n$/, '') || undefined
  } catch (cause) {
    throw new ConfigError(`${name}_FILE=${path} cannot be read`, { cause })
  }
}

function checkTogether(config: Config) {
  if (config.REDIS_MODE === 'cluster' && !config.REDIS_NODES && !config.REDIS_HOST && !config.REDIS_URL) {
    throw new ConfigError('REDIS_NODES must be set when REDIS_MODE=cluster: host:port of some nodes')
  }
  if (config.REDIS_NODES && config.REDIS_MODE !== 'cluster') {
    throw new ConfigError('REDIS_NODES needs REDIS_MODE=cluster: for one server set REDIS_URL or REDIS_HOST')
  }
  if (config.BILLING_API_KEY && !config.BILLING_BASE_URL) {
    throw new ConfigError(
      'BILLING_BASE_URL must be set when BILLING_API_KEY is: the billing system has no usual address',
    )
  }
  if (config.AUTOSCALER_SPEND_CAP_USD > 0 && config.AUTOSCALER_SPEND_CAP_USD < config.AUTOSCALER_POD_USD) {
    throw new ConfigError('AUTOSCALER_SPEND_CAP_USD must pay for one pod (AUTOSCALER_POD_USD) at least, or be 0')
  }
  if (config.JWT_EXPIRATION > config.REFRESH_EXPIRATION) {
    throw new ConfigError('JWT_EXPIRATION must not be longer than REFRESH_EXPIRATION: no token outlives its session')
  }
  if (config.NODE_ENV !== 'production') return
  if (!config.DATABASE_URL && !config.DB_HOST) {
    throw new ConfigError('DATABASE_URL or DB_HOST must be set when NODE_ENV=production: there is no embedded database')
  }
  if (!config.JWT_SECRET) throw new ConfigError('JWT_SECRET must be set when NODE_ENV=production: 32 bytes or more')
  if (config.BOOTSTRAP_API_KEY) throw new ConfigError('BOOTSTRAP_API_KEY must not be set when NODE_ENV=production')
}
