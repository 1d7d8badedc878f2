/** Secrets that gateways make up for themselves, once for all that share a database. They are never shown. */
import type { Database, Sql } from './client.ts'

/** The secret of that name, or what `make` makes: of gateways that start at once, the first one's counts. */
export async function loadStoredSecret(database: Database, name: string, make: () => string): Promise<string> {
  const read = (sql: Sql) => sql<{ value: string }[]>`select value from settings where name = ${name}`
  const [stored] = await database.query('read secret', undefined, read)
  if (stored) return stored.value
  await database.query('store secret', undefined, (sql) => store(sql, name, make()))
  const [agreed] = await database.query('read secret', undefined, read)
  if (!agreed) throw new Error(`The secret ${name} could not be stored`)
  return agreed.value
}

/** On conflict another gateway was first, and its value is the one that counts. */
const store = (sql: Sql, name: string, value: string) =>
  sql`insert into settings (name, value) values (${name}, ${value}) on conflict (name) do nothing`
