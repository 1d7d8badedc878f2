/**
 * What was served goes to the journal at once and to the database in groups. While nothing may be written only the
 * groups wait. An event has a key of its own, so one that is offered twice changes nothing.
 */
import type { UsageEvent } from '../domain/usage.ts'
import type { Clock, Journal, Log, Metrics, UsageStore, WriteMode } from '../ports.ts'
import { createBackoff } from '../resilience/backoff.ts'
import { instruments } from '../telemetry/instruments.ts'

export interface UsageOptions {
  clock: Clock
  random: () => number
  journal: Journal
  store: UsageStore
  mode: Pick<WriteMode, 'readOnly'>
  metrics: Metrics
  log: Log
}

export interface Usage {
  note(event: UsageEvent): void
  /** Nothing more can be noted: what would have to be must not be served. */
  readonly full: boolean
  /** Settles what is left, for as long as that makes progress and at most so long. */
  stop(options: { timeoutMs: number }): Promise<void>
}

const groupSize = 500
const groupEveryMs = 50
/** While nothing may be written. */
const pausedMs = 500
/**
 * Replication is a moment late, so a promoted standby may lack the groups that its primary took last: they are offered
 * again. Those of so long are kept for that, and at most so many events.
 */
const keepMs = 30_000
const maxKept = 20_000
const keptCheckMs = 1_000

export function createUsage({ clock, random, journal, store, mode, metrics, log }: UsageOptions): Usage {
  const backoff = createBackoff({ random, initialMs: 500, maxMs: 10_000 })
  let cancel: (() => void) | undefined
  let settling: Promise<void> | undefined
  let failures = 0
  const kept: { at: number; events: UsageEvent[] }[] = []
  let keptEvents = 0
  let cancelKept: (() => void) | undefined
  let primary = store.primary()
  let stopped = false

  const lose = (count: number, why: string) => {
    if (count === 0) return
    metrics.count(instruments.ledgerLostEvents, {}, count)
    log.error('usage events are lost', { detail: `${count}: ${why}` })
  }
  lose(journal.lost, 'unreadable in the journal')

  const wakeIn = (ms: number) => {
    if (stopped) return
    cancel ??= clock.setTimer(ms, () => {
      cancel = undefined
      void settle()
    })
  }

  const settle = () => {
    settling ??= run().finally(() => {
      settling = undefined
    })
    return settling
  }

  async function run(): Promise<void> {
    try {
      if (mode.readOnly) return wakeIn(pausedMs)
      await offerAgain()
      while (journal.pending > 0) {
        if (mode.readOnly) return wakeIn(pausedMs)
        if (!(await settleGroup())) return
        if (journal.pending < groupSize && !stopped) break
      }
      failures = 0
      if (journal.pending > 0) wakeIn(groupEveryMs)
    } catch (error) {
      failures++
      if (failures === 1) log.warn('usage waits in the journal', { error: String(error) })
      wakeIn(backoff.afterFailure(failures))
    }
  }

  async function settleGroup(): Promise<boolean> {
    const entries = await journal.oldest(groupSize)
    const last = entries.at(-1)
    if (!last) return false
    const events = entries.map(({ event }) => JSON.parse(event) as UsageEvent)
    const { refused } = await store.record(events)
    keep(events)
    lose(refused, 'refused by the database')
    journal.settle(last.position)
    return true
  }

  function keep(events: UsageEvent[]) {
    kept.push({ at: clock.now(), events })
    keptEvents += events.length
    forgetOld()
    if (!stopped) cancelKept ??= clock.setTimer(keptCheckMs, checkKept)
  }

  function forgetOld() {
    const keptSince = clock.now() - keepMs
    while (kept.length > 0 && (kept[0]!.at < keptSince || keptEvents > maxKept)) {
      keptEvents -= kept.shift()!.events.length
    }
  }

  /** Also where nothing more is served. */
  function checkKept() {
    cancelKept = undefined
    forgetOld()
    if (kept.length === 0) return
    cancelKept = clock.setTimer(keptCheckMs, checkKept)
    if (store.primary() !== primary) wakeIn(0)
  }

  async function offerAgain() {
    const now = store.primary()
    if (now === primary) return
    forgetOld()
    for (const { events } of [...kept]) await store.record(events)
    primary = now
  }

  metrics.gauge(instruments.ledgerPending, () => [[{}, journal.pending]])
  if (journal.pending > 0) wakeIn(0)

  return {
    note(event) {
      if (!journal.append(JSON.stringify(event))) return lose(1, 'the journal is full')
      if (journal.pending >= groupSize && failures === 0 && !mode.readOnly) void settle()
      else wakeIn(groupEveryMs)
    },
    get full() {
      return journal.full
    },
    async stop({ timeoutMs }) {
      cancel?.()
      cancel = undefined
      cancelKept?.()
      cancelKept = undefined
      stopped = true
      let cancelTimer = () => {}
      const late = new Promise<void>((resolve) => {
        cancelTimer = clock.setTimer(timeoutMs, resolve)
      })
      const all = async () => {
        await settling
        await settle()
      }
      await Promise.race([all(), late])
      cancelTimer()
    },
  }
}
