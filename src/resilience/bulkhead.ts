/**
 * A bounded number of calls at once, shared fairly between keys, and a bounded, short queue for the rest.
 *
 * A free place goes to the key that holds the fewest, whatever another has queued. Within a key the oldest waiter is
 * served first; once it has used half of its patience, the newest: the oldest is likely to give up anyway, and serving
 * it would only make everyone late. When the queue is full, whoever asks for most loses a waiter, not whoever is last.
 * With a reserve, keys that hold less than their fair share do not even wait while others have filled the limit.
 *
 * A long queue takes up a crowd that passes. One in which some wait in vain stands, and its length only makes everyone
 * late and costs what holding them costs: it is a short one then (the idea is CoDel's:
 * https://queue.acm.org/detail.cfm?id=2209336).
 */
import type { Clock } from './clock.ts'

export interface BulkheadOptions {
  clock: Clock
  /** Calls at once; `Infinity` until something is known. */
  limit: number
  /** Callers waiting at once; for one more, one is refused. @default min(limit / 2, 1000), also after a resize */
  maxQueue?: number
  /** On top of the limit, as a share of it, for keys that hold less than their fair share of it. @default 0 */
  reserve?: number
  /** For `ms` after somebody was refused who would have waited `patienceMs`, so many wait at most. @default 0 ms */
  standing?: { ms: number; patienceMs: number; maxQueue: number } | undefined
}

/** Low is served when nobody normal waits, and is the first to be refused of its key. */
export type Priority = 'normal' | 'low'

