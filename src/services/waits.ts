/** Waiting for a stream's next event without a timer for each. */
import type { Clock } from '../ports.ts'

/** A comment line now and then keeps connections open that nothing is sent on. */
export const heartbeat = ': keep-alive\n\n'
export const heartbeatMs = 15_000
/** How long what may still follow an answer that has finished is waited for: usage, `[DONE]`, the end. */
export const tailMs = 2_000

/** One timer for a whole stream, moved only where something is really late. */
export function createWaits(clock: Clock) {
  let dueAt = Infinity
  let armedFor = Infinity
  let onLate: (() => void) | undefined
  let cancel = () => {}
  const arm = () => {
    cancel()
    armedFor = dueAt
    cancel = clock.setTimer(dueAt - clock.now(), () => {
      armedFor = Infinity
      if (dueAt > clock.now()) arm()
      else onLate?.()
    })
  }
  return {
    /** What `promise` gives, or `late`; then ask again with the same promise. */
    upTo<T>(ms: number, promise: Promise<T>): Promise<T | 'late'> {
      dueAt = clock.now() + ms
      if (dueAt < armedFor) arm()
      return new Promise((resolve, reject) => {
        onLate = () => resolve('late')
        promise.then(resolve, reject)
      })
    },
    stop: () => cancel(),
  }
}
