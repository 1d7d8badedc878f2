/** The API keys of accounts, as rows. A key itself is never stored: a keyed hash of it is what is looked up. */
import { type KeyLimits, type LimitSettings, maxApiKeys, type Scope, scopes } from '../../../src/domain/principal.ts'
import { ApiError } from '../../../src/errors.ts'
import type { Accounts, ApiKey, KeyUse } from '../../../src/ports.ts'
import { generateApiKey, hashApiKey, prefixOf } from './api-key.ts'
import type { Sql } from './client.ts'
import type { Cluster } from './cluster.ts'

export interface ApiKeysOptions {
  cluster: Cluster
  pepper: string
  newId: () => string
}

type ApiKeyPort = Pick<
  Accounts,
  'createApiKey' | 'rotateApiKey' | 'findApiKey' | 'listApiKeys' | 'keyLimits' | 'revokeApiKey'
>

export function createApiKeys({ cluster, pepper, newId }: ApiKeysOptions): ApiKeyPort {
  const newKey = (accountId: string) => {
    const apiKey = generateApiKey()
    const own = { accountId, keyId: newId(), hash: hashApiKey(pepper, apiKey), prefix: prefixOf(apiKey) }
    const lookup = () =>
      cluster
        .read('look up API key', { reads: 'primary' }, (sql) => selectKey(sql, accountId, own.keyId))
        .then(([row]) => row)
    return { apiKey, own, lookup }
  }

  return {
    async createApiKey(accountId, { name, scopes, limits = {}, expiresAt }) {
      const { apiKey, own, lookup } = newKey(accountId)
      const row = await cluster.write(
        'create API key',
        { accountId },
        async (sql) => {
          await checkRoom(sql, accountId, maxApiKeys)
          const [inserted] = await insertKey(sql, { ...own, name, scopes, limits, expiresAt })
          await insertLookup(sql, own)
          return inserted!
        },
        { lookup },
      )
      return { ...toApiKey(row), apiKey }
    },

    async rotateApiKey(accountId, keyId, overlapMs) {
      const { apiKey, own, lookup } = newKey(accountId)
      const row = await cluster.write(
        'rotate API key',
        { accountId },
        async (sql) => {
          // Twice as many: keys that are full in number must still be rotated, each of them once.
          await checkRoom(sql, accountId, 2 * maxApiKeys)
          const [inserted] = await copyKey(sql, keyId, own)
          if (!inserted) return undefined
          await insertLookup(sql, own)
          if (overlapMs > 0) await updateExpiry(sql, accountId, keyId, overlapMs)
          else await updateRevoked(sql, accountId, keyId)
          return inserted
        },
        { lookup },
      )
      return row && { ...toApiKey(row), apiKey }
    },

    async findApiKey(accountId, keyId) {
      // Another pod may have written it a moment ago, and what a key may is not to be told by a replica that lags.
      const ask = { reads: 'primary' } as const
      const [row] = await cluster.read('find API key', ask, (sql) => selectUnrevoked(sql, accountId, keyId))
      return row && toApiKey(row)
    },

    async listApiKeys(accountId) {
      const rows = await cluster.read('list API keys', { reads: 'own', accountId }, (sql) => selectKeys(sql, accountId))
      return rows.map(toApiKey)
    },

    async keyLimits(accountId, keyId) {
      const ask = { reads: 'own', accountId } as const
      const [row] = await cluster.read('read limits of a key', ask, (sql) => selectKey(sql, accountId, keyId))
      return row && toKeyLimits(row)
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

/** Of any accounts at once; nobody waits for it, and replicas may show it late. */
export const updateLastUsed = (sql: Sql, uses: readonly KeyUse[]) => sql`
  update api_keys set last_used_at = greatest(api_keys.last_used_at, uses.at)
  from jsonb_to_recordset(${JSON.stringify(uses.map(toUseRow))}::text::jsonb)
    as uses (account_id uuid, key_id uuid, at timestamptz)
  where api_keys.account_id = uses.account_id and api_keys.key_id = uses.key_id`

const toUseRow = ({ accountId, keyId, at }: KeyUse) => ({ account_id: accountId, key_id: keyId, at: at.toISOString() })

/** The account's row is locked, so that keys made at the same moment are counted one after the other. */
async function checkRoom(sql: Sql, accountId: string, most: number): Promise<void> {
  const [account] = await lockAccount(sql, accountId)
  if (!account) throw new ApiError('unknown_account')
  const [live] = await countLive(sql, accountId)
  if (live!.count >= most) throw new ApiError('too_many_api_keys')
}

const lockAccount = (sql: Sql, accountId: string) => sql<object[]>`
  select account_id from accounts where account_id = ${accountId} and closed_at is null for no key update`

const countLive = (sql: Sql, accountId: string) => sql<{ count: number }[]>`
  select count(*)::int as count from api_keys
  where account_id = ${accountId} and revoked_at is null and (expires_at is null or expires_at > now())`

export interface AccountLimitRow {
  requests_per_minute: number | null
  tokens_per_minute: string | null
  max_concurrent: number | null
}

export interface KeyLimitRow {
  rate_limit_per_minute: number | null
  tokens_per_minute: string | null
  max_concurrent: number | null
  models: string[] | null
  budget_per_day: string | null
  budget_per_month: string | null
}

export const toAccountLimits = (row: AccountLimitRow): LimitSettings => ({
  requestsPerMinute: row.requests_per_minute ?? undefined,
  tokensPerMinute: toNumber(row.tokens_per_minute),
  maxConcurrent: row.max_concurrent ?? undefined,
})

export const toKeyLimits = (row: KeyLimitRow): KeyLimits => ({
  requestsPerMinute: row.rate_limit_per_minute ?? undefined,
  tokensPerMinute: toNumber(row.tokens_per_minute),
  maxConcurrent: row.max_concurrent ?? undefined,
  models: row.models ?? undefined,
  budgetPerDay: toNumber(row.budget_per_day),
  budgetPerMonth: toNumber(row.budget_per_month),
})

/** A bigint comes as text. */
const toNumber = (bigint: string | null) => (bigint === null ? undefined : Number(bigint))

/** A newer version may have given scopes that this one does not know. */
export const known = (given: readonly string[]): Scope[] => scopes.filter((scope) => given.includes(scope))

interface KeyRow extends KeyLimitRow {
  key_id: string
  name: string
  prefix: string
  scopes: string[]
  created_at: Date
  expires_at: Date | null
  last_used_at: Date | null
}

const toApiKey = (row: KeyRow): ApiKey => ({
  id: row.key_id,
  name: row.name,
  prefix: row.prefix,
  scopes: known(row.scopes),
  limits: toKeyLimits(row),
  createdAt: row.created_at,
  expiresAt: row.expires_at ?? undefined,
  lastUsedAt: row.last_used_at ?? undefined,
})

/** What a key that is made from another takes over. */
const settingColumns = (sql: Sql) => sql`
  name, scopes, rate_limit_per_minute, tokens_per_minute, max_concurrent, models, budget_per_day, budget_per_month,
  expires_at`

const keyColumns = (sql: Sql) => sql`key_id, prefix, created_at, last_used_at, ${settingColumns(sql)}`

interface OwnOfKey {
  accountId: string
  keyId: string
  hash: Buffer
  prefix: string
}

interface KeyToInsert extends OwnOfKey {
  name: string
  scopes: readonly Scope[]
  limits: KeyLimits
  expiresAt: Date | undefined
}

const insertKey = (sql: Sql, { limits, ...key }: KeyToInsert) => sql<KeyRow[]>`
  insert into api_keys (account_id, key_id, key_hash, prefix, ${settingColumns(sql)})
  values (${key.accountId}, ${key.keyId}, ${key.hash}, ${key.prefix}, ${key.name}, ${[...key.scopes]},
    ${limits.requestsPerMinute ?? null}, ${limits.tokensPerMinute ?? null}, ${limits.maxConcurrent ?? null},
    ${limits.models ? [...limits.models] : null}, ${limits.budgetPerDay ?? null}, ${limits.budgetPerMonth ?? null},
    ${key.expiresAt ?? null})
  returning ${keyColumns(sql)}`

const copyKey = (sql: Sql, fromKeyId: string, { accountId, keyId, hash, prefix }: OwnOfKey) => sql<KeyRow[]>`
  insert into api_keys (account_id, key_id, key_hash, prefix, ${settingColumns(sql)})
  select account_id, ${keyId}::uuid, ${hash}::bytea, ${prefix}::text, ${settingColumns(sql)} from api_keys
  where account_id = ${accountId} and key_id = ${fromKeyId} and revoked_at is null
    and (expires_at is null or expires_at > now())
  returning ${keyColumns(sql)}`

const insertLookup = (sql: Sql, { accountId, keyId, hash }: OwnOfKey) => sql`
  insert into api_key_lookup (key_hash, account_id, key_id) values (${hash}, ${accountId}, ${keyId})`

const selectKey = (sql: Sql, accountId: string, keyId: string) => sql<KeyRow[]>`
  select ${keyColumns(sql)} from api_keys where account_id = ${accountId} and key_id = ${keyId}`

const selectUnrevoked = (sql: Sql, accountId: string, keyId: string) => sql<KeyRow[]>`
  ${selectKey(sql, accountId, keyId)} and revoked_at is null`

const selectKeys = (sql: Sql, accountId: string) => sql<KeyRow[]>`
  select ${keyColumns(sql)} from api_keys
  where account_id = ${accountId} and revoked_at is null
    and (expires_at is null or expires_at > now() - interval '7 days')
  order by created_at desc, key_id desc
  limit 1000`

const updateRevoked = (sql: Sql, accountId: string, keyId: string) => sql<{ key_id: string }[]>`
  update api_keys set revoked_at = now()
  where account_id = ${accountId} and key_id = ${keyId} and revoked_at is null
  returning key_id`

/** Never later than it was. */
const updateExpiry = (sql: Sql, accountId: string, keyId: string, inMs: number) => sql`
  update api_keys set expires_at = least(expires_at, now() + make_interval(secs => ${inMs / 1000}))
  where account_id = ${accountId} and key_id = ${keyId}`

const selectRevoked = (sql: Sql, accountId: string, keyId: string) => sql<{ key_id: string }[]>`
  select key_id from api_keys where account_id = ${accountId} and key_id = ${keyId} and revoked_at is not null`
