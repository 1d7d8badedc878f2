import { randomBytes } from 'node:crypto'
import type { Database, Sql } from './client.ts'

const name = 'api_key_pepper'

/** API_KEY_PEPPER, or one that the first gateway at this database made up. Changing it makes every key unknown. */
export async function loadPepper(database: Database, configured?: string): Promise<string> {
  if (configured) return configured
  const stored = await database.query('read pepper', undefined, read)
  if (stored[0]) return stored[0].value
  const candidate = randomBytes(32).toString('base64url')
  await database.query('store pepper', undefined, (sql) => store(sql, candidate))
  const [agreed] = await database.query('read pepper', undefined, read)
  if (!agreed) throw new Error('The pepper of the API keys could not be stored')
  return agreed.value
}

const read = (sql: Sql) => sql<{ value: string }[]>`select value from settings where name = ${name}`

/** On conflict another gateway was first, and its value is the one that counts. */
const store = (sql: Sql, value: string) =>
  sql`insert into settings (name, value) values (${name}, ${value}) on conflict (name) do nothing`
