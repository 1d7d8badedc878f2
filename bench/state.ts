/** `npm run bench:state`: what Redis costs a small completion on the hot path, against the same gateway without it. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startRedis } from '../tests/support/redis.ts'
import { cpuRatio, inWords } from './cpu-ratio.ts'
import { loadAverage } from './proc.ts'
import { supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { roundsAsked } from './rounds.ts'
import { startFakeProvider, startGateway } from './systems.ts'

const resultsFile = fileURLToPath(new URL('results/state.json', import.meta.url))
const bar = 1.15

const { rounds, seconds } = roundsAsked({ rounds: 7, seconds: 4 })
const progress = createProgress()
const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-state-'))
const met = await supervise(run, () => rm(folder, { recursive: true, force: true }))
process.exit(met ? 0 : 1)

async function run(): Promise<boolean> {
  const load = await loadAverage()
  const [provider, redis] = await Promise.all([startFakeProvider(), startRedis()])
  const openaiUrl = `${provider.url}/v1`
  const alone = await startGateway({ folder: join(folder, 'alone'), openaiUrl })
  const shared = await startGateway({ folder: join(folder, 'shared'), openaiUrl, env: { REDIS_URL: redis.url } })
  const calls = async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.admin.info('commandstats'))?.[1] ?? 0)
  let before = 0
  const { ratio, sent } = await cpuRatio({
    baseline: ['in-process', alone],
    tested: ['with Redis', shared],
    rounds,
    seconds,
    progress,
    onWarm: async () => {
      before = await calls()
    },
  })
  const scripts = (await calls()) - before
  const result = { load_before: load, rounds, seconds, ratio_cpu: ratio, scripts, sent }
  await mkdir(join(resultsFile, '..'), { recursive: true })
  await writeFile(resultsFile, `${JSON.stringify(result, null, 2)}\n`)
  progress.print(
    `\nCPU per completion with Redis against without: ${inWords(ratio, bar)}\n` +
      `${scripts} scripts for ${sent} completions; load average before ${load}`,
  )
  await Promise.all([alone.stop(), shared.stop()])
  await Promise.all([provider.stop(), redis.close()])
  return ratio.median <= bar
}
