/** Idempotency keys: one row for each, whose request id says which execution has it. */
import {
  type Claim,
  type Ending,
  type HeldKey,
  type IdempotencyKey,
  keptMs,
  type StoredAnswer,
  silentMs,
} from '../../../src/domain/idempotency.ts'
import type { Idempotency } from '../../../src/ports.ts'
import type { Sql } from './client.ts'
import type { Cluster } from './cluster.ts'

export interface IdempotencyOptions {
  cluster: Pick<Cluster, 'note'>
  /** The same over restarts of this pod, and no other pod's. */
  pod: string
  /** When this process began, by the database's clock: what was heard of before is a former one's. */
  startedAt: Date
}

/** Rows of one statement. */
const groupSize = 1_000
/** A row that is there at one moment and gone at the next: released, or too old. */
const maxLooks = 3

export function createIdempotency({ cluster, pod, startedAt }: IdempotencyOptions): Idempotency {
  async function claim(key: HeldKey, fingerprint: string): Promise<Claim> {
    let requestId = ''
    for (let look = 0; look < maxLooks; look++) {
      const [row] = await cluster.note('claim key', (sql) => insertOrSelect(sql, key, fingerprint, pod))
      if (row && !row.expired) return toClaim(row)
      requestId = row?.request_id ?? requestId
      if (row) await cluster.note('forget key', (sql) => deleteExpired(sql, key))
    }
    return { state: 'running', requestId }
  }

  return {
    claim,
    async takeOver(key, silent) {
      const rows = await cluster.note('take over key', (sql) => updateSilent(sql, key, silent.requestId, pod))
      return rows.length > 0
    },
    async end(key, ending) {
      await cluster.note('end key', (sql) => updateEnded(sql, key, ending))
    },
    async release(key) {
      await cluster.note('release key', (sql) => deleteUnanswered(sql, key))
    },
    async beat(keys) {
      for (let from = 0; from < keys.length; from += groupSize) {
        const group = keys.slice(from, from + groupSize)
        await cluster.note('beat keys', (sql) => updateHeartbeats(sql, group))
      }
    },
    async purge(max) {
      const old = await cluster.note('find old keys', (sql) => selectOldKeys(sql, max))
      if (old.length > 0) await cluster.note('purge keys', (sql) => deleteKeys(sql, old))
      return old.length
    },
    async forget(accountId) {
      let gone: readonly object[]
      do {
        gone = await cluster.note('forget keys', (sql) => deleteSome(sql, accountId, groupSize))
      } while (gone.length === groupSize)
    },
    async endFormer() {
      await cluster.note('end former keys', (sql) => updateFormer(sql, pod, startedAt))
    },
  }
}

interface Row {
  claimed: boolean
  same: boolean
  silent: boolean
  pod_is_back: boolean
  expired: boolean
  request_id: string
  pod: string
  outcome: Ending['outcome'] | null
  status: number | null
  headers: string | null
  body: Buffer | null
}

function toClaim(row: Row): Claim {
  const { request_id: requestId, outcome } = row
  if (row.claimed) return { state: 'claimed' }
  if (!row.same) return { state: 'mismatch' }
  switch (outcome) {
    case null:
      return row.silent
        ? { state: 'silent', requestId, podId: row.pod_is_back ? undefined : row.pod }
        : { state: 'running', requestId }
    case 'answered':
      return { state: 'ended', requestId, ending: { outcome, answer: toAnswer(row) } }
    default:
      return { state: 'ended', requestId, ending: { outcome } }
  }
}

const toAnswer = ({ status, headers, body }: Row): StoredAnswer => ({
  status: status!,
  headers: JSON.parse(headers!) as Record<string, string>,
  body: body!,
})

/**
 * One way to the server for either. The second part sees the table as it was before the first: no row at all means that
 * somebody inserted or deleted one meanwhile.
 */
