/** Composition root of the origin: wires the rooms together from a config and a runtime's ports. */
import { createApp } from './app.ts'
import { type Cached, createCache } from './cache/cache.ts'
import { createMemoryTier } from './cache/memory-tier.ts'
import { createSharedTier } from './cache/shared-tier.ts'
import { createStore } from './cache/store.ts'
import { type Config, maxReplicas, operatorLimits } from './config.ts'
import { type MarketName, marketNames } from './domain/offer.ts'
import type { Principal } from './domain/principal.ts'
import { createAdmission } from './middleware/admission.ts'
import { createBodyBudget } from './middleware/body-budget.ts'
import { createReadForm } from './middleware/form-body.ts'
import { createIdempotent } from './middleware/idempotency.ts'
import { createReadJson } from './middleware/json-body.ts'
import { type Bindings, createRequestContext } from './middleware/request-context.ts'
import { createTurnAway, type Refusal, type TurnAway } from './middleware/turn-away.ts'
import type { Ports, WriteModeStatus } from './ports.ts'
import { createBilling } from './providers/billing.ts'
import { endpoints } from './providers/endpoints.ts'
import { createIonetMarket } from './providers/ionet.ts'
import { createIonetControl } from './providers/ionet-control.ts'
import type { MarketControl } from './providers/market.ts'
import { createOpenAiProvider, type Model, type ModelProvider } from './providers/openai.ts'
import { createStripe } from './providers/stripe.ts'
import { createStripeWebhook } from './providers/stripe-webhook.ts'
import { createVastMarket } from './providers/vast.ts'
import { createVastControl } from './providers/vast-control.ts'
import { createBackoff } from './resilience/backoff.ts'
import { createLeasedLimits } from './resilience/leased-limits.ts'
import { createLocalLimits } from './resilience/local-limits.ts'
import type { ReferenceRouteOptions } from './routes/reference.ts'
import { defaultTable, longestTry, namedTargets, type ProviderRow, type RoutingTable } from './routing/table.ts'
import { createAccessTokens } from './services/access-tokens.ts'
import { createAccountAdmin } from './services/account-admin.ts'
import { createAccountExport } from './services/account-export.ts'
import { createEndRentals } from './services/account-rentals.ts'
import { createAdvise } from './services/advice.ts'
import { createAnswers, type KeptAnswer } from './services/answers.ts'
import { createApiKeys } from './services/api-keys.ts'
import { createAutoscaler } from './services/autoscaler.ts'
import { createBreakers } from './services/breakers.ts'
import { createDeploying, type Deploying } from './services/deploying.ts'
import { exportSections } from './services/export-sections.ts'
import { createFaults, faultsAllowed } from './services/faults.ts'
import { createGrants } from './services/grants.ts'
import { createGuardrails } from './services/guardrails.ts'
import { createHealth } from './services/health.ts'
import { createKeyedExecutions } from './services/idempotency.ts'
import { createInference } from './services/inference.ts'
import { createInstanceProxy } from './services/instance-proxy.ts'
import { createKeyUse } from './services/key-use.ts'
import { createLedger } from './services/ledger.ts'
import { createLedgerRecovery } from './services/ledger-recovery.ts'
import { createLive } from './services/live.ts'
import { createMarketLists } from './services/market-lists.ts'
import { createNoteKept } from './services/meter.ts'
import { createModels } from './services/models.ts'
import { createOfferBook } from './services/offer-book.ts'
import { createOffers, type Snapshot, untilTurn } from './services/offers.ts'
import { createOpenCalls } from './services/open-calls.ts'
import { createOutbox } from './services/outbox.ts'
import { createOutcomeOf } from './services/outcome.ts'
import { createPayments } from './services/payments.ts'
import { createSavedPreferences } from './services/preferences.ts'
import { createPriceWatch } from './services/price-watch.ts'
import { createPrices, type PriceLook } from './services/prices.ts'
import { createReceiptSigner } from './services/receipt-signer.ts'
import { createReceipts } from './services/receipts.ts'
import { createRecentRequests } from './services/recent-requests.ts'
import { type RentedMachine, rentedName } from './services/rented-targets.ts'
import { createRenting } from './services/renting.ts'
import { createRouter } from './services/router.ts'
import { createSignIn } from './services/sign-in.ts'
import { createUpkeep } from './services/upkeep.ts'
import { createUsageWatch } from './services/usage-watch.ts'
import { instruments } from './telemetry/instruments.ts'
import { createTracer, withSpans } from './telemetry/trace.ts'
import { createFaultInjection } from './upstream/fault-injection.ts'
import { createGuardedCall } from './upstream/guarded-call.ts'
import { createProviderLimit } from './upstream/provider-limit.ts'
import { breakerStates, createUpstream, silences, type Upstream, type UpstreamOptions } from './upstream/upstream.ts'