export interface Want {
  maxWaitMs: number
  /** A function is called only for who has to wait. */
  signal?: AbortSignal | (() => AbortSignal) | undefined
  /** Whose share this takes. @default one that all without a key have in common */
  key?: string | undefined
  /** @default 'normal' */
  priority?: Priority | undefined
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

/** Made beforehand: under overload their stack traces alone would be a tenth of what refusing costs. */
const queueFull = new BulkheadFull('queue_full')
const waitExceeded = new BulkheadFull('wait_exceeded')

export type Release = () => void

export interface Bulkhead {
  /** A place now, or a promise of one within `maxWaitMs`. Whoever gets it must call the release once; more are ignored. */
  acquire(want: Want): Release | Promise<Release>
  /** Whether `acquire` would refuse this at once, for everything is full; counted as its refusal. */
  refuse(want: Pick<Want, 'maxWaitMs' | 'key' | 'priority'>): boolean
  /** A lower limit takes no place away: there are none to give until enough have come back. */
  resize(limit: number): void
  readonly limit: number
  readonly inUse: number
  readonly waiting: number
}

interface Waiter {
  since: number
  maxWaitMs: number
  take: (release: Release) => void
  refuse: (reason: unknown) => void
}

/** What one key holds and waits for. */
interface Share {
  key: string
  inUse: number
  normal: Waiter[]
  low: Waiter[]
}

/** Never written to: most shares never have a waiter, and need no list for it. */
const nobody: Waiter[] = []
/** What a key that is not there holds. */
const nothing = { inUse: 0 }

export function createBulkhead(options: BulkheadOptions): Bulkhead {
  const { clock, limit: firstLimit, maxQueue: fixedQueue, reserve = 0, standing } = options
  let limit = checked(firstLimit)
  let inUse = 0
  /** Of them, those given of the reserve. */
  let inReserve = 0
  let waiting = 0
  let refusedAt = -Infinity
  /** Who has no patience says nothing of the queue, and could make it short for the others. */
  const noteRefusal = (maxWaitMs: number) => {
    if (standing && maxWaitMs >= standing.patienceMs) refusedAt = clock.now()
  }
  /** Of the keys that hold or wait for something. */
  const shares = new Map<string, Share>()
  /** Those with waiters. The order is that of their turns: a share that was served goes to the end. */
  const queue = new Set<Share>()

  const usualQueue = () => fixedQueue ?? Math.min(limit / 2, 1000)
  const maxQueue = () =>
    standing && clock.now() - refusedAt < standing.ms ? Math.min(standing.maxQueue, usualQueue()) : usualQueue()

  const shareOf = (key: string): Share => {
    let share = shares.get(key)
    if (!share) {
      share = { key, inUse: 0, normal: nobody, low: nobody }
      shares.set(key, share)
    }
    return share
  }
  const forget = (share: Share) => {
    if (share.inUse === 0 && waitersOf(share) === 0) shares.delete(share.key)
  }

  // What is in use may be far above a limit that has just fallen: the reserve is counted by itself.
  const hasRoomFor = (share: Pick<Share, 'inUse'>, priority: Priority = 'normal') =>
    inUse < limit ||
    (priority === 'normal' && inReserve < limit * reserve && share.inUse < limit / Math.max(shares.size, 2))

  const place = (share: Share): Release => {
    const ofReserve = inUse >= limit ? 1 : 0
    share.inUse++
    inUse++
    inReserve += ofReserve
    let held = true
    return () => {
      if (!held) return
      held = false
      share.inUse--
      inUse--
      inReserve -= ofReserve
      if (waiting > 0) serve()
      forget(share)
    }
  }

  const serve = () => {
    while (waiting > 0) {
      const share = nextShare()
      const priority = share.normal.length > 0 ? 'normal' : 'low'
      if (!hasRoomFor(share, priority)) return
      const list = share[priority]
      const oldest = list[0]!
      const overloaded = clock.now() - oldest.since > oldest.maxWaitMs / 2
      const waiter = overloaded ? list[list.length - 1]! : oldest
      remove(share, list, waiter)
      if (queue.delete(share) && waitersOf(share) > 0) queue.add(share)
      waiter.take(place(share))
    }
  }

  const nextShare = (): Share => {
    let next: Share | undefined
    for (const share of queue) {
      if (!next || rank(share) < rank(next)) next = share
    }
    return next!
  }

  const remove = (share: Share, list: Waiter[], waiter: Waiter) => {
    list.splice(list.indexOf(waiter), 1)
    waiting--
    if (waitersOf(share) === 0) queue.delete(share)
  }

  /** Who has to leave a full queue for one more of the key; none = the newcomer himself. */
  const victimFor = ({ key = '', priority = 'normal' }: Pick<Want, 'key' | 'priority'>): Waiter | undefined => {
    const own = shares.get(key)
    // With the newcomer: who asks for as much as he has waited longer.
    let most = demandOf(own) + 1
    let greediest: Share | undefined
    for (const share of queue) {
      if (share === own || demandOf(share) <= most) continue
      greediest = share
      most = demandOf(share)
    }
    if (greediest) return greediest.low.at(-1) ?? greediest.normal.at(-1)
    // Among one's own, low makes way for normal.
    return priority === 'normal' ? own?.low.at(-1) : undefined
  }

  /** Makes room in a full queue for one more of the key. */
  const makeRoom = (want: Want): boolean => {
    const victim = victimFor(want)
    // Nobody has to go for who has left already.
    if (!victim || signalOf(want.signal)?.aborted) return false
    noteRefusal(victim.maxWaitMs)
    victim.refuse(queueFull)
    return true
  }

  const wait = (share: Share, { maxWaitMs, signal: asked, priority = 'normal' }: Want) =>
    new Promise<Release>((resolve, reject) => {
      const signal = signalOf(asked)
      if (signal?.aborted) {
        forget(share)
        return reject(signal.reason)
      }
      if (share[priority] === nobody) share[priority] = []
      const list = share[priority]
      const leave = () => {
        cancel()
        signal?.removeEventListener('abort', onAbort)
      }
      const waiter: Waiter = {
        since: clock.now(),
        maxWaitMs,
        take(release) {
          leave()
          resolve(release)
        },
        refuse(reason) {
          leave()
          remove(share, list, waiter)
          forget(share)
          reject(reason)
        },
      }
      const onAbort = () => waiter.refuse(signal?.reason)
      const cancel = clock.setTimer(maxWaitMs, () => {
        noteRefusal(maxWaitMs)
        waiter.refuse(waitExceeded)
      })
      signal?.addEventListener('abort', onAbort, { once: true })
      list.push(waiter)
      queue.add(share)
      waiting++
    })

  return {
    acquire(want) {
      if (typeof want.signal === 'object' && want.signal.aborted) return Promise.reject(want.signal.reason)
      const key = want.key ?? ''
      if (inUse < limit) return place(shareOf(key))
      if (reserve > 0) {
        const share = shareOf(key)
        if (hasRoomFor(share, want.priority)) return place(share)
        forget(share)
      }
      if (want.maxWaitMs > 0 && (waiting < maxQueue() || makeRoom(want))) return wait(shareOf(key), want)
      noteRefusal(want.maxWaitMs)
      return Promise.reject(queueFull)
    },
    refuse(want) {
      if (inUse < limit || waiting < maxQueue()) return false
      if (hasRoomFor(shares.get(want.key ?? '') ?? nothing, want.priority) || victimFor(want)) return false
      noteRefusal(want.maxWaitMs)
      return true
    },
    resize(to) {
      limit = checked(to)
      serve()
    },
    get limit() {
      return limit
    },
    get inUse() {
      return inUse
    },
    get waiting() {
      return waiting
    },
  }
}

const signalOf = (signal: Want['signal']) => (typeof signal === 'function' ? signal() : signal)
const waitersOf = (share: Share) => share.normal.length + share.low.length
const demandOf = (share: Share | undefined) => (share ? share.inUse + waitersOf(share) : 0)
/** Whose turn is first: those with a normal waiter by their places, then the others by theirs. */
const rank = (share: Share) => (share.normal.length > 0 ? 0 : 1e9) + share.inUse

function checked(limit: number): number {
  if (!(limit >= 1)) throw new TypeError(`limit must be at least 1, got ${limit}`)
  return limit
}
