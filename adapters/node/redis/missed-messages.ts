/**
 * Whether messages of a channel were missed, told by their numbers and by how many Redis says were sent. The client says
 * so when its connection was away; but a cluster's client changes the node it listens to without a word, hears some
 * messages twice and others not at all, and a connection may be dead long before anyone notices.
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
  /** `number`: of the message, from 1 on. */
  heard(number: number): void
  close(): void
}

/** One that is missing twice is missing: the first time it may have been on its way. */
const pollMs = 2_000
/** Until there is a first count, for what is missed before it is missed unnoticed. */
const firstPollMs = 100
/** Numbers kept that wait for those before them. */
const maxAhead = 10_000

export function watchForMissedMessages({ clock, random, count, onMissed }: MissedMessagesOptions): MissedMessages {
  /** All up to this one are heard, or given up; undefined = nothing is known yet. */
  let settled: number | undefined
  const ahead = new Set<number>()
  let last = 0
  let closed = false
  let cancel = () => {}

  function settle(upTo: number) {
    settled = upTo
    for (const number of ahead) if (number <= upTo) ahead.delete(number)
    follow()
  }

  function follow() {
    while (settled !== undefined && ahead.delete(settled + 1)) settled++
  }

  function compare(sent: number) {
    if (settled === undefined) settle(sent)
    // A count that has shrunk is another Redis's.
    else if (sent < last) {
      ahead.clear()
      settle(sent)
      onMissed()
    } else if (settled < last) {
      settle(last)
      onMissed()
    }
    last = sent
  }

  const look = async () => {
    const sent = await count()
    if (closed) return
    if (sent !== undefined) compare(sent)
    const ms = settled === undefined ? firstPollMs : pollMs
    cancel = clock.setTimer(ms * (0.8 + 0.4 * random()), () => void look())
  }
  void look()

  return {
    heard(number) {
      if (settled !== undefined && number <= settled) return
      // The next look finds that they are missing.
      if (ahead.size < maxAhead) ahead.add(number)
      follow()
    },
    close() {
      closed = true
      cancel()
    },
  }
}
