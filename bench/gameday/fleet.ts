/** Several gateways on one core, with what they share on the other. */
import { join } from 'node:path'
import { makeLimitedKey } from '../../tests/support/limited-key.ts'
import { databaseEnv, startTestPostgres } from '../../tests/support/postgres.ts'
import { startRedis, type TestRedis } from '../../tests/support/redis.ts'
import type { Server } from '../processes.ts'
import { startFakeProvider, startGateway } from '../systems.ts'

export interface Fleet {
  gateways: Server[]
  urls: string[]
  redis: TestRedis
  /** A key of another account, held to so many requests a minute. */
  limitedKey(perMinute: number): Promise<string>
  /** A gauge or counter of one gateway; undefined = it has none of that name. */
  metric(gateway: Server, name: string): Promise<number | undefined>
  close(): Promise<void>
}

export interface FleetOptions {
  folder: string
  size: number
  env?: Record<string, string>
  nodeFlags?: (pod: number) => readonly string[]
}

export async function startFleet({ folder, size, env = {}, nodeFlags = () => [] }: FleetOptions): Promise<Fleet> {
  const [redis, database, provider] = await Promise.all([startRedis(), startTestPostgres(), startFakeProvider()])
  const gateways: Server[] = []
  // In turn: the first one makes the schema.
  for (let pod = 0; pod < size; pod++) {
    gateways.push(
      await startGateway({
        folder: join(folder, `pod-${pod}`),
        openaiUrl: `${provider.url}/v1`,
        nodeFlags: nodeFlags(pod),
        env: { ...databaseEnv(database), REDIS_URL: redis.url, DB_MAX_CONNS: '10', HOSTNAME: `pod-${pod}`, ...env },
      }),
    )
  }
  return {
    gateways,
    urls: gateways.map(({ url }) => url.replace('localhost', '127.0.0.1')),
    redis,
    limitedKey: (perMinute) => makeLimitedKey(database, { requestsPerMinute: perMinute }),
    metric,
    async close() {
      await Promise.all(gateways.map(({ stop }) => stop()))
      await Promise.all([provider.stop(), redis.close(), database.close()])
    },
  }
}

async function metric({ url }: Server, name: string): Promise<number | undefined> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const line = text.split('\n').find((l) => l.startsWith(`${name} `) || l.startsWith(`${name}{`))
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1))
}
