/** The database and what lives in it: the one that was given, or outside production the embedded one. */
import { type Config, operatorLimits } from '../../src/config.ts'
import type {
  Accounts,
  BillingOutbox,
  Clock,
  Credits,
  Deployments,
  Guardrails,
  Idempotency,
  LedgerStore,
  Log,
  Metrics,
  PaymentStore,
  Preferences,
  PriceHistory,
  Rentals,
  Sessions,
  Sightings,
  SignInAttempts,
  Statements,
  Turns,
  Upkeep,
  UsageSums,
  Users,
  WriteMode,
} from '../../src/ports.ts'
import { instruments } from '../../src/telemetry/instruments.ts'
import type { Tracing } from '../../src/telemetry/trace.ts'
import { ConfigError } from '../../src/variables.ts'
import { newId } from './identity.ts'
import { loadPodId } from './pod-id.ts'
import { createAccounts } from './postgres/accounts.ts'
import { createBillingOutbox } from './postgres/billing-outbox.ts'
import { type Database, type DatabaseOptions, QueryFailed } from './postgres/client.ts'
import { type ConnectedCluster, connectCluster } from './postgres/connect-cluster.ts'
import { createCredits } from './postgres/credits.ts'
import { createDeployments } from './postgres/deployments.ts'
import { createGuardrails } from './postgres/guardrails.ts'
import { createIdempotency } from './postgres/idempotency.ts'
import { createLedgerCheck, type LedgerCheck } from './postgres/ledger-check.ts'
import { createLedgerStore } from './postgres/ledger-store.ts'
import { migrate } from './postgres/migrations.ts'
import { createOperatorAccounts } from './postgres/operator-accounts.ts'
import { createPaymentStore } from './postgres/payments.ts'
import { loadFleetId, loadJwtSecret, loadPepper } from './postgres/pepper.ts'
import { primaryRoles } from './postgres/pools.ts'
import { createPreferences } from './postgres/preferences.ts'
import { createPriceHistory } from './postgres/price-history.ts'
import { loadReceiptKey } from './postgres/receipt-key.ts'
import { createRentals } from './postgres/rentals.ts'
import { createSessions } from './postgres/sessions.ts'
import { createSightings } from './postgres/sightings.ts'
import { createSignInAttempts } from './postgres/sign-in-attempts.ts'
import { createStatements } from './postgres/statements.ts'
import { createTurns } from './postgres/turns.ts'
import { createUpkeepPort } from './postgres/upkeep.ts'
import { createUsageSums } from './postgres/usage-sums.ts'
import { createUsers } from './postgres/users.ts'
import { createWriteMode } from './postgres/write-mode.ts'

export interface Storage {
  accounts: Accounts
  users: Users
  sessions: Sessions
  signInAttempts: SignInAttempts
  /** `JWT_SECRET`, or one kept in the database. */
  jwtSecret: string
  writeMode: WriteMode
  ledgerStore: LedgerStore
  credits: Credits
  idempotency: Idempotency
  podId: string
  statements: Statements
  guardrails: Guardrails
  upkeep: Upkeep
  usageSums: UsageSums
  receiptKey: string
  ledgerCheck: LedgerCheck
  billingOutbox: BillingOutbox
  paymentStore: PaymentStore
  fleetId: string
  priceHistory: PriceHistory
  preferences: Preferences
  deployments: Deployments
  rentals: Rentals
  turns: Turns
  sightings: Sightings
  /** For `/health`. */
  ping(signal: AbortSignal): Promise<void>
  /** Permits by role, for `db_pool_connections`. */
  poolStates(): [labels: { role: string; state: string }, value: number][]
  /** In seconds, for `db_replica_lag_seconds`. */
  replicaLags(): [labels: { replica: string }, value: number][]
  issueWelcomeKey(): Promise<string>
  close(): Promise<void>
}

