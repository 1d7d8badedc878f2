/** `npm run replay`: an hour of a real service's traffic through the gateway, every answer checked. See bench/README.md. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Pool } from 'undici'
import { peakMib } from './proc.ts'
import { listeningUrl, type Server, startServer, stopAll, stopOnSignals } from './processes.ts'
import { createProgress } from './progress.ts'
import { checkStream, checkWhole } from './replay-answer.ts'
import { table } from './rows.ts'
import { percentile, total } from './statistics.ts'
import { apiKey, otherCore, startGateway } from './systems.ts'
import { parseTrace, type TracedRequest } from './trace.ts'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const resultFile = here('results/replay.json')
const maxPeakMib = 256
const connections = 1_024
const answerTimeoutMs = 60_000
const progressEveryMs = 5_000
const leadMs = 500

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
const removeFolder = () => rm(folder, { recursive: true, force: true })
stopOnSignals(removeFolder)
let passed = false
try {
  passed = await run()
} finally {
  await stopAll()
  await removeFolder()
}
process.exit(passed ? 0 : 1)

async function run(): Promise<boolean> {
  const sandbox = await startServer({
    name: 'the sandbox',
    command: [process.execPath, here('sandbox-process.ts')],
    core: otherCore,
    ready: listeningUrl,
  })
  const gateway = await startGateway({ folder, openaiUrl: sandbox.url })
  const tally = await replay(trace, gateway)
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

interface Tally {
  sent: number
  answered: number
  complete: number
  words: number
  /** Of complete answers, as their usage tells. */
  promptTokens: number
  errors: Record<string, number>
  latencies: number[]
  lags: number[]
  seconds: number
}

async function replay(requests: readonly TracedRequest[], gateway: Server): Promise<Tally> {
  const pool = new Pool(gateway.url, {
    connections,
    pipelining: 1,
    headersTimeout: answerTimeoutMs,
    bodyTimeout: answerTimeoutMs,
  })
  const tally: Tally = {
    sent: 0,
    answered: 0,
    complete: 0,
    words: 0,
    promptTokens: 0,
    errors: {},
    latencies: [],
    lags: [],
    seconds: 0,
  }
  const allEnded = Promise.withResolvers<void>()
  const start = performance.now() + leadMs
  let ended = 0

  const send = (traced: TracedRequest, index: number, intended: number) => {
    const stream = index % 2 === 1
    const check = stream ? checkStream(traced) : checkWhole(traced)
    let status = 0
    const end = (error: string | undefined) => {
      tally.words += check.words()
      if (error === undefined) {
        tally.complete++
        tally.promptTokens += traced.promptTokens
        tally.latencies.push(performance.now() - intended)
      } else tally.errors[error] = (tally.errors[error] ?? 0) + 1
      if (++ended === requests.length) allEnded.resolve()
    }
    tally.sent++
    pool.dispatch(
      { method: 'POST', path: '/v1/chat/completions', headers, body: requestBody(traced, stream) },
      {
        onRequestStart() {},
        onResponseStart(_, statusCode) {
          status = statusCode
        },
        onResponseData(_, chunk) {
          if (status === 200) check.read(chunk)
        },
        onResponseEnd() {
          if (status !== 200) return end(`status ${status}`)
          tally.answered++
          end(check.end())
        },
        onResponseError(_, error) {
          end((error as NodeJS.ErrnoException).code ?? error.name)
        },
      },
    )
  }

  const reporting = setInterval(() => {
    const { sent, complete, errors } = tally
    progress.show(
      `${sent} of ${requests.length} sent, ${complete} complete, ${total(errors)} errors, ${sent - ended} under way`,
    )
  }, progressEveryMs)
  for (const [index, traced] of requests.entries()) {
    const intended = start + traced.atMs / speed
    const waitMs = intended - performance.now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    tally.lags.push(performance.now() - intended)
    send(traced, index, intended)
  }
  await allEnded.promise
  clearInterval(reporting)
  await pool.close()
  tally.seconds = (performance.now() - start) / 1000
  return tally
}

const headers = { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` }

/** Made when it is due: all prompts of the trace together would be 100 MB. */
function requestBody({ promptTokens, generatedTokens }: TracedRequest, stream: boolean): string {
  const content = 'word '.repeat(promptTokens - 1).concat('end')
  return JSON.stringify({
    model: 'gpt-4o-mini',
    messages: [{ role: 'user', content }],
    max_tokens: generatedTokens,
    ...(stream && { stream, stream_options: { include_usage: true } }),
  })
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
