/** The guide's load test of a whole fleet on one core: 10,000 requests a second over 1,000 connections, and small completions. */
import { join } from 'node:path'
import { chatRequest } from '../answers.ts'
import { atLeast, atMost, told } from '../bars.ts'
import { measure, runOpenLoop } from '../measure.ts'
import { maxLagP99Ms, type OpenLoopOrder } from '../open-loop.ts'
import type { Server } from '../processes.ts'
import { median, total } from '../statistics.ts'
import { apiKey, startFakeProvider, startGateway } from '../systems.ts'
import type { Section } from './section.ts'

const health = { requestsPerSecond: 10_000, seconds: 10, connections: 1_000 }
const p99Ms = 50
/** Each run warms up with 16,000 of them, which the books then enter on the generator's core. */
const completions = { from: 1_000, factor: 1.5, seconds: 6, steps: 4, connections: 1_000, restMs: 5_000 }
const tries = 3

export const fleetTest: Section = {
  name: 'fleet-test',
  title: "the guide's test of its whole fleet, on one core",
  async run({ folder, progress, rounds }) {
    const provider = await startFakeProvider()
    const gateway = await startGateway({ folder: join(folder, 'fleet-test'), openaiUrl: `${provider.url}/v1` })
    let voidRuns = 0
    const ask = async (order: Omit<OpenLoopOrder, 'url'>) => {
      for (let attempt = 1; ; attempt++) {
        const sample = await measure(gateway, () => runOpenLoop({ ...order, url: gateway.url }))
        const late = sample.lagMs.p99
        progress.show(
          `${order.path}, ${order.requestsPerSecond}/s: p99 ${sample.latencyMs.p99.toFixed(1)} ms, ${lost(sample)} lost, generator late ${late.toFixed(1)} ms`,
        )
        const isVoid = late > maxLagP99Ms
        if (isVoid && attempt < tries) continue
        if (isVoid) voidRuns++
        return sample
      }
    }
    const healthOrder = { ...health, method: 'GET' as const, path: '/api/v1/health', headers: {} }
    await ask({ ...healthOrder, requestsPerSecond: 2_000, seconds: 5 })
    const all = []
    for (let round = 0; round < rounds; round++) all.push(await ask(healthOrder))
    const highest = await highestRate(async (rate) => {
      const { seconds, connections, restMs } = completions
      const sample = await ask({ ...small, seconds, connections, restMs, requestsPerSecond: Math.round(rate) })
      return sample.latencyMs.p99 <= p99Ms && lost(sample) === 0
    })
    for (const server of [gateway, provider] satisfies Server[]) await server.stop()
    const sent = all.reduce((sum, each) => sum + each.sent, 0)
    return [
      atLeast(
        `/api/v1/health, ${health.requestsPerSecond}/s: of ${sent} answered`,
        sent,
        all.reduce((sum, { answered }) => sum + answered, 0),
      ),
      atMost('their p99', p99Ms, median(all.map(({ latencyMs }) => latencyMs.p99)), ' ms'),
      told(
        'their p50; generator late (p99)',
        `${middle(all, 'p50')} ms; ${median(all.map(({ lagMs }) => lagMs.p99)).toFixed(1)} ms`,
      ),
      told('runs in which the generator was too late to judge', String(voidRuns)),
      told(`small completions: highest rate with p99 <= ${p99Ms} ms and none lost`, `${highest}/s`),
    ]
  },
}

const small = {
  path: '/v1/chat/completions',
  headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
  body: chatRequest,
}

/** Up in steps until it is not held, then halfway between, a few times. */
export async function highestRate(held: (rate: number) => Promise<boolean>): Promise<number> {
  let low = 0
  let high = completions.from
  while (await held(high)) {
    low = high
    high *= completions.factor
  }
  for (let step = 0; step < completions.steps && low > 0; step++) {
    const rate = (low + high) / 2
    if (await held(rate)) low = rate
    else high = rate
  }
  return Math.round(low)
}

const lost = (sample: { refused: Record<string, number>; failed: Record<string, number> }) =>
  total(sample.refused) + total(sample.failed)
const middle = (samples: readonly { latencyMs: { p50: number } }[], name: 'p50') =>
  median(samples.map(({ latencyMs }) => latencyMs[name])).toFixed(1)
