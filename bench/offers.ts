/**
 * `npm run bench:offers`: what a search that the cache answers costs, against `/health` of the same gateway. Judged with as
 * many requests a second of both. Told beside it is the ratio of as many as the gateway takes: that is more than twice as
 * many of `/health`, which then has the fixed costs of the event loop's turns shared among more.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cpuRatio, inWords } from './cpu-ratio.ts'
import { loadAverage } from './proc.ts'
import { supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { roundsAsked } from './rounds.ts'
import { apiKey, startGateway } from './systems.ts'
import type { LoadRequest } from './wrk.ts'

const resultsFile = fileURLToPath(new URL('results/offers.json', import.meta.url))
const bar = 2
const requestsPerSecond = 4_000
const searches = {
  'all offers, 50 of them': '/api/v1/gpu/offers',
  'a filter': '/api/v1/gpu/offers?gpu_model=RTX%204090&min_vram=24&max_price=1&min_reliability=0.9&disk_gb=40',
}

const { rounds, seconds } = roundsAsked({ rounds: 7, seconds: 3 })
const progress = createProgress()
const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-offers-'))
const met = await supervise(run, () => rm(folder, { recursive: true, force: true }))
process.exit(met ? 0 : 1)

async function run(): Promise<boolean> {
  const load = await loadAverage()
  const gateway = await startGateway({ folder })
  const headers = { authorization: `Bearer ${apiKey}` }
  const get = (path: string): LoadRequest => ({ method: 'GET', path, headers })
  type Ratio = Awaited<ReturnType<typeof cpuRatio>>['ratio']
  const results: { search: string; bytes: number; ratio_cpu: Ratio; ratio_cpu_at_most: Ratio }[] = []
  for (const [search, path] of Object.entries(searches)) {
    const answer = await fetch(gateway.url + path, { headers })
    const bytes = (await answer.arrayBuffer()).byteLength
    if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}`)
    const pair = {
      baseline: ['/health', gateway, get('/health')],
      tested: [`${search}, ${bytes} bytes`, gateway, get(path)],
      ...{ rounds, seconds, progress },
    } satisfies Parameters<typeof cpuRatio>[0]
    const even = await cpuRatio({ ...pair, requestsPerSecond })
    progress.print(
      `CPU per search against /health, ${requestsPerSecond} of each a second: ${inWords(even.ratio, bar)}\n`,
    )
    const most = await cpuRatio(pair)
    progress.print(`the same, as many of each as are taken: ${most.ratio.median.toFixed(3)}\n`)
    results.push({ search, bytes, ratio_cpu: even.ratio, ratio_cpu_at_most: most.ratio })
  }
  await mkdir(join(resultsFile, '..'), { recursive: true })
  await writeFile(resultsFile, `${JSON.stringify({ load_before: load, rounds, seconds, results }, null, 2)}\n`)
  progress.print(`load average before ${load}`)
  await gateway.stop()
  return results.every(({ ratio_cpu }) => ratio_cpu.median <= bar)
}
