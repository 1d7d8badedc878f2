/** A key of another account than the administrator's, with limits of its own, where no gateway runs yet that could make one. */
import { randomUUID } from 'node:crypto'
import { connectPostgres } from '../../adapters/node/postgres/client.ts'
import { createCredits } from '../../adapters/node/postgres/credits.ts'
import { createOperatorAccounts } from '../../adapters/node/postgres/operator-accounts.ts'
import { loadPepper } from '../../adapters/node/postgres/pepper.ts'
import type { LimitSettings } from '../../src/domain/principal.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import type { TestPostgres } from './postgres.ts'

/** The former one is revoked. */
export async function makeLimitedKey({ connection }: TestPostgres, limits: LimitSettings): Promise<string> {
  const database = await connectPostgres({ ...connection, clock, max: 1 })
  const operator = createOperatorAccounts({ database, pepper: await loadPepper(database, undefined) })
  const { apiKey, accountId, keyId } = await operator.issueWelcomeKey()
  const { requestsPerMinute = null, maxConcurrent = null } = limits
  await database.transaction(
    'limit key',
    (sql) => sql`
      update api_keys set rate_limit_per_minute = ${requestsPerMinute}, max_concurrent = ${maxConcurrent}
      where account_id = ${accountId} and key_id = ${keyId}`,
  )
  const credits = createCredits({
    cluster: {
      read: (label, _reads, run) => database.query(label, undefined, run),
      write: (label, _account, run) => database.transaction(label, run),
    },
  })
  await credits.grant(accountId, { id: randomUUID(), kind: 'granted', amount: 1_000_000_000_000 })
  await database.close({ timeoutS: 1 })
  return apiKey
}
