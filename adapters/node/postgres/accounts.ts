/** Accounts and their API keys. A key itself is never stored: a keyed hash of it is what is looked up. */
import { timingSafeEqual } from 'node:crypto'
import type { LimitSettings, Principal, Scope } from '../../../src/domain/principal.ts'
import { scopes } from '../../../src/domain/principal.ts'
import type { Accounts, ApiKey } from '../../../src/ports.ts'
import { generateApiKey, hashApiKey, prefixOf } from './api-key.ts'
import type { Sql } from './client.ts'
import type { Cluster } from './cluster.ts'

export interface AccountsOptions {
  cluster: Cluster
  pepper: string
  newId: () => string
}

export function createAccounts({ cluster, pepper, newId }: AccountsOptions): Accounts {
  return {
    async findByApiKey(apiKey) {
      const hash = hashApiKey(pepper, apiKey)
      const [row] = await cluster.read('find API key', { reads: 'primary', pool: 'authentication' }, (sql) =>
        selectByHash(sql, hash),
      )
      if (!row || !timingSafeEqual(row.key_hash, hash)) return undefined
      return {
        accountId: row.account_id,
        keyId: row.key_id,
        role: row.role,
        scopes: known(row.scopes),
        limits: {
          key: toLimits(row.rate_limit_per_minute, row.tokens_per_minute, row.max_concurrent),
          account: toLimits(row.account_requests, row.account_tokens, row.account_concurrent),
        },
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

    async createApiKey(accountId, { name, scopes, limits = {}, expiresAt }) {
      const apiKey = generateApiKey()
      const keyId = newId()
      const hash = hashApiKey(pepper, apiKey)
      const key = { accountId, keyId, hash, name, scopes, limits, expiresAt, prefix: prefixOf(apiKey) }
      const rows = await cluster.write(
        'create API key',
        { accountId },
        async (sql) => {
          const inserted = await insertKey(sql, key)
          await insertLookup(sql, key)
          return inserted
        },
        {
          lookup: () =>
            cluster
              .read('look up API key', { reads: 'primary' }, (sql) => selectKey(sql, accountId, keyId))
              .then((rows) => (rows.length > 0 ? rows : undefined)),
        },
      )
      return { ...toApiKey(rows[0]!), apiKey }
    },

    async listApiKeys(accountId) {
      const rows = await cluster.read('list API keys', { reads: 'own', accountId }, (sql) => selectKeys(sql, accountId))
      return rows.map(toApiKey)
    },

    async revokeApiKey(accountId, keyId) {
      const isRevoked = () =>
        cluster
          .read('look up API key', { reads: 'primary' }, (sql) => selectRevoked(sql, accountId, keyId))
          .then((rows) => (rows.length > 0 ? rows : undefined))
      const rows = await cluster.write('revoke API key', { accountId }, (sql) => updateRevoked(sql, accountId, keyId), {
        lookup: isRevoked,
      })
      return rows.length > 0
    },
  }
}

/** A newer version may have given scopes that this one does not know. */
/** A bigint comes as text. */
const toLimits = (requests: number | null, tokens: string | null, concurrent: number | null): LimitSettings => ({
  requestsPerMinute: requests ?? undefined,
  tokensPerMinute: tokens === null ? undefined : Number(tokens),
  maxConcurrent: concurrent ?? undefined,
})

const known = (given: readonly string[]): Scope[] => scopes.filter((scope) => given.includes(scope))

interface PrincipalRow {
  account_id: string
  key_id: string
  key_hash: Buffer
  role: Principal['role']
  scopes: string[]
  rate_limit_per_minute: number | null
  tokens_per_minute: string | null
  max_concurrent: number | null
  account_requests: number | null
  account_tokens: string | null
  account_concurrent: number | null
}

/** Expiry is by the database's clock: pods may disagree about the time. */
const selectByHash = (sql: Sql, hash: Buffer) => sql<PrincipalRow[]>`
  select keys.account_id, keys.key_id, keys.key_hash, accounts.role, keys.scopes, keys.rate_limit_per_minute,
    keys.tokens_per_minute, keys.max_concurrent, accounts.requests_per_minute as account_requests,
    accounts.tokens_per_minute as account_tokens, accounts.max_concurrent as account_concurrent
  from api_key_lookup as lookup
  join api_keys as keys on keys.account_id = lookup.account_id and keys.key_id = lookup.key_id
  join accounts on accounts.account_id = keys.account_id
  where lookup.key_hash = ${hash}
    and keys.revoked_at is null
    and (keys.expires_at is null or keys.expires_at > now())
    and accounts.disabled_at is null`

interface KeyRow {
  key_id: string
  name: string
  prefix: string
  scopes: string[]
  rate_limit_per_minute: number | null
  tokens_per_minute: string | null
  max_concurrent: number | null
  created_at: Date
  expires_at: Date | null
  last_used_at: Date | null
}

const toApiKey = (row: KeyRow): ApiKey => ({
  id: row.key_id,
  name: row.name,
  prefix: row.prefix,
  scopes: known(row.scopes),
  limits: toLimits(row.rate_limit_per_minute, row.tokens_per_minute, row.max_concurrent),
  createdAt: row.created_at,
  expiresAt: row.expires_at ?? undefined,
  lastUsedAt: row.last_used_at ?? undefined,
})

const keyColumns = (sql: Sql) => sql`
  key_id, name, prefix, scopes, rate_limit_per_minute, tokens_per_minute, max_concurrent, created_at, expires_at, last_used_at`

interface AccountToInsert {
  accountId: string
  name: string
  role: string
  limits: LimitSettings
}

const insertAccount = (sql: Sql, { accountId, name, role, limits }: AccountToInsert) => sql<object[]>`
  insert into accounts (account_id, name, role, requests_per_minute, tokens_per_minute, max_concurrent)
  values (${accountId}, ${name}, ${role}, ${limits.requestsPerMinute ?? null}, ${limits.tokensPerMinute ?? null},
    ${limits.maxConcurrent ?? null})`

const selectAccount = (sql: Sql, accountId: string) => sql<object[]>`
  select account_id from accounts where account_id = ${accountId}`

interface KeyToInsert {
  accountId: string
  keyId: string
  hash: Buffer
  prefix: string
  name: string
  scopes: readonly Scope[]
  limits: LimitSettings
  expiresAt: Date | undefined
}

const insertKey = (sql: Sql, key: KeyToInsert) => sql<KeyRow[]>`
  insert into api_keys (account_id, key_id, key_hash, prefix, name, scopes, rate_limit_per_minute, tokens_per_minute,
    max_concurrent, expires_at)
  values (${key.accountId}, ${key.keyId}, ${key.hash}, ${key.prefix}, ${key.name}, ${[...key.scopes]},
    ${key.limits.requestsPerMinute ?? null}, ${key.limits.tokensPerMinute ?? null}, ${key.limits.maxConcurrent ?? null},
    ${key.expiresAt ?? null})
  returning ${keyColumns(sql)}`

const insertLookup = (sql: Sql, { accountId, keyId, hash }: KeyToInsert) => sql`
  insert into api_key_lookup (key_hash, account_id, key_id) values (${hash}, ${accountId}, ${keyId})`

const selectKey = (sql: Sql, accountId: string, keyId: string) => sql<KeyRow[]>`
  select ${keyColumns(sql)} from api_keys where account_id = ${accountId} and key_id = ${keyId}`

const selectKeys = (sql: Sql, accountId: string) => sql<KeyRow[]>`
  select ${keyColumns(sql)} from api_keys
  where account_id = ${accountId} and revoked_at is null
  order by created_at desc, key_id desc`

const updateRevoked = (sql: Sql, accountId: string, keyId: string) => sql<{ key_id: string }[]>`
  update api_keys set revoked_at = now()
  where account_id = ${accountId} and key_id = ${keyId} and revoked_at is null
  returning key_id`

const selectRevoked = (sql: Sql, accountId: string, keyId: string) => sql<{ key_id: string }[]>`
  select key_id from api_keys where account_id = ${accountId} and key_id = ${keyId} and revoked_at is not null`
