/**
 * One look at the primary every half a second, for all who need to know: is it there, where is its log, what do the
 * settings say, whose accounts were written. When it does not answer, or is a standby now, the others are asked too.
 */
import type { Clock } from '../../../src/resilience/clock.ts'
import type { Sql } from './client.ts'
import { DatabaseUnavailable } from './failures.ts'
import type { Pools } from './pools.ts'
import { recentWritesS, type Write } from './written-accounts.ts'

export interface Look {
  /** By the clock, before it was asked. */
  startedAt: number
  /** The end of its log. */
  lsn: number
  /** Another after each promotion. */
  timeline: string
  settings: Record<string, string>
  writes: Write[]
}

export interface PrimaryWatch {
  /** Called with each look; undefined = the primary did not answer. */
  subscribe(hear: (look: Look | undefined) => void): void
  /** Aborted while the last look got no answer: whoever waits for the primary need not wait on. */
  answering(): AbortSignal
  /** Looks now, not at the next turn. Resolves after it. */
  look(): Promise<void>
  start(): void
  stop(): void
}

const intervalMs = 500
/** While it is lost, and just after a look that failed. */
const lostIntervalMs = 200
const answerTimeoutMs = 1_000

export function createPrimaryWatch({ pools, clock }: { pools: Pools; clock: Clock }): PrimaryWatch {
  const hearers: ((look: Look | undefined) => void)[] = []
  let stopped = false
  let cancel = () => {}
  let looking: Promise<boolean> | undefined
  let answering = new AbortController()

  async function ask(): Promise<Look | undefined> {
    const startedAt = clock.now()
    const controller = new AbortController()
    const stopTimer = clock.setTimer(answerTimeoutMs, () => controller.abort(new Error('no answer in time')))
    try {
      const [row] = await pools.watch.query('look at the primary', controller.signal, selectState)
      if (!row || row.lsn === null) return undefined
      return {
        startedAt,
        lsn: positionOf(row.lsn),
        timeline: row.timeline ?? '',
        settings: row.settings ?? {},
        writes: (row.writes ?? []).map(([accountId, version]) => ({ accountId, version })),
      }
    } finally {
      stopTimer()
    }
  }

  async function once(): Promise<boolean> {
    let seen: Look | undefined
    try {
      seen = await ask()
    } catch (error) {
      // All permits in use tells nothing about the primary.
      if (error instanceof DatabaseUnavailable && error.reason === 'busy') return true
    }
    if (stopped) return true
    // One that was failed over from and came back: whatever it says is not the log that others write.
    if (seen && pools.isOutdated(seen.timeline)) seen = undefined
    if (!seen) answering.abort(new DatabaseUnavailable('wait for the primary', 'unreachable'))
    else if (answering.signal.aborted) answering = new AbortController()
    for (const hear of hearers) hear(seen)
    // It may have moved. A look at the others never fails; it finds none.
    if (!seen) await pools.findPrimary()
    return seen !== undefined
  }

  const look = async () => {
    cancel()
    looking ??= once().finally(() => {
      looking = undefined
    })
    const there = await looking
    cancel()
    if (!stopped) cancel = clock.setTimer(there ? intervalMs : lostIntervalMs, () => void look())
  }

  return {
    subscribe: (hear) => void hearers.push(hear),
    answering: () => answering.signal,
    look,
    start: () => void look(),
    stop() {
      stopped = true
      cancel()
    },
  }
}

interface State {
  /** Null on a standby. */
  lsn: string | null
  timeline: string | null
  settings: Record<string, string> | null
  writes: [accountId: string, version: string][] | null
}

/** The position is read within the statement, so after its snapshot: whatever the snapshot shows is before it. */
const selectState = (sql: Sql) => sql<State[]>`
  select
    case when not pg_is_in_recovery() then (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::text end as lsn,
    case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) end as timeline,
    (select json_object_agg(name, value) from settings where name = 'read_only') as settings,
    (
      select json_agg(json_build_array(account_id, xmin::text))
      from account_writes
      where written_at > now() - make_interval(secs => ${recentWritesS})
    ) as writes`

const pageBytes = 8192
const pageHeaders = [24, 40]

/**
 * Bytes of log. At the very end of a page the primary tells a position behind the next one's header, which a replica
 * reaches only with the record after it.
 */
function positionOf(lsn: string): number {
  const bytes = Number(lsn)
  const inPage = bytes % pageBytes
  return pageHeaders.includes(inPage) ? bytes - inPage : bytes
}
