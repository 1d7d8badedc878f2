/** `npm run replay`: an hour of a real service's traffic through the gateway, every answer checked. See bench/README.md. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { peakMib } from './proc.ts'
import { listeningUrl, startServer, supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { replay } from './replay-traffic.ts'
import { table } from './rows.ts'
import { percentile, total } from './statistics.ts'
import { otherCore, startGateway } from './systems.ts'
import { parseTrace, type TracedRequest } from './trace.ts'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const resultFile = here('results/replay.json')
const maxPeakMib = 256

const { values } = parseArgs({
  options: {
    speed: { type: 'string', default: '10' },
    requests: { type: 'string' },
    trace: { type: 'string', default: here('data/azure-llm-inference-conv-2023.csv') },
  },
})
const speed = Number(values.speed)
const limit = values.requests === undefined ? Number.POSITIVE_INFINITY : Number(values.requests)
if (!(speed > 0)) fail(`--speed must be > 0, got ${values.speed}`)
if (!(limit >= 1)) fail(`--requests must be a whole number from 1, got ${values.requests}`)
const trace = parseTrace(await readFile(values.trace, 'utf8')).slice(0, limit)

const progress = createProgress()
const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-replay-'))
const passed = await supervise(run, () => rm(folder, { recursive: true, force: true }))
process.exit(passed ? 0 : 1)

async function run(): Promise<boolean> {
  const sandbox = await startServer({
    name: 'the sandbox',
    command: [process.execPath, here('sandbox-process.ts')],
    core: otherCore,
    ready: listeningUrl,
  })
  const gateway = await startGateway({ folder, openaiUrl: sandbox.url })
  const tally = await replay({ requests: trace, url: gateway.url, speed, onProgress: progress.show })
  const rssPeakMib = await peakMib(gateway.pid)

  const passed = tally.complete === trace.length && total(tally.errors) === 0 && rssPeakMib < maxPeakMib
  const sum = (pick: (traced: TracedRequest) => number) => trace.reduce((all, traced) => all + pick(traced), 0)
  const latency = Float64Array.from(tally.latencies).sort()
  const lag = Float64Array.from(tally.lags).sort()
  const result = {
    speed,
    sent: tally.sent,
    answered: tally.answered,
    complete: tally.complete,
    errors: tally.errors,
    prompt_tokens: { trace: sum(({ promptTokens }) => promptTokens), seen: tally.promptTokens },
    generated_tokens: { trace: sum(({ generatedTokens }) => generatedTokens), seen: tally.words },
    latency_ms: { p50: percentile(latency, 50), p99: percentile(latency, 99) },
    generator_lag_ms: { p50: percentile(lag, 50), p99: percentile(lag, 99) },
    rss_peak_mib: rssPeakMib,
    seconds: tally.seconds,
    passed,
  }
  progress.print(`\n${report(result)}`)
  await mkdir(join(resultFile, '..'), { recursive: true })
  await writeFile(resultFile, `${JSON.stringify(result, null, 2)}\n`)
  progress.print(`\n${passed ? 'passed' : 'FAILED'}; written to ${resultFile}`)
  return passed
}

function report(result: {
  sent: number
  answered: number
  complete: number
  errors: Record<string, number>
  prompt_tokens: { trace: number; seen: number }
  generated_tokens: { trace: number; seen: number }
  latency_ms: { p50: number; p99: number }
  generator_lag_ms: { p50: number; p99: number }
  rss_peak_mib: number
  seconds: number
}): string {
  const count = (value: number) => value.toLocaleString('en')
  const tokens = ({ trace, seen }: { trace: number; seen: number }) => `${count(seen)} of ${count(trace)}`
  const ms = ({ p50, p99 }: { p50: number; p99: number }) => `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`
  const errors = Object.entries(result.errors).map(([kind, times]) => `${times} x ${kind}`)
  return table(
    ['replay', `${speed} times as fast as recorded, ${result.seconds.toFixed(0)} s`],
    [
      ['sent', count(result.sent)],
      ['answered', count(result.answered)],
      ['complete', count(result.complete)],
      ['errors', errors.join(', ') || '0'],
      ['prompt tokens', tokens(result.prompt_tokens)],
      ['generated tokens', tokens(result.generated_tokens)],
      ['latency, whole answer', ms(result.latency_ms)],
      ['generator lag', ms(result.generator_lag_ms)],
      ['peak RSS of the gateway', `${result.rss_peak_mib.toFixed(0)} MiB (below ${maxPeakMib})`],
    ],
  )
}

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}
