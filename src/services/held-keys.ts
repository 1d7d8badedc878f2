/**
 * The keys whose executions are under way in this pod. All of them are beaten for together; the timer runs only while
 * there are some.
 */
import type { HeldKey } from '../domain/idempotency.ts'
import type { Clock, Idempotency } from '../ports.ts'

/** Of the minute after which an execution is taken for dead: three may fail. */
const beatEveryMs = 15_000

export interface HeldKeys {
  add(key: HeldKey): void
  delete(key: HeldKey): void
  readonly size: number
  stop(): void
}

export function createHeldKeys({ clock, store }: { clock: Clock; store: Pick<Idempotency, 'beat'> }): HeldKeys {
  const held = new Set<HeldKey>()
  let cancel: (() => void) | undefined

  const arm = () => {
    cancel ??= clock.setTimer(beatEveryMs, () => {
      cancel = undefined
      // One that fails is made up for by the next; while one waits there is no other.
      void store
        .beat([...held])
        .catch(() => {})
        .finally(() => held.size > 0 && arm())
    })
  }
  const disarm = () => {
    cancel?.()
    cancel = undefined
  }

  return {
    add(key) {
      held.add(key)
      arm()
    },
    delete(key) {
      held.delete(key)
      if (held.size === 0) disarm()
    },
    get size() {
      return held.size
    },
    stop() {
      held.clear()
      disarm()
    },
  }
}
