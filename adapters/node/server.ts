/**
 * Listens, and stops without anyone noticing: readiness goes first, requests are still taken while load balancers look
 * away, then the listener closes, running answers end, and only what outlasts the time allowed is cut, with a word.
 */
import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { getRequestListener } from '@hono/node-server'
import { parseProxiedTarget } from '../../src/domain/proxied-path.ts'
import { ApiError, openAiError } from '../../src/errors.ts'
import type { Gateway } from '../../src/gateway.ts'
import type { Log } from '../../src/ports.ts'
import { ConfigError } from '../../src/variables.ts'
import { newId } from './identity.ts'
import { listen } from './listeners.ts'
import { handingOn } from './stream-body.ts'
import type { CallerSocket } from './tunnel.ts'

export interface ServerOptions {
  gateway: Gateway
  host: string
  port: number
  log: Log
  /** Longest wait for a whole request, where its body is not handed on as it comes. @default 30_000 */
  requestTimeoutMs?: number
  /** Longest time in which a caller takes nothing of what an instance answers him. @default 300_000 */
  readerTimeoutMs?: number
}

export interface NodeServer {
  url: string
  /** Resolves when nothing is left to answer. */
  drain(options: { delayMs: number; timeoutMs: number }): Promise<void>
}

const connectionLimits = {
  maxHeaderSize: 16 * 1024,
  // Longer than load balancers keep idle connections: the side that closes first makes the other one fail.
  keepAliveTimeout: 75_000,
}
/** Of the drain's time, what is kept for telling the streams that outlast it. */
const farewellMs = 5_000
const pollMs = 20
const headersTimeoutMs = 10_000
/** What a refused caller has to take the answer. */
const refusalMs = 5_000
/** Of the time for a request, how often it is looked whether one is over it. */
const checksPerRequestTimeout = 15

/** What the app is told of a request beside itself. */
interface Incoming extends IncomingMessage {
  proxiedPath?: string
  callerSocket?: CallerSocket
}

export async function startServer(options: ServerOptions): Promise<NodeServer> {
  const { gateway, host, port, log, requestTimeoutMs = 30_000, readerTimeoutMs = 300_000 } = options
  const listener = getRequestListener(
    (request, { incoming }) => {
      const { headers, socket, proxiedPath, callerSocket: upgrade } = incoming as Incoming
      return gateway.fetch(request, { incoming, headers, remoteAddress: socket.remoteAddress, proxiedPath, upgrade })
    },
    {
      // Requests that are no request (a bad Host, an impossible path) never reach the app.
      errorHandler: () => {
        const { headers, body } = rejection('invalid_header', 'The request line or the Host header is not valid.')
        return new Response(body, { status: 400, headers })
      },
    },
  )
  const answer = (incoming: Incoming, outgoing: ServerResponse) => {
    if (incoming.httpVersionMajor !== 1) return refuse(outgoing, 'This server speaks HTTP/1.1.')
    if (hasSecondHost(incoming)) return refuse(outgoing, 'A request has one Host header, not several.')
    const proxied = parseProxiedTarget(incoming.url ?? '')
    if (proxied) {
      // What belongs to the instance is not for the parsers of URLs on the way to the app.
      incoming.url = proxied.route
      incoming.proxiedPath = proxied.path
      endWithReader(outgoing, incoming.socket, readerTimeoutMs)
    }
    void listener(incoming, outgoing)
  }
  const limits = {
    ...connectionLimits,
    headersTimeout: Math.min(headersTimeoutMs, requestTimeoutMs),
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: requestTimeoutMs / checksPerRequestTimeout,
  }
  const server = createServer({ ...limits, shouldUpgradeCallback: isForTunnel }, answer)
  server.on('upgrade', (incoming, socket, head) => answerUpgrade(incoming, socket, head, answer))
  server.on('clientError', answerClientError)
  const listeners = await listen(server, { host, port }).catch((cause: Error & { code?: string }) => {
    if (cause.code === 'EADDRINUSE')
      throw new ConfigError(`PORT=${port} is in use: stop what listens there or set another`)
    if (cause.code === 'EACCES')
      throw new ConfigError(`PORT=${port} needs rights that this user lacks: set one above 1023`)
    throw new ConfigError(`HOST=${host} PORT=${port} cannot be listened on (${cause.code})`, { cause })
  })
  const shownHost = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host

  return {
    url: `http://${shownHost}:${listeners.port}`,
    async drain({ delayMs, timeoutMs }) {
      gateway.beginDrain()
      await sleep(delayMs)
      const closed = listeners.close()
      if (!(await emptied(server, gateway, Math.max(timeoutMs - farewellMs, 0)))) {
        log.warn('requests outlast the drain and are cut', { detail: String(gateway.inFlight()) })
        gateway.stopStreams()
        await emptied(server, gateway, Math.min(timeoutMs, farewellMs))
      }
      server.closeAllConnections()
      await closed
    },
  }
}

