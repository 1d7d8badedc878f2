/**
 * A pod of the version before runs on the newer schema, beside the new ones and after a rollback: no migration takes away
 * or narrows what was there before it.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectPostgres, type Database, type Sql } from '../../adapters/node/postgres/client.ts'
import { all, migrate } from '../../adapters/node/postgres/migrations.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts'

interface Schema {
  /** `table.column` -> its type. */
  columns: Map<string, string>
  /** Those that a row cannot be inserted without. */
  needed: Set<string>
  /** `table` and what its rows must fulfil -> the columns that this is about. */
  rules: Map<string, string[]>
}

let server: TestPostgres
let database: Database
const schemas: { name: string; schema: Schema }[] = []

beforeAll(async () => {
  server = await startTestPostgres()
  database = await connectPostgres({ ...server.connection, clock, max: 2 })
  const log = { info() {}, warn() {} }
  for (const [i, { name }] of all.entries()) {
    await migrate({ database, log, migrations: all.slice(0, i + 1) })
    schemas.push({ name, schema: await readSchema() })
  }
}, 120_000)
afterAll(async () => {
  await database.close({ timeoutS: 1 })
  await server.close()
})

async function readSchema(): Promise<Schema> {
  const columns = await database.query(
    'columns',
    undefined,
    (sql: Sql) => sql<{ name: string; type: string; needed: boolean }[]>`
      select table_name || '.' || column_name as name, data_type as type,
             is_nullable = 'NO' and column_default is null and is_identity = 'NO' and is_generated = 'NEVER' as needed
      from information_schema.columns where table_schema = 'public'`,
  )
  const rules = await database.query(
    'rules',
    undefined,
    (sql: Sql) => sql<{ name: string; columns: string[] }[]>`
      select conrelid::regclass::text || ' ' || pg_get_constraintdef(c.oid) as name,
             array(select conrelid::regclass::text || '.' || attname from pg_attribute
                   where attrelid = conrelid and attnum = any (conkey)) as columns
      from pg_constraint as c where connamespace = 'public'::regnamespace and contype in ('c', 'u', 'p', 'f', 'x')
      union all
      select indrelid::regclass::text || ' ' || pg_get_indexdef(indexrelid),
             array(select indrelid::regclass::text || '.' || attname from pg_attribute
                   where attrelid = indrelid and attnum = any (indkey))
      from pg_index join pg_class on pg_class.oid = indexrelid
      where indisunique and relnamespace = 'public'::regnamespace`,
  )
  return {
    columns: new Map(columns.map(({ name, type }) => [name, type])),
    needed: new Set(columns.filter(({ needed }) => needed).map(({ name }) => name)),
    rules: new Map(rules.map(({ name, columns }) => [name, columns])),
  }
}

const tableOf = (name: string) => name.split(/[. ]/)[0]!
const steps = () => schemas.slice(1).map((after, i) => ({ before: schemas[i]!.schema, ...after }))
const tables = ({ columns }: Schema) => new Set([...columns.keys()].map(tableOf))

test('columns stay, with their types', () => {
  const changed = steps().flatMap(({ name, before, schema }) =>
    [...before.columns]
      .filter(([column, type]) => schema.columns.get(column) !== type)
      .map(([column]) => `${name}: ${column}`),
  )
  expect(steps().length).toBeGreaterThan(5)
  expect(changed).toEqual([])
})

test('a table of before asks for no value that the version before does not give', () => {
  const more = steps().flatMap(({ name, before, schema }) =>
    [...schema.needed]
      .filter((column) => tables(before).has(tableOf(column)) && !before.needed.has(column))
      .map((column) => `${name}: ${column}`),
  )
  expect(more).toEqual([])
})

test('a table of before gets no rule about columns that the version before writes', () => {
  const more = steps().flatMap(({ name, before, schema }) =>
    [...schema.rules]
      .filter(([rule]) => tables(before).has(tableOf(rule)) && !before.rules.has(rule))
      .filter(([, columns]) => columns.some((column) => before.columns.has(column)))
      .map(([rule]) => `${name}: ${rule}`),
  )
  expect(more).toEqual([])
})
