/**
 * The process: reads its configuration, starts what it was not given (outside production), listens, and stops cleanly.
 * The only file that knows every adapter.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { type Config, loadConfig } from '../../src/config.ts'
import { marketNames } from '../../src/domain/offer.ts'
import { createGateway } from '../../src/gateway.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { instruments } from '../../src/telemetry/instruments.ts'
import { createMemoryPace } from '../memory/pace.ts'
import { createBatching } from './batching.ts'
import { readConsoleFiles } from './console-files.ts'
import { createHttpClient } from './http-client.ts'
import { digest, newId } from './identity.ts'
import { createInstanceHttp } from './instance-http.ts'
import { openJournal } from './journal.ts'
import { createLoadProbe } from './load.ts'
import { createLog, type NodeLog } from './log.ts'
import { createMetrics } from './metrics.ts'
import { createPasswords } from './passwords.ts'
import { findProviders } from './providers.ts'
import { readBody } from './read-body.ts'
import { openSharedState } from './redis/open.ts'
import { reply } from './reply.ts'
import { readRoutingFile, watchRoutingFile } from './routing-file.ts'
import { startServer } from './server.ts'
import { openStorage } from './storage.ts'
import { streamBody } from './stream-body.ts'
import { openTracing } from './tracing.ts'
import { createTunnel } from './tunnel.ts'
import { version } from './version.ts'
import { printWelcome } from './welcome.ts'

const random = Math.random
/** At least, after a drain that took all of its time. What is not settled by then is at the next start. */
const settleTimeoutMs = 5_000
const endSignals: NodeJS.Signals[] = ['SIGTERM', 'SIGINT']

try {
  await run(loadConfig(process.env, (path) => readFileSync(path, 'utf8')))
} catch (error) {
  // One line that says what to do; a stack trace only where the program itself is wrong.
  const mistake = !(error instanceof Error) || error instanceof TypeError || error instanceof ReferenceError
  process.stderr.write(`${mistake ? inspect(error) : error.message}\n`)
  process.exit(1)
}