/** Providers of models, in the order in which one is chosen where nothing else decides. */
const modelProviderNames = ['openai', 'iointelligence'] as const
/** Where money goes and comes from. */
type MoneyProviderName = 'billing' | 'stripe'
export type ProviderName = MarketName | (typeof modelProviderNames)[number] | MoneyProviderName

export interface ProviderSettings {
  baseUrl: string
  apiKey: string | undefined
  /** Stripe's. */
  webhookSecret?: string | undefined
}

export type { Refusal }

export interface GatewayOptions {
  config: Config
  version: string
  /** The providers that there are. */
  providers: Partial<Record<ProviderName, ProviderSettings>>
  /** @default every model to the first of `providers` that has models */
  routing?: RoutingTable | undefined
  /** Names of those that the sandbox plays. */
  sandbox: readonly ProviderName[]
  /** Signs access tokens. `JWT_SECRET`, or what stands in for it. */
  jwtSecret: string
  ports: Ports
}

export interface Gateway {
  /** Before the first request: ends what a former run left open, and begins the work in the background. */
  start(): Promise<void>
  fetch(request: Request, bindings: Bindings): Response | Promise<Response>
  /** What a request whose body is small is refused with by its head, where the pod is full; undefined = `fetch` answers. */
  turnAway: TurnAway
  /** Another routing table takes over; requests under way end as they began. */
  useRouting(table: RoutingTable): void
  /** From here on readiness is refused and every answer closes its connection. */
  beginDrain(): void
  /** Ends the streams under way, each with an error event that says so. */
  stopStreams(): void
  /** Requests being answered. */
  inFlight(): number
  /** Gives back what this pod holds of what the fleet shares, and writes what it has not written yet. */
  close(): Promise<void>
  /** After the last request: moves what the journal holds to the database, as far as that goes in so long. */
  settleLedger(options: { timeoutMs: number }): Promise<void>
  /** Resolves when no charge is under way any more. Others go on with what was cut off. */
  stopMoney(): Promise<void>
}

type OwnUpstreamOption = 'id' | 'maxConcurrent' | 'adaptive' | 'circuitName' | 'probe'

const controlFactories = { vastai: createVastControl, ionet: createIonetControl }
const marketFactories = { vastai: createVastMarket, ionet: createIonetMarket }
/** By the brownout's level: one line in so many, of requests that went well or were refused by load. */
const logOneOf = [1, 10, 10, 100]
/** Calls at once: the markets refuse more. */
const marketConcurrency: Record<MarketName, number> = { vastai: 4, ionet: 8 }
const moneyConcurrency = 32
/** Calls at once to one rented machine: vLLM works on so many together. */
const rentedConcurrency = 256
/** What a charge under way has to end, once the pod drains. */
const moneyGraceMs = 5_000
/** What a round for the deployments has to end. */
const rentedGraceMs = 5_000
/** Of all webhooks under way: strangers can send them. */
const webhookBodyBytes = 16 * 1024 * 1024
/** Circuits that are in the metrics from the first scrape. */
const namedCircuits = ['vastai:list', 'vastai:control', 'ionet:list', 'ionet:control', 'openai:other', 'billing']
const megabyte = 1024 * 1024
const readOnlyReasons = [
  'environment',
  'operator',
  'primary_lost',
] as const satisfies readonly WriteModeStatus['reason'][]
/** What an autoscaler adds to a pod's start: a scrape and a sync, of 15 s each. */
const autoscalerDelayMs = 30_000
/** The longest password, every character of it escaped, and what stands around it. */
const strangersBodyBytes = 8 * 1024
const strangersInFlight = 1_024

