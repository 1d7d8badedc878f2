/** `npm run bench:cache`: one offer search from its source, from Redis and from memory, side by side in one run. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Pool } from 'undici'
import { startRedis } from '../tests/support/redis.ts'
import { cpuSeconds } from './proc.ts'
import { listeningUrl, type Server, startServer, supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { table } from './rows.ts'
import { median, percentile, roundRatios, type Spread, spread } from './statistics.ts'
import { apiKey, otherCore, startGateway } from './systems.ts'

const resultFile = fileURLToPath(new URL('results/cache.json', import.meta.url))
const path = '/api/v1/gpu/offers?provider=vastai&gpu_model=RTX%204090'

/** Between two searches: longer than the memory's time where it is to be asked nothing. */
const pauseMs = 3

/** Where an answer comes from, what makes the gateway take it from there, and the searches of a round. */
const tiers = {
  source: { env: { CACHE_LOCAL_TTL: '1ms' }, redis: false, searches: 40, says: 'miss' },
  redis: { env: { CACHE_LOCAL_TTL: '1ms' }, redis: true, searches: 1_000, says: 'redis' },
  memory: { env: {}, redis: true, searches: 2_000, says: 'memory' },
} as const
type Tier = keyof typeof tiers
const names = Object.keys(tiers) as Tier[]

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    'market-ms': { type: 'string', default: '250' },
    json: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const marketMs = Number(values['market-ms'])
if (!(rounds >= 1)) fail(`--rounds must be a number from 1, got ${values.rounds}`)
if (!(marketMs >= 0)) fail(`--market-ms must be a number from 0, got ${values['market-ms']}`)

interface Round {
  p50Ms: number
  p99Ms: number
  cpuSPer1000: number
  sent: number
  answered: number
  /** Answers by the tier that they say they come from. */
  cache: Record<string, number>
}

const progress = createProgress()
const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-cache-'))
await supervise(run, () => rm(folder, { recursive: true, force: true }))

async function run() {
  const redis = await startRedis()
  const market = await startServer({
    name: 'the market',
    command: [process.execPath, fileURLToPath(new URL('cache-market.ts', import.meta.url))],
    env: { MARKET_MS: String(marketMs) },
    core: otherCore,
    ready: listeningUrl,
  })
  const gateways = {} as Record<Tier, Server>
  for (const name of names) {
    progress.show(`starting the gateway for ${name} …`)
    const { env, redis: withRedis } = tiers[name]
    gateways[name] = await startGateway({
      folder: join(folder, name),
      env: { VASTAI_BASE_URL: market.url, LOG_LEVEL: 'info', ...env, ...(withRedis && { REDIS_URL: redis.url }) },
    })
  }
  const results: Record<Tier, Round[]> = { source: [], redis: [], memory: [] }
  try {
    for (let round = 0; round <= rounds; round++) {
      for (const name of names) {
        progress.show(round === 0 ? `warming up ${name} …` : `round ${round} of ${rounds}: ${name} …`)
        const result = await measure(gateways[name], tiers[name].searches)
        if (round > 0) results[name].push(result)
      }
    }
  } finally {
    await Promise.all([...names.map((name) => gateways[name].stop()), market.stop(), redis.close()])
  }
  await report(results)
}

/** One search after the other: what one caller waits for. */
async function measure(gateway: Server, searches: number): Promise<Round> {
  const pool = new Pool(gateway.url, { connections: 1 })
  const times: number[] = []
  const cache: Record<string, number> = {}
  let answered = 0
  const search = async () => {
    const headers = { authorization: `Bearer ${apiKey}` }
    const { statusCode, headers: got, body } = await pool.request({ method: 'GET', path, headers })
    const { offers } = (await body.json()) as { offers: unknown[] }
    return { ok: statusCode === 200 && offers.length > 0, cache: String(got['x-cache']) }
  }
  await search()
  const cpuBefore = await cpuSeconds(gateway.pid)
  for (let i = 0; i < searches; i++) {
    await sleep(pauseMs)
    const from = performance.now()
    const result = await search()
    times.push(performance.now() - from)
    if (result.ok) answered++
    cache[result.cache] = (cache[result.cache] ?? 0) + 1
  }
  const cpu = (await cpuSeconds(gateway.pid)) - cpuBefore
  await pool.close()
  times.sort((a, b) => a - b)
  return {
    p50Ms: percentile(times, 50),
    p99Ms: percentile(times, 99),
    cpuSPer1000: (cpu / searches) * 1_000,
    sent: searches,
    answered,
    cache,
  }
}

async function report(results: Record<Tier, Round[]>) {
  const of = (name: Tier, value: keyof Round) => results[name].map((round) => round[value] as number)
  const faster = (value: 'p50Ms' | 'p99Ms' | 'cpuSPer1000', slow: Tier, fast: Tier): Spread =>
    spread(roundRatios(of(slow, value), of(fast, value)))
  const rows = names.map((name) => {
    const sum = (value: 'sent' | 'answered') => of(name, value).reduce((all, each) => all + each, 0)
    const right = results[name].reduce((all, { cache }) => all + (cache[tiers[name].says] ?? 0), 0)
    return {
      tier: name,
      sent: sum('sent'),
      answered: sum('answered'),
      from_this_tier: right,
      p50_ms: median(of(name, 'p50Ms')),
      p99_ms: median(of(name, 'p99Ms')),
      cpu_s_per_1000: median(of(name, 'cpuSPer1000')),
    }
  })
  const ratios = (
    [
      ['source', 'redis'],
      ['source', 'memory'],
      ['redis', 'memory'],
    ] as const
  ).map(([slow, fast]) => ({
    slow,
    fast,
    p50: faster('p50Ms', slow, fast),
    p99: faster('p99Ms', slow, fast),
    cpu: faster('cpuSPer1000', slow, fast),
  }))
  const result = { market_ms: marketMs, rounds, cpu: cpus()[0]?.model, rows, ratios }
  await mkdir(join(resultFile, '..'), { recursive: true })
  await writeFile(resultFile, `${JSON.stringify(result, null, 2)}\n`)
  if (values.json) return progress.print(JSON.stringify(result))
  const times = ({ median, min, max }: Spread) => `${median.toFixed(1)} (${min.toFixed(1)}–${max.toFixed(1)})`
  progress.print(
    [
      `\noffer search, one caller, the market answers after ${marketMs} ms, ${rounds} rounds side by side\n`,
      table(
        ['from', 'sent', 'answered', 'from this tier', 'p50 ms', 'p99 ms', 'CPU s/1000'],
        rows.map((row) => [
          row.tier,
          String(row.sent),
          String(row.answered),
          String(row.from_this_tier),
          row.p50_ms.toFixed(2),
          row.p99_ms.toFixed(2),
          row.cpu_s_per_1000.toFixed(3),
        ]),
      ),
      '',
      table(
        ['how many times less', 'p50', 'p99', 'CPU'],
        ratios.map(({ slow, fast, p50, p99, cpu }) => [`${fast} than ${slow}`, times(p50), times(p99), times(cpu)]),
      ),
      `\nwritten to ${resultFile}`,
    ].join('\n'),
  )
}

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}
