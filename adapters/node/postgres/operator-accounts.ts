/**
 * The two accounts that the gateway makes by itself: `bootstrap`, whose key the operator chose, and `welcome`, whose key
 * a developer is shown at start. Their ids are fixed, so that gateways that start at once mean the same account.
 */
import { randomUUID } from 'node:crypto'
import type { MicroUsd } from '../../../src/domain/money.ts'
import type { Principal, Scope } from '../../../src/domain/principal.ts'
import { scopes } from '../../../src/domain/principal.ts'
import type { Credits } from '../../../src/ports.ts'
import { generateApiKey, hashApiKey, prefixOf } from './api-key.ts'
import type { Database, Sql } from './client.ts'

interface IssuedKey {
  accountId: string
  keyId: string
}

export interface OperatorAccounts {
  /** Afterwards an administrator has exactly this key, and has been given the credit; a former key is revoked. */
  ensureBootstrapAccount(options: { apiKey: string }): Promise<IssuedKey>
  /** A new key each time, for an account that has been given the credit; the former keys are revoked. */
  issueWelcomeKey(): Promise<IssuedKey & { apiKey: string }>
}

interface OwnAccount {
  accountId: string
  name: string
  role: Principal['role']
  scopes: readonly Scope[]
}

const bootstrap: OwnAccount = {
  accountId: '00000000-0000-7000-8000-000000000001',
  name: 'bootstrap',
  role: 'administrator',
  scopes,
}
const welcome: OwnAccount = {
  accountId: '00000000-0000-7000-8000-000000000002',
  name: 'welcome',
  role: 'user',
  scopes: scopes.filter((scope) => scope !== 'admin'),
}

/** The same at each start, so that it is given once. */
const creditId = '00000000-0000-8000-8000-000000000001'

export function createOperatorAccounts(options: {
  database: Database
  pepper: string
  newId?: () => string
  credits?: Pick<Credits, 'grant'>
  /** What each of the two is given, once. @default 0 */
  credit?: MicroUsd
}): OperatorAccounts {
  const { database, pepper, newId = randomUUID, credits, credit = 0 } = options

  async function setUp(account: OwnAccount, apiKey: string) {
    const issued = await setOnlyKey(account, apiKey)
    if (credit > 0) await credits?.grant(account.accountId, { id: creditId, kind: 'bootstrap', amount: credit })
    return issued
  }

  /** Makes `apiKey` the only key of the account that works. */
  const setOnlyKey = (account: OwnAccount, apiKey: string) =>
    database.transaction(`set ${account.name} key`, async (sql) => {
      const { accountId } = account
      const hash = hashApiKey(pepper, apiKey)
      await upsertAccount(sql, account)
      await revokeOtherKeys(sql, accountId, hash)
      const [known] = await restoreKey(sql, accountId, hash)
      if (known) return { accountId, keyId: known.key_id }
      const keyId = newId()
      await insertKey(sql, account, { keyId, hash, prefix: prefixOf(apiKey) })
      await insertLookup(sql, accountId, keyId, hash)
      return { accountId, keyId }
    })

  return {
    ensureBootstrapAccount: ({ apiKey }) => setUp(bootstrap, apiKey),
    async issueWelcomeKey() {
      const apiKey = generateApiKey()
      return { ...(await setUp(welcome, apiKey)), apiKey }
    },
  }
}

/** On conflict the row is written all the same: that locks it, so gateways that start at once set their key in turn. */
const upsertAccount = (sql: Sql, { accountId, name, role }: OwnAccount) => sql`
  insert into accounts (account_id, name, role) values (${accountId}, ${name}, ${role})
  on conflict (account_id) do update set role = excluded.role, disabled_at = null`

const revokeOtherKeys = (sql: Sql, accountId: string, hash: Buffer) => sql`
  update api_keys set revoked_at = now()
  where account_id = ${accountId} and key_hash <> ${hash} and revoked_at is null`

const restoreKey = (sql: Sql, accountId: string, hash: Buffer) => sql<{ key_id: string }[]>`
  update api_keys set revoked_at = null, expires_at = null
  where account_id = ${accountId} and key_hash = ${hash}
  returning key_id`

const insertKey = (sql: Sql, account: OwnAccount, key: { keyId: string; hash: Buffer; prefix: string }) => sql`
  insert into api_keys (account_id, key_id, key_hash, prefix, name, scopes)
  values (${account.accountId}, ${key.keyId}, ${key.hash}, ${key.prefix}, ${account.name}, ${[...account.scopes]})`

const insertLookup = (sql: Sql, accountId: string, keyId: string, hash: Buffer) => sql`
  insert into api_key_lookup (key_hash, account_id, key_id) values (${hash}, ${accountId}, ${keyId})`
