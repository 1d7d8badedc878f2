/**
 * A bounded number of calls at once, and a bounded, short queue for the rest. When the queue is overloaded (its oldest
 * waiter has used half of its patience) the newest waiter is served first: the oldest is likely to give up anyway, and
 * serving it would only make everyone late.
 */
import type { Clock } from './clock.ts'

export interface BulkheadOptions {
  clock: Clock
  /** Calls at once. */
  limit: number
  /** Callers waiting at once; one more is refused. @default min(limit / 2, 1000) */
  maxQueue?: number
}

/** Refused: full, or no place within the wait. The caller's own signal rejects with its own reason instead. */
export class BulkheadFull extends Error {
  override name = 'BulkheadFull'
  readonly reason: 'queue_full' | 'wait_exceeded'
  constructor(reason: 'queue_full' | 'wait_exceeded') {
    super(`bulkhead: ${reason}`)
    this.reason = reason
  }
}

export type Release = () => void

export interface Bulkhead {
  /** A place now, or a promise of one within `maxWaitMs`. Whoever gets it must call the release once; more are ignored. */
  acquire(maxWaitMs: number, signal?: AbortSignal): Release | Promise<Release>
  readonly limit: number
  readonly inUse: number
  readonly waiting: number
}

interface Waiter {
  since: number
  maxWaitMs: number
  take: (release: Release) => void
}

export function createBulkhead({ clock, limit, maxQueue = Math.min(limit / 2, 1000) }: BulkheadOptions): Bulkhead {
  if (!(limit >= 1)) throw new TypeError(`limit must be at least 1, got ${limit}`)
  const queue: Waiter[] = []
  let inUse = 0

  const place = (): Release => {
    let held = true
    return () => {
      if (!held) return
      held = false
      const oldest = queue[0]
      if (!oldest) {
        inUse--
        return
      }
      const overloaded = clock.now() - oldest.since > oldest.maxWaitMs / 2
      const next = overloaded ? queue.pop() : queue.shift()
      next?.take(place())
    }
  }

  const wait = (maxWaitMs: number, signal?: AbortSignal) =>
    new Promise<Release>((resolve, reject) => {
      const leave = () => {
        cancel()
        signal?.removeEventListener('abort', onAbort)
      }
      const giveUp = (reason: unknown) => {
        leave()
        queue.splice(queue.indexOf(waiter), 1)
        reject(reason)
      }
      const onAbort = () => giveUp(signal?.reason)
      const waiter: Waiter = {
        since: clock.now(),
        maxWaitMs,
        take(release) {
          leave()
          resolve(release)
        },
      }
      const cancel = clock.setTimer(maxWaitMs, () => giveUp(new BulkheadFull('wait_exceeded')))
      signal?.addEventListener('abort', onAbort, { once: true })
      queue.push(waiter)
    })

  return {
    acquire(maxWaitMs, signal) {
      if (signal?.aborted) return Promise.reject(signal.reason)
      if (inUse < limit) {
        inUse++
        return place()
      }
      if (queue.length >= maxQueue || maxWaitMs <= 0) return Promise.reject(new BulkheadFull('queue_full'))
      return wait(maxWaitMs, signal)
    },
    limit,
    get inUse() {
      return inUse
    },
    get waiting() {
      return queue.length
    },
  }
}
