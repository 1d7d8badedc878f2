/** The machine's clock, which jumps ahead when it is told to: timers that are due by then fire at once. */
import type { Clock } from '../../src/ports.ts'
import { systemClock } from '../../src/resilience/clock.ts'

interface Timer {
  at: number
  fn: () => void
  cancel: () => void
}

export function createSkippingClock(): Clock & { skip(ms: number): void } {
  let aheadMs = 0
  const timers = new Set<Timer>()
  const now = () => systemClock.now() + aheadMs
  const arm = (timer: Timer) => {
    timer.cancel = systemClock.setTimer(Math.max(timer.at - now(), 0), () => {
      timers.delete(timer)
      timer.fn()
    })
  }
  return {
    now,
    wallNow: () => systemClock.wallNow() + aheadMs,
    setTimer(ms, fn) {
      const timer: Timer = { at: now() + ms, fn, cancel() {} }
      timers.add(timer)
      arm(timer)
      return () => {
        timers.delete(timer)
        timer.cancel()
      }
    },
    skip(ms) {
      aheadMs += ms
      for (const timer of timers) {
        timer.cancel()
        arm(timer)
      }
    },
  }
}
