/** Work that goes on behind the requests: rounds, one after the other, until it is stopped. */
import type { Clock } from '../ports.ts'
import { sleep } from '../resilience/clock.ts'

export interface BackgroundOptions {
  clock: Clock
  random: () => number
  /** Between two rounds, half as long to half as long again: pods must not come together. */
  everyMs: number | (() => number)
  /** True: the next round follows at once. */
  round(): Promise<boolean>
  /** Of failures in a row the first alone is told; each is followed by the next round as any other. */
  onError(error: unknown): void
}

export interface Background {
  /** No further round begins. Resolves when the last one has ended. */
  stop(): Promise<void>
}

export function startBackground({ clock, random, everyMs, round, onError }: BackgroundOptions): Background {
  const stopping = new AbortController()
  const { signal } = stopping
  let isFailing = false

  async function run() {
    while (!signal.aborted) {
      let again = false
      try {
        again = await round()
        isFailing = false
      } catch (error) {
        if (!isFailing) onError(error)
        isFailing = true
      }
      if (again || signal.aborted) continue
      // Rejects when it is stopped, which the loop's head sees.
      const ms = typeof everyMs === 'number' ? everyMs : everyMs()
      await sleep(clock, ms * (0.5 + random()), signal).catch(() => {})
    }
  }

  const ended = run()
  return {
    stop() {
      stopping.abort()
      return ended
    },
  }
}

const longestShareMs = 30_000

/** For rounds that any pod may do: the more pods, the less often each, so that the database is asked no more by many. */
export const sharedEvery = (everyMs: number, pods: () => number) => () => Math.min(everyMs * pods(), longestShareMs)

/** Resolves when `work` has ended or the time is over. */
export async function atMost(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  let cancel = () => {}
  const late = new Promise<void>((resolve) => {
    cancel = clock.setTimer(ms, resolve)
  })
  await Promise.race([work, late])
  cancel()
}