export interface StorageOptions {
  clock: Clock
  random: () => number
  log: Log
  metrics: Metrics
  /** Pods that live, this one included. @default () => 1 */
  pods?: () => number
  /** @default nothing is traced */
  tracing?: Tracing | undefined
  /** The embedded server may be up already, for a gateway: then that one is used. @default false */
  beside?: boolean
}

const closeTimeoutS = 5
/** Of a migration by the operator's tool: a Job has half an hour for it. */
const jobStatementMs = 25 * 60_000

export async function openStorage(config: Config, options: StorageOptions): Promise<Storage> {
  const { connection, stop } = await findServer(config, options.log, options.beside ?? false)
  let cluster: ConnectedCluster | undefined
  try {
    cluster = await connect(connection, config, options)
    return await storageIn(cluster, stop, config, options)
  } catch (error) {
    // Open connections would keep a process that has nothing else to do from its end.
    await cluster?.close({ timeoutS: closeTimeoutS })
    await stop()
    throw error
  }
}

async function storageIn(
  cluster: ConnectedCluster,
  stop: () => Promise<void>,
  config: Config,
  { clock, log, beside = false }: StorageOptions,
): Promise<Storage> {
  const { pools, replicas } = cluster
  const database = pools.general
  await migrate({ database, log, ...(beside && { statementTimeoutMs: jobStatementMs }) }).catch((cause) => {
    // insufficient_privilege
    if (!(cause instanceof QueryFailed) || cause.code !== '42501') throw cause
    throw new ConfigError('The database role may not make tables: let it own the database and all that is in it', {
      cause,
    })
  })
  const pepper = await loadPepper(database, config.API_KEY_PEPPER)
  const receiptKey = await loadReceiptKey(database)
  const credits = createCredits({ cluster })
  const credit = config.BOOTSTRAP_CREDIT_USD
  const operator = createOperatorAccounts({ database, pepper, newId, credits, credit })
  if (config.BOOTSTRAP_API_KEY) await operator.ensureBootstrapAccount({ apiKey: config.BOOTSTRAP_API_KEY })

  const podId = await loadPodId(config.DATA_DIR)
  const writeMode = createWriteMode({ clock, log, pools, watch: cluster.watch, byEnvironment: config.DB_READ_ONLY })
  const windowLimits = config.GUARDRAILS_ENABLED ? operatorLimits(config) : undefined
  const ledgerStore = createLedgerStore({
    database: pools.ledger,
    cluster,
    transact: cluster.transact,
    watch: cluster.watch,
    windowLimits,
  })
  const [{ now: startedAt }] = await database.query('clock', undefined, (sql) => sql<[{ now: Date }]>`select now()`)
  const idempotency = createIdempotency({ cluster, pod: podId, startedAt })
  cluster.start()
  // The switch of before is in force from the first request on.
  await cluster.watch.look()
  return {
    accounts: createAccounts({ cluster, pepper, newId }),
    users: createUsers({ cluster, pepper, newId }),
    sessions: createSessions({ cluster, pepper, newId }),
    signInAttempts: createSignInAttempts({ database, transact: cluster.transact, pepper }),
    jwtSecret: await loadJwtSecret(database, config.JWT_SECRET),
    writeMode,
    ledgerStore,
    credits,
    idempotency,
    podId,
    statements: createStatements({ cluster }),
    guardrails: createGuardrails({ cluster }),
    upkeep: createUpkeepPort({ database }),
    usageSums: createUsageSums({ database, cluster }),
    receiptKey,
    ledgerCheck: createLedgerCheck({ database }),
    billingOutbox: createBillingOutbox({ database }),
    paymentStore: createPaymentStore({ cluster }),
    priceHistory: createPriceHistory({ cluster }),
    preferences: createPreferences({ cluster }),
    fleetId: await loadFleetId(database),
    deployments: createDeployments({ cluster }),
    rentals: createRentals({ cluster, clock, windowLimits }),
    turns: createTurns({ cluster }),
    sightings: createSightings({ cluster }),
    ping: (signal) => pools.watch.ping(signal),
    poolStates: () => [
      ...primaryRoles.flatMap((role) => stateOf(role, [pools[role]])),
      ...(replicas.list().length > 0
        ? stateOf(
            'replica',
            replicas.list().flatMap(({ database }) => database ?? []),
          )
        : []),
    ],
    replicaLags: () => replicas.list().map(({ name, lagS }) => [{ replica: name }, lagS()]),
    issueWelcomeKey: async () => (await operator.issueWelcomeKey()).apiKey,
    async close() {
      await cluster.close({ timeoutS: closeTimeoutS })
      await stop()
    },
  }
}

