/**
 * Redis, single or cluster, with every wait bounded and nothing sent twice: no queue while it is away, no repetition of
 * what was not answered, and a breaker that turns a stalled server into an immediate refusal. What is kept there may be
 * lost at any time, so every caller has an answer without it.
 */
import { Cluster, Redis as Single } from 'ioredis'
import { createCircuitBreaker } from '../../../src/resilience/circuit-breaker.ts'
import type { Clock } from '../../../src/resilience/clock.ts'

export type RedisClient = Single | Cluster
export type RedisFailure = 'disconnected' | 'timeout' | 'refusing' | 'full' | 'read_only' | 'error'

/** Redis did not do it, or did not say so in time. */
export class RedisUnavailable extends Error {
  override name = 'RedisUnavailable'
  readonly kind: RedisFailure
  constructor(kind: RedisFailure, options?: { cause?: unknown }) {
    super(`redis: ${kind}`, options)
    this.kind = kind
  }
}

export interface RedisOptions {
  clock: Clock
  random: () => number
  /** One server by its URL, or the nodes of a cluster of which any may be missing. */
  server:
    | { url: string }
    | {
        nodes: readonly { host: string; port: number }[]
        username?: string | undefined
        password: string | undefined
        tls?: boolean
      }
  /** What every key begins with. */
  prefix: string
  /** Longest wait for an answer. @default 100 */
  commandTimeoutMs?: number
  onFailure?: (kind: RedisFailure) => void
  /** Each time it went away or came back. `reason`: the last word of its connection, as in `ECONNREFUSED`, `WRONGPASS`. */
  onChange?: (up: boolean, reason: string | undefined) => void
}

export interface Redis {
  /** False: calls are refused at once, until it answers again. */
  readonly up: boolean
  /** @throws RedisUnavailable */
  run<T>(command: (client: RedisClient) => Promise<T>): Promise<T>
  /** A Lua script, sent whole only to servers that do not know it yet. All its keys must be in one slot. */
  script<T>(lua: string): (keys: readonly string[], args: readonly (string | number)[]) => Promise<T>
  /** `onGap`: messages may have been missed, since the connection was away. */
  subscribe(channel: string, listener: { onMessage(message: string): void; onGap(): void }): void
  ping(signal: AbortSignal): Promise<void>
  close(): void
}

const connectTimeoutMs = 1_000
const maxReconnectMs = 2_000
/** While it fails, how often it is asked whether it is back. */
const probeMs = 250
/** So many silent probes: the connection is taken for dead, whatever the operating system thinks of it. */
const maxSilentProbes = 8
/** Failures that last: waited for, or repeated by each call. What is not connected refuses at once by itself. */
const costly: ReadonlySet<RedisFailure> = new Set(['timeout', 'full', 'read_only'])
/** Only a probe ends an open circuit: no caller waits to find out. */
const never = 2_147_483_647

