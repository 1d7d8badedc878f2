/** A gateway on a real socket in this process, in front of the sandbox, with every part of the product but the database. */
import { generateKeyPairSync } from 'node:crypto'
import { createMemoryAccounts, type MemoryAccounts } from '../../adapters/memory/accounts.ts'
import { createMemoryBillingOutbox } from '../../adapters/memory/billing-outbox.ts'
import { createMemoryBooks, type MemoryBooks } from '../../adapters/memory/books.ts'
import { createMemoryDeployments } from '../../adapters/memory/deployments.ts'
import { createMemoryIdempotency } from '../../adapters/memory/idempotency.ts'
import { createMemoryJournal } from '../../adapters/memory/journal.ts'
import type { MemoryLedgerStore } from '../../adapters/memory/ledger-store.ts'
import { createMemoryPaymentStore } from '../../adapters/memory/payments.ts'
import { createMemoryPreferences } from '../../adapters/memory/preferences.ts'
import { createMemoryPriceHistory } from '../../adapters/memory/price-history.ts'
import { createMemoryRentals } from '../../adapters/memory/rentals.ts'
import { createMemorySightings } from '../../adapters/memory/sightings.ts'
import { createMemorySignInAttempts } from '../../adapters/memory/sign-in-attempts.ts'
import { createMemoryTurns } from '../../adapters/memory/turns.ts'
import { createMemoryUsers } from '../../adapters/memory/users.ts'
import { createMemoryWriteMode } from '../../adapters/memory/write-mode.ts'
import { createHttpClient } from '../../adapters/node/http-client.ts'
import { digest, newId } from '../../adapters/node/identity.ts'
import { createMetrics } from '../../adapters/node/metrics.ts'
import { createPasswords } from '../../adapters/node/passwords.ts'
import { readBody } from '../../adapters/node/read-body.ts'
import { reply } from '../../adapters/node/reply.ts'
import { startServer } from '../../adapters/node/server.ts'
import { streamBody } from '../../adapters/node/stream-body.ts'
import { createTunnel } from '../../adapters/node/tunnel.ts'
import { type Sandbox, type SandboxOptions, startSandbox } from '../../adapters/sandbox/sandbox.ts'
import { loadConfig, operatorLimits } from '../../src/config.ts'
import { createGateway, type GatewayOptions } from '../../src/gateway.ts'
import type { Log, Ports } from '../../src/ports.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { parseRoutingTable } from '../../src/routing/parse-table.ts'
import type { LogFields } from '../../src/telemetry/log-fields.ts'

export const testKey = 'ak_live_testtesttesttesttesttest0001'
/** Whose key that is. */
export const testAccountId = '00000000-0000-7000-8000-000000000001'
export const testKeyId = '00000000-0000-7000-8000-000000000002'

const testReceiptKey = generateKeyPairSync('ed25519')
  .privateKey.export({ type: 'pkcs8', format: 'der' })
  .toString('base64')

export const testJwtSecret = 'a-secret-of-the-tests-that-signs-access-tokens'

export interface LogLine extends LogFields {
  level: string
  message: string
}

export interface TestGateway {
  url: string
  sandbox: Required<Omit<Sandbox, 'close'>>
  accounts: MemoryAccounts
  ledger: MemoryLedgerStore
  books: MemoryBooks
  rentals: Ports['rentals']
  log: LogLine[]
  metric(name: string, labels?: Record<string, string>): Promise<number | undefined>
  metricsText(): Promise<string>
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>
  get(path: string, init?: RequestInit): Promise<Response>
  drain: (options: { delayMs: number; timeoutMs: number }) => Promise<void>
  /** Stops the gateway and its outgoing connections, and leaves the sandbox to be looked at. */
  stop(): Promise<void>
  close(): Promise<void>
}

export interface TestGatewayOptions {
  env?: Record<string, string>
  ports?: Partial<Ports>
  providers?: GatewayOptions['providers']
  /** What a routing file would hold. */
  routing?: (sandbox: TestGateway['sandbox']) => unknown
  /** As under a full loop. @default streams go on as they come */
  batchMs?: () => number
  /** Micro-dollars of an account at first. @default a million dollars */
  everyoneHas?: number
  /** Of the sandbox's GPU markets. @default as they are */
  market?: SandboxOptions['market']
  /** That others use too, and close. @default one of its own */
  sandbox?: Sandbox
}

