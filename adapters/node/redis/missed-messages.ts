/**
 * Whether messages of a channel were missed, told by a count of them that is kept in Redis. The client says so when its
 * connection was away; but a cluster's client changes the node it listens to without a word, and a connection may be
 * dead long before anyone notices.
 */
import type { Clock } from '../../../src/resilience/clock.ts'

export interface MissedMessagesOptions {
  clock: Clock
  random: () => number
  /** Messages sent so far, counted before each is sent; undefined = cannot tell. */
  count: () => Promise<number | undefined>
  onMissed: () => void
}

export interface MissedMessages {
  heard(): void
  close(): void
}

/** One that is missing twice is missing: the first time it may have been on its way. */
const pollMs = 2_000
/** Until there is a first count, for what is missed before it is missed unnoticed. */
const firstPollMs = 100

export function watchForMissedMessages({ clock, random, count, onMissed }: MissedMessagesOptions): MissedMessages {
  let heard = 0
  /** The count when none had been heard. */
  let base: number | undefined
  let last = 0
  let missingBefore = 0
  let closed = false
  let cancel = () => {}

  function compare(sent: number) {
    if (base === undefined) base = sent - heard
    const missing = sent - base - heard
    const isLost = Math.min(missing, missingBefore) > 0
    // A count that has shrunk is another Redis's.
    if (isLost || sent < last) onMissed()
    if (isLost || missing < 0) base = sent - heard
    missingBefore = isLost ? 0 : missing
    last = sent
  }

  const look = async () => {
    const sent = await count()
    if (closed) return
    if (sent !== undefined) compare(sent)
    const ms = base === undefined ? firstPollMs : pollMs
    cancel = clock.setTimer(ms * (0.8 + 0.4 * random()), () => void look())
  }
  void look()

  return {
    heard: () => void heard++,
    close() {
      closed = true
      cancel()
    },
  }
}
