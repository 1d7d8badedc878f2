/**
 * Clients that hold a connection as long as they may, in a thread of their own: what it costs to be slow with hundreds of
 * connections must not be felt by the good ones that are measured beside them.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { apiKey } from './systems.ts'

/** What they are slow with; `reading`: twenty pages are asked for in one breath, and none is taken. */
export type SlowWith = 'headers' | 'body' | 'reading'

export interface SlowCrowd {
  url: string
  count: Partial<Record<SlowWith, number>>
  /** One that is cut comes again a second later. @default false */
  comeAgain?: boolean
}

/** Of those that were slow with one thing. */
export interface SlowTold {
  /** Connections that the gateway has ended. */
  cut: number
  /** The longest that one of those lasted, or that one lasts that is still there, in ms. */
  longestMs: number
}

export interface SlowClients {
  told(): Promise<Record<SlowWith, SlowTold>>
  stop(): Promise<void>
}

/** None of their calls is whole, so no provider sees one. */
export async function startSlowClients(crowd: SlowCrowd): Promise<SlowClients> {
  const thread = new Worker(new URL(import.meta.url), { workerData: { slow: crowd } })
  await once(thread, 'message')
  return {
    async told() {
      thread.postMessage('tell')
      const [told] = await once(thread, 'message')
      return told
    },
    async stop() {
      await thread.terminate()
    },
  }
}

const everyMs = 1_000
/** More than the kernel keeps for somebody who does not read. */
const pages = 20
const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer ${apiKey}\r\ncontent-type: application/json\r\n`
const openings: Record<SlowWith, string> = {
  headers: `${head}x-slow: `,
  body: `${head}content-length: 100000\r\n\r\n{"model":"`,
  reading: 'GET /openapi.json HTTP/1.1\r\nhost: gateway\r\n\r\n'.repeat(pages),
}

if (!isMainThread && workerData?.slow) hold(workerData.slow)

function hold({ url, count, comeAgain = false }: SlowCrowd) {
  const { hostname, port } = new URL(url)
  const ended: Record<SlowWith, SlowTold> = {
    headers: { cut: 0, longestMs: 0 },
    body: { cut: 0, longestMs: 0 },
    reading: { cut: 0, longestMs: 0 },
  }
  const open = new Map<Socket, { slowWith: SlowWith; since: number }>()
  const start = (slowWith: SlowWith) => {
    const socket = connect(Number(port), hostname, () => socket.write(openings[slowWith]))
    const since = performance.now()
    open.set(socket, { slowWith, since })
    socket.on('error', () => {}) // It is cut, and counted when it closes.
    const dripping = setInterval(() => slowWith !== 'reading' && socket.writable && socket.write('a'), everyMs)
    socket.once('close', () => {
      clearInterval(dripping)
      open.delete(socket)
      const told = ended[slowWith]
      told.cut++
      told.longestMs = Math.max(told.longestMs, performance.now() - since)
      // Not at once: a storm of connections is another fault.
      if (comeAgain) setTimeout(start, everyMs, slowWith)
    })
    if (slowWith !== 'reading') socket.resume()
  }
  for (const [slowWith, many] of Object.entries(count)) for (let i = 0; i < many; i++) start(slowWith as SlowWith)
  parentPort!.on('message', () => {
    const told = structuredClone(ended)
    for (const { slowWith, since } of open.values()) {
      told[slowWith].longestMs = Math.max(told[slowWith].longestMs, performance.now() - since)
    }
    parentPort!.postMessage(told)
  })
  parentPort!.postMessage('started')
}
