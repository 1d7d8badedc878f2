/** Composition root of the origin: wires the rooms together from a config and a runtime's ports. */
import { createApp } from './app.ts'
import { createCache } from './cache/cache.ts'
import { createMemoryTier } from './cache/memory-tier.ts'
import type { Config } from './config.ts'
import { type MarketName, marketNames } from './domain/offer.ts'
import type { Principal } from './domain/principal.ts'
import { createReadJson } from './middleware/json-body.ts'
import { type Bindings, createRequestContext } from './middleware/request-context.ts'
import type { Ports } from './ports.ts'
import { createIonetMarket } from './providers/ionet.ts'
import { createOpenAiProvider, type Model, type ModelProvider } from './providers/openai.ts'
import { createVastMarket } from './providers/vast.ts'
import { createBackoff } from './resilience/backoff.ts'
import { createPlanner } from './routing/plan.ts'
import { createHealth } from './services/health.ts'
import { createInference } from './services/inference.ts'
import { createModels } from './services/models.ts'
import { createOffers, type Snapshot } from './services/offers.ts'
import { instruments } from './telemetry/instruments.ts'
import { createGuardedCall } from './upstream/guarded-call.ts'
import { breakerStates, createUpstream, type Upstream } from './upstream/upstream.ts'

/** Providers of models, in the order in which one is chosen where nothing else decides. */
const modelProviderNames = ['openai', 'iointelligence'] as const
export type ProviderName = MarketName | (typeof modelProviderNames)[number]

export interface ProviderSettings {
  baseUrl: string
  apiKey: string | undefined
}

export interface GatewayOptions {
  config: Config
  version: string
  /** The providers that there are. */
  providers: Partial<Record<ProviderName, ProviderSettings>>
  /** Names of those that the sandbox plays. */
  sandbox: readonly ProviderName[]
  ports: Ports
}

export interface Gateway {
  fetch(request: Request, bindings: Bindings): Response | Promise<Response>
  /** From here on readiness is refused and every answer closes its connection. */
  beginDrain(): void
  /** Ends the streams under way, each with an error event that says so. */
  stopStreams(): void
  /** Requests being answered. */
  inFlight(): number
}

const marketFactories = { vastai: createVastMarket, ionet: createIonetMarket }
/** Calls at once: the markets refuse more. */
const marketConcurrency: Record<MarketName, number> = { vastai: 4, ionet: 8 }
/** How long a trial call may take before it counts as failed: a whole completion may be thought about for a while. */
const inferenceTrialMs = 60_000
const restTrialMs = 10_000
/** Circuits that are in the metrics from the first scrape. */
const namedCircuits = ['vastai:list', 'ionet:list', 'openai:other', 'billing']
const megabyte = 1024 * 1024

