import { systemClock } from '../../../src/resilience/clock.ts'
import { statementsContract } from '../../../tests/contracts/statements.ts'
import { ledgerRows } from '../../../tests/support/ledger-rows.ts'
import { startTestPostgres } from '../../../tests/support/postgres.ts'
import { type ConnectedCluster, connectCluster } from './connect-cluster.ts'
import { createCredits } from './credits.ts'
import { createGuardrails } from './guardrails.ts'
import { migrate } from './migrations.ts'
import { createStatements } from './statements.ts'

let cluster: ConnectedCluster

statementsContract('the ledger in PostgreSQL', async () => {
  const server = await startTestPostgres()
  cluster = await connectCluster({ ...server.connection, clock: systemClock, max: 8, min: 0 })
  const database = cluster.pools.general
  await migrate({ database, log: { info() {}, warn() {} } })
  return {
    statements: createStatements({ cluster }),
    credits: createCredits({ cluster }),
    guardrails: createGuardrails({ cluster }),
    rows: ledgerRows(database),
    async close() {
      await cluster.close({ timeoutS: 1 })
      await server.close()
    },
  }
})