export async function startTestGateway({
  env = {},
  ports = {},
  providers,
  routing,
  batchMs = () => 0,
  everyoneHas = 1_000_000_000_000,
  market = {},
  sandbox: given,
}: TestGatewayOptions = {}): Promise<TestGateway> {
  const config = loadConfig({ RATE_LIMIT_PER_MINUTE: '1000000', RETRY_INITIAL_BACKOFF: '5ms', ...env }, () => '')
  const started = given ?? (await startSandbox({ clock, random: Math.random, wordIntervalMs: 1, market }))
  const sandbox = started as TestGateway['sandbox'] & Sandbox
  const accounts = createMemoryAccounts()
  accounts.add(testKey, {
    accountId: testAccountId,
    keyId: testKeyId,
    role: 'administrator',
    scopes: ['inference', 'gpu', 'billing', 'admin'],
    limits: { key: {}, account: {} },
  })
  const books = createMemoryBooks({
    clock: ports.clock ?? clock,
    windowLimits: config.GUARDRAILS_ENABLED ? operatorLimits(config) : undefined,
    everyoneHas,
  })
  const rentals = createMemoryRentals({ clock: ports.clock ?? clock, books })
  const lines: LogLine[] = []
  const write =
    (level: string) =>
    (message: string, fields: LogFields = {}) =>
      void lines.push({ level, message, ...fields })
  const log: Log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
  const metrics = createMetrics({ business: config.METRICS_TOKEN !== undefined })
  const http = createHttpClient({ connectTimeoutMs: config.CONNECT_TIMEOUT, batchMs })
  const gateway = createGateway({
    config,
    version: 'test',
    providers: providers ?? {
      openai: { baseUrl: sandbox.openai.baseUrl, apiKey: 'sk-canary-openai-0123456789' },
      vastai: { baseUrl: sandbox.vastai.baseUrl, apiKey: 'canary-vastai-0123456789' },
      ionet: { baseUrl: sandbox.ionet.baseUrl, apiKey: 'canary-ionet-0123456789' },
      billing: { baseUrl: sandbox.billing.baseUrl, apiKey: 'canary-billing-0123456789' },
      stripe: {
        baseUrl: sandbox.stripe.baseUrl,
        apiKey: 'sk_test_canary0123456789',
        webhookSecret: sandbox.stripe.webhooks.secret,
      },
    },
    routing: routing && parseRoutingTable(routing(sandbox)),
    sandbox: ['openai', 'vastai', 'ionet', 'billing', 'stripe'],
    jwtSecret: config.JWT_SECRET ?? testJwtSecret,
    ports: {
      clock,
      random: Math.random,
      newId,
      digest,
      http,
      reply,
      readBody,
      streamBody,
      metrics,
      log,
      accounts,
      ...createMemoryUsers({ accounts, clock }),
      signInAttempts: createMemorySignInAttempts({ clock }),
      // As little as argon2 takes: most tests are not about its cost.
      passwords: createPasswords({ clock, cost: { memoryKib: 64, passes: 1 } }),
      writeMode: createMemoryWriteMode({ clock }),
      journal: createMemoryJournal(),
      ledgerStore: books.ledgerStore,
      identity: { podId: newId(), processId: newId() },
      idempotency: createMemoryIdempotency({ clock }),
      credits: books.credits,
      statements: books.statements,
      guardrails: books.guardrails,
      upkeep: { keepReceiptDays: async () => 'done', forgetSpending: async () => 0 },
      usageSums: books.usageSums,
      receiptKey: testReceiptKey,
      billingOutbox: createMemoryBillingOutbox({ clock }),
      paymentStore: createMemoryPaymentStore({ clock }),
      // The sandbox's markets are told to have no pace of their own where it would be in a test's way.
      pace: { take: async () => 0 },
      fleetId: '0123abcd',
      priceHistory: createMemoryPriceHistory(),
      preferences: createMemoryPreferences(),
      deployments: createMemoryDeployments({ clock: ports.clock ?? clock }),
      instanceHttp: http,
      tunnel: createTunnel({ http }),
      rentals,
      turns: createMemoryTurns({ clock: ports.clock ?? clock }),
      sightings: createMemorySightings(),
      dependencies: { database: async () => {}, redis: 'in_process' },
      ...ports,
    },
  })
  await gateway.start()
  const server = await startServer({ gateway, host: '127.0.0.1', port: 0, log })
  const { url } = server
  if (!given) sandbox.stripe.webhooks.sendTo(`${url}/api/v1/webhooks/stripe`)
  const headers = (more?: HeadersInit) => ({ authorization: `Bearer ${testKey}`, ...(more as Record<string, string>) })
  const metricsText = async () => (await metrics.render()).text

  let stopping: Promise<void> | undefined
  const stop = () => {
    stopping ??= server
      .drain({ delayMs: 0, timeoutMs: 1_000 })
      .then(() => Promise.all([http.close(), gateway.close()]))
      .then(() => {})
    return stopping
  }
  return {
    url,
    sandbox,
    accounts,
    ledger: books.ledgerStore,
    books,
    rentals,
    log: lines,
    metricsText,
    async metric(name, labels = {}) {
      const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
      const line = (await metricsText())
        .split('\n')
        .find((l) => (l.startsWith(`${name}{`) || l.startsWith(`${name} `)) && wanted.every((w) => l.includes(w)))
      return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1))
    },
    post: (path, body, init) =>
      fetch(url + path, {
        ...init,
        method: 'POST',
        headers: headers({ 'content-type': 'application/json', ...(init?.headers as Record<string, string>) }),
        body: typeof body === 'string' || body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body),
      }),
    get: (path, init) => fetch(url + path, { ...init, headers: headers(init?.headers) }),
    drain: server.drain,
    stop,
    async close() {
      await stop()
      if (!given) await sandbox.close()
    },
  }
}

/** Asks again until it holds, without sleeping for a fixed time; fails by the test's own timeout. */
export async function eventually<T>(ask: () => T | Promise<T>, holds: (value: T) => boolean = Boolean): Promise<T> {
  for (;;) {
    const value = await ask()
    if (holds(value)) return value
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** The parts of a streamed answer. */
export async function readSse(response: Response) {
  const raw = await response.text()
  const data = raw.split('\n').flatMap((line) => (line.startsWith('data: ') ? [line.slice(6)] : []))
  const events = data.filter((d) => d !== '[DONE]').map((d) => JSON.parse(d))
  return {
    raw,
    events,
    done: data.at(-1) === '[DONE]',
    text: events.map((e) => e.choices?.[0]?.delta?.content ?? e.choices?.[0]?.text ?? '').join(''),
    error: events.find((e) => e.error)?.error,
    usage: events.find((e) => e.usage)?.usage,
  }
}

export const words = (count: number, from = 1) => Array.from({ length: count }, (_, i) => `w${from + i}`).join(' ')
