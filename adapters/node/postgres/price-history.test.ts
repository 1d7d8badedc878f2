import { afterAll, beforeAll } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import { priceHistoryContract } from '../../../tests/contracts/price-history.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { type ConnectedCluster, connectCluster } from './connect-cluster.ts'
import { migrate } from './migrations.ts'
import { createPriceHistory } from './price-history.ts'

let server: TestPostgres
let cluster: ConnectedCluster
beforeAll(async () => {
  server = await startTestPostgres()
  cluster = await connectCluster({ ...server.connection, clock: systemClock, max: 4, min: 0 })
  await migrate({ database: cluster.pools.general, log: { info() {}, warn() {} } })
})
afterAll(async () => {
  await cluster.close({ timeoutS: 1 })
  await server.close()
})

priceHistoryContract(async () => {
  await cluster.pools.general.query('empty', undefined, (sql) => sql`truncate price_hours`)
  return createPriceHistory({ cluster })
})
