/**
 * Citus can spread the tables unchanged if each row says whose it is and each statement says whom it is about: every key
 * of an account-owned table begins with the account, and every statement on one names it.
 */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectPostgres, type Database } from '../../adapters/node/postgres/client.ts'
import { migrate } from '../../adapters/node/postgres/migrations.ts'
import { systemClock } from '../../src/resilience/clock.ts'
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts'

/** Copied whole to every shard's server: what is looked up before the account is known, or belongs to nobody. */
const referenceTables = [
  'account_emails',
  'api_key_lookup',
  'market_sightings',
  'price_hours',
  'schema_migrations',
  'settings',
  'sign_in_attempts',
  'turns',
]
/** Statements on account-owned tables that are about all accounts: in the background, an administrator's list, or rare. */
const fleetWide = [
  'selectState',
  'selectFormerHolds',
  'selectFormerLeases',
  'selectAbandonedHolds',
  'selectAbandonedLeases',
  'selectOldKeys',
  'updateFormer',
  'selectRecords',
  'selectNextAccount',
  'selectStray',
  'selectOldStrays',
  'selectOldMinutes',
  'scanAccounts',
  'countPending',
  'countAll',
  'updateDue',
  'selectPage',
  'selectAll',
  'updateDueRentals',
  'selectLive',
  'selectByIds',
  'countRentals',
  'selectNewest',
  'selectWrong',
]

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

const tables = async () => {
  const rows = await database.query(
    'tables',
    undefined,
    (sql) => sql<{ name: string }[]>`select tablename as name from pg_tables where schemaname = 'public' order by 1`,
  )
  return rows.map(({ name }) => name)
}

describe('the catalogue of a migrated database', () => {
  test('every primary key, unique index and foreign key of an account-owned table begins with account_id', async () => {
    const keys = await database.query(
      'keys',
      undefined,
      (sql) => sql<{ table: string; kind: string; first: string }[]>`
        select class.relname as table, case when i.indisprimary then 'primary' else 'unique' end as kind,
          coalesce(a.attname, 'an expression') as first
        from pg_index as i
        join pg_class as class on class.oid = i.indrelid
        left join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indisunique and class.relnamespace = 'public'::regnamespace
        union all
        select class.relname, 'foreign', a.attname
        from pg_constraint as c
        join pg_class as class on class.oid = c.conrelid
        join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
        where c.contype = 'f' and class.relnamespace = 'public'::regnamespace`,
    )
    const owned = (await tables()).filter((name) => !referenceTables.includes(name))
    expect(owned).toEqual(expect.arrayContaining(['accounts', 'api_keys', 'ledger_entries']))
    for (const table of owned) {
      const own = keys.filter((key) => key.table === table)
      expect(own.map(({ kind }) => kind)).toContain('primary')
      expect({ table, keys: own.filter(({ first }) => first !== 'account_id') }).toEqual({ table, keys: [] })
    }
  })

  test('no reference table refers to an account-owned one, which Citus cannot do', async () => {
    const references = await database.query(
      'references',
      undefined,
      (sql) => sql<{ from: string; to: string }[]>`
        select c.conrelid::regclass::text as from, c.confrelid::regclass::text as to
        from pg_constraint as c where c.contype = 'f'`,
    )
    expect(references.length).toBeGreaterThan(0)
    const wrong = references.filter(({ from, to }) => referenceTables.includes(from) && !referenceTables.includes(to))
    expect(wrong).toEqual([])
  })

  test('every table is either owned by accounts or known to be a reference table', async () => {
    const withAccount = await database.query(
      'owned',
      undefined,
      (sql) => sql<{ name: string }[]>`
        select table_name as name from information_schema.columns
        where table_schema = 'public' and column_name = 'account_id'`,
    )
    const known = [...new Set([...withAccount.map(({ name }) => name), ...referenceTables])].sort()
    expect(await tables()).toEqual(known)
  })

  test('every table is spread or copied by what spreads the tables, but the parts that go with their whole', async () => {
    const file = join(import.meta.dirname, '../../manifests/components/citus/distribute.sql')
    const listed = (kind: string) =>
      [...readFileSync(file, 'utf8').matchAll(new RegExp(`^select create_${kind}_table\\('(\\w+)'`, 'gm'))]
        .map(([, name]) => name!)
        .sort()
    const owned = (await tables()).filter((name) => !referenceTables.includes(name) && name !== 'receipts_other')
    expect(listed('reference')).toEqual(referenceTables)
    expect(listed('distributed')).toEqual([...owned].sort())
  })
})

interface Statement {
  name: string
  text: string
}

/** What each file of the adapter sends, named by the function that holds it. Values and parts in `${}` are cut out. */
function statementsIn(source: string): Statement[] {
  const found: Statement[] = []
  const start = /(?:(?:const|function) (\w+)[^`]*?)?\bsql(?:<[^`]*?>)?`/g
  let name = ''
  for (let match = start.exec(source); match; match = start.exec(source)) {
    const before = [...source.slice(0, match.index + match[0].length).matchAll(/(?:const|function) (\w+)\b/g)]
    name = before.at(-1)?.[1] ?? name
    let text = ''
    let at = start.lastIndex
    for (let depth = 0; at < source.length; at++) {
      if (depth === 0 && source[at] === '`') break
      if (source.startsWith('${', at)) depth++
      if (depth === 0) text += source[at]
      if (depth > 0 && source[at] === '}') depth--
    }
    start.lastIndex = at + 1
    found.push({ name, text: text.replace(/\s+/g, ' ').trim().toLowerCase() })
  }
  return found
}

describe('the statements of the adapter', () => {
  const folder = join(import.meta.dirname, '../../adapters/node/postgres')
  const files = globSync('*.ts', { cwd: folder }).filter((file) => !file.endsWith('.test.ts'))
  const statements = files.flatMap((file) => statementsIn(readFileSync(join(folder, file), 'utf8')))
  const concerned = (owned: readonly string[]) =>
    statements.filter(({ text }) =>
      owned.some((table) => new RegExp(`\\b(from|join|into|update) ${table}\\b`).test(text)),
    )

  test('are found', () => {
    expect(statements.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['selectByHash', 'insertKey', 'selectKeys', 'updateRevoked', 'upsertAccount']),
    )
  })

  test('name the account wherever they are on an account-owned table', async () => {
    const owned = (await tables()).filter((name) => !referenceTables.includes(name))
    const all = concerned(owned)
    expect(all.length).toBeGreaterThan(8)
    const silent = all.filter(
      ({ name, text }) =>
        !fleetWide.includes(name) &&
        !/\binsert into \w+( as \w+)? \(account_id\b/.test(text) &&
        !/\b(where|on|and) (\w+\.)?account_id (=|in)( |$)/.test(text),
    )
    expect(silent).toEqual([])
  })

  test('a statement that forgets it is found', () => {
    const [forgetful] = statementsIn(
      `const x = (sql: Sql) => sql<object[]>\`select name from api_keys where key_id = \${id}\``,
    )
    expect(forgetful).toEqual({ name: 'x', text: 'select name from api_keys where key_id =' })
  })
})
