import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../../src/resilience/clock.ts'
import { startTestPostgres, type TestPostgres } from '../../../tests/support/postgres.ts'
import { connectPostgres, type Database } from './client.ts'

let server: TestPostgres
let database: Database
beforeAll(async () => {
  server = await startTestPostgres()
  database = await connectPostgres({ ...server.connection, clock: systemClock, max: 1 })
})
afterAll(async () => {
  await database.close({ timeoutS: 1 })
  await server.close()
})

const there = async (items: (string | null)[]) => {
  const [row] = await database.query(
    'array',
    undefined,
    (sql) => sql<{ items: string[]; n: number }[]>`
      select ${items as string[]}::text[] as items, coalesce(cardinality(${items as string[]}::text[]), 0) as n`,
  )
  return row
}

test('any array of text comes back as it went', async () => {
  // PostgreSQL takes no zero bytes and no half surrogates.
  const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'))
  const item = fc.oneof(
    text,
    fc.constantFrom('', 'NULL', 'null', '"', '\\', ',', '{}', ' a ', 'a\nb'),
    fc.constant(null),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(item, { maxLength: 8 }), async (items) => {
      expect(await there(items)).toEqual({ items, n: items.length })
    }),
    { numRuns: 200 },
  )
})
