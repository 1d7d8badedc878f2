/** Remembers that an upstream asked for quiet: no call goes there before its Retry-After is over. */
import type { Clock } from './clock.ts'

export interface ThrottleGate {
  closeFor(ms: number): void
  /** 0 = open. */
  closedForMs(): number
}

export function createThrottleGate({ clock, maxMs = 300_000 }: { clock: Clock; maxMs?: number }): ThrottleGate {
  let until = -Infinity
  return {
    closeFor(ms) {
      until = Math.max(until, clock.now() + Math.min(ms, maxMs))
    },
    closedForMs: () => Math.max(until - clock.now(), 0),
  }
}
