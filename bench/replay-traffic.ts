/** Sends a trace at its recorded times, compressed, every second request streamed, and tallies what comes back. */
import { Pool } from 'undici'
import { checkStream, checkWhole } from './replay-answer.ts'
import { total } from './statistics.ts'
import { apiKey } from './systems.ts'
import type { TracedRequest } from './trace.ts'

const connections = 1_024
const answerTimeoutMs = 60_000
const progressEveryMs = 5_000
const leadMs = 500
const headers = { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` }

export interface Tally {
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

export async function replay(options: {
  requests: readonly TracedRequest[]
  url: string
  speed: number
  onProgress: (text: string) => void
}): Promise<Tally> {
  const { requests, url, speed, onProgress } = options
  const pool = new Pool(url, {
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
    onProgress(
      `${sent} of ${requests.length} sent, ${complete} complete, ${total(errors)} errors, ${sent - ended} under way`,
    )
  }, progressEveryMs)
  for (const [index, traced] of requests.entries()) {
    const intended = start + traced.atMs / speed
    const waitMs = intended - performance.now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, Math.ceil(waitMs)))
    tally.lags.push(performance.now() - intended)
    send(traced, index, intended)
  }
  await allEnded.promise
  clearInterval(reporting)
  await pool.close()
  tally.seconds = (performance.now() - start) / 1000
  return tally
}

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
