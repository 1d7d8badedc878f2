/**
 * A pod's life. After its death nothing that it asked for is answered and none of its timers fires, as after `kill -9`:
 * its work stands still at whatever await it had come to. What it had sent by then happens all the same.
 */
import type { Clock } from '../../src/ports.ts'

export interface Life {
  isOver(): boolean
  end(): void
  /** Dies at the call with that number from now on, counted from 1: before it is sent, or right after. */
  endAt(call: number, when: 'before' | 'after'): void
  clock: Clock
  /** The same port, for as long as it lives. All its methods are to be asynchronous. */
  portOf<Port extends object>(port: Port): Port
}

export function createLife(clock: Clock, onEnd: () => void): Life {
  let isOver = false
  let last: { call: number; when: 'before' | 'after' } | undefined
  const never = () => new Promise<never>(() => {})

  function end() {
    if (isOver) return
    isOver = true
    onEnd()
  }

  async function ask<T>(call: () => Promise<T>): Promise<T> {
    if (isOver) return never()
    const isLast = last !== undefined && --last.call === 0
    if (isLast && last!.when === 'before') {
      end()
      return never()
    }
    const asked = call()
    if (isLast) end()
    try {
      return await asked
    } finally {
      if (isOver) await never()
    }
  }

  return {
    isOver: () => isOver,
    end,
    endAt(call, when) {
      last = { call, when }
    },
    clock: {
      now: clock.now,
      wallNow: clock.wallNow,
      setTimer: (ms, fn) => clock.setTimer(ms, () => !isOver && fn()),
    },
    portOf: (port) =>
      new Proxy(port, {
        get(target, name) {
          const method = Reflect.get(target, name)
          if (typeof method !== 'function') return method
          return (...args: unknown[]) => ask(() => method.apply(target, args))
        },
      }),
  }
}