export function createGateway({ config, version, providers, sandbox, ports }: GatewayOptions): Gateway {
  const { clock, random, metrics, log, http, accounts, digest } = ports
  let draining = false

  const guardedCall = createGuardedCall({
    clock,
    metrics,
    backoff: createBackoff({
      random,
      initialMs: config.RETRY_INITIAL_BACKOFF,
      maxMs: config.RETRY_MAX_BACKOFF,
      multiplier: config.RETRY_MULTIPLIER,
    }),
    maxAttempts: config.RETRY_MAX_ATTEMPTS,
    maxHintWaitMs: config.RETRY_AFTER_MAX_WAIT,
  })

  const upstreams: Partial<Record<ProviderName, Upstream>> = {}
  const upstream = (
    name: ProviderName,
    maxConcurrent: number,
    trialLeaseMs: number,
    circuitName: (key: string) => string,
  ) => {
    const created = createUpstream({
      name,
      clock,
      random,
      metrics,
      maxConcurrent,
      circuitName,
      retryBudgetRatio: config.RETRY_BUDGET_RATIO,
      breaker: {
        failureThreshold: config.CIRCUIT_BREAKER_FAILURE_THRESHOLD,
        minCalls: config.CIRCUIT_BREAKER_MIN_REQUESTS,
        openMs: config.CIRCUIT_BREAKER_TIMEOUT,
        trialCalls: config.CIRCUIT_BREAKER_MAX_REQUESTS,
        trialLeaseMs,
      },
      onTransition: (breaker, state) => log.warn('circuit breaker changed state', { breaker, state }),
    })
    upstreams[name] = created
    return created
  }

  const modelProviders = modelProviderNames.flatMap((name): ModelProvider[] => {
    const settings = providers[name]
    if (!settings) return []
    const guarded = upstream(name, config.UPSTREAM_MAX_CONCURRENCY, inferenceTrialMs, () => `${name}:other`)
    return [
      createOpenAiProvider({
        ...settings,
        name,
        http,
        clock,
        metrics,
        guardedCall,
        upstream: guarded,
        timeouts: {
          headersMs: config.HEADERS_TIMEOUT,
          firstTokenMs: config.FIRST_TOKEN_TIMEOUT,
          idleMs: config.STREAM_IDLE_TIMEOUT,
        },
      }),
    ]
  })
  const markets = marketNames.flatMap((name) => {
    const settings = providers[name]
    if (!settings) return []
    const guarded = upstream(name, marketConcurrency[name], restTrialMs, (operation) => `${name}:${operation}`)
    return [marketFactories[name]({ ...settings, http, clock, guardedCall, upstream: guarded })]
  })

  const memory = createMemoryTier({ maxBytes: config.CACHE_LOCAL_SIZE_MB * megabyte })
  const lookups = (cache: string) => (result: string) => metrics.count(instruments.cacheRequests, { cache, result })
  const principals = createCache<Principal | null>({
    name: 'principals',
    clock,
    memory,
    // Together under 5 s: a revoked key must be refused by then.
    freshMs: 2_000,
    staleWhileRevalidateMs: 2_000,
    // A lost database must not lock out those who were let in a moment ago.
    staleIfErrorMs: 5 * 60_000,
    bytesOf: () => 400,
    onLookup: lookups('principals'),
  })
  const modelLists = createCache<Model[]>({
    name: 'models',
    clock,
    memory,
    freshMs: 60_000,
    staleWhileRevalidateMs: 10 * 60_000,
    staleIfErrorMs: 60 * 60_000,
    bytesOf: (models) => models.length * 200,
    onLookup: lookups('models'),
  })
  const snapshots = createCache<Snapshot>({
    name: 'offers',
    clock,
    memory,
    freshMs: 30_000,
    staleWhileRevalidateMs: 2 * 60_000,
    staleIfErrorMs: 10 * 60_000,
    // After a failed search the market gets a rest: Vast.ai allows ten searches a minute.
    retryAfterErrorMs: 15_000,
    bytesOf: ({ offers }) => offers.length * 600,
    onLookup: lookups('offers'),
  })

  const inference = createInference({
    clock,
    metrics,
    guardedCall,
    planRoute: createPlanner(modelProviders.map(({ name }) => name)),
    providers: new Map(modelProviders.map((provider) => [provider.name, provider])),
    requestTimeoutMs: config.REQUEST_TIMEOUT,
  })

  const context = createRequestContext({
    clock,
    newId: ports.newId,
    metrics,
    log,
    reply: ports.reply,
    isDraining: () => draining,
  })
  const app = createApp({
    requestContext: context.middleware,
    log,
    probes: {
      health: createHealth({
        clock,
        version,
        dependencies: ports.dependencies,
        upstreams: { ...pick(upstreams, ['vastai', 'ionet', 'openai']), billing: undefined },
        sandbox,
      }),
      metrics,
      metricsToken: config.METRICS_TOKEN,
      sameSecret: (a, b) => digest(a) === digest(b),
      isDraining: () => draining,
    },
    authenticate: { accounts, principals, digest },
    rateLimit: { rateLimiter: ports.rateLimiter, perMinute: config.RATE_LIMIT_PER_MINUTE, metrics },
    openAi: {
      inference,
      models: createModels(modelProviders, modelLists),
      readJson: createReadJson({
        readBody: ports.readBody,
        metrics,
        maxInFlightBytes: config.INFLIGHT_BODY_MB * megabyte,
      }),
    },
    offers: createOffers({
      clock,
      markets,
      absent: marketNames.filter((name) => !providers[name]),
      snapshots,
      memory,
    }),
  })

  const all = Object.values(upstreams)
  metrics.gauge(instruments.buildInfo, () => [[{ version }, 1]])
  metrics.gauge(instruments.httpInFlight, () => [[{}, context.inFlight()]])
  metrics.gauge(instruments.streamsInFlight, () => [[{}, context.streams()]])
  metrics.gauge(instruments.breakerState, () => breakerStates(namedCircuits, all))
  metrics.gauge(instruments.upstreamConcurrencyLimit, () => all.map((u) => [{ upstream: u.name }, u.bulkhead.limit]))
  metrics.gauge(instruments.upstreamInFlight, () => all.map((u) => [{ upstream: u.name }, u.bulkhead.inUse]))
  metrics.gauge(instruments.admissionQueueDepth, () => [[{}, all.reduce((sum, u) => sum + u.bulkhead.waiting, 0)]])
  metrics.gauge(instruments.cacheBytes, () => [[{ cache: 'memory' }, memory.bytes]])

  return {
    fetch: (request, bindings) => app.fetch(request, bindings),
    beginDrain() {
      draining = true
    },
    stopStreams: inference.stopStreams,
    inFlight: context.inFlight,
  }
}

function pick<T, K extends string>(from: Partial<Record<K, T>>, names: readonly K[]): Record<string, T | undefined> {
  return Object.fromEntries(names.map((name) => [name, from[name]]))
}
