/**
 * What every row is played on: providers that keep a record, a primary and a standby, Redis, and gateways, each process
 * on its own; between them links that can be cut. All gateways share one core, everything else is on the other.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { connectPostgres } from '../../adapters/node/postgres/client.ts'
import { openStorage, type Storage } from '../../adapters/node/storage.ts'
import { loadConfig } from '../../src/config.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { compileCache } from '../../tests/support/compile-cache.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { makeLimitedKey } from '../../tests/support/limited-key.ts'
import { startRedis, type TestRedis } from '../../tests/support/redis.ts'
import { type ReplicatedPostgres, startReplicatedPostgres } from '../../tests/support/replicated-postgres.ts'
import { startTcpLink, type TcpLink } from '../../tests/support/tcp-link.ts'
import { atMost, type Bar, told } from '../bars.ts'
import { podNodeOptions } from '../bundle.ts'
import { bookedEnds, drained } from '../crash/books.ts'
import type { Server } from '../processes.ts'
import { startGateway } from '../systems.ts'
import { checkBooks } from './books.ts'
import type { Kind, Sent } from './load.ts'
import { defaultStreamTokens, type GamedayProvider, type ProviderOptions, startGamedayProvider } from './provider.ts'

export interface SettingOptions {
  /** Gateways. */
  size: number
  env?: Record<string, string>
  nodeFlags?: (pod: number) => readonly string[]
  provider?: ProviderOptions
  /** Of every model, as in the routing file. */
  timeouts?: Record<string, string>
}

export interface Pod extends Server {
  /** Its data and its log. */
  folder: string
}

export interface Setting {
  provider: GamedayProvider
  servers: ReplicatedPostgres
  redis: TestRedis
  links: { primary: TcpLink; standby: TcpLink; redis: TcpLink }
  /** Those that run. A row that ends one takes it out. */
  pods: Pod[]
  urls(): string[]
  /** Done when the row is over, whatever became of it. */
  onClose(work: () => Promise<unknown>): void
  /** One more, in a folder of its own or in that of one that is dead. */
  startPod(folder?: string): Promise<Pod>
  /** As another pod on the same database has it. */
  openStorage(): Promise<{ storage: Storage; metrics: FakeMetrics }>
  /** A key of another account, held to so many requests a minute. */
  limitedKey(perMinute: number): Promise<string>
  /** Of one account with credit, as customers have them. */
  makeKeys(storage: Storage, count: number): Promise<string[]>
  /** The sum over its labels at one gateway; undefined = there is none of that name. */
  metric(pod: Pod, name: string): Promise<number | undefined>
  /** By the first label's value. */
  series(pod: Pod, name: string): Promise<Map<string, number>>
  /**
   * Waits until all that was used is in the books and billed, and holds the books against the provider's record and what
   * the callers saw. `of`: who is the primary now. `since`: when the first of these calls was made.
   */
  ledgerBars(history: readonly Sent[], how?: { of?: 'primary' | 'standby'; since?: Date }): Promise<Bar[]>
}

const settleTimeoutMs = 60_000
const quiet = { debug() {}, info() {}, warn() {}, error() {} }
/** The count of input tokens names the call, so it is large, and must not cost more than was held for the prompt. */
const price = { input_per_million: 0.0001, output_per_million: 4 }

const openSettings = new Set<() => Promise<void>>()

/** For a run that is interrupted: nothing that it started may stay. */
export async function closeSettings(): Promise<void> {
  for (const close of openSettings) await close()
}

