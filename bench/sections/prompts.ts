/** Prompts of about 100,000 tokens at a steady rate, beside a bare pipe: what reading them adds, and whether it stops the loop. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { atLeast, atMost, told } from '../bars.ts'
import { measure, runOpenLoop } from '../measure.ts'
import { median } from '../statistics.ts'
import { apiKey, startFakeProvider, startGateway, startUndiciProxy } from '../systems.ts'
import type { Section } from './section.ts'

const tokens = 100_000
const perSecond = 20
const seconds = 15
const bars = { times: 1.5, stallMs: 20 }
/** What the loop's delay is measured with: a timer of so long, whose lateness is the stall. */
const lagTimerMs = 10

/** A word is about a token. */
const words = ['model ', 'weights ', 'memory ', 'of ', 'the ', 'card ', 'and ', 'its ', 'price ', 'hour ']
const prompt = Array.from({ length: tokens }, (_, i) => words[(i * 7 + (i >> 3)) % words.length]).join('')
const body = JSON.stringify({
  model: 'gpt-4o-mini',
  messages: [{ role: 'user', content: `${prompt}\n"Which one?"\n` }],
})

export const prompts: Section = {
  name: 'prompts',
  title: `prompts of ${tokens} tokens, ${perSecond} a second`,
  async run({ folder, progress, rounds }) {
    const provider = await startFakeProvider()
    const gateway = await startGateway({ folder: join(folder, 'prompts'), openaiUrl: `${provider.url}/v1` })
    const pipe = await startUndiciProxy(provider.url, { pipe: true })
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` }
    const bodyFile = join(folder, 'prompt.json')
    await writeFile(bodyFile, body)
    const order = {
      path: '/v1/chat/completions',
      headers,
      bodyFile,
      requestsPerSecond: perSecond,
      seconds,
      connections: 16,
    }
    const once = (server: typeof gateway) => measure(server, () => runOpenLoop({ ...order, url: server.url }))
    for (const server of [gateway, pipe]) await once(server)
    await longestStallMs(gateway.url)
    const ours: Awaited<ReturnType<typeof once>>[] = []
    const bare: typeof ours = []
    const stalls: number[] = []
    for (let round = 1; round <= rounds; round++) {
      ours.push(await once(gateway))
      stalls.push(await longestStallMs(gateway.url))
      bare.push(await once(pipe))
      const [mine, theirs] = [ours.at(-1)!.latencyMs, bare.at(-1)!.latencyMs]
      progress.show(`prompts ${round}/${rounds}: p99 ${mine.p99.toFixed(1)} ms, the pipe ${theirs.p99.toFixed(1)} ms`)
    }
    for (const server of [gateway, pipe, provider]) await server.stop()
    const ratio = (pick: (sample: (typeof ours)[0]) => number) =>
      median(ours.map((sample, round) => pick(sample) / pick(bare[round]!)))
    const sent = ours.reduce((all, each) => all + each.sent, 0)
    return [
      atLeast(
        `of ${sent} answered`,
        sent,
        ours.reduce((all, { answered }) => all + answered, 0),
      ),
      atMost(
        'p99 against the pipe',
        bars.times,
        ratio(({ latencyMs }) => latencyMs.p99),
        'x',
      ),
      told('median against the pipe', `${ratio(({ latencyMs }) => latencyMs.p50).toFixed(2)}x`),
      told('p50, p99; of the pipe', `${figures(ours)}; ${figures(bare)}`),
      atMost('longest stop of the event loop', bars.stallMs, median(stalls), ' ms'),
    ]
  },
}

/** Since it was asked last. */
async function longestStallMs(url: string): Promise<number> {
  const page = await (await fetch(`${url}/metrics`)).text()
  const found = /^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(page)
  if (!found) throw new Error('the metrics page does not tell the event loop lag')
  return Math.max(0, Number(found[1]) * 1000 - lagTimerMs)
}

const figures = (samples: readonly { latencyMs: { p50: number; p99: number } }[]) =>
  `${median(samples.map(({ latencyMs }) => latencyMs.p50)).toFixed(1)}, ${median(samples.map(({ latencyMs }) => latencyMs.p99)).toFixed(1)} ms`
