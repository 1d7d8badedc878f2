/**
 * Sends at times fixed in advance, whatever becomes of the answers, and counts latency from the intended time: a server
 * that falls behind cannot slow its own test down. Run as a program it reads its order from OPEN_LOOP_ORDER and prints
 * one JSON result.
 */
import { readFile } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import { Pool } from 'undici'
import { percentile } from './statistics.ts'

export interface OpenLoopOrder {
  url: string
  /** @default 'POST' */
  method?: 'GET' | 'POST'
  path: string
  headers: Record<string, string>
  body?: string
  /** Instead of `body`: one that is too long to be handed to a process. */
  bodyFile?: string
  requestsPerSecond: number
  seconds: number
  /** All are opened beforehand: one that must first be made, or is refused by a full backlog, is another test. @default 128 */
  connections?: number
  /** Between what warms up and the test, for what that has set off behind the server, in its database. @default 200 */
  restMs?: number
}

export interface OpenLoopResult {
  seconds: number
  /** Answered before the test began. */
  warmUp: number
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

const answerTimeoutMs = 10_000
/** Requests one connection sends before the test, so that the generator and the server are warm. */
const warmUpRounds = 16

async function run(order: OpenLoopOrder): Promise<OpenLoopResult> {
  const { method = 'POST', headers, path, bodyFile, connections = 128, restMs = 200 } = order
  const body = bodyFile === undefined ? (order.body ?? null) : await readFile(bodyFile)
  const timeouts = { headersTimeout: answerTimeoutMs, bodyTimeout: answerTimeoutMs, keepAliveTimeout: 60_000 }
  const pool = new Pool(order.url, { connections, pipelining: 1, ...timeouts })
  const call = (onEnd: (status: number, error?: Error & { code?: string }) => void) => {
    let status = 0
    pool.dispatch(
      { method, path, headers, body },
      {
        onRequestStart() {},
        onResponseStart(_, statusCode) {
          status = statusCode
        },
        onResponseData() {},
        onResponseEnd: () => onEnd(status),
        onResponseError: (_, error) => onEnd(status, error),
      },
    )
  }
  for (let round = 0; round < warmUpRounds; round++) {
    await Promise.all(Array.from({ length: connections }, () => new Promise<void>((resolve) => call(() => resolve()))))
  }

  const times = sendTimes(order.requestsPerSecond, order.seconds)
  const lags = new Float64Array(times.length)
  const latencies: number[] = []
  const result = { sent: 0, answered: 0, refused: {} as Record<string, number>, failed: {} as Record<string, number> }
  const allEnded = Promise.withResolvers<void>()
  let ended = 0

  const send = (intended: number) => {
    result.sent++
    call((status, error) => {
      if (error) add(result.failed, error.code ?? error.name)
      else if (status !== 200) add(result.refused, status)
      else {
        latencies.push(performance.now() - intended)
        result.answered++
      }
      if (++ended === times.length) allEnded.resolve()
    })
  }

  let next = 0
  const start = performance.now() + restMs
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
  await allEnded.promise
  await pacer.terminate()
  await pool.close()
  const latency = Float64Array.from(latencies).sort()
  const lag = lags.sort()
  return {
    ...result,
    warmUp: warmUpRounds * connections,
    seconds: (performance.now() - start) / 1000,
    latencyMs: { p50: percentile(latency, 50), p99: percentile(latency, 99), p999: percentile(latency, 99.9) },
    lagMs: { p50: percentile(lag, 50), p99: percentile(lag, 99), max: percentile(lag, 100) },
  }
}

function add(counts: Record<string, number>, kind: string | number): void {
  counts[kind] = (counts[kind] ?? 0) + 1
}

if (import.meta.main) {
  console.log(JSON.stringify(await run(JSON.parse(process.env.OPEN_LOOP_ORDER ?? ''))))
}
