/** Redis as the configuration names it, and what this pod keeps there. */
import type { Config } from '../../../src/config.ts'
import type { Clock, FleetBoard, LimitStore, Log, Metrics, Pace, SharedCache } from '../../../src/ports.ts'
import { createSharedBoard } from '../../../src/resilience/shared-board.ts'
import { instruments } from '../../../src/telemetry/instruments.ts'
import type { Redis, RedisOptions } from './client.ts'
import { createRedisFleetStore } from './fleet-store.ts'
import { createLimitStore } from './limit-store.ts'
import { createRedisPace } from './pace.ts'
import { createSharedCache } from './shared-cache.ts'

export interface SharedState {
  redis: Redis
  fleet: FleetBoard
  limitStore: LimitStore
  cache: SharedCache
  pace: Pace
  close(): Promise<void>
}

export interface SharedStateOptions {
  clock: Clock
  random: () => number
  log: Log
  metrics: Metrics
  /** Unique among the pods. */
  pod: string
}

/** Undefined where no Redis is configured. One that cannot be reached yet is no reason not to start. */
export async function openSharedState(config: Config, options: SharedStateOptions): Promise<SharedState | undefined> {
  const server = serverOf(config)
  if (!server) return undefined
  const { clock, random, log, metrics, pod } = options
  // Loaded only here: a pod without Redis starts sooner.
  const { createRedis } = await import('./client.ts')
  const redis = createRedis({
    clock,
    random,
    server,
    prefix: config.CACHE_KEY_PREFIX,
    commandTimeoutMs: config.REDIS_COMMAND_TIMEOUT,
    onFailure: (kind) => metrics.count(instruments.redisFailures, { kind }),
    onChange(up, reason) {
      if (up) log.info('redis answers')
      else log.warn('redis does not answer; limits and caches are local', { code: reason })
    },
  })
  const cache = createSharedCache({ redis, clock, random, prefix: config.CACHE_KEY_PREFIX })
  const store = createRedisFleetStore({ redis, prefix: config.CACHE_KEY_PREFIX })
  const fleet = createSharedBoard({ clock, random, pod, store })
  metrics.gauge(instruments.redisUp, () => [[{}, redis.up ? 1 : 0]])
  metrics.gauge(instruments.fleetPods, () => [[{}, fleet.pods()]])
  return {
    redis,
    fleet,
    limitStore: createLimitStore({ redis, prefix: config.CACHE_KEY_PREFIX }),
    cache,
    pace: createRedisPace({ redis, prefix: config.CACHE_KEY_PREFIX, clock, random, pods: fleet.pods }),
    async close() {
      cache.close()
      await fleet.close()
      redis.close()
    },
  }
}

/** Undefined: none is configured. */
export function serverOf(config: Config): RedisOptions['server'] | undefined {
  const { REDIS_URL: url, REDIS_HOST: host, REDIS_PORT: port, REDIS_PASSWORD: password } = config
  const named = `${host?.includes(':') ? `[${host}]` : host}:${port}`
  if (config.REDIS_MODE === 'cluster') {
    const given = url === undefined ? undefined : new URL(url)
    return {
      nodes: (config.REDIS_NODES ?? [given?.host || named]).map(nodeOf),
      username: given?.username ? decodeURIComponent(given.username) : undefined,
      password: password ?? (given?.password ? decodeURIComponent(given.password) : undefined),
      tls: given?.protocol === 'rediss:',
    }
  }
  if (url !== undefined) return { url: withPassword(url, password) }
  if (host === undefined) return undefined
  const credential = password === undefined ? '' : `:${encodeURIComponent(password)}@`
  return { url: `redis://${credential}${named}` }
}

/** A URL may stand in a ConfigMap and its password in a secret. */
function withPassword(text: string, password: string | undefined): string {
  const url = new URL(text)
  if (password === undefined || url.password) return text
  url.password = encodeURIComponent(password)
  return url.href
}

/** Of `host`, `host:port` and an IPv6 address in brackets. */
function nodeOf(text: string) {
  const { hostname, port } = new URL(`redis://${text}`)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 6379) }
}
