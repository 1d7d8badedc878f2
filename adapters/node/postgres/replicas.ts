/**
 * Read replicas: each is measured twice a second, and serves only while it is known to be at most so far behind. A
 * reading caller asks nobody how far that is: what was measured last is true at least, since a replica only goes forward.
 */
import type { Clock } from '../../../src/resilience/clock.ts'
import { connectPostgres, type Database, type DatabaseOptions, DatabaseUnavailable, type Sql } from './client.ts'
import type { Look } from './primary-watch.ts'

export interface Replicas {
  /** The next in turn of those in rotation that have come this far. */
  next(requiredLsn: number): Replica | undefined
  /** A look at the primary, to compare with. */
  seen(look: Look | undefined): void
  list(): Replica[]
  start(): void
  close(options: { timeoutS: number }): Promise<void>
}

export interface Replica {
  /** `host:port`, as configured. */
  name: string
  database: Database | undefined
  inRotation(): boolean
  /** Seconds behind the primary; of one that cannot be measured, since when it is unknown at least. */
  lagS(): number
  /** Aborted while it does not answer. */
  answering(): AbortSignal
  /** It failed a caller: out, until it is measured again. */
  suspect(): void
}

const intervalMs = 500
/** Later than this is out of rotation. */
const maxLagS = 10
/** A measurement older than this tells nothing. */
const maxAgeMs = 2_000
const answerTimeoutMs = 1_000
/** Positions of the primary that are remembered: a replica further behind is at least as late as the oldest. */
const maxSamples = 240

export function createReplicas(options: {
  clock: Clock
  names: readonly string[]
  connection: Omit<DatabaseOptions, 'clock' | 'role' | 'host' | 'port' | 'url'>
}): Replicas {
  const { clock, names, connection } = options
  const samples: { at: number; lsn: number }[] = []
  const members = names.map((name) => createMember(name))
  let turn = 0
  let timeline = ''

  function createMember(name: string) {
    const createdAt = clock.now()
    let database: Database | undefined
    let replayLsn = -1
    let measuredAt = -Infinity
    let suspected = false
    /** Since another server was promoted: where it stood when it was first asked after that; null = not asked yet. */
    let doubtedAt: number | null | undefined
    let answering = new AbortController()
    let stopped = false
    let cancel = () => {}

    const lagS = () => {
      const now = clock.now()
      if (now - measuredAt > maxAgeMs) return (now - Math.max(measuredAt, createdAt)) / 1000
      const behind = samples.find(({ lsn }) => lsn > replayLsn)
      return behind ? Math.max(0, now - behind.at) / 1000 : 0
    }

    async function measure(): Promise<void> {
      const [host = '', port] = name.split(':')
      database ??= await connectPostgres({ ...connection, clock, role: 'replica', host, port: Number(port ?? 5432) })
      const startedAt = clock.now()
      const controller = new AbortController()
      const stopTimer = clock.setTimer(answerTimeoutMs, () => controller.abort(new Error('no answer in time')))
      try {
        const [row] = await database.query('measure replica', controller.signal, selectPosition)
        // A replica that was promoted is none.
        if (!row || row.lsn === null) return
        replayLsn = Number(row.lsn)
        if (doubtedAt === null) doubtedAt = replayLsn
        else if (doubtedAt !== undefined && replayLsn > doubtedAt) doubtedAt = undefined
        measuredAt = startedAt
        suspected = false
        if (answering.signal.aborted) answering = new AbortController()
      } finally {
        stopTimer()
      }
    }

    const replica: Replica & { start(): void; stop(): void; reached(lsn: number): boolean; doubt(): void } = {
      name,
      get database() {
        return database
      },
      inRotation: () =>
        database !== undefined &&
        !suspected &&
        doubtedAt === undefined &&
        samples.length > 0 &&
        clock.now() - measuredAt <= maxAgeMs &&
        lagS() <= maxLagS,
      lagS,
      reached: (lsn) => replayLsn >= lsn,
      answering: () => answering.signal,
      suspect() {
        suspected = true
      },
      /** Its position may be one of a log that has ended: it is used again once it is seen to go on. */
      doubt() {
        doubtedAt = null
      },
      start() {
        measure()
          .catch(() => {
            // Whoever waits for it goes to the primary. Out of rotation it is by itself, and the metric tells.
            answering.abort(new DatabaseUnavailable('wait for the replica', 'unreachable'))
            replica.suspect()
          })
          .finally(() => {
            if (!stopped) cancel = clock.setTimer(intervalMs, replica.start)
          })
      },
      stop() {
        stopped = true
        cancel()
      },
    }
    return replica
  }

  return {
    next(requiredLsn) {
      for (let i = 0; i < members.length; i++) {
        const member = members[turn++ % members.length]!
        if (member.reached(requiredLsn) && member.inRotation()) return member
      }
      return undefined
    },
    seen(look) {
      if (!look) return
      // Positions of a lost primary may lie beyond those of the new one, also those that a replica has got to.
      if (look.timeline !== timeline) {
        samples.length = 0
        if (timeline !== '') for (const member of members) member.doubt()
      }
      timeline = look.timeline
      samples.push({ at: look.startedAt, lsn: look.lsn })
      if (samples.length > maxSamples) samples.shift()
    },
    list: () => members,
    start() {
      for (const member of members) member.start()
    },
    async close(options) {
      for (const member of members) member.stop()
      await Promise.all(members.map(({ database }) => database?.close(options)))
    },
  }
}

const selectPosition = (sql: Sql) => sql<{ lsn: string | null }[]>`
  select case when pg_is_in_recovery() then (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::text end as lsn`
