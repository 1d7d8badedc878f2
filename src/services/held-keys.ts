/**
 * The keys whose executions are under way in this pod, each until its ending is stored. All of them are beaten for
 * together; the timer runs only while there are some.
 */
import type { HeldKey } from '../domain/idempotency.ts'
import type { Clock, Idempotency, Log } from '../ports.ts'
import { createBackoff } from '../resilience/backoff.ts'

export interface HeldKeysOptions {
  clock: Clock
  random: () => number
  store: Pick<Idempotency, 'beat'>
  log: Pick<Log, 'warn'>
}

export interface HeldKeys {
  readonly size: number
  add(key: HeldKey): void
  /**
   * Stores its ending, and holds it until then. The first try is waited for, since a caller who asks again at once is to
   * find it; where that fails, others follow by themselves. Never rejects.
   */
  settle(key: HeldKey, write: () => Promise<void>): Promise<void>
  stop(): void
}

/** Of the minute after which an execution is taken for dead: three may fail. */
const beatEveryMs = 15_000
const maxTries = 8
/** Endings that wait for the database: each may hold an answer. */
const maxWaiting = 200

export function createHeldKeys({ clock, random, store, log }: HeldKeysOptions): HeldKeys {
  const backoff = createBackoff({ random, initialMs: 1_000, maxMs: 30_000 })
  const held = new Set<HeldKey>()
  /** What calls off the next try of each. */
  const waiting = new Set<() => void>()
  let cancelBeat: (() => void) | undefined

  const arm = () => {
    cancelBeat ??= clock.setTimer(beatEveryMs, () => {
      cancelBeat = undefined
      // One that fails is made up for by the next; while one waits there is no other.
      void store
        .beat([...held])
        .catch(() => {})
        .finally(() => held.size > 0 && arm())
    })
  }
  const disarm = () => {
    cancelBeat?.()
    cancelBeat = undefined
  }
  const drop = (key: HeldKey) => {
    held.delete(key)
    if (held.size === 0) disarm()
  }

  async function settle(key: HeldKey, write: () => Promise<void>, tries = 1): Promise<void> {
    try {
      await write()
      drop(key)
    } catch (error) {
      if (tries < maxTries && waiting.size < maxWaiting) return settleLater(key, write, tries)
      // It goes silent, and is reconciled by whoever asks next.
      drop(key)
      const fields = { request_id: key.requestId, error: String(error) }
      log.warn('what came of an Idempotency-Key could not be stored', fields)
    }
  }

  function settleLater(key: HeldKey, write: () => Promise<void>, tries: number) {
    const cancel = clock.setTimer(backoff.afterFailure(tries), () => {
      waiting.delete(cancel)
      void settle(key, write, tries + 1)
    })
    waiting.add(cancel)
  }

  return {
    get size() {
      return held.size
    },
    add(key) {
      held.add(key)
      arm()
    },
    settle: (key, write) => settle(key, write),
    stop() {
      held.clear()
      disarm()
      for (const cancel of waiting) cancel()
      waiting.clear()
    },
  }
}
