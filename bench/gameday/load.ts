/** A steady load whose sending times are fixed in advance, and what became of each request by when it was to be sent. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import { percentile } from '../statistics.ts'

export interface Sent {
  /** When it was to be sent, in ms since the load began. */
  atMs: number
  /** 0 = no answer. */
  status: number
  /** From the intended time to the end of the answer. */
  latencyMs: number
}

export interface LoadOptions {
  /** Gateways, asked in turn. */
  urls: readonly string[]
  path: string
  method?: 'GET' | 'POST'
  apiKey: string
  body?: string
  perSecond: number
}

export interface Load {
  /** Ms since it began. */
  now(): number
  /** Ends it and waits for what is under way. */
  stop(): Promise<Sent[]>
}

const connections = 64
const answerTimeoutMs = 30_000

export function startLoad({ urls, path, method = 'POST', apiKey, body, perSecond }: LoadOptions): Load {
  const pools = urls.map((url) => new Pool(url, { connections, headersTimeout: answerTimeoutMs }))
  const headers = { authorization: `Bearer ${apiKey}`, ...(body && { 'content-type': 'application/json' }) }
  const startedAt = performance.now()
  const now = () => performance.now() - startedAt
  const sent: Sent[] = []
  const running = new Set<Promise<void>>()
  let stopped = false

  async function one(n: number, atMs: number) {
    let status = 0
    try {
      const reply = await pools[n % pools.length]!.request({ method, path, headers, ...(body && { body }) })
      await reply.body.dump({ limit: 1 << 20 })
      status = reply.statusCode
    } catch {
      // No answer is a result of its own.
    }
    sent.push({ atMs, status, latencyMs: now() - atMs })
  }
  const pacing = (async () => {
    for (let n = 0; !stopped; n++) {
      const atMs = (n * 1000) / perSecond
      if (atMs > now()) await sleep(atMs - now())
      const request = one(n, atMs)
      running.add(request)
      void request.then(() => running.delete(request))
    }
  })()

  return {
    now,
    async stop() {
      stopped = true
      await pacing
      await Promise.all(running)
      await Promise.all(pools.map((pool) => pool.close()))
      return sent
    },
  }
}

export const between = (sent: readonly Sent[], fromMs: number, toMs: number) =>
  sent.filter(({ atMs }) => atMs >= fromMs && atMs < toMs)

export const p99 = (sent: readonly Sent[]) =>
  percentile(
    sent.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b),
    99,
  )

export const shareOf = (sent: readonly Sent[], holds: (one: Sent) => boolean) =>
  sent.filter(holds).length / Math.max(sent.length, 1)

export const isAnswered = ({ status }: Sent) => status >= 200 && status < 300
/** A correct answer, or a refusal that the docs tell of. */
export const isSuccess = (one: Sent) => isAnswered(one) || [402, 429, 503].includes(one.status)
