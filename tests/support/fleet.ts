/** Several gateway processes that share one Redis and one database, as pods do. */
import { setTimeout as sleep } from 'node:timers/promises'
import { databaseEnv, startTestPostgres } from './postgres.ts'
import { type GatewayProcess, processKey, removeDataDir, startGatewayProcess } from './process.ts'
import { startRedis, type TestRedis } from './redis.ts'

export interface Fleet {
  pods: GatewayProcess[]
  redis: TestRedis
  /** From one pod after the other. */
  get(path: string, nth: number, headers?: Record<string, string>): Promise<Response>
  /** Drops a value that they share, as if it had expired in every pod at the same moment, a while after the last search. */
  forget(key: string): Promise<void>
  close(): Promise<void>
}

const pollMs = 20

/** `env` of each pod by its number, from 0. */
export async function startFleet(size: number, env: (pod: number) => Record<string, string>): Promise<Fleet> {
  const [redis, postgres] = await Promise.all([startRedis(), startTestPostgres()])
  const pods: GatewayProcess[] = []
  // One after the other: the first one makes the tables.
  for (let pod = 0; pod < size; pod++) {
    const shared = { REDIS_URL: redis.url, RATE_LIMIT_PER_MINUTE: '1000000', ...databaseEnv(postgres) }
    pods.push(await startGatewayProcess({ env: { ...shared, ...env(pod) } }))
  }
  const get = (path: string, nth: number, headers = {}) =>
    fetch(pods[nth % size]!.url + path, { headers: { authorization: `Bearer ${processKey}`, ...headers } })
  for (let pod = 0; pod < size; pod++) {
    while (!(await (await get('/metrics', pod)).text()).includes('\nredis_up 1')) await sleep(pollMs)
  }
  const alive = () => pods.filter(({ child }) => child.exitCode === null && child.signalCode === null)
  return {
    pods,
    redis,
    get,
    async forget(key) {
      await redis.admin.del(`aiserve:cache1:{${key}}`)
      for (const market of ['vastai', 'ionet']) await redis.admin.del(`aiserve:pace:{${market}:search}`)
      const heard = await redis.admin.publish('aiserve:cache1', `invalidated 0 ${key}`)
      if (heard !== alive().length) throw new Error(`${heard} of ${alive().length} pods heard that ${key} is gone`)
    },
    async close() {
      await Promise.all(alive().map((pod) => pod.end('SIGTERM')))
      for (const { dataDir } of pods) removeDataDir(dataDir)
      await Promise.all([redis.close(), postgres.close()])
    },
  }
}
