/** `npm run bench:ledger`: what holding, settling, receipts and billing cost a small completion, against none of it. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cpuRatio, inWords } from './cpu-ratio.ts'
import { loadAverage } from './proc.ts'
import { listeningUrl, startServer, supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { roundsAsked } from './rounds.ts'
import { otherCore, startFakeProvider, startGateway } from './systems.ts'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const resultsFile = here('results/ledger.json')
const bar = 1.1

const { rounds, seconds } = roundsAsked({ rounds: 7, seconds: 4 })
const progress = createProgress()
const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-ledger-'))
const met = await supervise(run, () => rm(folder, { recursive: true, force: true }))
process.exit(met ? 0 : 1)

async function run(): Promise<boolean> {
  const load = await loadAverage()
  const provider = await startFakeProvider()
  const billing = await startServer({
    name: 'the billing system',
    command: [process.execPath, here('billing-sink.ts')],
    core: otherCore,
    ready: listeningUrl,
  })
  const openaiUrl = `${provider.url}/v1`
  const env = { BILLING_BASE_URL: billing.url }
  const off = await startGateway({
    folder: join(folder, 'off'),
    openaiUrl,
    env,
    nodeFlags: ['--import', here('without-ledger.ts')],
  })
  const on = await startGateway({ folder: join(folder, 'on'), openaiUrl, env })
  const { ratio, sent } = await cpuRatio({
    baseline: ['without the ledger', off],
    tested: ['with it', on],
    rounds,
    seconds,
    progress,
  })
  await mkdir(join(resultsFile, '..'), { recursive: true })
  await writeFile(
    resultsFile,
    `${JSON.stringify({ load_before: load, rounds, seconds, ratio_cpu: ratio, sent }, null, 2)}\n`,
  )
  progress.print(
    `\nCPU per completion with the ledger against without: ${inWords(ratio, bar)}\nload average before ${load}`,
  )
  await Promise.all([off.stop(), on.stop()])
  await Promise.all([provider.stop(), billing.stop()])
  return ratio.median <= bar
}
