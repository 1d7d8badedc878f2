/** One closed-loop measurement with wrk: as many requests as the server takes from a fixed number of connections. */
import { fileURLToPath } from 'node:url'
import { findTool } from '../tests/support/tools.ts'
import { runChild } from './processes.ts'
import { addCounts, total } from './statistics.ts'

export interface LoadRequest {
  method: 'GET' | 'POST'
  path: string
  headers: Record<string, string>
  body?: string
  /** What a whole answer ends with; anything else counts as incomplete. */
  ending?: string
}

export interface Load {
  seconds: number
  /** Requests whose outcome was seen: the sum of the three below. */
  sent: number
  answered: number
  refused: Record<string, number>
  failed: Record<string, number>
  /** Under way when time was up; neither sent nor failed. */
  unfinished: number
  latencyMs: { p50: number; p99: number; p999: number }
}

const script = fileURLToPath(new URL('wrk.lua', import.meta.url))

export interface WrkOptions {
  url: string
  request: LoadRequest
  connections: number
  seconds: number
  core: number | undefined
  /** Tells refusals by code, at some cost to the generator. Always on where an ending is checked. @default false */
  readAnswers?: boolean
}

/** The name under which refusals are counted while their codes are not read. */
export const unread = 'unread'

export async function runWrk(options: WrkOptions): Promise<Load> {
  const readAnswers = options.readAnswers || options.request.ending !== undefined
  const { url, request, connections, seconds, core } = options
  const tool = await findTool('wrk')
  const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}\n`)
  const stdout = await runChild({
    command: [
      tool.path,
      '-t1',
      `-c${connections}`,
      `-d${seconds}s`,
      '--timeout',
      '10s',
      '-s',
      script,
      url + request.path,
    ],
    env: {
      ...tool.env,
      BENCH_METHOD: request.method,
      BENCH_HEADERS: headers.join(''),
      ...(readAnswers && { BENCH_READ: '1' }),
      ...(request.body && { BENCH_BODY: request.body }),
      ...(request.ending && { BENCH_ENDING: request.ending }),
    },
    core,
    timeoutMs: (seconds + 30) * 1000,
  })
  return parseWrk(stdout, connections)
}

export function parseWrk(stdout: string, connections: number): Load {
  const line = stdout.split('\n').find((each) => each.startsWith('RESULT '))
  if (!line) throw new Error(`wrk printed no result: ${stdout.trim().slice(-500)}`)
  const result = JSON.parse(line.slice('RESULT '.length))
  const refused = addCounts(result.refused)
  const failed = Object.fromEntries(Object.entries<number>(result.failed).filter(([, count]) => count > 0))
  const sent = result.answered + total(refused) + total(failed)
  const unfinished = result.sent - sent
  // Each connection has at most one request under way. A failed connection may have had none.
  if (unfinished > connections || (unfinished < 0 && total(failed) === 0)) {
    throw new Error(`wrk sent ${result.sent} requests and saw ${sent} outcomes over ${connections} connections`)
  }
  const { p50, p99, p999 } = result.latency_us
  return {
    seconds: result.duration_us / 1e6,
    sent,
    answered: result.answered,
    refused,
    failed,
    unfinished: Math.max(unfinished, 0),
    latencyMs: { p50: p50 / 1000, p99: p99 / 1000, p999: p999 / 1000 },
  }
}
