/** `npm run bench`: the gateway beside other systems, in turn, on one core. See bench/README.md. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chatRequest, streamEnding } from './answers.ts'
import { measure, rate, runOpenLoop, type Sample } from './measure.ts'
import { explainBench } from './misses.ts'
import { maxLagP99Ms } from './open-loop.ts'
import { loadAverage } from './proc.ts'
import { canPin, type Server, supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { report } from './report.ts'
import {
  addedLatency,
  barTable,
  outcomeTable,
  type Row,
  ratioTable,
  rowsOf,
  type SectionBars,
  verdicts,
  verdictTable,
} from './rows.ts'
import { fleetTest } from './sections/fleet-test.ts'
import { footprint } from './sections/footprint.ts'
import { manyKeys } from './sections/many-keys.ts'
import { prompts } from './sections/prompts.ts'
import { concurrentStreams, openStreams } from './sections/streams.ts'
import { latencyRate, latencySecondsFactor, type Shape, shapes } from './shapes.ts'
import type { Spread } from './statistics.ts'
import * as systems from './systems.ts'
import { runWrk, unread } from './wrk.ts'

type Samples = Map<systems.SystemName, Sample[]>

const resultsFile = fileURLToPath(new URL('results/latest.json', import.meta.url))
const reportFile = fileURLToPath(new URL('results/latest.html', import.meta.url))
const warmUpSeconds = 15
const calmLoad = 0.5
const maxLoadWaitMs = 60_000
const maxVoidRuns = 3
const wantedCeiling = 3
/** The sections last longer than a shape's round. */
const maxSectionRounds = 3

const { values } = parseArgs({
  options: {
    shape: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    /** Does not wait for a quiet machine. */
    hurry: { type: 'boolean', default: false },
  },
})
const rounds = positive('rounds', values.rounds)
const seconds = positive('seconds', values.seconds)
const sections = [fleetTest, concurrentStreams, openStreams, prompts, footprint, manyKeys]
const names = [...shapes.map(({ name }) => name), 'latency', ...sections.map(({ name }) => name)]
const wanted = values.shape ?? names
const unknown = wanted.find((name) => !names.includes(name))
if (unknown) fail(`--shape ${unknown} is not one of ${names.join(', ')}`)

const progress = createProgress()
const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-bench-'))
await supervise(run, () => rm(folder, { recursive: true, force: true }))

async function run(): Promise<void> {
  const load = values.hurry ? await loadAverage() : await calm()
  const pinning = canPin ? 'server on core 0, all else on core 1' : 'no pinning here: ratios are rough'
  progress.print(`${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores, ${pinning}; load average ${load}`)

  const chosen = shapes.filter(({ name }) => wanted.includes(name))
  const provider = await systems.startFakeProvider()
  const ceilings = new Map<string, number>()
  for (const shape of chosen.filter(needsProvider)) ceilings.set(shape.name, await measureCeiling(shape, provider))
  const servers = await startSystems(chosen, provider)

  const rows: Row[] = []
  for (const shape of chosen) {
    rows.push(...rowsOf(shape, await measureShape(shape, servers, provider)))
    progress.print(`\n${ratioTable(rows.filter((row) => row.shape === shape.name))}`)
  }
  let added: ReturnType<typeof addedLatency> | undefined
  if (wanted.includes('latency')) {
    const samples = await measureLatency(servers)
    rows.push(...rowsOf({ name: 'latency', unit: { name: 'req/s', perRequest: 1 } }, samples))
    added = addedLatency(samples)
  }

  const bars: SectionBars[] = []
  // Their own servers, which the others would take memory and turns from.
  for (const server of servers.values()) await server.stop()
  for (const section of sections.filter(({ name }) => wanted.includes(name))) {
    progress.show(`${section.name}: ${section.title}`)
    const found = await section.run({ folder, progress, rounds: Math.min(rounds, maxSectionRounds) })
    bars.push({ section: section.name, title: section.title, bars: found })
    progress.print(`\n${barTable(bars.slice(-1))}`)
  }

  const targets = verdicts(rows, added)
  progress.print(
    '\nThe gateway against each system: median (lowest–highest) of the rounds; above 1 the gateway is better.',
  )
  progress.print(
    `${ratioTable(rows)}\n* judges the row: throughput, or CPU per request where a core was too busy with something else for throughput to tell.`,
  )
  progress.print(`\n${outcomeTable(rows)}`)
  for (const [name, ceiling] of ceilings) printCeiling(name, ceiling, rows)
  if (added) {
    const { p50, p99 } = added
    progress.print(`\nAdded latency at ${latencyRate} req/s: p50 ${range(p50)} ms, p99 ${range(p99)} ms`)
  }
  progress.print(`\n${verdictTable(targets)}`)
  if (bars.length > 0) progress.print(`\n${barTable(bars)}`)
  progress.print(
    explainBench([
      ...targets.filter(({ met }) => !met).map((each) => ({ ...each, of: each.name, got: each.got.toFixed(2) })),
      ...bars.flatMap(({ section, bars }) => bars.filter(({ met }) => !met).map((bar) => ({ ...bar, of: section }))),
    ]),
  )
  const result = {
    load_before: load,
    rounds,
    seconds,
    rows,
    added_ms: added,
    provider_ceiling: Object.fromEntries(ceilings),
    targets,
    sections: bars,
  }
  await mkdir(join(resultsFile, '..'), { recursive: true })
  await writeFile(resultsFile, `${JSON.stringify(result, null, 2)}\n`)
  await writeFile(reportFile, report(result))
  progress.print(`\nWritten to ${resultsFile} and, to be looked at, ${reportFile}`)
}

