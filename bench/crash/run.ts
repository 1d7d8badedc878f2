/**
 * Kills the gateway at random points under load, streams and whole answers, starts it again on the same folder, and at
 * the end holds its books against the provider's own record.
 */
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { connectPostgres, type Database } from '../../adapters/node/postgres/client.ts'
import { createCredits } from '../../adapters/node/postgres/credits.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { databaseEnv, startTestPostgres } from '../../tests/support/postgres.ts'
import { type GatewayProcess, newDataDir, processKey, startGatewayProcess } from '../../tests/support/process.ts'
import { bookedEnds, drained } from './books.ts'
import { type CallerSaw, check, type Verdict } from './check.ts'
import { promptTokens, type RecordingProvider, startRecordingProvider } from './provider.ts'

export interface CrashOptions {
  kills: number
  random: () => number
  /** Told after each kill. */
  onKill?(kill: number, calls: number): void
  /** Breaks something on purpose: what a gateway's process is started with, and what is done to its database. */
  bug?: { nodeArguments?: string[]; sql?: string }
  /** Longest wait for what is under way at the end. @default 30_000 */
  drainTimeoutMs?: number
}

export interface CrashReport extends Verdict {
  kills: number
  calls: number
  complete: number
}

const bootstrapAccount = '00000000-0000-7000-8000-000000000001'
const callers = 8
const killAfterMs = { from: 5, to: 350 }

export async function runCrashes({
  kills,
  random,
  onKill,
  bug,
  drainTimeoutMs = 30_000,
}: CrashOptions): Promise<CrashReport> {
  const server = await startTestPostgres()
  const provider = await startRecordingProvider()
  const dataDir = newDataDir()
  const database = await connectPostgres({ ...server.connection, clock, max: 2 })
  const saw: CallerSaw[] = []
  const start = () => startGateway(provider, databaseEnv(server), dataDir, bug?.nodeArguments ?? [])
  let gateway = await start()
  try {
    await grant(database)
    if (bug?.sql) await breakBooks(database, bug.sql)
    for (let kill = 1; kill <= kills; kill++) {
      const load = startLoad(gateway.url, saw, random)
      const { from, to } = killAfterMs
      await new Promise((resolve) => setTimeout(resolve, from + random() * (to - from)))
      process.kill(gateway.pid, 'SIGKILL')
      await once(gateway.child, 'exit')
      await load.stop()
      onKill?.(kill, provider.calls.length)
      gateway = await start()
    }
    const drain = () => drained(database, drainTimeoutMs, () => pendingEvents(gateway.url))
    await drain()
    // Once more, with all of it in the books: whatever it would enter again shows by then.
    await gateway.end('SIGKILL')
    gateway = await start()
    const left = await drain()
    const ends = await bookedEnds(database)
    const { calls, charges, contradictions } = provider
    const evidence = { calls, callers: saw, ends, charges: [...charges.values()], contradictions, left }
    return { ...check(evidence), kills, calls: calls.length, complete: saw.filter(({ complete }) => complete).length }
  } finally {
    if (gateway.child.exitCode === null && gateway.child.signalCode === null) await gateway.end('SIGKILL')
    await database.close({ timeoutS: 1 })
    await provider.close()
    await server.close()
    await rm(dataDir, { recursive: true, force: true })
  }
}

function startGateway(
  provider: RecordingProvider,
  databaseEnv: Record<string, string>,
  dataDir: string,
  nodeArguments: string[],
): Promise<GatewayProcess> {
  return startGatewayProcess({
    dataDir,
    command: [process.execPath, ...nodeArguments, 'adapters/node/main.ts'],
    env: {
      ...databaseEnv,
      OPENAI_BASE_URL: provider.baseUrl,
      BILLING_BASE_URL: provider.billingUrl,
      RATE_LIMIT_PER_MINUTE: '100000000',
      LOG_LEVEL: 'warn',
    },
  })
}

async function pendingEvents(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(/^ledger_pending_events (\S+)$/m.exec(text)?.[1])
}

async function grant(database: Database) {
  const credits = createCredits({
    cluster: {
      read: (label, _reads, run) => database.query(label, undefined, run),
      write: (label, _account, run) => database.transaction(label, run),
    },
  })
  await credits.grant(bootstrapAccount, { id: crypto.randomUUID(), kind: 'granted', amount: 100_000_000_000 })
}

/** The gateway is at work on the same tables: one of the two may be picked as the deadlock's victim. */
async function breakBooks(database: Database, statements: string) {
  for (let tries = 1; ; tries++) {
    try {
      return await database.query('bug', undefined, (sql) => sql.unsafe(statements))
    } catch (error) {
      if (tries === 10 || (error as { code?: string }).code !== '40P01') throw error
    }
  }
}

let lastCall = 0

/** Callers that ask one thing after the other, until the gateway is gone. */
function startLoad(url: string, saw: CallerSaw[], random: () => number) {
  const stop = new AbortController()
  const caller = async () => {
    while (!stop.signal.aborted) {
      const seen: CallerSaw = { id: lastCall++, received: 0, complete: false }
      saw.push(seen)
      await ask(url, seen, random() < 0.6, stop.signal).catch(() => {})
      if (!seen.complete) return
    }
  }
  const all = Promise.all(Array.from({ length: callers }, caller))
  return {
    async stop() {
      stop.abort()
      await all
    },
  }
}

async function ask(url: string, seen: CallerSaw, stream: boolean, signal: AbortSignal) {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${processKey}` },
    body: bodyOf(seen.id, stream),
    signal,
  })
  if (response.status !== 200) throw new Error(`status ${response.status}`)
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of response.body!) {
    text += decoder.decode(chunk as Uint8Array, { stream: true })
    if (stream) seen.received = text.split('"content":"word "').length - 1
  }
  seen.complete = stream ? text.includes('data: [DONE]') : text.includes('"usage"')
}

/** Four bytes for each token that it is to be taken for. */
function bodyOf(id: number, stream: boolean): string {
  const body = (padding: string) =>
    JSON.stringify({
      model: 'm',
      stream,
      messages: [{ role: 'user', content: `call ${id} ${padding}` }],
      max_tokens: 500,
    })
  return body('x'.repeat(4 * promptTokens(id) - body('').length))
}
