/**
 * Whether callers may change anything. Three reasons can forbid it: the environment, the operator's switch (a row of
 * `settings`, which every pod looks at twice a second), and a primary that is lost. What is asked per request is a
 * boolean in memory.
 */
import type { Clock, Log, WriteMode, WriteModeStatus } from '../../../src/ports.ts'
import type { Sql } from './client.ts'
import type { Pools } from './pools.ts'
import type { Look, PrimaryWatch } from './primary-watch.ts'

/** Looks that must agree before the primary counts as lost, or as back: one may fail by chance. */
const looksToBelieve = 2

export interface WriteModeOptions {
  clock: Clock
  log: Log
  pools: Pick<Pools, 'general'>
  watch: Pick<PrimaryWatch, 'subscribe'>
  /** DB_READ_ONLY. */
  byEnvironment: boolean
}

export function createWriteMode({ clock, log, pools, watch, byEnvironment }: WriteModeOptions): WriteMode {
  let byOperator = false
  /** Set here and not stored yet: no primary could take it. */
  let toStore: boolean | undefined
  /** What a look that began before says of the switch is older than what is known here. */
  let knownAt = -Infinity
  let lost = false
  let misses = 0
  let hits = 0
  let since: number | undefined
  let storing: Promise<void> | undefined

  const reason = (): WriteModeStatus['reason'] => {
    if (byEnvironment) return 'environment'
    if (byOperator) return 'operator'
    return lost ? 'primary_lost' : undefined
  }
  let told = reason()
  if (told) since = clock.wallNow()

  const mode = {
    readOnly: told !== undefined,
    status: (): WriteModeStatus => ({
      readOnly: mode.readOnly,
      reason: reason(),
      since: since === undefined ? undefined : new Date(since),
      stored: toStore === undefined,
    }),
    async set(readOnly: boolean) {
      byOperator = readOnly
      toStore = readOnly
      knownAt = clock.now()
      changed()
      await store()
      return mode.status()
    },
  }

  function changed() {
    const now = reason()
    if (now === told) return
    if ((now === undefined) !== (told === undefined)) since = now && clock.wallNow()
    told = now
    mode.readOnly = now !== undefined
    if (now) log.warn('nothing may be written now', { state: 'read_only', detail: now })
    else log.warn('writing is allowed again', { state: 'read_write' })
  }

  /** One at a time; a primary that cannot take it now is offered it again after the next look. */
  const store = () => {
    storing ??= (async () => {
      while (toStore !== undefined) {
        const value = toStore
        await pools.general.query('store mode', undefined, (sql) => upsert(sql, String(value)))
        knownAt = clock.now()
        if (toStore === value) toStore = undefined
      }
    })()
      .catch(() => {})
      .finally(() => {
        storing = undefined
      })
    return storing
  }

  function hear(look: Look | undefined) {
    if (look) {
      hits++
      misses = 0
      if (hits >= looksToBelieve) lost = false
      if (toStore !== undefined) void store()
      else if (look.startedAt > knownAt) byOperator = look.settings.read_only === 'true'
    } else {
      misses++
      hits = 0
      if (misses >= looksToBelieve) lost = true
    }
    changed()
  }

  watch.subscribe(hear)
  return mode
}

/** On conflict the last word counts. */
const upsert = (sql: Sql, value: string) => sql`
  insert into settings (name, value) values ('read_only', ${value})
  on conflict (name) do update set value = excluded.value`