/** Waits a while for the machine to be quiet; the figure is printed either way. */
async function calm(): Promise<number> {
  const deadline = Date.now() + maxLoadWaitMs
  let load = await loadAverage()
  while (load >= calmLoad && Date.now() < deadline) {
    progress.show(`waiting for the machine to be quiet: load average ${load}`)
    await new Promise((resolve) => setTimeout(resolve, 5_000))
    load = await loadAverage()
  }
  return load
}

function needsProvider({ systems: all }: Shape): boolean {
  return all.includes('undici')
}

async function measureCeiling(shape: Shape, provider: Server): Promise<number> {
  progress.show(`${shape.name}: the fake provider by itself`)
  const request = { ...shape.request, headers: {} }
  const options = { url: provider.url, request, connections: shape.connections, core: systems.serverCore }
  await runWrk({ ...options, seconds: 1 })
  return rate(await runWrk({ ...options, seconds }))
}

async function startSystems(chosen: readonly Shape[], provider: Server): Promise<Map<systems.SystemName, Server>> {
  const needed = new Set(chosen.flatMap((shape) => shape.systems))
  if (wanted.includes('latency')) for (const name of ['gateway', 'undici'] as const) needed.add(name)
  const servers = new Map<systems.SystemName, Server>()
  const gateway = await systems.startGateway({ folder: join(folder, 'gateway'), openaiUrl: `${provider.url}/v1` })
  servers.set('gateway', gateway)
  if (needed.has('undici')) servers.set('undici', await systems.startUndiciProxy(provider.url))
  if (needed.has('nginx')) {
    servers.set('nginx', await systems.startNginx({ folder: join(folder, 'nginx'), upstream: provider.url }))
  }
  if (needed.has('portkey')) {
    await systems.installPeers(progress.show)
    servers.set('portkey', await systems.startPortkey())
  }
  if (needed.has('litellm')) {
    const missing = await systems.installLiteLlm(progress.show)
    if (missing === undefined) {
      const options = { folder: join(folder, 'litellm'), upstream: provider.url }
      servers.set('litellm', await systems.startLiteLlm(options))
    } else progress.print(`LiteLLM is not measured, since it cannot be installed here: ${missing}`)
  }
  if (needed.has('before')) servers.set('before', await systems.startBefore(provider.url))
  if (needed.has('node-http')) {
    const answers = join(folder, 'answers.json')
    await writeFile(answers, JSON.stringify(await captureAnswers(chosen, gateway)))
    servers.set('node-http', await systems.startNodeHttp(answers))
  }
  return servers
}

/** What the gateway says, byte for byte, for the bare server to say too. */
async function captureAnswers(
  chosen: readonly Shape[],
  gateway: Server,
): Promise<Record<string, systems.CapturedAnswer>> {
  const answers: Record<string, systems.CapturedAnswer> = {}
  for (const { request, systems: all } of chosen) {
    if (!all.includes('node-http')) continue
    const headers = systems.requestHeaders('gateway', '')
    // The first answer fills the cache, the second comes out of it.
    await (await fetch(gateway.url + request.path, { headers })).arrayBuffer()
    const response = await fetch(gateway.url + request.path, { headers })
    const perConnection = ['date', 'connection', 'keep-alive', 'transfer-encoding']
    const kept = [...response.headers].filter(([name]) => !perConnection.includes(name))
    answers[request.path] = { status: response.status, headers: Object.fromEntries(kept), body: await response.text() }
  }
  return answers
}