export function createRedis(options: RedisOptions): Redis {
  const { clock, random, server, prefix, commandTimeoutMs = 100, onFailure, onChange } = options
  const backoff = (attempt: number) => Math.ceil(random() * Math.min(maxReconnectMs, 50 * 2 ** attempt))
  const settings = {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // Below, whenever it is ready. The driver's own leaves its failure to nobody, and that would end the process.
    autoResubscribe: false,
    commandTimeout: commandTimeoutMs,
    connectTimeout: connectTimeoutMs,
    connectionName: 'aiserve-gpuproxy',
  }

  let reason: string | undefined
  const connect = (): RedisClient => {
    const client =
      'url' in server
        ? new Single(server.url, { ...settings, retryStrategy: backoff })
        : new Cluster([...server.nodes], {
            enableOfflineQueue: false,
            clusterRetryStrategy: backoff,
            clusterNodeRetryStrategy: backoff,
            slotsRefreshTimeout: connectTimeoutMs,
            slotsRefreshInterval: 2_000,
            maxRedirections: 2,
            // Whoever asks has an answer of its own sooner than a new master is elected.
            retryDelayOnFailover: 0,
            retryDelayOnClusterDown: 0,
            redisOptions: {
              ...settings,
              ...(server.username !== undefined && { username: server.username }),
              ...(server.password !== undefined && { password: server.password }),
              ...(server.tls && { tls: {} }),
            },
          })
    // Every failure is seen by the call that it fails; without a listener it would end the process.
    client.on('error', (error: Error) => {
      reason = reasonOf(error)
    })
    // The driver would connect to a node of a cluster with the first command for it, and refuse that one.
    if (client instanceof Cluster) client.on('+node', (node: Single) => void node.connect().catch(() => {}))
    return client
  }

  const client = connect()
  let subscriber: RedisClient | undefined
  let scripts = 0
  let closed = false
  let stopProbing: (() => void) | undefined
  let wasUp: boolean | undefined

  const breaker = createCircuitBreaker({
    clock,
    random,
    // A row of failures is all that counts: a share would be late to see a server that has just stalled.
    minCalls: never,
    consecutiveFailures: 3,
    consecutiveSpanMs: 0,
    openMs: never / 2,
    maxOpenMs: never / 2,
    trialCalls: 1,
    trialLeaseMs: 2 * commandTimeoutMs,
    slowStartStepMs: 0,
    onTransition(to) {
      if (to === 'open') probe(0)
      tell()
    },
  })
  client.on('ready', () => tell())
  client.on('close', () => tell())

  const isUp = () => client.status === 'ready' && breaker.refusesForMs() === 0
  function tell() {
    const up = isUp()
    if (up === wasUp || closed) return
    wasUp = up
    onChange?.(up, up ? undefined : reason)
  }

  /** Rejects in time, whatever the driver waits for. */
  function bounded<T>(command: (client: RedisClient) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const cancel = clock.setTimer(commandTimeoutMs, () => reject(new RedisUnavailable('timeout')))
      command(client)
        .then(resolve, (cause) => reject(new RedisUnavailable(kindOf(cause), { cause })))
        .finally(cancel)
    })
  }

  function probe(silent: number) {
    stopProbing = clock.setTimer(probeMs * (0.8 + 0.4 * random()), () => {
      if (closed || breaker.status().state !== 'open') return
      // It must also take what is written; on another node of a cluster each time.
      bounded((c) => c.set(`${prefix}:probe:${Math.floor(random() * 1_000)}`, '', 'PX', probeMs)).then(
        () => {
          breaker.probeSucceeded()
          tell()
        },
        ({ kind }: RedisUnavailable) => {
          const dead = kind === 'timeout' && silent + 1 >= maxSilentProbes
          if (dead) client.disconnect(true)
          probe(dead ? 0 : silent + 1)
        },
      )
    })
  }

  async function run<T>(command: (client: RedisClient) => Promise<T>): Promise<T> {
    const fail = (failure: RedisUnavailable) => {
      onFailure?.(failure.kind)
      return failure
    }
    if (client.status !== 'ready') throw fail(new RedisUnavailable('disconnected'))
    const admission = breaker.acquire()
    if ('refused' in admission) throw fail(new RedisUnavailable('refusing'))
    try {
      const value = await bounded(command)
      admission.permit.report('success')
      return value
    } catch (error) {
      const failure = error as RedisUnavailable
      admission.permit.report(costly.has(failure.kind) ? 'failure' : 'neutral')
      throw fail(failure)
    }
  }

  return {
    get up() {
      return isUp()
    },
    run,
    script<T>(lua: string) {
      const name = `script${++scripts}`
      client.defineCommand(name, { lua })
      return (keys: readonly string[], args: readonly (string | number)[]) =>
        run((c) =>
          (c as unknown as Record<string, (...all: unknown[]) => Promise<T>>)[name]!(keys.length, ...keys, ...args),
        )
    },
    subscribe(channel, { onMessage, onGap }) {
      // A connection that listens can do nothing else; a cluster's client keeps one for it.
      subscriber ??= connect()
      const own = subscriber
      let before = false
      own.on('message', (from: string, message: string) => {
        if (from === channel) onMessage(message)
      })
      const begin = () => {
        // A failure closes the connection, and the next one begins here again.
        own.subscribe(channel).then(
          () => {
            if (before) onGap()
            before = true
          },
          () => own.disconnect(true),
        )
      }
      own.on('ready', begin)
      if (own.status === 'ready') begin()
    },
    async ping(signal) {
      signal.throwIfAborted()
      await run((c) => c.ping())
    },
    close() {
      closed = true
      stopProbing?.()
      client.disconnect()
      subscriber?.disconnect()
    },
  }
}

/** A code and never a sentence, which may name hosts and users. */
function reasonOf(error: Error & { code?: unknown }): string | undefined {
  return typeof error.code === 'string' ? error.code : /^[A-Z]{3,20}\b/.exec(error.message)?.[0]
}

function kindOf(error: unknown): RedisFailure {
  const message = error instanceof Error ? error.message : ''
  if (message.startsWith('OOM') || message.startsWith('MISCONF')) return 'full'
  if (message.startsWith('READONLY')) return 'read_only'
  if (message.includes('timed out')) return 'timeout'
  return /clos|connect|ready|CLUSTERDOWN|ECONN|refresh/i.test(message) ? 'disconnected' : 'error'
}