async function run(config: Config) {
  const log = createLog(config.LOG_LEVEL)
  endOnSurprise(log)
  // Heard from the start on: a signal during start-up takes effect when there is something to stop.
  // A hang-up ends the process as it does by itself, but in order, where there is no file to be read again.
  const stopSignal = firstSignal(log, config.GATEWAY_CONFIG ? endSignals : [...endSignals, 'SIGHUP'])

  const metrics = createMetrics({ business: config.METRICS_TOKEN !== undefined })
  const tracing = await openTracing({ config, version, clock, log })
  const shared = await openSharedState(config, { clock, random, log, metrics, pod: `${config.HOSTNAME}-${newId()}` })
  const pods = shared?.fleet.pods ?? (() => 1)
  const storage = await openStorage(config, { clock, random, log, metrics, pods, tracing })
  const journal = await openJournal({
    folder: join(config.DATA_DIR, 'journal'),
    maxBytes: config.JOURNAL_MAX_MB * 1024 * 1024,
    clock,
    log,
  })
  const { providers, sandbox, onListening, closeSandbox } = await findProviders(config, { clock, random })
  const routingFile = config.GATEWAY_CONFIG
    ? { path: config.GATEWAY_CONFIG, env: process.env, known: providers }
    : undefined
  const routing = routingFile && (await readRoutingFile(routingFile))
  const http = createHttpClient({ connectTimeoutMs: config.CONNECT_TIMEOUT, batchMs: createBatching().ms })
  const instanceHttp = createInstanceHttp({
    connectTimeoutMs: config.CONNECT_TIMEOUT,
    batchMs: createBatching().ms,
    isProduction: config.NODE_ENV === 'production',
    marketUrls: marketNames.map((name) => providers[name]?.baseUrl),
  })
  const gateway = createGateway({
    config,
    version,
    providers,
    routing: routing?.table,
    sandbox,
    jwtSecret: storage.jwtSecret,
    ports: {
      clock,
      random,
      newId,
      digest,
      http,
      reply,
      readBody,
      streamBody,
      metrics,
      log,
      load: createLoadProbe().probe,
      accounts: storage.accounts,
      users: storage.users,
      sessions: storage.sessions,
      signInAttempts: storage.signInAttempts,
      passwords: createPasswords({ clock }),
      writeMode: storage.writeMode,
      journal,
      ledgerStore: storage.ledgerStore,
      identity: { podId: storage.podId, processId: newId() },
      idempotency: storage.idempotency,
      credits: storage.credits,
      statements: storage.statements,
      guardrails: storage.guardrails,
      upkeep: storage.upkeep,
      usageSums: storage.usageSums,
      receiptKey: storage.receiptKey,
      billingOutbox: storage.billingOutbox,
      paymentStore: storage.paymentStore,
      fleetId: storage.fleetId,
      priceHistory: storage.priceHistory,
      preferences: storage.preferences,
      pace: shared?.pace ?? createMemoryPace({ clock }),
      instanceHttp,
      tunnel: createTunnel({ http: instanceHttp }),
      deployments: storage.deployments,
      rentals: storage.rentals,
      turns: storage.turns,
      sightings: storage.sightings,
      limitStore: shared?.limitStore,
      sharedCache: shared?.cache,
      ...(shared && { fleet: shared.fleet }),
      tracing,
      consoleFiles: readConsoleFiles(),
      dependencies: {
        database: storage.ping,
        redis: shared ? (signal) => shared.redis.ping(signal) : 'in_process',
      },
    },
  })
  metrics.gauge(instruments.dbPool, storage.poolStates)
  metrics.gauge(instruments.replicaLag, storage.replicaLags)

  const stopWatching = new AbortController()
  if (routing) {
    const watch = watchRoutingFile({
      ...routingFile,
      version: routing.version,
      clock,
      signal: stopWatching.signal,
      onTable({ table }) {
        gateway.useRouting(table)
        metrics.count(instruments.routingReloads, { result: 'ok' })
        log.info('routing file taken', { detail: routingFile.path })
      },
      onRefused({ message }) {
        metrics.count(instruments.routingReloads, { result: 'refused' })
        log.error('routing file refused; the one in use stays', { detail: message })
      },
    })
    process.on('SIGHUP', () => void watch.reload())
  }

  await gateway.start()
  const server = await startServer({ gateway, host: config.HOST, port: config.PORT, log })
  onListening(server.url)
  // Straight to standard output: whoever starts the gateway waits for this line, at any log level.
  const line = { level: 'info', msg: 'listening', url: server.url, pid: process.pid, version }
  process.stdout.write(`${JSON.stringify(line)}\n`)
  if (process.stdout.isTTY) await printWelcome(server.url, storage, sandbox)

  const signal = await stopSignal
  log.info('stopping', { signal })
  const drainEnds = clock.now() + config.DRAIN_TIMEOUT
  stopWatching.abort()
  await server.drain({
    delayMs: signal === 'SIGINT' ? 0 : config.DRAIN_DELAY,
    timeoutMs: config.DRAIN_TIMEOUT,
  })
  // The rest of the drain's time, where the database is away: the journal may go with the pod.
  await gateway.settleLedger({ timeoutMs: Math.max(settleTimeoutMs, drainEnds - clock.now()) })
  await gateway.stopMoney()
  // Before the clients: what a market is at by then has some seconds to be answered.
  await closeAll(log, [gateway.close()])
  await closeAll(log, [http.close(), instanceHttp.close(), closeSandbox(), journal.close()])
  await closeAll(log, [storage.close(), shared?.close(), tracing?.close()])
  log.flush()
  process.exit(0)
}

/** One that fails, as where the database is away or the disk full, keeps no other from its end. */
async function closeAll(log: NodeLog, closing: readonly (Promise<unknown> | undefined)[]) {
  for (const closed of await Promise.allSettled(closing)) {
    if (closed.status === 'rejected') log.warn('not closed in order', { error: String(closed.reason) })
  }
}

/** The first signal starts the drain; the second ends the process at once. */
function firstSignal(log: NodeLog, signals: readonly NodeJS.Signals[]): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>()
  let stopping = false
  const onSignal = (signal: NodeJS.Signals) => {
    // A terminal that is closed may hang up more than once.
    if (stopping && signal === 'SIGHUP') return
    if (stopping) {
      log.flush()
      process.exit(130)
    }
    stopping = true
    resolve(signal)
  }
  for (const signal of signals) process.on(signal, onSignal)
  return promise
}

/** A process in an unknown state must not go on answering: it says why, and whoever runs it starts another. */
function endOnSurprise(log: NodeLog) {
  const end = (message: string) => (error: unknown) => {
    log.error(message, { error: error instanceof Error ? error.stack : String(error) })
    log.flush()
    process.exit(1)
  }
  process.on('uncaughtException', end('uncaught exception'))
  process.on('unhandledRejection', end('unhandled rejection'))
}