async function measureShape(
  shape: Shape,
  servers: ReadonlyMap<systems.SystemName, Server>,
  provider: Server,
): Promise<Samples> {
  const contenders = shape.systems.flatMap((system) => {
    if (!servers.has(system)) return []
    const server = servers.get(system)!
    const request = {
      ...shape.request,
      headers: {
        ...(shape.request.body && { 'content-type': 'application/json' }),
        ...systems.requestHeaders(system, provider.url),
      },
    }
    const load = (forSeconds: number, readAnswers = false) =>
      runWrk({
        url: server.url,
        request,
        connections: shape.connections,
        seconds: forSeconds,
        core: systems.otherCore,
        readAnswers,
      })
    return [{ system, server, request, load }]
  })
  for (const { system, server, request, load } of contenders) {
    progress.show(`${shape.name}: warming up ${system}`)
    await proveAnswer(system, server.url + request.path, request)
    await load(warmUpSeconds)
  }
  const samples: Samples = new Map(contenders.map(({ system }) => [system, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const { system, server, load } of contenders) {
      let sample = await measure(server, () => load(seconds))
      // Rare, and then the codes are worth measuring again.
      if (unread in sample.refused) sample = await measure(server, () => load(seconds, true))
      samples.get(system)?.push(sample)
      const perSecond = Math.round(rate(sample) * shape.unit.perRequest).toLocaleString('en')
      progress.show(`${shape.name} ${round}/${rounds} ${system}: ${perSecond} ${shape.unit.name}`)
    }
  }
  return samples
}

/** A system that answers something else must not be measured. */
async function proveAnswer(
  system: systems.SystemName,
  url: string,
  request: { method: string; headers: Record<string, string>; body?: string; ending?: string },
): Promise<void> {
  const { method, headers, body, ending } = request
  const response = await fetch(url, { method, headers, ...(body && { body }) })
  const text = await response.text()
  if (response.status === 200 && (ending === undefined || text.endsWith(streamEnding))) return
  throw new Error(`${system} answered ${response.status}: ${text.slice(-300)}`)
}

/** At a rate that leaves both servers room, from the intended send times. */
async function measureLatency(servers: ReadonlyMap<systems.SystemName, Server>): Promise<Samples> {
  const samples: Samples = new Map([
    ['gateway', []],
    ['undici', []],
  ])
  for (let round = 1; round <= rounds; round++) {
    for (const [system, taken] of samples) {
      const server = servers.get(system)!
      const headers = { 'content-type': 'application/json', ...systems.requestHeaders(system, '') }
      const order = {
        url: server.url,
        path: '/v1/chat/completions',
        headers,
        body: chatRequest,
        requestsPerSecond: latencyRate,
      }
      for (let attempt = 1; ; attempt++) {
        const sample = await measure(server, () => runOpenLoop({ ...order, seconds: seconds * latencySecondsFactor }))
        const { latencyMs, lagMs } = sample
        const figures = `p50 ${latencyMs.p50.toFixed(2)} p99 ${latencyMs.p99.toFixed(2)} ms, generator lag p99 ${lagMs.p99.toFixed(2)} ms`
        progress.show(`latency ${round}/${rounds} ${system}: ${figures}`)
        const isVoid = lagMs.p99 > maxLagP99Ms
        if (isVoid && attempt <= maxVoidRuns) continue
        if (isVoid)
          progress.print(
            `latency ${round}/${rounds} ${system}: the generator lagged in every run, the last one is kept`,
          )
        taken.push(sample)
        break
      }
    }
  }
  return samples
}

function printCeiling(shape: string, ceiling: number, rows: readonly Row[]): void {
  const unit = shapes.find(({ name }) => name === shape)?.unit.perRequest ?? 1
  const ours = (rows.find((row) => row.shape === shape && row.system === 'gateway')?.per_second ?? 0) / unit
  const times = ceiling / ours
  const verdict = times >= wantedCeiling ? '' : ` (below ${wantedCeiling}x: rely on CPU per request)`
  progress.print(
    `\n${shape}: the fake provider alone answers ${Math.round(ceiling).toLocaleString('en')} req/s, ${times.toFixed(1)}x ours${verdict}`,
  )
}

function range({ median, min, max }: Spread): string {
  return `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) fail(`--${name} must be a whole number from 1, got ${text}`)
  return value
}

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}
