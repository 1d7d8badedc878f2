/** A primary, a standby, an instant provider and a gateway in front of them, and the accounts port on the same database. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openStorage, type Storage } from '../../adapters/node/storage.ts'
import { loadConfig } from '../../src/config.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { type ReplicatedPostgres, startReplicatedPostgres } from '../../tests/support/replicated-postgres.ts'
import type { Server } from '../processes.ts'
import { startFakeProvider, startGateway } from '../systems.ts'
import type { Kind } from './load.ts'

export interface PostgresSetting {
  servers: ReplicatedPostgres
  gateway: Server
  /** As another pod on the same database has it. */
  storage: Storage
  metrics: FakeMetrics
  /** Account and keys, as customers have them. */
  makeKeys(count: number): Promise<string[]>
  metric(name: string): Promise<number>
  /** Until all that was used is in the database. */
  settled(): Promise<void>
}

const settleTimeoutMs = 20_000
const quiet = { debug() {}, info() {}, warn() {}, error() {} }

export async function inPostgresSetting<T>(
  env: Record<string, string>,
  work: (setting: PostgresSetting) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-gameday-'))
  const closing: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })]
  try {
    const servers = await startReplicatedPostgres()
    closing.push(servers.close)
    const provider = await startFakeProvider({ tokenIntervalMs: 10 })
    closing.push(provider.stop)
    const { user, database } = servers.primary.connection
    const own = {
      DB_HOST: `${servers.primary.name},${servers.standby.name}`,
      DB_READ_REPLICAS: servers.standby.name,
      DB_USER: user,
      DB_NAME: database,
      DB_MAX_CONNS: '20',
      DB_MIN_CONNS: '8',
      ...env,
    }
    const gateway = await startGateway({ folder, openaiUrl: `${provider.url}/v1`, env: own })
    closing.push(gateway.stop)
    const metrics = new FakeMetrics()
    const config = loadConfig(own, () => '')
    const storage = await openStorage(config, { clock, random: Math.random, log: quiet, metrics })
    closing.push(storage.close)

    const metric = async (name: string) => {
      const text = await (await fetch(`${gateway.url}/metrics`)).text()
      return Number(new RegExp(`^${name}(?:{[^}]*})? (\\S+)`, 'm').exec(text)?.[1])
    }
    return await work({
      servers,
      gateway,
      storage,
      metrics,
      metric,
      async makeKeys(count) {
        const { accountId } = await storage.accounts.createAccount({ name: 'a customer' })
        await storage.credits.grant(accountId, { id: crypto.randomUUID(), kind: 'granted', amount: 1_000_000_000_000 })
        const keys: string[] = []
        for (let i = 0; i < count; i++) {
          const key = { name: `key ${i}`, scopes: ['inference'] as const, limits: { requestsPerMinute: 1_000_000 } }
          keys.push((await storage.accounts.createApiKey(accountId, key)).apiKey)
        }
        return keys
      },
      async settled() {
        const deadline = performance.now() + settleTimeoutMs
        while ((await metric('ledger_pending_events')) !== 0 && performance.now() < deadline) await sleep(100)
      },
    })
  } finally {
    for (const close of closing.reverse()) await close()
  }
}

export const chatKind = (perSecond: number, body: string): Kind => ({
  name: 'chat',
  perSecond,
  method: 'POST',
  path: '/v1/chat/completions',
  body,
  ending: '}',
})
