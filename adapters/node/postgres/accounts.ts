/** Accounts, and whose key is whose. */
import { timingSafeEqual } from 'node:crypto'
import type { LimitSettings, Role } from '../../../src/domain/principal.ts'
import type { Accounts } from '../../../src/ports.ts'
import { hashApiKey } from './api-key.ts'
import {
  type ApiKeysOptions,
  createApiKeys,
  type KeyLimitRow,
  known,
  toAccountLimits,
  toKeyLimits,
  updateLastUsed,
} from './api-keys.ts'
import type { Sql } from './client.ts'

export function createAccounts({ cluster, pepper, newId }: ApiKeysOptions): Accounts {
  return {
    ...createApiKeys({ cluster, pepper, newId }),

    async findByApiKey(apiKey) {
      const hash = hashApiKey(pepper, apiKey)
      const [row] = await cluster.read('find API key', { reads: 'primary', pool: 'authentication' }, (sql) =>
        selectByHash(sql, hash),
      )
      if (!row || !timingSafeEqual(row.key_hash, hash)) return undefined
      const account = {
        requests_per_minute: row.account_requests,
        tokens_per_minute: row.account_tokens,
        max_concurrent: row.account_concurrent,
      }
      return {
        accountId: row.account_id,
        keyId: row.key_id,
        role: row.role,
        scopes: known(row.scopes),
        limits: { key: toKeyLimits(row), account: toAccountLimits(account) },
      }
    },

    async createAccount({ name, role = 'user', limits = {} }) {
      const accountId = newId()
      await cluster.write(
        'create account',
        { accountId },
        (sql) => insertAccount(sql, { accountId, name, role, limits }),
        {
          lookup: () =>
            cluster
              .read('look up account', { reads: 'primary' }, (sql) => selectAccount(sql, accountId))
              .then((rows) => (rows.length > 0 ? rows : undefined)),
        },
      )
      return { accountId }
    },

    async recordKeyUse(uses) {
      await cluster.note('record use of API keys', (sql) => updateLastUsed(sql, uses))
    },
  }
}

interface PrincipalRow extends KeyLimitRow {
  account_id: string
  key_id: string
  key_hash: Buffer
  role: Role
  scopes: string[]
  account_requests: number | null
  account_tokens: string | null
  account_concurrent: number | null
}

/** Expiry is by the database's clock: pods may disagree about the time. */
const selectByHash = (sql: Sql, hash: Buffer) => sql<PrincipalRow[]>`
  select keys.account_id, keys.key_id, keys.key_hash, accounts.role, keys.scopes, keys.rate_limit_per_minute,
    keys.tokens_per_minute, keys.max_concurrent, keys.models, keys.budget_per_day, keys.budget_per_month,
    accounts.requests_per_minute as account_requests, accounts.tokens_per_minute as account_tokens,
    accounts.max_concurrent as account_concurrent
  from api_key_lookup as lookup
  join api_keys as keys on keys.account_id = lookup.account_id and keys.key_id = lookup.key_id
  join accounts on accounts.account_id = keys.account_id
  where lookup.key_hash = ${hash}
    and keys.revoked_at is null
    and (keys.expires_at is null or keys.expires_at > now())
    and accounts.disabled_at is null`

interface AccountToInsert {
  accountId: string
  name: string
  role: Role
  limits: LimitSettings
}

const insertAccount = (sql: Sql, { accountId, name, role, limits }: AccountToInsert) => sql<object[]>`
  insert into accounts (account_id, name, role, requests_per_minute, tokens_per_minute, max_concurrent)
  values (${accountId}, ${name}, ${role}, ${limits.requestsPerMinute ?? null}, ${limits.tokensPerMinute ?? null},
    ${limits.maxConcurrent ?? null})`

const selectAccount = (sql: Sql, accountId: string) => sql<object[]>`
  select account_id from accounts where account_id = ${accountId}`
