/** What was served, as rows that the ledger is made from. */
import type { UsageEvent } from '../../../src/domain/usage.ts'
import type { UsageStore } from '../../../src/ports.ts'
import { type Database, QueryFailed, type Sql } from './client.ts'
import type { PrimaryWatch } from './primary-watch.ts'

export interface UsageStoreOptions {
  database: Database
  watch: Pick<PrimaryWatch, 'subscribe'>
}

export function createUsageStore({ database, watch }: UsageStoreOptions): UsageStore {
  let timeline = ''
  watch.subscribe((look) => {
    if (look) timeline = look.timeline
  })

  const insert = (events: readonly UsageEvent[]) =>
    database.query('record usage', undefined, (sql) => insertEvents(sql, events.map(toRow)))

  return {
    primary: () => timeline,
    async record(events) {
      try {
        await insert(events)
        return { refused: 0 }
      } catch (error) {
        if (!isAboutValues(error)) throw error
      }
      // One that cannot be stored must not keep the others waiting for ever.
      let refused = 0
      for (const event of events) {
        await insert([event]).catch((error) => {
          if (!isAboutValues(error)) throw error
          refused++
        })
      }
      return { refused }
    },
  }
}

/** Data exceptions and broken constraints: the same statement will fail the same way. */
const isAboutValues = (error: unknown) => error instanceof QueryFailed && /^2[23]/.test(error.code)

const toRow = (event: UsageEvent) => ({
  account_id: event.accountId,
  request_id: event.requestId,
  key_id: event.keyId,
  at: new Date(event.at).toISOString(),
  endpoint: event.endpoint,
  provider: event.provider,
  model: event.model,
  status: event.status,
  streamed: event.streamed,
})

/** One parameter, however many rows: one statement to prepare. On conflict the event was recorded before a crash. */
const insertEvents = (sql: Sql, rows: readonly object[]) => sql`
  insert into usage_events (account_id, request_id, key_id, at, endpoint, provider, model, status, streamed)
  select account_id, request_id, key_id, at, endpoint, provider, model, status, streamed
  from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as rows (
    account_id uuid, request_id uuid, key_id uuid, at timestamptz, endpoint text, provider text, model text,
    status integer, streamed boolean
  )
  on conflict (account_id, request_id) do nothing`
