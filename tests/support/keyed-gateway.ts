/**
 * A gateway process that never reaches a provider while HOLD=true, and that is told what came of a former process's
 * executions: OUTCOME. Everything about its keys is as in production.
 */
import { createMemoryJournal } from '../../adapters/memory/journal.ts'
import { createHttpClient } from '../../adapters/node/http-client.ts'
import { digest, newId } from '../../adapters/node/identity.ts'
import { createLog } from '../../adapters/node/log.ts'
import { createMetrics } from '../../adapters/node/metrics.ts'
import { readBody } from '../../adapters/node/read-body.ts'
import { reply } from '../../adapters/node/reply.ts'
import { startServer } from '../../adapters/node/server.ts'
import { openStorage } from '../../adapters/node/storage.ts'
import { loadConfig } from '../../src/config.ts'
import { createGateway } from '../../src/gateway.ts'
import type { HttpClient } from '../../src/ports.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'

const { HOLD, OUTCOME, OPENAI_BASE_URL = '', ...env } = process.env
const config = loadConfig(env, () => '')
const random = Math.random
const log = createLog('warn')
const metrics = createMetrics()
const storage = await openStorage(config, { clock, random, log, metrics })
await storage.idempotency.endFormer()

const hold = () => {
  process.stdout.write('held\n')
  return new Promise<never>(() => {})
}
const holding: HttpClient = { bytes: hold, stream: hold }
const gateway = createGateway({
  config,
  version: 'test',
  providers: { openai: { baseUrl: OPENAI_BASE_URL, apiKey: 'sk-test' } },
  sandbox: [],
  ports: {
    ...{ clock, random, newId, digest, reply, readBody, metrics, log },
    http: HOLD === 'true' ? holding : createHttpClient({ connectTimeoutMs: 1_000, batchMs: () => 0 }),
    accounts: storage.accounts,
    writeMode: storage.writeMode,
    idempotency: storage.idempotency,
    outcomeOf: async () => (OUTCOME === 'none' ? 'none' : 'spent'),
    usageStore: storage.usageStore,
    journal: createMemoryJournal(),
    dependencies: { database: storage.ping, redis: 'in_process' },
  },
})
const { url } = await startServer({ gateway, host: '127.0.0.1', port: 0, log })
process.stdout.write(`${JSON.stringify({ msg: 'listening', url, pid: process.pid })}\n`)
