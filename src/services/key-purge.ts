/** Forgets idempotency keys that are older than they are kept, in bounded steps. */
import type { Clock, Idempotency, Log, WriteMode } from '../ports.ts'

export interface KeyPurgeOptions {
  clock: Clock
  random: () => number
  store: Pick<Idempotency, 'purge'>
  mode: Pick<WriteMode, 'readOnly'>
  log: Pick<Log, 'warn'>
}

const everyMs = 10 * 60_000
const groupSize = 1_000
const maxGroups = 100

/** Answers what ends it. */
export function startKeyPurge({ clock, random, store, mode, log }: KeyPurgeOptions): () => void {
  let stopped = false
  let cancel = () => {}

  async function purge() {
    if (mode.readOnly) return
    for (let i = 0; i < maxGroups; i++) if ((await store.purge(groupSize)) < groupSize) return
  }
  const later = () => {
    if (stopped) return
    // Pods that began together do not purge together.
    cancel = clock.setTimer(everyMs * (0.5 + random()), () => {
      void purge()
        .catch((error) => log.warn('old idempotency keys are purged next time', { error: String(error) }))
        .finally(later)
    })
  }
  later()

  return () => {
    stopped = true
    cancel()
  }
}
