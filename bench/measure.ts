/** One measurement of one server: what the load generator saw, and what the server spent meanwhile. */
import { fileURLToPath } from 'node:url'
import type { OpenLoopOrder, OpenLoopResult } from './open-loop.ts'
import { busyShare, coreTimes, cpuSeconds, peakMib, resetPeak } from './proc.ts'
import { runChild, type Server } from './processes.ts'
import { addCounts, median, percentile, total } from './statistics.ts'
import type { StreamOrder, StreamResult } from './stream-load.ts'
import { otherCore, serverCore } from './systems.ts'

export interface Outcome {
  seconds: number
  sent: number
  answered: number
  refused: Record<string, number>
  failed: Record<string, number>
  /** Answered before the measured ones, and paid for in CPU all the same. */
  warmUp?: number
  latencyMs: { p50: number; p99: number; p999: number }
}

export interface Sample extends Outcome {
  cpuSecondsPer1000: number
  peakMib: number
  /** Of the core that carries the generator and the provider. */
  otherCoreBusy: number
  /** What processes that have no part in the run took of the server's core. */
  strangersShare: number
}

export async function measure<T extends Outcome>(server: Server, load: () => Promise<T>): Promise<T & Sample> {
  await resetPeak(server.pid)
  const read = () => Promise.all([cpuSeconds(server.pid), coreTimes(serverCore), coreTimes(otherCore)])
  const [cpuBefore, ownBefore, otherBefore] = await read()
  const startedAt = performance.now()
  const outcome = await load()
  const elapsedSeconds = (performance.now() - startedAt) / 1000
  const [cpuAfter, ownAfter, otherAfter] = await read()
  const seen = outcome.answered + total(outcome.refused) + total(outcome.failed)
  if (seen !== outcome.sent) throw new Error(`${outcome.sent} requests were sent, ${seen} outcomes were seen`)
  return {
    ...outcome,
    cpuSecondsPer1000: (1000 * (cpuAfter - cpuBefore)) / (outcome.sent + (outcome.warmUp ?? 0)),
    peakMib: await peakMib(server.pid),
    otherCoreBusy: busyShare(otherBefore, otherAfter),
    strangersShare: Math.max(0, busyShare(ownBefore, ownAfter) - (cpuAfter - cpuBefore) / elapsedSeconds),
  }
}

const openLoop = fileURLToPath(new URL('open-loop.ts', import.meta.url))

export async function runOpenLoop(order: OpenLoopOrder): Promise<OpenLoopResult> {
  const stdout = await runChild({
    command: [process.execPath, openLoop],
    env: { OPEN_LOOP_ORDER: JSON.stringify(order) },
    core: otherCore,
    timeoutMs: (order.seconds + 60) * 1000,
  })
  return JSON.parse(stdout)
}

const streamLoad = fileURLToPath(new URL('stream-load.ts', import.meta.url))

export async function runStreams(order: StreamOrder): Promise<StreamResult> {
  const stdout = await runChild({
    command: [process.execPath, streamLoad],
    env: { STREAM_ORDER: JSON.stringify(order) },
    core: otherCore,
    timeoutMs: (order.rampSeconds + order.holdSeconds + 60) * 1000,
  })
  return JSON.parse(stdout)
}

/** All rounds together: counts added up, everything else the median of the rounds, the peak the highest. */
export function summarize(samples: readonly Sample[]) {
  const middle = (pick: (sample: Sample) => number) => median(samples.map(pick))
  const sum = (pick: (sample: Sample) => number) => samples.reduce((all, sample) => all + pick(sample), 0)
  return {
    sent: sum(({ sent }) => sent),
    answered: sum(({ answered }) => answered),
    refused: addCounts(samples.map(({ refused }) => refused)),
    failed: addCounts(samples.map(({ failed }) => failed)),
    perSecond: middle(rate),
    p50: middle(({ latencyMs }) => latencyMs.p50),
    p99: middle(({ latencyMs }) => latencyMs.p99),
    p999: middle(({ latencyMs }) => latencyMs.p999),
    cpuSecondsPer1000: middle((sample) => sample.cpuSecondsPer1000),
    peakMib: percentile(
      samples.map((sample) => sample.peakMib).sort((a, b) => a - b),
      100,
    ),
    otherCoreBusy: middle((sample) => sample.otherCoreBusy),
    strangersShare: middle((sample) => sample.strangersShare),
  }
}

export const rate = (sample: Outcome) => sample.answered / sample.seconds
