/** 1,000 streams at once, beside a bare pipe; and the guide's 10,000 users as streams that are open and say little. */
import { join } from 'node:path'
import { databaseEnv, startTestPostgres } from '../../tests/support/postgres.ts'
import { streamEnding, streamRequest } from '../answers.ts'
import { atLeast, atMost, told } from '../bars.ts'
import { buildBundle, bundleEntry, bundleEnv, makeKey } from '../bundle.ts'
import { measure, runStreams } from '../measure.ts'
import { peakMib, resetPeak } from '../proc.ts'
import type { Server } from '../processes.ts'
import { median, total } from '../statistics.ts'
import type { StreamResult } from '../stream-load.ts'
import { apiKey, startFakeProvider, startGateway, startUndiciProxy } from '../systems.ts'
import type { Section } from './section.ts'

const many = { streams: 1_000, rampSeconds: 5, tokenIntervalMs: 100, holdSeconds: 40 }
const bars = { firstMs: 5, gapMs: 1, openMib: 640 }
/** A process may have so many descriptors here, and a stream takes two of them. */
const descriptors = 20_000
const spareDescriptors = 200
const open = { streams: 10_000, rampSeconds: 40, tokenIntervalMs: 10_000, holdSeconds: 30 }

const order = {
  path: '/v1/chat/completions',
  headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
  body: streamRequest,
  firstToken: '" w1"',
  ending: streamEnding,
}

export const concurrentStreams: Section = {
  name: 'streams',
  title: `${many.streams} streams at once, an event each ${many.tokenIntervalMs} ms`,
  async run({ folder, progress, rounds }) {
    const provider = await startFakeProvider({ tokenIntervalMs: many.tokenIntervalMs })
    const gateway = await startGateway({ folder: join(folder, 'streams'), openaiUrl: `${provider.url}/v1` })
    const pipe = await startUndiciProxy(provider.url, { pipe: true, connections: 2 * many.streams })
    const measured = async (name: string, server: Server) => {
      const { result, ...rest } = await once(server, many)
      progress.show(`streams, ${name}: first ${figures(result.firstMs)}, between ${figures(result.gapMs)}`)
      return { ...result, ...rest }
    }
    const warm = { ...many, streams: 200, rampSeconds: 1, holdSeconds: 5 }
    for (const server of [gateway, pipe]) await once(server, warm)
    const ours: Awaited<ReturnType<typeof measured>>[] = []
    const bare: typeof ours = []
    for (let round = 0; round < rounds; round++) {
      ours.push(await measured('the gateway', gateway))
      bare.push(await measured('the bare pipe', pipe))
    }
    for (const server of [gateway, pipe, provider]) await server.stop()
    const added = (pick: (result: StreamResult) => number) =>
      median(ours.map((result, round) => pick(result) - pick(bare[round]!)))
    const asked = rounds * many.streams
    return [
      atLeast(`of ${asked} streams whole`, asked, sum(ours, 'whole')),
      told('the bare pipe: whole', String(sum(bare, 'whole'))),
      atMost(
        'first token, added at the median',
        bars.firstMs,
        added(({ firstMs }) => firstMs.p50),
        ' ms',
      ),
      atMost(
        'first token, added at p99',
        bars.firstMs,
        added(({ firstMs }) => firstMs.p99),
        ' ms',
      ),
      atMost(
        'between tokens, added at p99',
        bars.gapMs,
        added(({ gapMs }) => gapMs.p99),
        ' ms',
      ),
      told(
        'the pipe: first token; between tokens (p50, p99)',
        `${figures(bare[0]!.firstMs)}; ${figures(bare[0]!.gapMs)}`,
      ),
      told('core of the gateway busy; of the pipe', `${share(ours)}; ${share(bare)}`),
    ]
  },
}

export const openStreams: Section = {
  name: 'open',
  title: `${open.streams} open streams, an event each ${open.tokenIntervalMs / 1000} s`,
  async run({ folder, progress }) {
    // Two descriptors for each stream in the gateway.
    const streams = Math.min(open.streams, Math.floor((descriptors - spareDescriptors) / 2))
    const provider = await startFakeProvider({ tokenIntervalMs: open.tokenIntervalMs })
    await buildBundle()
    const postgres = await startTestPostgres()
    const database = databaseEnv(postgres)
    const gateway = await startGateway({
      folder: join(folder, 'open'),
      openaiUrl: `${provider.url}/v1`,
      env: { ...bundleEnv, ...database, FIRST_TOKEN_TIMEOUT: '60s', STREAM_IDLE_TIMEOUT: '60s' },
      entry: bundleEntry,
    })
    const headers = { ...order.headers, authorization: `Bearer ${await makeKey(database)}` }
    progress.show(`open: opening ${streams} streams over ${open.rampSeconds} s`)
    await resetPeak(gateway.pid)
    const result = await runStreams({ ...order, ...open, headers, url: gateway.url, streams })
    const mib = await peakMib(gateway.pid)
    for (const server of [gateway, provider]) await server.stop()
    await postgres.close()
    const perStream = mib / streams
    return [
      atLeast(`of ${streams} streams open at once`, streams, result.unfinished),
      told('refused; failed', `${JSON.stringify(result.refused)}; ${JSON.stringify(result.failed)}`),
      atMost(`resident memory with them, at most`, bars.openMib, Math.round(mib), ' MiB'),
      ...(streams < open.streams
        ? [
            told(
              `for ${open.streams}, of which ${descriptors} descriptors do not allow more`,
              `${Math.round(perStream * open.streams)} MiB by the same share`,
            ),
          ]
        : []),
    ]
  },
}

async function once(server: Server, load: { streams: number; rampSeconds: number; holdSeconds: number }) {
  let result: StreamResult | undefined
  const { cpuSecondsPer1000 } = await measure(server, async () => {
    result = await runStreams({ ...order, ...load, url: server.url })
    const { whole, unfinished, refused, failed } = result
    const sent = whole + unfinished + total(refused) + total(failed)
    return { seconds: 1, sent, answered: whole + unfinished, refused, failed, latencyMs: { p50: 0, p99: 0, p999: 0 } }
  })
  return { result: result!, cpuSeconds: (cpuSecondsPer1000 * load.streams) / 1000 }
}

const sum = (results: readonly StreamResult[], name: 'whole') => results.reduce((all, each) => all + each[name], 0)
const figures = ({ p50, p99 }: { p50: number; p99: number }) => `${p50.toFixed(1)}, ${p99.toFixed(1)} ms`
const lastingSeconds = many.rampSeconds + (many.tokenIntervalMs * 200) / 1000
const share = (results: readonly { cpuSeconds: number }[]) =>
  `${((100 * median(results.map(({ cpuSeconds }) => cpuSeconds))) / lastingSeconds).toFixed(0)} %`
