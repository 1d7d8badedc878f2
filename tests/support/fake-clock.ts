/** A clock that stands still until it is told to go on. Its two hands are apart, as on a machine: steps move the wall only. */
import type { Clock } from '../../src/ports.ts'

export class FakeClock implements Clock {
  #nowMs: number
  #wallAheadMs: number
  #timers = new Set<{ at: number; fn: () => void }>()

  constructor({ nowMs = 5_000, wallMs = 1_800_000_000_000 } = {}) {
    this.#nowMs = nowMs
    this.#wallAheadMs = wallMs - nowMs
  }

  now = () => this.#nowMs
  wallNow = () => this.#nowMs + this.#wallAheadMs

  setTimer = (ms: number, fn: () => void) => {
    const timer = { at: this.#nowMs + Math.max(ms, 0), fn }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  get pendingTimers() {
    return this.#timers.size
  }

  /** Lets time pass: due timers run in order, and whatever they set off runs before the next. */
  async advance(ms: number): Promise<void> {
    const end = this.#nowMs + ms
    await settled()
    while (this.#runNext(end)) await settled()
    this.#nowMs = end
    await settled()
  }

  /** As `advance`, for code that waits for no promise. */
  tick(ms: number): void {
    const end = this.#nowMs + ms
    while (this.#runNext(end));
    this.#nowMs = end
  }

  /** The event loop stands still: what came due meanwhile runs late, and all of it at once. */
  async stall(ms: number): Promise<void> {
    this.#nowMs += ms
    await this.advance(0)
  }

  /** Somebody sets the machine's date. */
  stepWall(ms: number): void {
    this.#wallAheadMs += ms
  }

  #runNext(end: number): boolean {
    let next: { at: number; fn: () => void } | undefined
    for (const timer of this.#timers) if (timer.at <= end && (!next || timer.at < next.at)) next = timer
    if (!next) return false
    this.#timers.delete(next)
    this.#nowMs = Math.max(this.#nowMs, next.at)
    next.fn()
    return true
  }
}

/** Every promise that can settle without time passing has done so. */
export const settled = () => new Promise<void>((resolve) => setImmediate(resolve))
