import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import { deploymentsContract } from '../../../tests/contracts/deployments.ts'
import { newDeployment } from '../../../tests/support/deployment.ts'
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

test('there are no more of all accounts than requests are led to', async () => {
  const run = (text: Parameters<typeof cluster.note>[1]) => cluster.note('prepare', text)
  await run((sql) => sql`truncate deployments`)
  await run(
    (sql) => sql`
    insert into deployments (account_id, deployment_id, name, replicas, asked, secrets, created_at, due_at, standing)
    select gen_random_uuid(), gen_random_uuid(), 'mine', 1, '{}', '{}', now(), now(), '{"members": []}'
    from generate_series(1, 2000)`,
  )
  const store = createDeployments({ cluster })
  const create = () => store.create(newDeployment(), new Date(), new Date())
  expect(await create()).toBe('full')
  await run(
    (sql) =>
      sql`delete from deployments where deployment_id = (select max(deployment_id::text)::uuid from deployments)`,
  )
  const made = await create()
  expect(made).toHaveProperty('id')
  const all = await store.all()
  expect(all).toHaveLength(2_000)
  expect(all).toContainEqual(made)
})
