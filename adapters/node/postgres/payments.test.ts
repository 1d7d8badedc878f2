import { afterAll, beforeAll } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import { paymentStoreContract } from '../../../tests/contracts/payments.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { type ConnectedCluster, connectCluster } from './connect-cluster.ts'
import { migrate } from './migrations.ts'
import { createPaymentStore } from './payments.ts'

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

paymentStoreContract('the payments in PostgreSQL', async () => {
  await cluster.pools.general.query('empty', undefined, (sql) => sql`truncate payments`)
  return {
    store: createPaymentStore({ cluster }),
    // Instead of waiting, all that was noted is so much older.
    async pass(ms) {
      await cluster.pools.general.query(
        'pass',
        undefined,
        (sql) => sql`
          update payments set ask_at = ask_at - ${ms} * interval '1 ms', created_at = created_at - ${ms} * interval '1 ms'`,
      )
    },
  }
})
