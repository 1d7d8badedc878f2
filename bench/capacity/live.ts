/**
 * The live run: two to six real gateways, started and stopped by a small controller that goes by their own /metrics, under
 * a recorded hour in two minutes. The model says beforehand how many pod-seconds that takes, and is held to it.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { databaseEnv, startTestPostgres } from '../../tests/support/postgres.ts'
import { streamEnding, streamRequest, streamTokens } from '../answers.ts'
import { atLeast, atMost, type Bar, told } from '../bars.ts'
import { type Flow, send } from '../overload-load.ts'
import { supervise } from '../processes.ts'
import type { Progress } from '../progress.ts'
import { table } from '../rows.ts'
import { apiKey, startFakeProvider } from '../systems.ts'
import { parseTrace, type TracedRequest } from '../trace.ts'
import { createHpa, type HpaSpec } from './hpa.ts'
import { type LivePod, startLivePod } from './live-pod.ts'
import { forecastDefaults, pod as podModel } from './policies.ts'
import type { Scrape } from './scrapes.ts'
import { type SimulationResult, simulate } from './simulate.ts'
import { workloadOf } from './workload.ts'

/** The recorded hour so many times as fast, and of its requests one in so many. */
const speed = 30
const oneIn = 4
const tokenMs = 10
const syncMs = 5_000
/** Of a pod: so few that two cores carry six. */
const target = { requestsPerSecond: 13, streams: 22 }
/** An hour's rules made to fit two minutes. */
const hpa: HpaSpec = {
  minReplicas: 2,
  maxReplicas: 6,
  metrics: [
    { kind: 'pods', name: 'http_requests_per_second', averageValue: target.requestsPerSecond },
    { kind: 'pods', name: 'streams_in_flight', averageValue: target.streams },
  ],
  behavior: {
    scaleUp: { stabilizationMs: 0, selectPolicy: 'Max', policies: [{ type: 'Pods', value: 2, periodMs: syncMs }] },
    scaleDown: {
      stabilizationMs: 15_000,
      selectPolicy: 'Max',
      policies: [{ type: 'Pods', value: 1, periodMs: syncMs }],
    },
  },
  flags: { syncPeriodMs: syncMs },
}
const scrape: Scrape = { everyMs: syncMs, rateMs: 2 * syncMs }
const bars = { offPercent: 15, mostPods: 5 }
const simulationStepMs = 50
const resultsFile = fileURLToPath(new URL('../results/capacity-live.json', import.meta.url))

interface Outcome {
  podSeconds: number
  pods: { t: number; n: number }[]
  /** What the gateways' own gauges asked for, at those times. */
  forecast: number[]
  sent: number
  whole: number
}

/** @returns whether every bar was met */
export async function runLive(options: { traceFile: string; json: boolean; progress: Progress }): Promise<boolean> {
  const { traceFile, json, progress } = options
  const recorded = parseTrace(await readFile(traceFile, 'utf8'))
  const requests = recorded
    .filter((_, i) => i % oneIn === 0)
    .map(({ atMs }): TracedRequest => ({ atMs: atMs / speed, promptTokens: 1, generatedTokens: streamTokens }))
  const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-capacity-'))
  const postgres = await startTestPostgres()
  const found = await supervise(
    () => run(requests, folder, databaseEnv(postgres), progress),
    async () => {
      await postgres.close()
      await rm(folder, { recursive: true, force: true })
    },
  )
  await mkdir(join(resultsFile, '..'), { recursive: true })
  await writeFile(resultsFile, `${JSON.stringify(found, null, 2)}\n`)
  const rows = found.bars.map(({ name, want, got, met }) => [
    name,
    want,
    got,
    want === '' ? '' : met ? 'met' : 'MISSED',
  ])
  progress.print(json ? JSON.stringify(found) : `\n${table(['what', 'want', 'got', ''], rows)}`)
  return found.bars.every(({ met }) => met)
}

async function run(requests: TracedRequest[], folder: string, database: Record<string, string>, progress: Progress) {
  const provider = await startFakeProvider({ tokenIntervalMs: tokenMs })
  const env = {
    ...database,
    DB_MAX_CONNS: '8',
    DB_MIN_CONNS: '2',
    AUTOSCALER_POD_REQUESTS_PER_SECOND: String(target.requestsPerSecond),
    AUTOSCALER_POD_STREAMS: String(target.streams),
    AUTOSCALER_BOOT_TIME: '1s',
  }
  const start = (i: number) => startLivePod({ name: `pod-${i}`, folder, openaiUrl: `${provider.url}/v1`, env, scrape })
  const first = Array.from({ length: hpa.minReplicas }, (_, i) => start(i))
  for (const pod of first) await pod.ready
  const bootMs = Math.max(...first.map((pod) => pod.bootMs))
  const streamMs = await timeOneStream(first[0]!)
  progress.show(`a pod boots in ${bootMs.toFixed(0)} ms, a stream takes ${streamMs.toFixed(0)} ms`)

  const predicted = predict(requests, bootMs, streamMs)
  progress.show(`predicted: ${predicted.podSeconds.toFixed(0)} pod-seconds`)
  const live = await follow(requests, first, start, progress)
  return { bars: verdicts(predicted, live), predicted, live }
}

