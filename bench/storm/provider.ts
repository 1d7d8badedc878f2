/**
 * The provider of the storms, in a thread of its own so that its clock is not held up by a thousand callers. It does as
 * it is told and keeps the time of each call; what the gateway is judged by comes from here.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import { chatAnswer, streamEvents } from '../answers.ts'

export type Mode =
  | { kind: 'well' }
  /** 503 to everything, the list of models included. */
  | { kind: 'unavailable' }
  /** Nobody listens. */
  | { kind: 'refused' }
  /** This share of the calls fails by chance, half of them with a 503 and half with an RST. */
  | { kind: 'flaky'; share: number; seed: number }
  /**
   * The first so many tries of each client get this status, without a hint when to come back. All first ones get it at one
   * moment, once no more of them come: however fast they are sent, the clients are then in step.
   */
  | { kind: 'fail_first'; tries: number; status: number }

/** One call. `at` is in ms since 1970. */
export interface Arrival {
  at: number
  /** The first part of its path. */
  upstream: string
  /** The `user` of its body. */
  client: string
}

export interface Records {
  arrivals: Arrival[]
  /** Calls that failed by chance. */
  failed: number
  /** Calls for the list of models. */
  probes: number
}

export interface StormProvider {
  url: string
  set(mode: Mode): Promise<void>
  /** All since the last time it was asked. */
  take(): Promise<Records>
  close(): Promise<void>
}

type Order = { set: Mode } | 'take'

export const wallNow = () => performance.timeOrigin + performance.now()

export async function startStormProvider(): Promise<StormProvider> {
  const worker = new Worker(new URL(import.meta.url))
  const [url] = (await once(worker, 'message')) as [string]
  // One order at a time: the answer is to the last one.
  const tell = async <T>(order: Order): Promise<T> => {
    const answered = once(worker, 'message')
    worker.postMessage(order)
    return (await answered)[0]
  }
  return {
    url,
    set: (mode) => tell({ set: mode }),
    take: () => tell('take'),
    close: async () => void (await worker.terminate()),
  }
}

const nothing = (): Records => ({ arrivals: [], failed: 0, probes: 0 })

async function serve() {
  let mode: Mode = { kind: 'well' }
  let records = nothing()
  let random = seededRandom(0)
  const triesOf = new Map<string, number>()
  const herd = createHerd()

  async function answer(req: IncomingMessage, res: ServerResponse) {
    const at = wallNow()
    if (req.method === 'GET') {
      records.probes++
      return mode.kind === 'unavailable' ? refuse(res, 503) : send(res, 200, '{"object":"list","data":[]}')
    }
    const { user: client = '', stream } = (await json(req)) as { user?: string; stream?: boolean }
    records.arrivals.push({ at, upstream: req.url?.split('/')[1] ?? '', client })
    switch (mode.kind) {
      case 'unavailable':
        return refuse(res, 503)
      case 'flaky':
        if (random() >= mode.share) break
        records.failed++
        return random() < 0.5 ? refuse(res, 503) : void req.socket.resetAndDestroy()
      case 'fail_first': {
        const tries = (triesOf.get(client) ?? 0) + 1
        triesOf.set(client, tries)
        const { status } = mode
        if (tries === 1) return herd.join(() => refuse(res, status))
        if (tries <= mode.tries) return refuse(res, status)
      }
    }
    if (stream) res.writeHead(200, { 'content-type': 'text/event-stream' }).end(streamEvents.join(''))
    else send(res, 200, chatAnswer)
  }

  const server = createServer({ keepAliveTimeout: 60_000 }, (req, res) => {
    answer(req, res).catch(() => res.destroy()) // The caller has left.
  })
  const listen = async (port: number) => {
    server.listen({ port, host: '127.0.0.1', backlog: 4_096 })
    await once(server, 'listening')
  }
  await listen(0)
  const { port } = server.address() as AddressInfo

  parentPort?.on('message', async (order: Order) => {
    if (order === 'take') {
      parentPort?.postMessage(records)
      records = nothing()
      return
    }
    mode = order.set
    triesOf.clear()
    if (mode.kind === 'flaky') random = seededRandom(mode.seed)
    if (mode.kind === 'refused') {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    } else if (!server.listening) await listen(port)
    parentPort?.postMessage(undefined)
  })
  parentPort?.postMessage(`http://127.0.0.1:${port}`)
}

/** Holds what joins until nothing has joined for a while, and then lets all of it go. */
function createHerd() {
  const quietMs = 2_000
  let waiting: (() => void)[] = []
  let timer: NodeJS.Timeout | undefined
  return {
    join(go: () => void) {
      waiting.push(go)
      clearTimeout(timer)
      timer = setTimeout(() => {
        const all = waiting
        waiting = []
        for (const go of all) go()
      }, quietMs)
    },
  }
}

const refuse = (res: ServerResponse, status: number) =>
  send(res, status, '{"error":{"message":"Not now.","type":"server_error","param":null,"code":null}}')

function send(res: ServerResponse, status: number, body: string) {
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body)
}

if (!isMainThread) await serve()
