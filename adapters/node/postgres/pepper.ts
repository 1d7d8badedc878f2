import { randomBytes } from 'node:crypto'
import type { Database, Sql } from './client.ts'

/** API_KEY_PEPPER, or one that the first gateway at this database made up. Changing it makes every key unknown. */
export const loadPepper = (database: Database, configured?: string): Promise<string> =>
  loadSecret(database, 'api_key_pepper', configured)

/** JWT_SECRET, or one that the first gateway at this database made up. Changing it makes every access token invalid. */
export const loadJwtSecret = (database: Database, configured?: string): Promise<string> =>
  loadSecret(database, 'jwt_secret', configured)

async function loadSecret(database: Database, name: string, configured: string | undefined): Promise<string> {
  if (configured) return configured
  const stored = await database.query('read secret', undefined, (sql) => read(sql, name))
  if (stored[0]) return stored[0].value
  const candidate = randomBytes(32).toString('base64url')
  await database.query('store secret', undefined, (sql) => store(sql, name, candidate))
  const [agreed] = await database.query('read secret', undefined, (sql) => read(sql, name))
  if (!agreed) throw new Error(`The secret ${name} could not be stored`)
  return agreed.value
}

const read = (sql: Sql, name: string) => sql<{ value: string }[]>`select value from settings where name = ${name}`

/** On conflict another gateway was first, and its value is the one that counts. */
const store = (sql: Sql, name: string, value: string) =>
  sql`insert into settings (name, value) values (${name}, ${value}) on conflict (name) do nothing`
