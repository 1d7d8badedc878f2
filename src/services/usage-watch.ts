/**
 * Has the usage of all accounts summed every few minutes, by one pod of the fleet, so that whoever looks reads the sums.
 * Of the month before, too, while its last day may still be told of.
 */
import { dayOf, daysAfter, monthOf } from '../domain/statement.ts'
import type { Clock, Log, Turns, UsageSums, WriteMode } from '../ports.ts'

export interface UsageWatchOptions {
  clock: Pick<Clock, 'setTimer' | 'wallNow'>
  random: () => number
  sums: Pick<UsageSums, 'sum' | 'mend'>
  turns: Turns
  /** This process. */
  holder: string
  mode: Pick<WriteMode, 'readOnly'>
  log: Log
}

export interface UsageWatch {
  start(): void
  stop(): void
}

const everyMs = 3 * 60_000
/** Of a pod's own rounds. */
const lateEvery = 10
/** How long no other pod does it then. */
const turnMs = 2 * 60_000

export function createUsageWatch({ clock, random, sums, turns, holder, mode, log }: UsageWatchOptions): UsageWatch {
  let stopped = false
  let cancel = () => {}

  let rounds = 0
  async function round() {
    if (mode.readOnly || !(await turns.take('usage', holder, turnMs))) return
    const today = dayOf(clock.wallNow())
    const yesterday = daysAfter(today, -1)
    const mended = await sums.mend(yesterday)
    if (mended > 0) log.info('sums of usage mended', { detail: `${mended} accounts` })
    const month = monthOf(today)
    const months = new Set([monthOf(yesterday), month])
    // Money is given back, and journals come in, for days of the month before: that one is summed now and then.
    if (rounds++ % lateEvery === 0) months.add(monthOf(daysAfter(month, -1)))
    for (const one of months) await sums.sum(one)
  }

  const inTurn = () =>
    round()
      .catch((error) => log.warn('usage could not be summed; it is tried again', { error: String(error) }))
      .then(again)

  function again() {
    if (!stopped) cancel = clock.setTimer(everyMs * (0.5 + random()), () => void inTurn())
  }

  return {
    start: () => void inTurn(),
    stop() {
      stopped = true
      cancel()
    },
  }
}
