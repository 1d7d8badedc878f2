import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { UsageEvent } from '../../../src/domain/usage.ts'
import { systemClock } from '../../../src/resilience/clock.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { connectPostgres, type Database } from './client.ts'
import { migrate } from './migrations.ts'
import { createUsageStore } from './usage-events.ts'

let server: TestPostgres
let database: Database
beforeAll(async () => {
  server = await startTestPostgres()
  database = await connectPostgres({ ...server.connection, clock: systemClock, max: 2 })
  await migrate({ database, log: { info() {}, warn() {} } })
})
afterAll(async () => {
  await database.close({ timeoutS: 1 })
  await server.close()
})

const watch = { subscribe() {} }
const accountId = randomUUID()
const event = (own: Partial<UsageEvent> = {}): UsageEvent => ({
  accountId,
  requestId: randomUUID(),
  keyId: randomUUID(),
  at: Date.UTC(2026, 10, 25, 12, 0, 0, 7),
  endpoint: 'chat/completions',
  provider: 'openai',
  model: `a model's "name" \\ \u0007 ✓`,
  status: 200,
  streamed: true,
  ...own,
})
const rows = (ids: readonly string[]) =>
  database.query(
    'rows',
    undefined,
    (sql) => sql<{ request_id: string }[]>`
      select request_id, key_id, at, endpoint, provider, model, status, streamed
      from usage_events where account_id = ${accountId} and request_id = any(${[...ids]}::uuid[])`,
  )

test('an event is a row; the same one again changes nothing', async () => {
  const store = createUsageStore({ database, watch })
  const one = event()
  expect(await store.record([one])).toEqual({ refused: 0 })
  expect(await store.record([one, { ...one, status: 499 }])).toEqual({ refused: 0 })
  expect(await rows([one.requestId])).toEqual([
    {
      request_id: one.requestId,
      key_id: one.keyId,
      at: new Date(one.at),
      endpoint: one.endpoint,
      provider: one.provider,
      model: one.model,
      status: 200,
      streamed: true,
    },
  ])
})

test('one that cannot be stored does not keep the others', async () => {
  const good = [event(), event()] as const
  const bad = event({ requestId: 'no id' })
  expect(await createUsageStore({ database, watch }).record([good[0], bad, good[1]])).toEqual({ refused: 1 })
  expect(await rows(good.map(({ requestId }) => requestId))).toHaveLength(2)
})

test('500 at once', async () => {
  const events = Array.from({ length: 500 }, () => event())
  await createUsageStore({ database, watch }).record(events)
  expect(await rows(events.map(({ requestId }) => requestId))).toHaveLength(500)
})

test('a database that is not there is not a reason to drop anything', async () => {
  const gone = await connectPostgres({ ...server.connection, clock: systemClock, max: 1 })
  await gone.close({ timeoutS: 1 })
  await expect(createUsageStore({ database: gone, watch }).record([event()])).rejects.toMatchObject({
    reason: 'unreachable',
  })
})