export async function inSetting<T>(options: SettingOptions, work: (setting: Setting) => Promise<T>): Promise<T> {
  const { size, env = {}, nodeFlags = () => [] } = options
  const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-gameday-'))
  const closing: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })]
  const close = async () => {
    for (const each of closing.splice(0).reverse()) await each()
  }
  openSettings.add(close)
  const keep = <C extends { close(): Promise<unknown> }>(opened: C): C => {
    closing.push(() => opened.close())
    return opened
  }
  try {
    const provider = keep(await startGamedayProvider(options.provider))
    const servers = keep(await startReplicatedPostgres())
    const redis = keep(await startRedis())
    const links = {
      primary: keep(await startTcpLink(servers.primary.connection)),
      standby: keep(await startTcpLink(servers.standby.connection)),
      redis: keep(await startTcpLink({ host: '127.0.0.1', port: redis.port })),
    }
    const { user, database } = servers.primary.connection
    const databaseEnv = {
      DB_HOST: `${links.primary.name},${links.standby.name}`,
      DB_READ_REPLICAS: links.standby.name,
      DB_USER: user,
      DB_NAME: database,
      DB_MAX_CONNS: size === 1 ? '20' : '10',
      DB_MIN_CONNS: '4',
      ...env,
    }
    const pods: Pod[] = []
    let started = 0
    const startPod = async (own = join(folder, `pod-${started}`)): Promise<Pod> => {
      const pod = started++
      await mkdir(own, { recursive: true })
      // What a dead one has logged is no word of this one's.
      await rm(join(own, 'gateway.log'), { force: true })
      const routing = join(own, 'routing.yaml')
      await writeFile(routing, routingFile(provider, String(pod), options.timeouts))
      const server = await startGateway({
        folder: own,
        nodeFlags: nodeFlags(pod),
        env: {
          ...databaseEnv,
          REDIS_URL: `redis://${links.redis.name}`,
          BILLING_BASE_URL: provider.urls.billing,
          GATEWAY_CONFIG: routing,
          HOSTNAME: `pod-${pod}`,
          NODE_OPTIONS: podNodeOptions,
          // A pod starts from one file; from the sources, a second of compiling would be what a rollout costs.
          NODE_COMPILE_CACHE: compileCache,
        },
      })
      closing.push(() => server.stop())
      const running = { ...server, url: server.url.replace('localhost', '127.0.0.1'), folder: own }
      while (!(await fetch(`${running.url}/readyz`)).ok) await new Promise((resolve) => setTimeout(resolve, 20))
      pods.push(running)
      return running
    }
    const inAllPods = async (name: string) => {
      const each = await Promise.all(pods.map(async (pod) => sumOf(await series(pod, name))))
      return each.reduce((sum, value) => sum + value, 0)
    }
    // In turn: the first one makes the schema.
    while (pods.length < size) await startPod()

    return await work({
      provider,
      servers,
      redis,
      links,
      pods,
      urls: () => pods.map(({ url }) => url),
      startPod,
      onClose: (work) => void closing.push(work),
      limitedKey: (perMinute) =>
        makeLimitedKey(
          { connection: servers.primary.connection, close: async () => {} },
          { requestsPerMinute: perMinute },
        ),
      async openStorage() {
        const metrics = new FakeMetrics()
        const config = loadConfig(databaseEnv, () => '')
        return {
          storage: keep(await openStorage(config, { clock, random: Math.random, log: quiet, metrics })),
          metrics,
        }
      },
      makeKeys,
      series,
      async metric(pod, name) {
        const values = [...(await series(pod, name)).values()]
        return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0)
      },
      ledgerBars: async (history, { of = 'primary', since } = {}) => {
        const database = await connectPostgres({ ...servers[of].connection, clock, max: 1, statementTimeoutMs: 30_000 })
        try {
          const left = await drained(database, settleTimeoutMs, () => inAllPods('ledger_pending_events'))
          const { lost, doubled, wrong, ...counts } = checkBooks({
            history,
            left,
            records: await provider.records(),
            ends: await bookedEnds(database, since),
            streamTokens: options.provider?.streamTokens ?? defaultStreamTokens,
          })
          return [
            none('lost in the books', lost),
            none('twice in the books', doubled),
            none('wrong in the books', wrong),
            atMost('ledger_lost_events_total', 0, await inAllPods('ledger_lost_events_total')),
            told(
              'in the records',
              `${counts.calls} calls at the providers; ${counts.settled} settled, ${counts.released} released`,
            ),
          ]
        } finally {
          await database.close({ timeoutS: 1 })
        }
      },
    })
  } finally {
    openSettings.delete(close)
    await close()
  }
}

/** How many there are, and the first of them. */
const none = (name: string, found: readonly string[]): Bar => {
  const bar = atMost(name, 0, found.length)
  return found.length === 0 ? bar : { ...bar, got: `${bar.got}: ${found[0]}` }
}

const sumOf = (values: ReadonlyMap<string, number>) => [...values.values()].reduce((sum, value) => sum + value, 0)

function routingFile({ urls }: GamedayProvider, pod: string, timeouts: Record<string, string> = {}): string {
  const at = (url: string) => ({ kind: 'openai', base_url: `${url}/v1`, headers: { 'x-pod': pod } })
  const model = (...providers: string[]) => ({ targets: providers.map((provider) => ({ provider })), price, timeouts })
  return stringify({
    providers: { a: at(urls.a), b: at(urls.b) },
    models: { pair: model('a', 'b'), solo: model('a'), spare: model('b') },
  })
}

async function makeKeys({ accounts, credits }: Storage, count: number): Promise<string[]> {
  const { accountId } = await accounts.createAccount({ name: 'a customer' })
  await credits.grant(accountId, { id: crypto.randomUUID(), kind: 'granted', amount: 1_000_000_000_000 })
  const keys: string[] = []
  for (let i = 0; i < count; i++) {
    const key = { name: `key ${i}`, scopes: ['inference'] as const, limits: { requestsPerMinute: 1_000_000 } }
    keys.push((await accounts.createApiKey(accountId, key)).apiKey)
  }
  return keys
}

async function series({ url }: Pod, name: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const found = new Map<string, number>()
  for (const [, label = '', value] of text.matchAll(new RegExp(`^${name}(?:{\\w+="([^"]*)"[^}]*})? (\\S+)`, 'gm'))) {
    found.set(label, (found.get(label) ?? 0) + Number(value))
  }
  return found
}

type Model = 'pair' | 'solo' | 'spare'
const question = 'Which GPU has enough memory for a model of 13 billion parameters?'

/** The number stands in the prompt, which no gateway changes. `poison`: what provider `a` answers instead. */
export const bodyOf = (model: Model, number: number, { stream = false, poison = '' } = {}) =>
  `{"model":"${model}","max_tokens":500,"messages":[{"role":"user","content":"n${number} ${poison}: ${question}"}]${stream ? ',"stream":true' : ''}}`

export const chats = (perSecond: number, model: Model = 'pair'): Kind => ({
  name: 'chat',
  perSecond,
  method: 'POST',
  path: '/v1/chat/completions',
  body: (number) => bodyOf(model, number),
  ending: '}',
})

export const streams = (perSecond: number, model: Model = 'pair'): Kind => ({
  ...chats(perSecond, model),
  name: 'stream',
  body: (number) => bodyOf(model, number, { stream: true }),
  ending: 'data: [DONE]',
})

export const reads = (name: string, path: string, perSecond: number): Kind => ({
  name,
  perSecond,
  method: 'GET',
  path,
  ending: '}',
})
