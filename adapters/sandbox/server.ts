/**
 * One fake vendor on one loopback port: it records every call, lets a fault change the answer, and can go down (refuse
 * connections) and come back on the same port.
 */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../src/ports.ts'
import { createFaults, type Fault } from './faults.ts'
import { parseBody } from './request-body.ts'
import { send } from './send.ts'
import type { Vendor } from './vendor.ts'

export interface SandboxServer {
  /** What the gateway's `*_BASE_URL` takes. */
  baseUrl: string
  /** The last calls, oldest first: at most 10,000 of them, and at most 64 MiB of request bodies. */
  calls: readonly SandboxCall[]
  /** Replaces the faults in force. The first that matches a call and is not used up applies. */
  setFaults(faults: readonly Fault[]): void
  openConnections(): number
  /** Stops listening and resets every connection: from here on they are refused. */
  goDown(): Promise<void>
  /** Listens on the same port again. */
  comeBack(): Promise<void>
  close(): Promise<void>
}

export interface SandboxCall {
  method: string
  /** As it was sent, with its query. */
  path: string
  model?: string
  headers: IncomingHttpHeaders
  /** Parsed JSON; a form's fields; the text when it is neither; undefined when there was none. */
  body: unknown
  /** `clock.now()` when the whole call was in. */
  at: number
  /** `clock.now()` when the caller's socket went away before the answer was whole. */
  closedAt?: number
}

interface ServerOptions {
  vendor: Vendor
  clock: Clock
  random: () => number
  /** Appended to the base URL, as in `/v1`. */
  basePath?: string
  /** False: a new connection is reset at once. @default every one is taken */
  accepts?: () => boolean
  /** What asks for another protocol. @default answered as if it had not asked */
  upgrade?: (req: IncomingMessage, socket: Duplex, head: Buffer) => void
}

const maxCalls = 10_000
const maxBodyBytes = 32 * 1024 * 1024
const maxKeptBytes = 64 * 1024 * 1024

export async function startServer(options: ServerOptions): Promise<SandboxServer> {
  const { vendor, clock, random, basePath = '', accepts = () => true, upgrade } = options
  const sockets = new Set<Socket>()
  const faults = createFaults({ random, vendor })
  const { calls, record } = createRecord()

  // Node's own 5 s of keep-alive would reset pooled connections that a real vendor leaves open.
  const server = createServer({ keepAliveTimeout: 75_000, requestTimeout: 0 }, (req, res) => void handle(req, res))
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    if (!accepts()) socket.resetAndDestroy()
  })
  if (upgrade) {
    server.on('upgrade', (req, socket, head) => {
      const { method = 'GET', url = '/', headers } = req
      record({ method, path: url, headers, body: undefined, at: clock.now() }, 0)
      upgrade(req, socket, head)
    })
  }

  async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const gone = new AbortController()
    let call: SandboxCall | undefined
    let ended = false
    const reset = () => {
      ended = true
      req.socket.resetAndDestroy()
    }
    res.once('close', () => {
      const callerLeft = !ended && !res.writableFinished && server.listening
      if (call && callerLeft) call.closedAt = clock.now()
      gone.abort()
    })
    const exchange = { res, clock, signal: gone.signal, reset }
    try {
      const bytes = await readBytes(req)
      if (bytes === undefined) return await send(vendor.error(413), exchange)
      const { method = 'GET', url = '/', headers } = req
      const body = await parseBody(bytes, headers['content-type'])
      const model = (body as { model?: unknown } | null | undefined)?.model
      call = { method, path: url, ...(typeof model === 'string' && { model }), headers, body, at: clock.now() }
      record(call, bytes.length)
      const [path = ''] = url.split('?', 1)
      const query = new URLSearchParams(url.slice(path.length))
      const answer = () => vendor.answer({ method, url, path, query, headers, body })
      await send(faults.apply(call, answer), exchange)
    } catch (error) {
      // A caller that left is nobody to answer. Anything else is the sandbox's own mistake, and must not look like a fault.
      if (gone.signal.aborted) return
      if (res.headersSent) return reset()
      res.writeHead(500, { 'content-type': 'text/plain' }).end(`sandbox: ${error}`)
    }
  }

  async function listen(port: number): Promise<number> {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }

  async function goDown(): Promise<void> {
    if (!server.listening) return
    const closed = [server, ...sockets].map((each) => new Promise((resolve) => each.once('close', resolve)))
    server.close()
    for (const socket of sockets) socket.resetAndDestroy()
    await Promise.all(closed)
  }

  const port = await listen(0)
  return {
    baseUrl: `http://127.0.0.1:${port}${basePath}`,
    calls,
    setFaults: faults.set,
    openConnections: () => sockets.size,
    goDown,
    async comeBack() {
      if (!server.listening) await listen(port)
    },
    close: goDown,
  }
}

function createRecord() {
  const calls: SandboxCall[] = []
  const sizes: number[] = []
  let kept = 0
  return {
    calls,
    record(call: SandboxCall, size: number) {
      calls.push(call)
      sizes.push(size)
      kept += size
      while (calls.length > maxCalls || kept > maxKeptBytes) {
        calls.shift()
        kept -= sizes.shift() ?? 0
      }
    },
  }
}

/** The body, or undefined past the bound; the rest is read and dropped, so that the refusal can be heard. */
async function readBytes(req: IncomingMessage): Promise<Buffer<ArrayBuffer> | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of req as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size <= maxBodyBytes) chunks.push(chunk)
  }
  return size <= maxBodyBytes ? Buffer.concat(chunks) : undefined
}
