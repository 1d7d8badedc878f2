import { loadConfig } from '../../src/config.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { writeModeContract } from '../../tests/contracts/write-mode.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { databaseEnv, startTestPostgres } from '../../tests/support/postgres.ts'
import { openStorage } from './storage.ts'

writeModeContract('the switch in PostgreSQL', async () => {
  const server = await startTestPostgres()
  const config = loadConfig({ ...databaseEnv(server), DB_MAX_CONNS: '6', DB_MIN_CONNS: '1' }, () => '')
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const storage = await openStorage(config, {
    clock,
    random: Math.random,
    log,
    metrics: new FakeMetrics(),
    pods: () => 1,
  })
  return {
    mode: storage.writeMode,
    async close() {
      await storage.close()
      await server.close()
    },
  }
})