function stateOf(role: string, databases: readonly Pick<Database, 'pool'>[]): ReturnType<Storage['poolStates']> {
  const sum = { max: 0, inUse: 0, waiting: 0 }
  for (const database of databases) {
    const { max, inUse, waiting } = database.pool()
    sum.max += max
    sum.inUse += inUse
    sum.waiting += waiting
  }
  return [
    [{ role, state: 'max' }, sum.max],
    [{ role, state: 'in_use' }, sum.inUse],
    [{ role, state: 'waiting' }, sum.waiting],
  ]
}

async function connect(
  connection: Partial<DatabaseOptions>,
  config: Config,
  { clock, random, metrics, pods, tracing }: StorageOptions,
): Promise<ConnectedCluster> {
  try {
    return await connectCluster({
      ...connection,
      clock,
      random,
      max: config.DB_MAX_CONNS,
      min: config.DB_MIN_CONNS,
      fleetMax: config.DB_FLEET_MAX_CONNS,
      ...(pods && { pods }),
      readReplicas: config.DB_READ_REPLICAS ?? [],
      acquireTimeoutMs: config.DB_ACQUIRE_TIMEOUT,
      statementTimeoutMs: config.DB_STATEMENT_TIMEOUT,
      maxLifetimeS: config.DB_MAX_CONN_LIFETIME / 1000,
      idleTimeoutS: config.DB_MAX_CONN_IDLE_TIME / 1000,
      pgbouncer: config.DB_PGBOUNCER,
      onQuery(role, seconds, label) {
        metrics.observe(instruments.dbDuration, { role }, seconds)
        tracing
          ?.current()
          ?.past(`postgres ${label}`, seconds * 1000, { 'db.system.name': 'postgresql', 'db.role': role })
      },
    })
  } catch (cause) {
    const reason = cause instanceof Error && cause.cause instanceof Error ? ` (${codeOf(cause.cause)})` : ''
    throw new ConfigError(`The database cannot be reached${reason}: check DATABASE_URL, or DB_HOST and the others`, {
      cause,
    })
  }
}

/** Its name only: a driver's words may hold addresses and user names. */
const codeOf = (error: Error & { code?: string }) => error.code ?? error.name

async function findServer(
  config: Config,
  log: Log,
  beside: boolean,
): Promise<{ connection: Partial<DatabaseOptions>; stop(): Promise<void> }> {
  const ssl = config.DB_SSLMODE
  if (config.DATABASE_URL) {
    // What the URL says of it goes before.
    const isSaid = /[?&]ssl(?:mode)?=/.test(config.DATABASE_URL)
    return { connection: { url: config.DATABASE_URL, ...(!isSaid && { ssl }) }, stop: async () => {} }
  }
  if (config.DB_HOST) {
    const { DB_HOST: host, DB_PORT: port, DB_NAME: database, DB_USER: user, DB_PASSWORD: password } = config
    return { connection: { host, port, database, user, ssl, ...(password && { password }) }, stop: async () => {} }
  }
  // Loaded only here: production is always given a database.
  const { findRunningPostgres, startEmbeddedPostgres } = await import('../embedded/postgres.ts')
  const running = beside ? await findRunningPostgres(config.DATA_DIR) : undefined
  if (running) return { connection: { ...running, ssl: 'disable' }, stop: async () => {} }
  const { connection, stop } = await startEmbeddedPostgres({ dataDir: config.DATA_DIR, log })
  return { connection: { ...connection, ssl: 'disable' }, stop }
}
