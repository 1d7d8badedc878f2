import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import { newPreference, preferencesContract } from '../../../tests/contracts/preferences.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { newId } from '../identity.ts'
import { type ConnectedCluster, connectCluster } from './connect-cluster.ts'
import { migrate } from './migrations.ts'
import { createPreferences } from './preferences.ts'
import { createUsers } from './users.ts'

let server: TestPostgres
let cluster: ConnectedCluster
beforeAll(async () => {
  server = await startTestPostgres()
  cluster = await connectCluster({ ...server.connection, clock: systemClock, max: 8, min: 0 })
  await migrate({ database: cluster.pools.general, log: { info() {}, warn() {} } })
})
afterAll(async () => {
  await cluster.close({ timeoutS: 1 })
  await server.close()
})

preferencesContract('preferences in PostgreSQL', async () => createPreferences({ cluster }))

test('those of an account that is closed are gone, and none is saved any more', async () => {
  const preferences = createPreferences({ cluster })
  const users = createUsers({ cluster, pepper: 'of a test', newId })
  const owners = await Promise.all(
    ['leaving', 'staying'].map((name) => users.register({ email: `${name}@example.test`, name, passwordHash: 'h' })),
  )
  const [leaving, staying] = owners.map((owner) => owner!.accountId) as [string, string]
  for (const accountId of [leaving, staying]) await preferences.save(accountId, newPreference())
  await users.close(leaving)
  expect(await preferences.list(leaving)).toEqual([])
  expect(await preferences.list(staying)).toHaveLength(1)
  await expect(preferences.save(leaving, newPreference())).rejects.toMatchObject({ code: 'unknown_account' })
})
