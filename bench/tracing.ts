/** `npm run bench:tracing`: what traces cost a small completion when one in a hundred is sampled, against none at all. */
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
const resultsFile = here('results/tracing.json')
/** As much as leaves 0.97 of what it does without, where the core is full. */
const bar = 1 / 0.97

const { rounds, seconds } = roundsAsked({ rounds: 9, seconds: 4 })
const progress = createProgress()
const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-tracing-'))
const met = await supervise(run, () => rm(folder, { recursive: true, force: true }))
process.exit(met ? 0 : 1)

async function run(): Promise<boolean> {
  const load = await loadAverage()
  const provider = await startFakeProvider()
  const collector = await startServer({
    name: 'the collector',
    command: [process.execPath, here('trace-sink.ts')],
    core: otherCore,
    ready: listeningUrl,
  })
  const openaiUrl = `${provider.url}/v1`
  const off = await startGateway({ folder: join(folder, 'off'), openaiUrl })
  const on = await startGateway({
    folder: join(folder, 'on'),
    openaiUrl,
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_TRACES_SAMPLER: 'traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.01',
    },
  })
  const { ratio, sent } = await cpuRatio({
    baseline: ['without traces', off],
    tested: ['one in a hundred sampled', on],
    rounds,
    seconds,
    progress,
  })
  const { spans } = (await (await fetch(collector.url)).json()) as { spans: number }
  if (spans === 0) throw new Error('the collector was sent no span: nothing was measured')
  await mkdir(join(resultsFile, '..'), { recursive: true })
  await writeFile(
    resultsFile,
    `${JSON.stringify({ load_before: load, rounds, seconds, ratio_cpu: ratio, sent, spans }, null, 2)}\n`,
  )
  progress.print(
    `\nCPU per completion with traces against without: ${inWords(ratio, bar)}\n${spans} spans received; load average before ${load}`,
  )
  await Promise.all([off.stop(), on.stop()])
  await Promise.all([provider.stop(), collector.stop()])
  return ratio.median <= bar
}
