/**
 * What is kept for a time only: receipts by the day, which go a day at a time, and spending by the minute. Once before
 * the first request and then every hour; the pods do it at different moments, and the port lets one at a time.
 */
import { longestWindowMinutes } from '../domain/guardrails.ts'
import { receiptDays } from '../domain/receipt.ts'
import { dayOf, daysAfter } from '../domain/statement.ts'
import type { Clock, Log, Upkeep as UpkeepPort, WriteMode } from '../ports.ts'
import { sleep } from '../resilience/clock.ts'

export interface UpkeepOptions {
  clock: Clock
  random: () => number
  port: UpkeepPort
  mode: Pick<WriteMode, 'readOnly'>
  log: Log
}

export interface Upkeep {
  /** Resolves when there is room for today's receipts, or that failed: they find room in any case. */
  start(): Promise<void>
  stop(): void
}

const everyMs = 3_600_000
/** While another has the tables, or is at the same work. */
const busyWaitMs = 2_000
const maxTries = 5
const daysAhead = 7
/** The longest guard rail, and an hour. */
const spendingMinutes = longestWindowMinutes + 60
const batch = 5_000
/** Of one round: a million minutes; the rest is for the next. */
const maxBatches = 200
const betweenBatchesMs = 50

export function createUpkeep({ clock, random, port, mode, log }: UpkeepOptions): Upkeep {
  const stopping = new AbortController()
  const { signal } = stopping
  let cancel = () => {}

  /** Failures are told and no more: the next round makes up for them. */
  async function bearing(work: () => Promise<unknown>) {
    if (mode.readOnly) return
    await work().catch((error) => {
      if (!signal.aborted) log.warn('upkeep failed; it is tried again within the hour', { error: String(error) })
    })
  }

  function keepDays() {
    const today = dayOf(clock.wallNow())
    const days = { from: today, to: daysAfter(today, daysAhead), dropBefore: daysAfter(today, -receiptDays) }
    return port.keepReceiptDays(days)
  }

  async function round() {
    for (let tries = 1; (await keepDays()) === 'busy' && tries < maxTries; tries++) {
      await sleep(clock, busyWaitMs * (0.5 + random()), signal)
    }
    await forgetSpending()
  }

  async function forgetSpending() {
    const beforeMinute = Math.floor(clock.wallNow() / 60_000) - spendingMinutes
    for (let batches = 0; batches < maxBatches && !signal.aborted; batches++) {
      if ((await port.forgetSpending({ beforeMinute, max: batch })) < batch) return
      await sleep(clock, betweenBatchesMs, signal)
    }
  }

  const again = () => {
    if (signal.aborted) return
    cancel = clock.setTimer(everyMs * (0.75 + random() / 2), () => void inTurn())
  }
  const inTurn = () => bearing(round).then(again)

  return {
    async start() {
      await bearing(keepDays)
      void inTurn()
    },
    stop() {
      cancel()
      stopping.abort()
    },
  }
}
