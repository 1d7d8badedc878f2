import { afterAll, beforeAll, expect } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import { rentalsContract } from '../../../tests/contracts/rentals.ts'
import { faultsInLedger, faultsInSums } from '../../../tests/support/ledger.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { type ConnectedCluster, connectCluster } from './connect-cluster.ts'
import { createCredits } from './credits.ts'
import { createGuardrails } from './guardrails.ts'
import { createLedgerStore } from './ledger-store.ts'
import { migrate } from './migrations.ts'
import { createRentals } from './rentals.ts'
import { createStatements } from './statements.ts'

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

rentalsContract('the rentals in PostgreSQL', async () => {
  await cluster.note('empty', (sql) => sql`truncate rentals, ledger_entries, balances, holds, credit_leases`)
  return {
    rentals: createRentals({ cluster, clock: systemClock, windowLimits: {} }),
    credits: createCredits({ cluster }),
    statements: createStatements({ cluster }),
    guardrails: createGuardrails({ cluster }),
    ledgerStore: createLedgerStore({
      ...{
        database: cluster.pools.ledger,
        cluster,
        transact: cluster.transact,
        watch: cluster.watch,
        windowLimits: {},
      },
    }),
    sound: async () =>
      expect([
        ...(await faultsInLedger(cluster.pools.general)),
        ...(await faultsInSums(cluster.pools.general)),
      ]).toEqual([]),
  }
})
