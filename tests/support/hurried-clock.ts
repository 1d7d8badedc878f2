import type { Clock } from '../../src/ports.ts'
import { systemClock } from '../../src/resilience/clock.ts'

/** Goes so many times as fast as the machine's: what waits by it waits less. */
export function hurriedClock(times: number): Clock {
  const wall = systemClock.wallNow()
  const from = systemClock.now()
  const now = () => from + (systemClock.now() - from) * times
  return {
    now,
    wallNow: () => wall + now() - from,
    setTimer: (ms, fn) => systemClock.setTimer(ms / times, fn),
  }
}
