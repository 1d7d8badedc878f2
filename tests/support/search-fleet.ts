/** Many whole gateways in one process, in front of one market, that share a real Redis and nothing else. */
import { createMemoryTurns } from '../../adapters/memory/turns.ts'
import { createMetrics } from '../../adapters/node/metrics.ts'
import { openSharedState } from '../../adapters/node/redis/open.ts'
import { startSandbox } from '../../adapters/sandbox/sandbox.ts'
import { loadConfig } from '../../src/config.ts'
import type { Clock } from '../../src/ports.ts'
import { startTestGateway, type TestGateway } from './gateway.ts'
import { startRedis } from './redis.ts'

export interface SearchFleet {
  pods: TestGateway[]
  /** When the market was searched, by the clock. */
  searches(): number[]
  /** Drops every list that pods share, and every lease. */
  wipe(): Promise<void>
  /** Moves the turns that Redis has given into the past, where else one would have to wait. */
  age(ms: number): Promise<void>
  /** Asks a pod; what it says of the market. */
  ask(pod: number, query: string, headers: Record<string, string>): Promise<string>
  close(): Promise<void>
}

const age = `
  for _, key in ipairs(redis.call('KEYS', '*:pace:*')) do
    redis.call('SET', key, redis.call('GET', key) - ARGV[1], 'KEEPTTL')
  end`

/** `onStarted`: each pod takes requests as soon as it has told so, whatever it has heard of the others by then. */
export async function startSearchFleet(options: {
  size: number
  clock: Clock
  env?: Record<string, string>
  onStarted?: (pod: number, fleet: SearchFleet) => void
}): Promise<SearchFleet> {
  const { size, clock, env = {}, onStarted } = options
  const random = Math.random
  const redis = await startRedis()
  const sandbox = await startSandbox({ clock, random, servers: ['vastai'] })
  const market = sandbox.vastai!
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const turns = createMemoryTurns({ clock })
  const shared: { close(): Promise<void> }[] = []
  const fleet: SearchFleet = {
    pods: [],
    searches: () => market.calls.filter(({ path }) => path.includes('/bundles/')).map(({ at }) => at),
    async wipe() {
      const keys = await redis.admin.keys('*:cache1:{*')
      if (keys.length > 0) await redis.admin.del(keys)
    },
    age: async (ms) => void (await redis.admin.eval(age, 0, ms)),
    async ask(pod, query, headers) {
      const answer = await fleet.pods[pod]!.get(`/api/v1/gpu/offers?provider=vastai&${query}`, { headers })
      const { providers } = (await answer.json()) as { providers: { status: string }[] }
      return providers[0]!.status
    },
    async close() {
      await Promise.all(fleet.pods.map((pod) => pod.close()))
      await Promise.all(shared.map((each) => each.close()))
      await sandbox.close()
      await redis.close()
    },
  }
  const config = loadConfig({ REDIS_URL: redis.url, ...env }, () => '')
  for (let n = 0; n < size; n++) {
    const state = (await openSharedState(config, { clock, random, log, metrics: createMetrics(), pod: `pod-${n}` }))!
    shared.push(state)
    const pod = await startTestGateway({
      env,
      sandbox,
      providers: { vastai: { baseUrl: market.baseUrl, apiKey: undefined } },
      ports: { clock, turns, pace: state.pace, sharedCache: state.cache, fleet: state.fleet },
    })
    fleet.pods.push(pod)
    onStarted?.(n, fleet)
  }
  return fleet
}

/** The most in any minute that begins with one of them. */
export const mostInAMinute = (at: readonly number[]): number =>
  Math.max(0, ...at.map((from) => at.filter((each) => each >= from && each < from + 60_000).length))

const filters = ['gpu_model=RTX+4090', 'min_vram=24', 'min_reliability=0.95', 'verified=false', 'interruptible=true']
const freshness = [{}, { 'cache-control': 'no-cache' }, { 'cache-control': 'no-store' }]

/** Another question each time: its filters, its price, and whether a cached list will do. */
export const question = (n: number) => ({
  query: `${filters[n % filters.length]}&disk_gb=${8 + (n % 90)}&max_price=${1 + (n % 700) / 100}`,
  headers: freshness[n % freshness.length]!,
})
