import { afterAll, beforeAll } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import { deploymentsContract } from '../../../tests/contracts/deployments.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { type ConnectedCluster, connectCluster } from './connect-cluster.ts'
import { createDeployments } from './deployments.ts'
import { migrate } from './migrations.ts'

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

deploymentsContract('the deployments in PostgreSQL', async () => {
  await cluster.pools.general.query('empty', undefined, (sql) => sql`truncate deployments`)
  return createDeployments({ cluster })
})
