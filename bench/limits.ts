/**
 * `npm run limits`: the bundle that the image holds, in production, within the limits of the manifests: one CPU and 1 GiB,
 * by a control group. It must start, idle within its request, serve its share, refuse what is too much, and live.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { databaseEnv, startTestPostgres } from '../tests/support/postgres.ts'
import { chatRequest, streamEnding, streamRequest } from './answers.ts'
import { atLeast, atMost, type Bar, told } from './bars.ts'
import { buildBundle, bundleEntry, bundleEnv, makeKey } from './bundle.ts'
import { type ControlGroup, createGroup, type GroupUsage } from './cgroup.ts'
import { findPeak } from './find-peak.ts'
import type { OpenLoopOrder, OpenLoopResult } from './open-loop.ts'
import type { Flow, OverloadOrder, OverloadResult } from './overload-load.ts'
import { loadAverage, residentMib } from './proc.ts'
import { listeningUrl, runChild, type Server, startServer, supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { table } from './rows.ts'
import { total } from './statistics.ts'
import { otherCore, startFakeProvider } from './systems.ts'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const resultsFile = here('results/limits.json')
const mib = 1024 * 1024
const limits = { cores: 1, memoryBytes: 1024 * mib }
const idleSeconds = 15
const small = { perSecond: 1_000, seconds: 20 }
const streams = { tokenIntervalMs: 10, sweepSeconds: 6, warmUpSeconds: 6, seconds: 20, times: 3 }
const livezPerSecond = 20
const path = '/v1/chat/completions'
const headersOf = (key: string) => ({ 'content-type': 'application/json', authorization: `Bearer ${key}` })
const bars = { startMs: 10_000, idleMib: 256, smallP99Ms: 50 }

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } })
const progress = createProgress()
const group = await createGroup(`gpuproxy-limits-${process.pid}`, limits).catch((error: Error) => {
  console.error(error.message)
  console.error('Run it as root on a host or in a container that may make control groups (cgroup v1 or v2).')
  process.exit(1)
})
const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-limits-'))
const postgres = await startTestPostgres()
const all = await supervise(run, async () => {
  await postgres.close()
  await group.remove()
  await rm(folder, { recursive: true, force: true })
})
process.exit(all.every(({ met }) => met) ? 0 : 1)

async function run(): Promise<Bar[]> {
  progress.show(`${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores; load average ${await loadAverage()}`)
  await buildBundle()
  const provider = await startFakeProvider({ tokenIntervalMs: streams.tokenIntervalMs })
  const env = databaseEnv(postgres)

  const startedAt = performance.now()
  const gateway = await startInGroup(group, { ...env, OPENAI_BASE_URL: `${provider.url}/v1` })
  const startMs = performance.now() - startedAt
  progress.show(`started in ${startMs.toFixed(0)} ms; idle for ${idleSeconds} s`)
  const key = await makeKey(env)
  await sleep(idleSeconds * 1_000)
  const idle = { ...(await group.usage()), residentMib: await residentMib(gateway.pid) }

  progress.show(`${small.perSecond} small completions a second for ${small.seconds} s`)
  const fast = await serveSmall(gateway, key)
  const afterSmall = await group.usage()
  const many = await overload(gateway, key)
  const end = await group.usage()
  const alive = await fetch(`${gateway.url}/livez`).then(
    ({ ok }) => ok,
    () => false,
  )

  const found = verdicts({ startMs, idle, fast, afterSmall, many, end, alive })
  await mkdir(join(resultsFile, '..'), { recursive: true })
  await writeFile(resultsFile, `${JSON.stringify({ bars: found, startMs, idle, fast, many, end }, null, 2)}\n`)
  const rows = found.map(({ name, want, got, met }) => [name, want, got, want === '' ? '' : met ? 'met' : 'MISSED'])
  progress.print(values.json ? JSON.stringify({ bars: found }) : `\n${table(['what', 'want', 'got', ''], rows)}`)
  await gateway.stop()
  return found
}

/** As the container is started: the shell enters the group and turns into the gateway. */
function startInGroup({ joinFiles }: ControlGroup, env: Record<string, string>): Promise<Server> {
  const enter = 'for file in $JOIN; do echo $$ > "$file" || exit 1; done; exec "$@"'
  return startServer({
    name: 'the gateway',
    command: ['sh', '-c', enter, 'sh', process.execPath, bundleEntry],
    env: { JOIN: joinFiles.join(' '), DATA_DIR: join(folder, 'data'), ...bundleEnv, ...env },
    logFile: join(folder, 'gateway.log'),
    ready: listeningUrl,
  })
}

