/**
 * A rolling restart of real gateways behind nginx, under load. One after another, as the manifests roll (a new pod is
 * ready before an old one is told to end): the signal, and only later nginx looks away, as endpoints and ingress do.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { databaseEnv, startTestPostgres } from '../../tests/support/postgres.ts'
import { type GatewayProcess, isAlive, startGatewayProcess } from '../../tests/support/process.ts'
import { apiKey, startFakeProvider } from '../systems.ts'
import { startLoad, type Tally } from './load.ts'
import { type Balancer, startBalancer } from './nginx.ts'

export interface RollingOptions {
  pods: number
  requestsPerSecond: number
  streams: number
  /** Between two of a stream's 200 tokens. */
  tokenIntervalMs: number
  onProgress?: (text: string) => void
}

export interface RollingResult {
  requests: Tally
  streams: Tally
  stops: Stop[]
  /** From its signal a pod may take so long, as `terminationGracePeriodSeconds` says. */
  graceMs: number
}

export interface Stop {
  /** Streams that all callers read from when the signal came. */
  live: number
  /** Of them, those that the pod itself relayed. */
  own: number
  /** null = it had to be killed. */
  exitCode: number | null
  ms: number
}

const drain = { delayMs: 3_000, timeoutMs: 60_000 }
/** What the manifests leave for the books and the sockets. */
const settleMs = 25_000
/** After the signal; a cluster takes seconds, too, of which preStop hides the first ten. */
const lookAwayMs = 1_500
/** With everything as it was. */
const calmMs = 2_000
const pollMs = 20
const allLiveWithinMs = 30_000

export async function runRolling(options: RollingOptions): Promise<RollingResult> {
  const { pods, tokenIntervalMs, onProgress = () => {} } = options
  const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-rolling-'))
  const [database, provider] = await Promise.all([startTestPostgres(), startFakeProvider({ tokenIntervalMs })])
  const started: GatewayProcess[] = []
  let balancer: Balancer | undefined
  const startPod = async () => {
    const dataDir = join(folder, `pod-${started.length}`)
    await mkdir(dataDir)
    const env = {
      ...databaseEnv(database),
      DB_MAX_CONNS: '10',
      BOOTSTRAP_API_KEY: apiKey,
      OPENAI_BASE_URL: `${provider.url}/v1`,
      RATE_LIMIT_PER_MINUTE: '100000000',
      DRAIN_DELAY: `${drain.delayMs}ms`,
      DRAIN_TIMEOUT: `${drain.timeoutMs}ms`,
    }
    const pod = await startGatewayProcess({ dataDir, env })
    started.push(pod)
    await ready(pod)
    return pod
  }
  try {
    const serving: GatewayProcess[] = []
    while (serving.length < pods) serving.push(await startPod())
    balancer = await startBalancer(folder, urlsOf(serving))
    const load = startLoad({ ...options, url: balancer.url, key: apiKey })
    await sleep(calmMs)
    const stops: Promise<Stop>[] = []
    for (const old of serving.slice()) {
      serving.push(await startPod())
      await balancer.pointTo(urlsOf(serving))
      await until(() => load.live() >= options.streams, allLiveWithinMs)
      const own = await streamsOf(old)
      onProgress(`pod ${stops.length + 1} of ${pods} is told to end, with ${own} of ${load.live()} streams`)
      stops.push(end(old, { live: load.live(), own }))
      serving.shift()
      await sleep(lookAwayMs)
      await balancer.pointTo(urlsOf(serving))
    }
    const ended = await Promise.all(stops)
    await load.end()
    return { requests: load.requests, streams: load.streams, stops: ended, graceMs: graceMs() }
  } finally {
    for (const { pid, child } of started) {
      if (isAlive(pid) && child.exitCode === null) process.kill(pid, 'SIGKILL')
    }
    await balancer?.stop()
    await provider.stop()
    await database.close()
    await rm(folder, { recursive: true, force: true })
  }
}

const graceMs = () => drain.delayMs + drain.timeoutMs + settleMs
const urlsOf = (pods: readonly GatewayProcess[]) => pods.map(({ url }) => url)

async function end(pod: GatewayProcess, { live, own }: { live: number; own: number }): Promise<Stop> {
  const from = performance.now()
  const timer = setTimeout(() => process.kill(pod.pid, 'SIGKILL'), graceMs())
  const exitCode = await pod.end('SIGTERM')
  clearTimeout(timer)
  return { live, own, exitCode, ms: performance.now() - from }
}

async function ready({ url }: GatewayProcess): Promise<void> {
  while (!(await fetch(`${url}/readyz`)).ok) await sleep(pollMs)
}

async function streamsOf({ url }: GatewayProcess): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(/^streams_in_flight (\d+)/m.exec(text)?.[1])
}

/** What does not come true in time is seen in the numbers. */
async function until(holds: () => boolean, withinMs: number): Promise<void> {
  for (const end = performance.now() + withinMs; !holds() && performance.now() < end; ) await sleep(pollMs)
}
