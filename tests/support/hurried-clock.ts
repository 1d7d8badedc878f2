import type { Clock } from '../../src/ports.ts'
import { systemClock } from '../../src/resilience/clock.ts'

export interface HurriedClock extends Clock {
  /** So many ms are over at once. What waits by a timer goes on waiting for it. */
  skip(ms: number): void
  /** From now on it goes so many times as fast. */
  setPace(times: number): void
}

/** Goes so many times as fast as the machine's: what waits by it waits less. */
export function hurriedClock(times: number): HurriedClock {
  const wall = systemClock.wallNow() - systemClock.now()
  let pace = times
  let since = systemClock.now()
  let then = since
  const now = () => then + (systemClock.now() - since) * pace
  const move = (ms: number, next: number) => {
    then = now() + ms
    since = systemClock.now()
    pace = next
  }
  return {
    now,
    wallNow: () => wall + now(),
    setTimer: (ms, fn) => systemClock.setTimer(ms / pace, fn),
    skip: (ms) => move(ms, pace),
    setPace: (next) => move(0, next),
  }
}
