/**
 * Sends at times fixed in advance, whatever becomes of the answers, and counts latency from the intended time: a server
 * that falls behind cannot slow its own test down. Run as a program it reads its order from OPEN_LOOP_ORDER and prints
 * one JSON result.
 */
import { Worker } from 'node:worker_threads'
import { Pool } from 'undici'
import { percentile } from './statistics.ts'

export interface OpenLoopOrder {
  url: string
  path: string
  headers: Record<string, string>
  body: string
  requestsPerSecond: number
  seconds: number
}

export interface OpenLoopResult {
  seconds: number
  sent: number
  answered: number
  refused: Record<string, number>
  failed: Record<string, number>
  latencyMs: { p50: number; p99: number; p999: number }
  /** How late the generator itself was. */
  lagMs: { p50: number; p99: number; max: number }
}

/** Beyond this the generator, not the server, would be measured. */
export const maxLagP99Ms = 2

/** The intended send times, in ms after the first. */
export function sendTimes(requestsPerSecond: number, seconds: number): Float64Array {
  if (!(requestsPerSecond > 0)) throw new RangeError(`requestsPerSecond must be > 0, got ${requestsPerSecond}`)
  return Float64Array.from(
    { length: Math.round(requestsPerSecond * seconds) },
    (_, i) => (i * 1000) / requestsPerSecond,
  )
}

const leadMs = 200
const answerTimeoutMs = 10_000
const connections = 256

async function run(order: OpenLoopOrder): Promise<OpenLoopResult> {
  const { headers, path, body } = order
  const pool = new Pool(order.url, {
    connections,
    pipelining: 1,
    headersTimeout: answerTimeoutMs,
    bodyTimeout: answerTimeoutMs,
  })
  const times = sendTimes(order.requestsPerSecond, order.seconds)
  const lags = new Float64Array(times.length)
  const latencies: number[] = []
  const result = { sent: 0, answered: 0, refused: {} as Record<string, number>, failed: {} as Record<string, number> }
  const settled = Promise.withResolvers<void>()
  let ended = 0
  const end = (counts: Record<string, number>, kind: string | number) => {
    counts[kind] = (counts[kind] ?? 0) + 1
    if (++ended === times.length) settled.resolve()
  }

  const send = (intended: number) => {
    let status = 0
    result.sent++
    pool.dispatch(
      { method: 'POST', path, headers, body },
      {
        onRequestStart() {},
        onResponseStart(_, statusCode) {
          status = statusCode
        },
        onResponseData() {},
        onResponseEnd() {
          if (status !== 200) return end(result.refused, status)
          latencies.push(performance.now() - intended)
          result.answered++
          if (++ended === times.length) settled.resolve()
        },
        onResponseError(_, error) {
          end(result.failed, (error as NodeJS.ErrnoException).code ?? error.name)
        },
      },
    )
  }

  let next = 0
  const start = performance.now() + leadMs
  const pacer = new Worker(new URL('pacer.ts', import.meta.url), {
    workerData: { firstAt: performance.timeOrigin + start, times },
  })
  pacer.on('message', (due: number) => {
    for (; next <= due; next++) {
      const intended = start + (times[next] ?? 0)
      lags[next] = performance.now() - intended
      send(intended)
    }
  })
  await settled.promise
  await pacer.terminate()
  await pool.close()
  const latency = Float64Array.from(latencies).sort()
  const lag = lags.sort()
  return {
    ...result,
    seconds: (performance.now() - start) / 1000,
    latencyMs: { p50: percentile(latency, 50), p99: percentile(latency, 99), p999: percentile(latency, 99.9) },
    lagMs: { p50: percentile(lag, 50), p99: percentile(lag, 99), max: percentile(lag, 100) },
  }
}

if (import.meta.main) {
  console.log(JSON.stringify(await run(JSON.parse(process.env.OPEN_LOOP_ORDER ?? ''))))
}
