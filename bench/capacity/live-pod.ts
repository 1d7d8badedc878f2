/** One real gateway process of a live run, read and counted as a pod. */
import { join } from 'node:path'
import { Pool } from 'undici'
import type { Demand } from '../../src/resilience/replica-forecast.ts'
import type { Server } from '../processes.ts'
import { startGateway } from '../systems.ts'
import type { PodView } from './hpa-replicas.ts'
import { createScrapes, type Scrape } from './scrapes.ts'

export interface LivePod {
  readonly createdAtMs: number
  /** Where its requests go; undefined while it must not be given any. */
  readonly pool: Pool | undefined
  /** Resolves when it may be given requests; rejects where it cannot start. */
  readonly ready: Promise<void>
  /** From being asked for to being ready. */
  readonly bootMs: number
  /** undefined: it is there. */
  readonly goneAtMs: number | undefined
  /** Answers what the gateway itself says of its share of the pods that are needed. */
  scrape(): Promise<Demand>
  view(): PodView
  /** Gets no more requests, and ends when those under way have. */
  delete(): Promise<void>
}

const connections = 512
const noTimeouts = { headersTimeout: 30_000, bodyTimeout: 30_000 }

export function startLivePod(options: {
  name: string
  folder: string
  openaiUrl: string
  env: Record<string, string>
  scrape: Scrape
}): LivePod {
  const createdAtMs = performance.now()
  const scrapes = createScrapes(options.scrape)
  let server: Server | undefined
  let pool: Pool | undefined
  let readyAtMs: number | undefined
  let deleted = false
  let goneAtMs: number | undefined

  const ready = (async () => {
    const { name, folder, openaiUrl, env } = options
    server = await startGateway({ folder: join(folder, name), openaiUrl, env: { HOSTNAME: name, ...env } })
    const answer = await fetch(`${server.url}/readyz`)
    if (!answer.ok) throw new Error(`${name} listens and is not ready: ${answer.status}`)
    readyAtMs = performance.now()
    pool = new Pool(server.url, { connections, pipelining: 1, ...noTimeouts })
  })()

  return {
    createdAtMs,
    ready,
    get pool() {
      return deleted ? undefined : pool
    },
    get bootMs() {
      return (readyAtMs ?? Number.NaN) - createdAtMs
    },
    get goneAtMs() {
      return goneAtMs
    },
    async scrape() {
      if (!server || deleted) return { arrivals: 0, streams: 0 }
      const page = await (await fetch(`${server.url}/metrics`)).text()
      scrapes.add({
        atMs: performance.now(),
        cpuMs: 1_000 * sum(page, 'process_cpu_seconds_total'),
        requests: sum(
          page,
          'http_requests_total',
          (labels) => !/route="\/(livez|readyz|startupz|metrics)"/.test(labels),
        ),
        streams: sum(page, 'streams_in_flight'),
        bytes: sum(page, 'process_resident_memory_bytes'),
      })
      const demand = (reason: string) => sum(page, 'autoscaler_demand_replicas', (labels) => labels.includes(reason))
      return { arrivals: demand('arrivals'), streams: demand('streams') }
    },
    view: () => ({
      phase: deleted ? 'deleted' : server ? 'running' : 'pending',
      ready: readyAtMs !== undefined,
      startedAtMs: createdAtMs,
      readyChangedAtMs: readyAtMs ?? createdAtMs,
      requests: { cpu: 0.2, memory: 256 * 1024 * 1024 },
      samples: scrapes.samples(),
    }),
    async delete() {
      deleted = true
      await ready
      // The gateway itself lets its streams end; the connections to it are kept until then.
      await server?.stop()
      goneAtMs = performance.now()
      await pool?.close()
    },
  }
}

/** Of a Prometheus page: every series of a name. */
export function sum(page: string, name: string, wanted: (labels: string) => boolean = () => true): number {
  let total = 0
  for (const line of page.split('\n')) {
    const found = line.startsWith(name) && /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)
    if (found && found[1] === name && wanted(found[2] ?? '')) total += Number(found[3])
  }
  return total
}
