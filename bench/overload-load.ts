/**
 * Several flows of requests at once, each sent at times fixed in advance whatever becomes of the answers, as
 * `open-loop.ts` does for one: here an answer counts only when it is whole, and only the time after a warm-up is told.
 * Reads its order from OVERLOAD_ORDER and prints one JSON result.
 */
import { Worker } from 'node:worker_threads'
import { Pool } from 'undici'
import { sendTimes } from './open-loop.ts'
import { percentile } from './statistics.ts'

export interface Flow {
  name: string
  method: 'GET' | 'POST'
  path: string
  headers: Record<string, string>
  body?: string
  requestsPerSecond: number
  /** What the last bytes of a whole answer are. */
  ending?: string
}

export interface OverloadOrder {
  url: string
  flows: Flow[]
  /** Of the same load, before anything is counted. */
  warmUpSeconds: number
  seconds: number
}

/** In ms; null where there was nothing to measure. */
interface Spread {
  p50: number | null
  p99: number | null
  max: number | null
}

export interface FlowResult {
  name: string
  sent: number
  whole: number
  refused: Record<string, number>
  failed: Record<string, number>
  /** Answers that became whole within the counted time, whenever they were asked for. */
  wholePerSecond: number
  latencyMs: Spread
  refusalMs: Spread
}

export interface OverloadResult {
  flows: FlowResult[]
  /** How late the generator itself was. */
  lagMs: Spread
}

const leadMs = 200
const answerTimeoutMs = 30_000
/** A client that waits for a free connection would be a closed loop. */
const connections = 4_000

async function run({ url, flows, warmUpSeconds, seconds }: OverloadOrder): Promise<OverloadResult> {
  const timeouts = { headersTimeout: answerTimeoutMs, bodyTimeout: answerTimeoutMs, keepAliveTimeout: 60_000 }
  const startedFlows = flows.map((flow) => {
    const tallied = createTally(flow, warmUpSeconds, seconds)
    return { flow, tallied, pool: new Pool(url, { connections, pipelining: 1, ...timeouts }) }
  })
  const plan = startedFlows
    .flatMap((started) =>
      Array.from(sendTimes(started.flow.requestsPerSecond, warmUpSeconds + seconds), (at) => ({ at, started })),
    )
    .sort((a, b) => a.at - b.at)
  const lags = new Float64Array(plan.length)
  const allEnded = Promise.withResolvers<void>()
  let ended = 0
  let next = 0
  const start = performance.now() + leadMs
  const pacer = new Worker(new URL('pacer.ts', import.meta.url), {
    workerData: { firstAt: performance.timeOrigin + start, times: Float64Array.from(plan, ({ at }) => at) },
  })
  pacer.on('message', (due: number) => {
    for (; next <= due; next++) {
      const { at, started } = plan[next]!
      const now = performance.now() - start
      lags[next] = now - at
      send(started.pool, started.flow, (status, whole, error) => {
        started.tallied.add(at, performance.now() - start, status, whole, error)
        if (++ended === plan.length) allEnded.resolve()
      })
    }
  })
  await allEnded.promise
  await pacer.terminate()
  await Promise.all(startedFlows.map(({ pool }) => pool.close()))
  return { flows: startedFlows.map(({ tallied }) => tallied.result()), lagMs: spreadOf(lags) }
}

export function send(
  pool: Pool,
  { method, path, headers, body, ending = '' }: Flow,
  onEnd: (status: number, whole: boolean, error?: Error & { code?: string }) => void,
): void {
  let status = 0
  let last: Buffer = Buffer.alloc(0)
  pool.dispatch(
    { method, path, headers, body: body ?? null },
    {
      onRequestStart() {},
      onResponseStart(_, statusCode) {
        status = statusCode
      },
      onResponseData(_, chunk) {
        last = chunk.length >= ending.length ? chunk : Buffer.concat([last, chunk]).subarray(-ending.length)
      },
      onResponseEnd: () => onEnd(status, last.toString('latin1').endsWith(ending)),
      onResponseError: (_, error) => onEnd(status, false, error),
    },
  )
}

function createTally(flow: Flow, warmUpSeconds: number, seconds: number) {
  const [fromMs, toMs] = [warmUpSeconds * 1000, (warmUpSeconds + seconds) * 1000]
  const latencies: number[] = []
  const refusals: number[] = []
  const result = { sent: 0, whole: 0, refused: {} as Record<string, number>, failed: {} as Record<string, number> }
  let wholeInTime = 0
  return {
    add(sentAt: number, endedAt: number, status: number, whole: boolean, error?: Error & { code?: string }) {
      const good = !error && status === 200 && whole
      if (good && endedAt >= fromMs && endedAt < toMs) wholeInTime++
      if (sentAt < fromMs) return
      result.sent++
      if (good) {
        result.whole++
        latencies.push(endedAt - sentAt)
      } else if (error) add(result.failed, error.code ?? error.name)
      else if (status === 200) add(result.failed, 'not whole')
      else {
        add(result.refused, status)
        refusals.push(endedAt - sentAt)
      }
    },
    result: (): FlowResult => ({
      name: flow.name,
      ...result,
      wholePerSecond: wholeInTime / seconds,
      latencyMs: spreadOf(Float64Array.from(latencies)),
      refusalMs: spreadOf(Float64Array.from(refusals)),
    }),
  }
}

function spreadOf(values: Float64Array): Spread {
  values.sort()
  const at = (percent: number) => (values.length === 0 ? null : percentile(values, percent))
  return { p50: at(50), p99: at(99), max: at(100) }
}

function add(counts: Record<string, number>, kind: string | number): void {
  counts[kind] = (counts[kind] ?? 0) + 1
}

if (import.meta.main) {
  console.log(JSON.stringify(await run(JSON.parse(process.env.OVERLOAD_ORDER ?? ''))))
}