async function serveSmall({ url }: Server, key: string): Promise<OpenLoopResult> {
  const { perSecond: requestsPerSecond, seconds } = small
  const order: OpenLoopOrder = { url, path, headers: headersOf(key), body: chatRequest, requestsPerSecond, seconds }
  return JSON.parse(await generator('open-loop.ts', { OPEN_LOOP_ORDER: JSON.stringify(order) }, seconds))
}

interface Overload {
  peakPerSecond: number
  result: OverloadResult
}

async function overload(gateway: Server, key: string): Promise<Overload> {
  const offer = async (requestsPerSecond: number, seconds: number): Promise<OverloadResult> => {
    const flood: Flow = {
      name: 'streams',
      method: 'POST',
      path,
      headers: headersOf(key),
      body: streamRequest,
      requestsPerSecond,
      ending: streamEnding,
    }
    // As the kubelet asks: each time on a connection of its own.
    const livez: Flow = {
      name: 'livez',
      method: 'GET',
      path: '/livez',
      headers: { connection: 'close' },
      requestsPerSecond: livezPerSecond,
    }
    const order: OverloadOrder = { url: gateway.url, flows: [flood, livez], ...streams, seconds }
    const env = { OVERLOAD_ORDER: JSON.stringify(order) }
    return JSON.parse(await generator('overload-load.ts', env, streams.warmUpSeconds + seconds))
  }
  const peakPerSecond = await findPeak(async (rate) => {
    const [flood] = (await offer(rate, streams.sweepSeconds)).flows
    progress.show(`${rate.toFixed(0)} streams/s asked for, ${flood!.wholePerSecond.toFixed(0)}/s whole`)
    return flood!.wholePerSecond
  })
  progress.show(`${streams.times} times ${peakPerSecond.toFixed(0)} streams/s for ${streams.seconds} s`)
  return { peakPerSecond, result: await offer(peakPerSecond * streams.times, streams.seconds) }
}

function generator(file: string, env: Record<string, string>, seconds: number): Promise<string> {
  return runChild({ command: [process.execPath, here(file)], env, core: otherCore, timeoutMs: (seconds + 90) * 1_000 })
}

function verdicts(found: {
  startMs: number
  idle: GroupUsage & { residentMib: number }
  fast: OpenLoopResult
  afterSmall: GroupUsage
  many: Overload
  end: GroupUsage
  alive: boolean
}): Bar[] {
  const { startMs, idle, fast, afterSmall, many, end, alive } = found
  const [flood, livez] = many.result.flows as [OverloadResult['flows'][0], OverloadResult['flows'][0]]
  const share = (usage: GroupUsage) => `${((100 * usage.throttled) / Math.max(usage.periods, 1)).toFixed(0)} %`
  const ms = (value: number | null) => (value === null ? '-' : `${value.toFixed(0)} ms`)
  return [
    atMost('listens after', bars.startMs, Math.round(startMs), ' ms'),
    // Pages of Node's own file count for the group that read them first, so the process's own number is the careful one.
    atMost('resident, idle', bars.idleMib, Math.round(idle.residentMib), ' MiB'),
    told('working set, idle', `${Math.round(idle.workingSetBytes / mib)} MiB`),
    atLeast(`of ${fast.sent} small completions answered`, fast.sent, fast.answered),
    atMost(`p99 at ${small.perSecond} small completions/s`, bars.smallP99Ms, fast.latencyMs.p99, ' ms'),
    told('their p50; generator late (p99)', `${fast.latencyMs.p50.toFixed(1)} ms; ${fast.lagMs.p99.toFixed(1)} ms`),
    told('working set after them', `${Math.round(afterSmall.workingSetBytes / mib)} MiB`),
    told('peak, 200-token streams', `${many.peakPerSecond.toFixed(0)} whole/s`),
    atLeast(`refused with 503 at ${streams.times} times that`, 1, flood.refused['503'] ?? 0),
    atMost('refused with another status', 0, total(flood.refused) - (flood.refused['503'] ?? 0)),
    atMost('cut or unanswered', 0, total(flood.failed)),
    told('whole meanwhile; accepted p99', `${flood.wholePerSecond.toFixed(0)}/s; ${ms(flood.latencyMs.p99)}`),
    atLeast(`of ${livez.sent} liveness probes answered`, livez.sent, livez.whole),
    told('the slowest', ms(livez.latencyMs.max)),
    atMost('killed for want of memory', 0, end.oomKills),
    atLeast('alive at the end', 1, alive ? 1 : 0),
    told('memory at most', `${Math.round(end.peakBytes / mib)} of ${limits.memoryBytes / mib} MiB`),
    told('periods in which the CPU was used up', `idle ${share(idle)}, in all ${share(end)}`),
  ]
}
