/** Forgets idempotency keys that are older than they are kept, in bounded steps. */
import type { Clock, Idempotency, WriteMode } from '../ports.ts'

export interface KeyPurgeOptions {
  clock: Clock
  random: () => number
  store: Pick<Idempotency, 'purge'>
  mode: Pick<WriteMode, 'readOnly'>
}

const everyMs = 10 * 60_000
const groupSize = 1_000
const maxGroups = 100

/** Answers what ends it. */
export function startKeyPurge({ clock, random, store, mode }: KeyPurgeOptions): () => void {
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
      // What could not be purged now is purged next time.
      void purge()
        .catch(() => {})
        .finally(later)
    })
  }
  later()

  return () => {
    stopped = true
    cancel()
  }
}
