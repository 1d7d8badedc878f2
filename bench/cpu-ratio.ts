/** What one gateway's CPU per request is to another's, or for another request, in one run, round by round in turns. */
import { chatRequest } from './answers.ts'
import { measure, rate, runOpenLoop, type Sample } from './measure.ts'
import type { Server } from './processes.ts'
import type { createProgress } from './progress.ts'
import { table } from './rows.ts'
import { median, roundRatios, type Spread, spread, total } from './statistics.ts'
import { apiKey, otherCore } from './systems.ts'
import { type LoadRequest, runWrk } from './wrk.ts'

export interface CpuRatioOptions {
  /** By the names of their rows. @default a small completion */
  baseline: [name: string, server: Server, request?: LoadRequest]
  tested: [name: string, server: Server, request?: LoadRequest]
  rounds: number
  seconds: number
  /** Both are sent as many, at times fixed in advance. @default as many as each takes, which may be other numbers */
  requestsPerSecond?: number
  progress: ReturnType<typeof createProgress>
  /** Between the warm-up and the first round. */
  onWarm?: () => Promise<void>
}

const connections = 32
const warmUpSeconds = 10
const completion: LoadRequest = {
  method: 'POST',
  path: '/v1/chat/completions',
  body: chatRequest,
  headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
}
const cpu = ({ cpuSecondsPer1000 }: Sample) => cpuSecondsPer1000

/** Prints both; answers the ratio of CPU per request, and what the tested one was sent. */
export async function cpuRatio(options: CpuRatioOptions): Promise<{ ratio: Spread; sent: number }> {
  const { baseline, tested, rounds, seconds, requestsPerSecond, progress } = options
  const once = ([, server, request = completion]: CpuRatioOptions['tested'], seconds: number): Promise<Sample> => {
    const { url } = server
    return requestsPerSecond === undefined
      ? measure(server, () => runWrk({ url, request, connections, seconds, core: otherCore }))
      : measure(server, () => runOpenLoop({ url, ...request, requestsPerSecond, seconds }))
  }
  for (const each of [baseline, tested]) await once(each, warmUpSeconds)
  await options.onWarm?.()
  const samples: { baseline: Sample[]; tested: Sample[] } = { baseline: [], tested: [] }
  for (let round = 0; round < rounds; round++) {
    progress.show(`round ${round + 1} of ${rounds}`)
    samples.baseline.push(await once(baseline, seconds))
    samples.tested.push(await once(tested, seconds))
  }
  const row = (name: string, all: Sample[]) => [
    name,
    median(all.map(rate)).toFixed(0),
    (median(all.map(cpu)) * 1000).toFixed(1),
    String(all.reduce((sum, { refused, failed }) => sum + total(refused) + total(failed), 0)),
  ]
  progress.print(
    table(
      ['gateway', 'req/s', 'CPU ms per 1,000', 'not answered'],
      [row(baseline[0], samples.baseline), row(tested[0], samples.tested)],
    ),
  )
  return {
    ratio: spread(roundRatios(samples.tested.map(cpu), samples.baseline.map(cpu))),
    sent: samples.tested.reduce((sum, sample) => sum + sample.sent, 0),
  }
}

export const inWords = (ratio: Spread, bar: number) =>
  `${ratio.median.toFixed(3)} (${ratio.min.toFixed(3)}–${ratio.max.toFixed(3)}), want <= ${bar}: ${ratio.median <= bar ? 'met' : 'MISSED'}`
