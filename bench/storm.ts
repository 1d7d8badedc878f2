/** `npm run storm`: outages, chance failures and synchronised callers under load. See docs/resilience.md. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { stringify } from 'yaml'
import type { StormRow } from './bars.ts'
import { podNodeOptions } from './bundle.ts'
import { type Server, supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { table } from './rows.ts'
import { flakyRow, flakyRun } from './storm/flaky.ts'
import { herd, herdSize } from './storm/herd.ts'
import { type Caller, createCaller } from './storm/load.ts'
import { outage } from './storm/outage.ts'
import { type StormProvider, startStormProvider } from './storm/provider.ts'
import { apiKey, startGateway } from './systems.ts'

const resultFile = fileURLToPath(new URL('results/storm.json', import.meta.url))
const storms = ['outage', 'flaky', 'herd'] as const
const perSecond = 200
const connections = 256
const outages = (['unavailable', 'refused'] as const).flatMap((how) =>
  (['off', 'on'] as const).map((breaker) => ({ how, breaker, name: `${how}-${breaker}` })),
)
const herdStatuses = [503, 429] as const
/** Almost as many as a routing file holds: the budget of each lets three retries at a time through, or a fifth of its calls. */
const herdNames = Array.from({ length: 60 }, (_, i) => `herd-${i + 1}`)

const { values } = parseArgs({
  options: {
    row: { type: 'string', multiple: true, default: [...storms] },
    seconds: { type: 'string', default: '30' },
    'good-seconds': { type: 'string', default: '2' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
    json: { type: 'boolean', default: false },
  },
})
const seconds = Number(values.seconds)
const goodSeconds = Number(values['good-seconds'])
const seed = Number(values.seed)
if (!(seconds >= 1)) fail(`--seconds must be a number from 1, got ${values.seconds}`)
if (!(goodSeconds >= 0)) fail(`--good-seconds must be a number from 0, got ${values['good-seconds']}`)
if (!Number.isInteger(seed)) fail(`--seed must be a whole number, got ${values.seed}`)
for (const row of values.row) {
  if (!storms.includes(row as (typeof storms)[number])) fail(`--row must be one of ${storms.join(', ')}, got ${row}`)
}
const wanted = new Set(values.row)

const progress = createProgress()
const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-storm-'))
const rows = await supervise(run, () => rm(folder, { recursive: true, force: true }))
process.exit(rows.every(({ bars }) => bars.every(({ met }) => met)) ? 0 : 1)

async function run(): Promise<StormRow[]> {
  const provider = await startStormProvider()
  const rows: StormRow[] = []
  const done = (row: StormRow) => {
    rows.push(row)
    progress.show(`${row.storm}: ${row.bars.every(({ met }) => met) ? 'met' : 'MISSED'}`)
  }
  const routing = await writeRoutingFile(provider.url, [...outages.map(({ name }) => name), 'flaky'])
  const gateway = await startGateway({ folder, env: { GATEWAY_CONFIG: routing } })
  try {
    if (wanted.has('outage')) for (const each of outages) done(await stormOfOutage(each, gateway, provider))
    if (wanted.has('flaky')) done(await stormOfFlaky(gateway, routing, provider))
    if (wanted.has('herd')) for (const row of await stormsOfHerds(provider)) done(row)
  } finally {
    await gateway.stop()
    await provider.close()
  }

  const result = { seconds, good_seconds: goodSeconds, per_second: perSecond, rows }
  await mkdir(join(resultFile, '..'), { recursive: true })
  await writeFile(resultFile, `${JSON.stringify(result, null, 2)}\n`)
  progress.print(values.json ? JSON.stringify(result) : `\n${report(rows)}\n\nwritten to ${resultFile}`)
  return rows
}

async function writeRoutingFile(url: string, names: readonly string[]): Promise<string> {
  const file = join(folder, `routing-${names[0]}.yaml`)
  const document = {
    providers: Object.fromEntries(names.map((name) => [name, { kind: 'openai', base_url: `${url}/${name}/v1` }])),
    models: Object.fromEntries(names.map((name) => [`${name}-model`, { targets: [{ provider: name }] }])),
  }
  await writeFile(file, stringify(document))
  return file
}

async function stormOfOutage(
  { how, breaker, name }: (typeof outages)[number],
  gateway: Server,
  provider: StormProvider,
) {
  progress.show(`outage of ${seconds} s at ${perSecond} requests/s, ${how}, breaker ${breaker} …`)
  const model = `${name}-model`
  return withCaller(gateway, connections, async (caller) => {
    await Promise.all(Array.from({ length: connections }, () => caller.send(model)))
    if (breaker === 'off') await keepClosed(gateway, `${name}:${model}`)
    return outage({ how, breaker, provider, caller, model, upstream: name, goodSeconds, seconds, perSecond })
  })
}

/** The retry budget is as wide as it goes: with its usual width it stops most of these tries, which would show nothing. */
async function stormsOfHerds(provider: StormProvider): Promise<StormRow[]> {
  const routing = await writeRoutingFile(provider.url, herdNames)
  const models = herdNames.map((name) => `${name}-model`)
  const rows: StormRow[] = []
  for (const status of herdStatuses) {
    progress.show(`${herdSize} callers at once, ${status} …`)
    // Each its own: the circuits that one herd opens would stop the next.
    const gateway = await startGateway({
      folder: join(folder, `herd-${status}`),
      env: { GATEWAY_CONFIG: routing, RETRY_BUDGET_RATIO: '1', NODE_OPTIONS: podNodeOptions },
    })
    try {
      rows.push(await withCaller(gateway, herdSize, (caller) => herd({ status, provider, caller, models })))
    } finally {
      await gateway.stop()
    }
  }
  return rows
}

/** With three tries by the gateway that is running, then with one by another. */
async function stormOfFlaky(gateway: Server, routing: string, provider: StormProvider) {
  const measure = (server: Server, attempts: number) => {
    progress.show(`one call in twenty fails by chance for ${seconds} s, RETRY_MAX_ATTEMPTS=${attempts} …`)
    return withCaller(server, connections, (caller) =>
      flakyRun({ provider, caller, model: 'flaky-model', seconds, perSecond, seed }),
    )
  }
  const three = await measure(gateway, 3)
  const other = await startGateway({
    folder: join(folder, 'one-try'),
    env: { GATEWAY_CONFIG: routing, RETRY_MAX_ATTEMPTS: '1' },
  })
  try {
    return flakyRow(await measure(other, 1), three, seed)
  } finally {
    await other.stop()
  }
}

async function withCaller<T>(gateway: Server, connections: number, work: (caller: Caller) => Promise<T>): Promise<T> {
  const caller = createCaller(gateway.url, connections)
  try {
    return await work(caller)
  } finally {
    await caller.close()
  }
}

/** An operator's word: the breaker never opens. */
async function keepClosed(gateway: Server, breaker: string): Promise<void> {
  const response = await fetch(`${gateway.url}/api/v1/admin/breakers/${encodeURIComponent(breaker)}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
    body: '{"state":"closed"}',
  })
  if (!response.ok) throw new Error(`${breaker} cannot be kept closed: ${response.status} ${await response.text()}`)
}

function report(rows: readonly StormRow[]): string {
  const lines = rows.flatMap(({ storm, bars }) =>
    bars.map(({ name, want, got, met }, i) => [
      i === 0 ? storm : '',
      name,
      want,
      got,
      want === '' ? '' : met ? 'met' : 'MISSED',
    ]),
  )
  return table(['storm', 'what', 'want', 'got', ''], lines)
}

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}
