/** Who an API key belongs to. The key itself is never stored: a keyed hash of it is what is looked up. */
import { timingSafeEqual } from 'node:crypto'
import type { Principal } from '../../../src/domain/principal.ts'
import { scopes } from '../../../src/domain/principal.ts'
import type { Accounts } from '../../../src/ports.ts'
import { hashApiKey } from './api-key.ts'
import type { Database, Sql } from './client.ts'

interface KeyRow {
  account_id: string
  key_id: string
  key_hash: Buffer
  role: Principal['role']
  scopes: string[]
  rate_limit_per_minute: number | null
}

export function createAccounts({ database, pepper }: { database: Database; pepper: string }): Accounts {
  return {
    async findByApiKey(apiKey) {
      const hash = hashApiKey(pepper, apiKey)
      const [row] = await database.query('find API key', undefined, (sql) => selectByHash(sql, hash))
      if (!row || !timingSafeEqual(row.key_hash, hash)) return undefined
      return {
        accountId: row.account_id,
        keyId: row.key_id,
        role: row.role,
        // A newer version may have given scopes that this one does not know.
        scopes: scopes.filter((scope) => row.scopes.includes(scope)),
        limits: { key: { requestsPerMinute: row.rate_limit_per_minute ?? undefined }, account: {} },
      }
    },
  }
}

/** Expiry is by the database's clock: pods may disagree about the time. */
const selectByHash = (sql: Sql, hash: Buffer) => sql<KeyRow[]>`
  select keys.account_id, keys.key_id, keys.key_hash, accounts.role, keys.scopes, keys.rate_limit_per_minute
  from api_key_lookup as lookup
  join api_keys as keys on keys.account_id = lookup.account_id and keys.key_id = lookup.key_id
  join accounts on accounts.account_id = keys.account_id
  where lookup.key_hash = ${hash}
    and keys.revoked_at is null
    and (keys.expires_at is null or keys.expires_at > now())
    and accounts.disabled_at is null`
