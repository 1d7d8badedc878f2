import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import { idempotencyContract } from '../../../tests/contracts/idempotency.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { connectPostgres, type Database } from './client.ts'
import type { Cluster } from './cluster.ts'
import { createIdempotency } from './idempotency.ts'
import { migrate } from './migrations.ts'

let server: TestPostgres
let database: Database
beforeAll(async () => {
  server = await startTestPostgres()
  database = await connectPostgres({
    ...server.connection,
    clock: systemClock,
    max: 8,
    maxQueue: 200,
    acquireTimeoutMs: 5_000,
  })
  await migrate({ database, log: { info() {}, warn() {} } })
})
afterAll(async () => {
  await database.close({ timeoutS: 1 })
  await server.close()
})

const of = (own: Database): Pick<Cluster, 'note'> => ({ note: (label, run) => own.query(label, undefined, run) })
/** So that all that a test did before was a former process's. */
const later = new Date(Date.now() + 60_000)
const newKey = () => ({ accountId: randomUUID(), digest: randomUUID(), requestId: randomUUID() })

idempotencyContract('keys in PostgreSQL', async () => ({
  store: createIdempotency({ cluster: of(database), pod: 'a', startedAt: later }),
  async age(ms) {
    await database.query(
      'age',
      undefined,
      (sql) => sql`
        update idempotency_keys set created_at = created_at - make_interval(secs => ${ms / 1000}),
          heartbeat_at = heartbeat_at - make_interval(secs => ${ms / 1000})`,
    )
  },
}))

test("a pod's former process is silent at once, another pod's is not", async () => {
  const [mine, others] = [newKey(), newKey()]
  const [before, elsewhere] = ['a', 'b'].map((pod) =>
    createIdempotency({ cluster: of(database), pod, startedAt: later }),
  ) as [ReturnType<typeof createIdempotency>, ReturnType<typeof createIdempotency>]
  await before.claim(mine, 'f')
  await elsewhere.claim(others, 'f')
  const after = createIdempotency({ cluster: of(database), pod: 'a', startedAt: later })
  await after.endFormer()
  expect(await after.claim({ ...mine, requestId: randomUUID() }, 'f')).toEqual({
    state: 'silent',
    requestId: mine.requestId,
    podId: undefined,
  })
  // Seen from another pod it is the same: that pod is back, and what it noted is in the books.
  expect(await elsewhere.claim({ ...mine, requestId: randomUUID() }, 'f')).toMatchObject({ podId: undefined })
  expect(await after.claim({ ...others, requestId: randomUUID() }, 'f')).toMatchObject({ state: 'running' })
})

test('what this process has under way is not a former one’s', async () => {
  const key = newKey()
  const own = createIdempotency({ cluster: of(database), pod: 'own', startedAt: new Date(Date.now() - 60_000) })
  await own.claim(key, 'f')
  await own.endFormer()
  expect(await own.claim({ ...key, requestId: randomUUID() }, 'f')).toMatchObject({ state: 'running' })
})

test('more keys than one statement takes are all heard of', async () => {
  const store = createIdempotency({ cluster: of(database), pod: 'a', startedAt: later })
  const keys = Array.from({ length: 1_001 }, newKey)
  await store.claim(keys[1_000]!, 'f')
  await store.endFormer()
  await store.beat(keys)
  expect(await store.claim({ ...keys[1_000]!, requestId: randomUUID() }, 'f')).toMatchObject({ state: 'running' })
})

test('a database that is not there is told, whatever was asked', async () => {
  const gone = await connectPostgres({ ...server.connection, clock: systemClock, max: 1 })
  await gone.close({ timeoutS: 1 })
  const store = createIdempotency({ cluster: of(gone), pod: 'a', startedAt: later })
  const calls = [store.claim(newKey(), 'f'), store.release(newKey()), store.end(newKey(), { outcome: 'lost' })]
  for (const call of calls) await expect(call).rejects.toMatchObject({ reason: 'unreachable' })
})
