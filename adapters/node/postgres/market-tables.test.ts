/** What pods know together of the markets: turns and sightings, of which no account is the owner. */
import { afterAll, beforeAll } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import { sightingsContract } from '../../../tests/contracts/sightings.ts'
import { turnsContract } from '../../../tests/contracts/turns.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { type ConnectedCluster, connectCluster } from './connect-cluster.ts'
import { migrate } from './migrations.ts'
import { createSightings } from './sightings.ts'
import { createTurns } from './turns.ts'

let server: TestPostgres
let cluster: ConnectedCluster
beforeAll(async () => {
  server = await startTestPostgres()
  cluster = await connectCluster({ ...server.connection, clock: systemClock, max: 12, min: 0 })
  await migrate({ database: cluster.pools.general, log: { info() {}, warn() {} } })
})
afterAll(async () => {
  await cluster.close({ timeoutS: 1 })
  await server.close()
})

turnsContract('the turns in PostgreSQL', async () => {
  await cluster.note('empty', (sql) => sql`truncate turns`)
  return {
    turns: createTurns({ cluster }),
    // Instead of waiting, all that was noted is so much older.
    pass: async (ms) => {
      await cluster.note('pass', (sql) => sql`update turns set until = until - ${ms} * interval '1 ms'`)
    },
  }
})

sightingsContract('the sightings in PostgreSQL', async () => {
  await cluster.note('empty', (sql) => sql`truncate market_sightings`)
  return createSightings({ cluster })
})