async function emptied(server: Server, gateway: Gateway, withinMs: number): Promise<boolean> {
  const end = performance.now() + withinMs
  for (;;) {
    server.closeIdleConnections()
    if (gateway.inFlight() === 0) return true
    if (performance.now() >= end) return false
    await sleep(pollMs)
  }
}

/** Longer than an instance may be silent: then it is the caller who takes nothing, and holds a connection to it. */
function endWithReader(outgoing: ServerResponse, socket: Socket, timeoutMs: number) {
  socket.setTimeout(timeoutMs)
  outgoing.on('timeout', () => {
    // Its own limit is a shorter one, and is told to the caller.
    if (!handingOn.has(socket)) socket.destroy()
  })
}

/** Whoever asks for another protocol, or where there is none, is answered as if he had not asked (RFC 9110, 7.8). */
const isForTunnel = ({ method, headers, url = '' }: IncomingMessage) =>
  method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket' && parseProxiedTarget(url) !== undefined

/** Answered by the same app as any request: with its 101, after which the caller is joined with the machine, or a refusal. */
function answerUpgrade(
  incoming: Incoming,
  duplex: Duplex,
  head: Buffer,
  answer: (incoming: Incoming, outgoing: ServerResponse) => void,
) {
  const socket = duplex as Socket
  socket.on('error', () => socket.destroy())
  const caller: CallerSocket = { socket, head }
  const outgoing = new ServerResponse(incoming)
  outgoing.shouldKeepAlive = false
  outgoing.assignSocket(socket)
  outgoing.on('finish', () => {
    outgoing.detachSocket(socket)
    if (caller.join) return caller.join()
    socket.setTimeout(refusalMs, () => socket.destroy())
    socket.destroySoon()
  })
  incoming.callerSocket = caller
  answer(incoming, outgoing)
}

/** Node keeps the first and drops the others; a proxy in front may go by the last (RFC 9112, 3.2). */
function hasSecondHost({ rawHeaders }: IncomingMessage): boolean {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts > 1
}

function refuse(outgoing: ServerResponse, message: string) {
  const { headers, body } = rejection('invalid_header', message)
  outgoing.writeHead(400, headers).end(body)
}

/** What Node's parser refuses: no request exists, so the answer is written on the socket itself. */
function answerClientError(error: Error & { code?: string }, socket: Socket) {
  if (socket.destroyed || !socket.writable) return
  // A body that is handed on as it comes has limits of its own.
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && handingOn.has(socket)) return
  const [status, message] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', 'The headers are too large. Send at most 16 KB of them.']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', 'The request did not arrive in time. Send it again.']
        : ['400 Bad Request', 'This is not a valid HTTP/1.1 request.']
  const { headers, body } = rejection('invalid_header', message)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status}\r\n${lines.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}

function rejection(code: 'invalid_header', message: string) {
  return {
    headers: { 'content-type': 'application/json', 'x-request-id': newId(), connection: 'close' },
    body: JSON.stringify(openAiError(new ApiError(code, { message }))),
  }
}