const insertOrSelect = (sql: Sql, { accountId, digest, requestId }: HeldKey, fingerprint: string, pod: string) =>
  sql<Row[]>`
  with inserted as (
    insert into idempotency_keys (account_id, key_digest, fingerprint, request_id, pod)
    values (${accountId}, ${digest}, ${fingerprint}, ${requestId}, ${pod})
    on conflict (account_id, key_digest) do nothing
    returning request_id, pod
  )
  select true as claimed, true as same, false as silent, false as pod_is_back, false as expired, request_id, pod, null as outcome,
    null::integer as status, null as headers, null::bytea as body
  from inserted
  union all
  select false, fingerprint = ${fingerprint}, heartbeat_at <= now() - make_interval(secs => ${silentMs / 1000}),
    heartbeat_at = '-infinity', created_at <= now() - make_interval(secs => ${keptMs / 1000}), request_id, pod, outcome, status,
    headers, body
  from idempotency_keys
  where account_id = ${accountId} and key_digest = ${digest}`

const deleteExpired = (sql: Sql, { accountId, digest }: IdempotencyKey) => sql`
  delete from idempotency_keys
  where account_id = ${accountId} and key_digest = ${digest}
    and created_at <= now() - make_interval(secs => ${keptMs / 1000})`

/** Of those who find it silent at the same time, the first changes the request id that the others go by. */
const updateSilent = (sql: Sql, { accountId, digest, requestId }: HeldKey, silent: string, pod: string) =>
  sql<object[]>`
  update idempotency_keys set request_id = ${requestId}, pod = ${pod}, heartbeat_at = now()
  where account_id = ${accountId} and key_digest = ${digest} and request_id = ${silent} and outcome is null
    and heartbeat_at <= now() - make_interval(secs => ${silentMs / 1000})
  returning request_id`

function updateEnded(sql: Sql, { accountId, digest, requestId }: HeldKey, ending: Ending) {
  const answer = ending.outcome === 'answered' ? ending.answer : undefined
  return sql`
  update idempotency_keys set outcome = ${ending.outcome}, status = ${answer?.status ?? null},
    headers = ${answer ? JSON.stringify(answer.headers) : null}, body = ${answer ? Buffer.from(answer.body) : null}
  where account_id = ${accountId} and key_digest = ${digest} and request_id = ${requestId}
    and (outcome is null or outcome = 'lost')`
}

const deleteUnanswered = (sql: Sql, { accountId, digest, requestId }: HeldKey) => sql`
  delete from idempotency_keys
  where account_id = ${accountId} and key_digest = ${digest} and request_id = ${requestId}
    and (outcome is null or outcome = 'lost')`

/** A key that has passed to another execution is not kept alive by the former one. */
const updateHeartbeats = (sql: Sql, held: readonly HeldKey[]) => sql`
  update idempotency_keys as keys set heartbeat_at = now()
  from jsonb_to_recordset(${JSON.stringify(held)}::text::jsonb) as held (
    "accountId" uuid, digest text, "requestId" uuid
  )
  where keys.account_id = held."accountId" and keys.key_digest = held.digest and keys.request_id = held."requestId"
    and keys.outcome is null`

const selectOldKeys = (sql: Sql, max: number) => sql<IdempotencyKey[]>`
  select account_id as "accountId", key_digest as digest from idempotency_keys
  where created_at <= now() - make_interval(secs => ${keptMs / 1000})
  order by created_at limit ${max}`

/** Meanwhile one may have been claimed anew. */
const deleteKeys = (sql: Sql, old: readonly IdempotencyKey[]) => sql`
  delete from idempotency_keys as keys
  using jsonb_to_recordset(${JSON.stringify(old)}::text::jsonb) as old ("accountId" uuid, digest text)
  where keys.account_id = old."accountId" and keys.key_digest = old.digest
    and keys.created_at <= now() - make_interval(secs => ${keptMs / 1000})`

const deleteSome = (sql: Sql, accountId: string, max: number) => sql<object[]>`
  delete from idempotency_keys where account_id = ${accountId} and key_digest in (
    select key_digest from idempotency_keys where account_id = ${accountId} limit ${max}
  )
  returning key_digest`

const updateFormer = (sql: Sql, pod: string, startedAt: Date) => sql`
  update idempotency_keys set heartbeat_at = '-infinity'
  where pod = ${pod} and outcome is null and heartbeat_at < ${startedAt}`