export function createGateway(options: GatewayOptions): Gateway {
  const { config, version, providers, routing, sandbox, jwtSecret, ports } = options
  const { clock, random, metrics, log, http, accounts, digest, fleet, tracing } = ports
  const pods = fleet?.pods ?? (() => 1)
  let draining = false

  const localLimits = createLocalLimits({ clock })
  const limitStore = ports.limitStore && withSpans(ports.limitStore, tracing, 'redis', ['lease'])
  const leasedLimits = limitStore && createLeasedLimits({ clock, store: limitStore, local: localLimits, pods })
  const limits = leasedLimits ?? localLimits

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
    currentSpan: tracing?.current,
  })

  /** Providers that a reloaded routing table names keep their breakers and limits. */
  const upstreams = new Map<string, Upstream>()
  const calledNames = () => [...upstreams.keys(), rentedName]
  const faultInjection = createFaultInjection({ clock, random, metrics, upstreams: calledNames })
  const newUpstream = (name: string, own: Pick<UpstreamOptions, OwnUpstreamOption>) =>
    createUpstream({
      name,
      clock,
      random,
      metrics,
      fleet,
      ...own,
      retryBudgetRatio: config.RETRY_BUDGET_RATIO,
      breaker: {
        failureThreshold: config.CIRCUIT_BREAKER_FAILURE_THRESHOLD,
        minCalls: config.CIRCUIT_BREAKER_MIN_REQUESTS,
        openMs: config.CIRCUIT_BREAKER_TIMEOUT,
        trialCalls: config.CIRCUIT_BREAKER_MAX_REQUESTS,
      },
      onTransition: (breaker, state) => log.warn('circuit breaker changed state', { breaker, state }),
    })
  const upstream = (name: string, own: Parameters<typeof newUpstream>[1]) => {
    const created = upstreams.get(name) ?? newUpstream(name, own)
    upstreams.set(name, created)
    return created
  }

  const sandboxUrls = new Set(sandbox.map((name) => providers[name]?.baseUrl))
  const latest = new Map<string, ModelProvider>()
  const circuitName = (provider: string, model: string) =>
    namedTargets(router.table()).has(`${provider}:${model}`) ? `${provider}:${model}` : `${provider}:other`
  const router = createRouter({
    random,
    maxAttempts: config.RETRY_MAX_ATTEMPTS,
    table: routing ?? defaultTable(rowsOf(providers), modelProviderNames),
    own: {
      rowsOf: (accountId) => deploying.targets.rowsOf(accountId),
      provider: (name) => deploying.targets.provider(name),
    },
    createProvider(row) {
      const guarded = upstream(row.name, {
        maxConcurrent: config.UPSTREAM_MAX_CONCURRENCY,
        adaptive: true,
        circuitName: (model) => circuitName(row.name, model),
        // The one in force: a reloaded table may have given the provider another URL.
        probe: (signal) => latest.get(row.name)!.isThere(signal),
      })
      const provider = createOpenAiProvider({
        ...row,
        sandbox: sandboxUrls.has(row.baseUrl),
        http: faultInjection.wrap(http, row.name),
        clock,
        metrics,
        guardedCall,
        upstream: guarded,
        providerLimit: row.limits && createProviderLimit({ name: row.name, ...row.limits, limits, newId: ports.newId }),
        onRejected(position, of) {
          log.error('a provider rejected our credential', { provider: row.name, detail: `key ${position} of ${of}` })
        },
      })
      latest.set(row.name, provider)
      return provider
    },
  })
  const machines: MarketControl[] = []
  const markets = marketNames.flatMap((name) => {
    const settings = providers[name]
    if (!settings) return []
    const guarded = upstream(name, {
      maxConcurrent: marketConcurrency[name],
      circuitName: (operation) => `${name}:${operation}`,
    })
    const market = {
      ...settings,
      http: faultInjection.wrap(http, name),
      clock,
      guardedCall,
      upstream: guarded,
      priceFactor: () => faultInjection.priceFactor(name),
      pace: ports.pace,
    }
    machines.push(controlFactories[name]({ ...market, elsewhereHttp: ports.instanceHttp }))
    return [marketFactories[name](market)]
  })

  const moneyProvider = (name: MoneyProviderName) => {
    const settings = providers[name]
    if (!settings) return undefined
    const guarded = upstream(name, {
      maxConcurrent: moneyConcurrency,
      circuitName: () => name,
    })
    return { ...settings, http: faultInjection.wrap(http, name), clock, guardedCall, upstream: guarded }
  }
  const toBilling = moneyProvider('billing')
  const toStripe = moneyProvider('stripe')
  const money = { clock, random, newId: ports.newId, mode: ports.writeMode, metrics, log }
  const outbox = createOutbox({
    ...money,
    store: ports.billingOutbox,
    billing: toBilling && createBilling(toBilling),
  })
  const payments = createPayments({
    ...money,
    store: ports.paymentStore,
    credits: ports.credits,
    stripe: toStripe && createStripe(toStripe),
    sandbox: sandbox.includes('stripe'),
  })
  let stoppingMoney: Promise<unknown> | undefined
  const stopMoney = () => {
    stoppingMoney ??= Promise.all([outbox, payments].map(({ stop }) => stop({ timeoutMs: moneyGraceMs })))
    return stoppingMoney
  }

  const memory = createMemoryTier({ maxBytes: config.CACHE_LOCAL_SIZE_MB * megabyte })
  const lookups = (cache: string) => (result: string) => metrics.count(instruments.cacheRequests, { cache, result })
  const sharedCache = ports.sharedCache && withSpans(ports.sharedCache, tracing, 'redis', ['read', 'write'])
  const sharedTier = sharedCache && createSharedTier({ cache: sharedCache, clock })
  const traced = <C extends object>(cache: C, name: string, method: keyof C & string) =>
    withSpans(cache, tracing, 'cache', [method], (found) => ({
      'gpuproxy.cache': name,
      'gpuproxy.cache_result': (found as Cached<unknown> | undefined)?.result ?? 'miss',
    }))
  const shared = (layout: number) => sharedTier && { tier: sharedTier, layout, ttlMs: config.CACHE_REDIS_TTL }
  const tiers = { clock, random, memory, localTtlMs: config.CACHE_LOCAL_TTL }
  const principals = createCache<Principal | null, 'credential'>({
    ...tiers,
    name: 'principals',
    scope: 'credential',
    // Together under 5 s: a revoked key must be refused by then.
    freshMs: 2_000,
    staleWhileRevalidateMs: 2_000,
    // A lost database must not lock out those who were let in a moment ago.
    staleIfErrorMs: 5 * 60_000,
    isNegative: (principal) => principal === null,
    bytesOf: () => 400,
    onLookup: lookups('principals'),
  })
  const modelLists = createCache<Model[], 'public'>({
    ...tiers,
    name: 'models',
    scope: 'public',
    shared: shared(1),
    freshMs: 60_000,
    staleWhileRevalidateMs: 10 * 60_000,
    staleIfErrorMs: 60 * 60_000,
    bytesOf: (models) => models.length * 200,
    onLookup: lookups('models'),
  })
  const snapshots = createCache<Snapshot, 'public'>({
    ...tiers,
    name: 'offers',
    scope: 'public',
    shared: shared(3),
    freshMs: 30_000,
    staleWhileRevalidateMs: 2 * 60_000,
    staleIfErrorMs: 10 * 60_000,
    // After a failed search the market gets a rest: Vast.ai allows ten searches a minute.
    retryAfterErrorMs: 15_000,
    ownWaitMs: untilTurn,
    bytesOf: ({ offers }) => offers.length * 900,
    onLookup: lookups('offers'),
  })

  const priceLooks = createCache<PriceLook[], 'public'>({
    ...tiers,
    name: 'prices',
    scope: 'public',
    freshMs: 60_000,
    staleWhileRevalidateMs: 10 * 60_000,
    staleIfErrorMs: 60 * 60_000,
    isNegative: (looks) => looks.length === 0,
    bytesOf: (looks) => looks.reduce((sum, { history }) => sum + 600 + 60 * history.length, 0),
    onLookup: lookups('prices'),
  })
  const prices = createPrices({ clock, history: ports.priceHistory, looks: priceLooks, log })
  const offers = createOffers({
    clock,
    markets,
    absent: marketNames.filter((name) => !providers[name]),
    snapshots: traced(snapshots, 'offers', 'get'),
    memory,
    onList(market, list) {
      if (!ports.writeMode.readOnly) void prices.note(market, list)
    },
  })
  const priceWatch = createPriceWatch({
    ...{ clock, random, offers, markets: markets.map(({ name }) => name), turns: ports.turns },
    holder: ports.identity.processId,
    mode: ports.writeMode,
    log,
  })
  const readMarketLists = createMarketLists({
    offers,
    markets: markets.map(({ name }) => name),
    absent: marketNames.filter((name) => !providers[name]),
  })
  const preferences = createSavedPreferences({ clock, store: ports.preferences, lists: readMarketLists })
  const { rentals } = ports
  const renting = createRenting({
    ...{ clock, random, newId: ports.newId, rentals, turns: ports.turns, sightings: ports.sightings, accounts },
    offers: createOfferBook({ clock, offers, markets: markets.map(({ name }) => name), sandbox }),
    controls: machines,
    fleet: ports.fleetId,
    holder: ports.identity.processId,
    pods,
    leaseMs: config.RENTAL_LEASE,
    mode: ports.writeMode,
    metrics,
    log,
  })
  const instanceHttp = faultInjection.wrap(ports.instanceHttp, rentedName)
  /** A rented machine as a provider. Its circuit shares a label with all others, and is its own in what the fleet knows. */
  function rentedProvider({ id, origin, apiKey }: RentedMachine): ModelProvider {
    const guarded = newUpstream(rentedName, {
      id: `${rentedName}/${id}`,
      maxConcurrent: rentedConcurrency,
      adaptive: true,
      circuitName: () => `${rentedName}:other`,
      probe: (signal) => provider.isThere(signal),
    })
    const provider: ModelProvider = createOpenAiProvider({
      name: rentedName,
      baseUrl: `${origin}/v1`,
      apiKeys: [apiKey],
      headers: {},
      http: instanceHttp,
      clock,
      metrics,
      guardedCall,
      upstream: guarded,
      onRejected: () => log.error('a rented machine rejected its key', { provider: rentedName, detail: id }),
    })
    return provider
  }
  const openCalls = createOpenCalls({ clock, rentals, log })
  const deploying: Deploying = createDeploying({
    desk: renting.desk,
    rentals,
    clock,
    random,
    newId: ports.newId,
    newSecret: ports.passwords.generate,
    deployments: ports.deployments,
    accounts,
    users: ports.users,
    http: instanceHttp,
    createProvider: rentedProvider,
    pods,
    mode: ports.writeMode,
    log,
  })

  const books = { clock, random, journal: ports.journal, store: ports.ledgerStore, mode: ports.writeMode, metrics, log }
  const ledger = createLedger({ ...books, ...ports.identity, pods })
  // Of every table that was in force: what was begun under one that had more time may still run.
  let longestMs = config.REQUEST_TIMEOUT
  const recovery = createLedgerRecovery({
    ...books,
    ...ports.identity,
    ledger,
    onFormerEnded: () => ports.idempotency.endFormer(),
    requestTimeoutMs: () => {
      longestMs = Math.max(longestMs, longestTry(router.table()))
      return longestMs
    },
  })

  const inference = createInference({
    clock,
    metrics,
    ledger,
    guardedCall,
    router,
    requestTimeoutMs: config.REQUEST_TIMEOUT,
    timeouts: {
      headersMs: config.HEADERS_TIMEOUT,
      firstTokenMs: config.FIRST_TOKEN_TIMEOUT,
      idleMs: config.STREAM_IDLE_TIMEOUT,
      totalMs: config.REQUEST_TIMEOUT,
    },
  })

  const answers = createAnswers({
    inference,
    router,
    store: traced(
      createStore<KeptAnswer, 'account'>({
        name: 'answers',
        scope: 'account',
        clock,
        memory,
        shared: shared(1),
        localTtlMs: config.CACHE_LOCAL_TTL,
        ttlMs: config.CACHE_REDIS_TTL,
        // Two bytes for a character, at most.
        bytesOf: ({ body }) => 2 * body.length + 400,
        onLookup: lookups('answers'),
      }),
      'answers',
      'find',
    ),
  })

  const keyedExecutions = createKeyedExecutions({
    clock,
    random,
    store: ports.idempotency,
    outcomeOf: createOutcomeOf({ clock, ledger, store: ports.ledgerStore, podId: ports.identity.podId }),
    mode: ports.writeMode,
    metrics,
    log,
  })

  const idempotent = createIdempotent(keyedExecutions)

  const guardrails = createGuardrails({
    clock,
    port: ports.guardrails,
    enabled: config.GUARDRAILS_ENABLED,
    defaults: operatorLimits(config),
  })
  const upkeep = createUpkeep({ clock, random, port: ports.upkeep, mode: ports.writeMode, log })

  const usageWatch = createUsageWatch({
    ...{ clock, random, sums: ports.usageSums, turns: ports.turns, mode: ports.writeMode, log },
    holder: ports.identity.processId,
  })

  const recent = createRecentRequests()
  const context = createRequestContext({
    onEnded: recent.note,
    logOneOf: () => logOneOf[admission.level()]!,
    clock,
    newId: ports.newId,
    metrics,
    log,
    reply: ports.reply,
    isDraining: () => draining,
    tracer: tracing && createTracer(tracing, clock.now),
  })
  const admission = createAdmission({ clock, random, metrics, load: ports.load })
  const bodies = createBodyBudget({
    readBody: ports.readBody,
    metrics,
    maxInFlightBytes: config.INFLIGHT_BODY_MB * megabyte,
  })
  const readJson = createReadJson(bodies)
  const trustedHops = config.TRUSTED_PROXY_HOPS
  // Nobody who has a key can keep others from signing in.
  const strangersBodies = createBodyBudget({
    readBody: ports.readBody,
    metrics,
    maxInFlightBytes: strangersInFlight * strangersBodyBytes,
    trustedHops,
  })
  const moneyCircuits = toStripe ? ['stripe'] : []
  const breakerNames = () => [...namedCircuits, ...moneyCircuits, ...namedTargets(router.table())]

  const { users, sessions, passwords } = ports
  const tokens = createAccessTokens({
    clock,
    newId: ports.newId,
    secret: jwtSecret,
    previousSecret: config.JWT_SECRET_PREVIOUS,
    lifetimeMs: config.JWT_EXPIRATION,
  })
  const keyUse = createKeyUse({ clock, accounts, mode: ports.writeMode, log })
  const signIn = createSignIn({
    users,
    sessions,
    attempts: ports.signInAttempts,
    passwords,
    tokens,
    registration: config.REGISTRATION ?? (config.NODE_ENV === 'production' ? 'closed' : 'open'),
    credits: ports.credits,
    signupCredit: config.SIGNUP_CREDIT_USD,
    idempotency: ports.idempotency,
    endRentals: createEndRentals({ rentals, desk: renting.desk }),
    sessionMs: config.REFRESH_EXPIRATION,
    metrics,
    log,
  })
  let reference: Promise<ReferenceRouteOptions['file']> | undefined
  const pause = () => new Promise<void>((resolve) => void clock.setTimer(0, resolve))
  const breakers = createBreakers({
    clock,
    names: breakerNames,
    upstreams: () => all(),
    pod: config.HOSTNAME,
    fleet,
  })
  const live = createLive({ clock, metrics, breakers, writeMode: ports.writeMode, version, pod: config.HOSTNAME })
  const app = createApp({
    requestContext: context.middleware,
    corsOrigins: config.CORS_ORIGINS,
    log,
    probes: {
      health: createHealth({
        clock,
        version,
        dependencies: ports.dependencies,
        upstreams: (name) => upstreams.get(name),
        hasCredential: (name) => latest.get(name)?.hasCredential() ?? true,
        sandbox,
      }),
      metrics,
      metricsToken: config.METRICS_TOKEN,
      sameSecret: (a, b) => digest(a) === digest(b),
      isDraining: () => draining,
    },
    reference: {
      // Read when somebody asks for it: a start needs none of it.
      async file(name) {
        reference ??= import('./reference/reference.ts').then(({ createReference }) =>
          createReference({ version, pause }),
        )
        return (await reference)(name)
      },
    },
    authenticate: {
      ...{ accounts, sessions, tokens, keyUse, digest },
      principals: traced(principals, 'principals', 'get'),
    },
    rateLimit: { limits, perMinute: config.RATE_LIMIT_PER_MINUTE, metrics },
    readOnly: { mode: ports.writeMode },
    admission,
    openAi: {
      answers,
      models: createModels(router, traced(modelLists, 'models', 'get'), (accountId) =>
        deploying.targets.namesOf(accountId),
      ),
      readJson,
      readForm: createReadForm(bodies),
      noteKept: createNoteKept({ ledger }),
      idempotent,
    },
    route: { router, readJson },
    payments: { payments, readJson },
    webhooks: {
      stripe:
        providers.stripe?.webhookSecret === undefined
          ? undefined
          : createStripeWebhook({ secret: providers.stripe.webhookSecret, wallNow: clock.wallNow }),
      payments,
      bodies: createBodyBudget({ readBody: ports.readBody, metrics, maxInFlightBytes: webhookBodyBytes, trustedHops }),
      metrics,
    },
    addressLimit: { limits, metrics, trustedHops },
    signIn: { signIn, readJson: createReadJson(strangersBodies, strangersBodyBytes), trustedHops },
    console: {
      files: ports.consoleFiles,
      signIn,
      readJson: createReadJson(strangersBodies, strangersBodyBytes),
      trustedHops,
      secure: config.NODE_ENV === 'production',
    },
    user: { users, signIn, readJson },
    apiKeys: {
      apiKeys: createApiKeys({ accounts, requestsPerMinute: config.RATE_LIMIT_PER_MINUTE }),
      readJson,
      wallNow: clock.wallNow,
    },
    adminAccounts: { accounts: createAccountAdmin({ users, passwords, clock }), readJson, log },
    admin: {
      breakers,
      live,
      recent,
      faults: createFaults({ injection: faultInjection, allowed: faultsAllowed(config) }),
      writeMode: ports.writeMode,
      readJson,
      log,
    },
    billing: { statements: ports.statements, wallNow: clock.wallNow },
    adminUsage: { usageSums: ports.usageSums, rentals, instances: renting.instances, wallNow: clock.wallNow },
    guardrails: { guardrails, readJson },
    receipts: {
      receipts: createReceipts({ clock, statements: ports.statements, signer: createReceiptSigner(ports.receiptKey) }),
    },
    export: { accountExport: createAccountExport({ clock, sections: exportSections(ports) }) },
    adminMoney: { users, grants: createGrants(ports), guardrails, readJson, log },
    instanceProxy: {
      proxy: createInstanceProxy({ clock, rentals, http: instanceHttp, tunnel: ports.tunnel, openCalls }),
      streamBody: ports.streamBody,
    },
    deployments: {
      deployments: deploying.desk,
      instances: renting.instances,
      preferences,
      idempotent,
      readJson,
    },
    offers,
    prices,
    advise: createAdvise({ clock, statements: ports.statements, lists: readMarketLists }),
    preferences: { preferences, readJson },
    reservations: { ...renting, preferences, idempotent, readJson },
    instances: { instances: renting.instances, desk: renting.desk, preferences, idempotent, readJson },
  })

  const all = () => [...upstreams.values(), ...deploying.targets.upstreams()]
  const autoscaler = createAutoscaler({
    clock,
    random,
    log,
    pods,
    arrivals: admission.arrivals,
    streams: context.streams,
    leadMs: config.AUTOSCALER_BOOT_TIME + autoscalerDelayMs,
    podArrivalsPerSecond: config.AUTOSCALER_POD_REQUESTS_PER_SECOND,
    podStreams: config.AUTOSCALER_POD_STREAMS,
    maxReplicas: maxReplicas(config),
  })
  metrics.gauge(instruments.autoscalerDesired, () => [[{}, autoscaler.desired().replicas]])
  metrics.gauge(instruments.autoscalerDemand, () =>
    Object.entries(autoscaler.demand()).map(([reason, pods]) => [{ reason }, pods]),
  )

  metrics.gauge(instruments.buildInfo, () => [[{ version }, 1]])
  metrics.gauge(instruments.httpInFlight, () => [[{}, context.inFlight()]])
  metrics.gauge(instruments.streamsInFlight, () => [[{}, context.streams()]])
  metrics.gauge(instruments.gpuProxyOpen, () => openCalls.counts().map(([kind, count]) => [{ kind }, count]))
  metrics.gauge(instruments.breakerState, () => breakerStates(breakerNames(), all()))
  metrics.gauge(instruments.circuitSilent, () => silences(breakerNames(), all()))
  metrics.gauge(instruments.upstreamConcurrencyLimit, () => sumByName(all(), ({ bulkhead }) => bulkhead.limit))
  metrics.gauge(instruments.upstreamInFlight, () => sumByName(all(), ({ bulkhead }) => bulkhead.inUse))
  metrics.gauge(instruments.servingGpus, () => {
    const machines = [...deploying.targets.upstreams()]
    const busy = machines.filter(({ bulkhead }) => bulkhead.inUse > 0).length
    return [
      [{ state: 'busy' }, busy],
      [{ state: 'idle' }, machines.length - busy],
    ]
  })
  metrics.gauge(instruments.admissionQueueDepth, () => [
    [{}, all().reduce((sum, u) => sum + u.bulkhead.waiting, admission.waiting())],
  ])
  metrics.gauge(instruments.readOnly, () => {
    const inForce = ports.writeMode.status().reason
    return readOnlyReasons.map((reason) => [{ reason }, reason === inForce ? 1 : 0])
  })
  metrics.gauge(instruments.brownout, () => [[{}, admission.level()]])
  metrics.gauge(instruments.cacheBytes, () => [...memory.bytesByCache()].map(([cache, bytes]) => [{ cache }, bytes]))

  return {
    fetch: (request, bindings) => app.fetch(request, bindings),
    turnAway: createTurnAway({
      paths: new Set(Object.keys(endpoints).map((name) => `/v1/${name}`)),
      ...{ admission, context, digest, newId: ports.newId },
      isDraining: () => draining,
    }),
    useRouting(table) {
      router.use(table)
      // Names come and go with the file: those gone for good must not pile up.
      for (const name of latest.keys()) {
        if (table.providers.has(name)) continue
        upstreams.get(name)?.retire()
        upstreams.delete(name)
        latest.delete(name)
      }
      for (const each of upstreams.values()) each.rename()
    },
    beginDrain() {
      draining = true
      for (const { stop } of all()) stop()
      live.stop()
      void stopMoney()
    },
    stopStreams() {
      inference.stopStreams()
      openCalls.stop()
    },
    inFlight: context.inFlight,
    async start() {
      await recovery.endJournalled()
      recovery.start()
      autoscaler.start()
      await upkeep.start()
      renting.start()
      deploying.start()
      priceWatch.start()
      usageWatch.start()
    },
    async close() {
      recovery.stop()
      autoscaler.stop()
      keyedExecutions.stop()
      upkeep.stop()
      priceWatch.stop()
      usageWatch.stop()
      await Promise.all([
        leasedLimits?.close(),
        keyUse.close(),
        deploying.stop({ timeoutMs: rentedGraceMs }),
        renting.stop({ timeoutMs: rentedGraceMs }),
      ])
    },
    settleLedger: ledger.stop,
    async stopMoney() {
      await stopMoney()
    },
  }
}

/** Rented machines share a name. */
function sumByName(upstreams: readonly Upstream[], of: (upstream: Upstream) => number) {
  const sums = new Map<string, number>()
  for (const upstream of upstreams) sums.set(upstream.name, (sums.get(upstream.name) ?? 0) + of(upstream))
  return [...sums].map(([upstream, value]): [{ upstream: string }, number] => [{ upstream }, value])
}

/** A provider's settings in the environment, as a row of the routing table. */
const rowsOf = (providers: GatewayOptions['providers']): ProviderRow[] =>
  modelProviderNames.flatMap((name) => {
    const found = providers[name]
    if (!found) return []
    const { baseUrl, apiKey } = found
    return [{ name, kind: 'openai', baseUrl, apiKeys: apiKey === undefined ? [] : [apiKey], headers: {} }]
  })