async function timeOneStream({ pool }: LivePod): Promise<number> {
  const startedAt = performance.now()
  await new Promise<void>((resolve, reject) =>
    send(pool!, flow, (status, whole) => (whole ? resolve() : reject(new Error(`a stream ended with ${status}`)))),
  )
  return performance.now() - startedAt
}

function predict(requests: readonly TracedRequest[], bootMs: number, streamMs: number): SimulationResult {
  return simulate({
    workload: workloadOf(requests, {
      stepMs: simulationStepMs,
      rate: 1,
      spreadMs: 0,
      firstTokenMs: 0,
      tokenMs: streamMs / streamTokens,
    }),
    hpa,
    pod: { ...podModel, pendingMs: 0, startMs: bootMs, minDrainMs: 0 },
    scrape,
    syncAfterScrapeMs: 0,
    forecast: forecastDefaults,
    initialReplicas: hpa.minReplicas,
  })
}

/** Sends to whoever is ready, in turn, and lets the autoscaler look every few seconds. */
async function follow(
  requests: readonly TracedRequest[],
  first: readonly LivePod[],
  start: (i: number) => LivePod,
  progress: Progress,
): Promise<Outcome> {
  const controller = createHpa(hpa)
  const all = [...first]
  const pods = [{ t: 0, n: first.length }]
  const forecast: number[] = []
  const ending: Promise<void>[] = []
  const tally = { sent: 0, whole: 0 }
  const there = () => all.filter((pod) => pod.goneAtMs === undefined)
  let replicas = first.length
  const startMs = performance.now()
  const endMs = startMs + requests.at(-1)!.atMs

  const sync = async () => {
    const shares = await Promise.all(all.map((pod) => pod.scrape()))
    const asked = (of: 'arrivals' | 'streams') => shares.reduce((sum, share) => sum + share[of], 0)
    forecast.push(Math.ceil(Math.max(asked('arrivals'), asked('streams'))))
    const view = { nowMs: performance.now(), replicas, pods: there().map((pod) => pod.view()), external: {} }
    const wanted = controller.sync(view)
    for (let i = replicas; i < wanted; i++) {
      const pod = start(all.length)
      all.push(pod)
      ending.push(pod.ready)
      pod.ready.catch(() => {}) // Awaited at the end.
    }
    const youngest = all.filter((pod) => pod.view().phase !== 'deleted').reverse()
    for (const pod of youngest.slice(0, Math.max(0, replicas - wanted))) ending.push(pod.delete())
    replicas = wanted
    const t = Math.round((performance.now() - startMs) / 1_000)
    pods.push({ t, n: there().length })
    progress.show(`${t} s: ${replicas} pods, ${tally.whole} of ${tally.sent} streams whole`)
  }
  const syncing = (async () => {
    for (let due = startMs + syncMs; due < endMs; due += syncMs) {
      await sleep(Math.max(0, due - performance.now()))
      await sync()
    }
  })()
  syncing.catch(() => {}) // Awaited below.

  const answers: Promise<void>[] = []
  for (const { atMs } of requests) {
    const waitMs = startMs + atMs - performance.now()
    if (waitMs > 1) await sleep(waitMs)
    const pools = all.flatMap(({ pool }) => pool ?? [])
    const pool = pools[tally.sent++ % pools.length]!
    answers.push(
      new Promise((resolve) =>
        send(pool, flow, (_, whole) => {
          if (whole) tally.whole++
          resolve()
        }),
      ),
    )
  }
  await syncing
  const podSeconds =
    all.reduce((sum, pod) => {
      const from = Math.max(pod.createdAtMs, startMs)
      return sum + (Math.min(pod.goneAtMs ?? endMs, endMs) - from)
    }, 0) / 1_000
  await Promise.all(answers)
  await Promise.all(ending)
  await Promise.all(there().map((pod) => pod.delete()))
  return { podSeconds, pods, forecast, ...tally }
}

const flow: Flow = {
  name: 'streams',
  method: 'POST',
  path: '/v1/chat/completions',
  headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
  body: streamRequest,
  requestsPerSecond: 0,
  ending: streamEnding,
}

function verdicts(predicted: SimulationResult, live: Outcome): Bar[] {
  const off = 100 * Math.abs(predicted.podSeconds / live.podSeconds - 1)
  const counts = live.pods.map(({ n }) => n)
  return [
    told('pod-seconds, predicted before', predicted.podSeconds.toFixed(0)),
    told('pod-seconds, live', live.podSeconds.toFixed(0)),
    atMost('the prediction is off by', bars.offPercent, off, ' %'),
    atLeast('most pods', bars.mostPods, Math.max(...counts)),
    told('first, and at the end', `${counts[0]}, ${counts.at(-1)}`),
    atLeast('most that their own gauges asked for, 31 s ahead', bars.mostPods, Math.max(...live.forecast)),
    told('those, every 5 s', live.forecast.join(' ')),
    atLeast(`of ${live.sent} streams whole`, live.sent, live.whole),
  ]
}
