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
import { ApiError, openAiError, problemDetails } from '../../src/errors.ts'
import type { Gateway, Refusal } from '../../src/gateway.ts'
import type { Log } from '../../src/ports.ts'
import { ConfigError } from '../../src/variables.ts'
import { ChunkedResponse } from './chunked-response.ts'
import { newId } from './identity.ts'
import { listen } from './listeners.ts'
import { largeBodyOn } from './read-body.ts'
import { handingOn } from './stream-body.ts'
import { cutStuckReaders } from './stuck-readers.ts'
import type { CallerSocket } from './tunnel.ts'

export interface ServerOptions {
  gateway: Gateway
  host: string
  port: number
  log: Log
  /** Longest wait for a whole request, where its body is not handed on as it comes. @default 30_000 */
  requestTimeoutMs?: number
  /** So long a caller may take nothing of what is sent to him, and at most twice that. @default 150_000 */
  readerTimeoutMs?: number
}

export interface DrainOptions {
  delayMs: number
  timeoutMs: number
  /** As `readerTimeoutMs`, from the listener's closing on, where that one is longer. @default 30_000 */
  readerTimeoutMs?: number
}

export interface NodeServer {
  url: string
  /** Resolves when nothing is left to answer. */
  drain(options: DrainOptions): Promise<void>
}

const connectionLimits = {
  maxHeaderSize: 16 * 1024,
  // Longer than load balancers keep idle connections: the side that closes first makes the other one fail.
  keepAliveTimeout: 75_000,
}
/** Of the drain's time, what is kept for telling the streams that outlast it. */
const farewellMs = 5_000
const pollMs = 20
/** Longest wait for connections that have been closed to be gone. */
const closeMs = 2_000
const headersTimeoutMs = 10_000
/** What a refused caller has to take the answer. */
const refusalMs = 5_000
/** Requests that wait for the one before them on their connection; who sends more is cut. */
const maxWaiting = 100
/** Of a body that nobody wants. */
const maxUnreadBytes = 64 * 1024
/** So long it may still take to arrive. */
const lateBodyMs = 500
/** Of the time for a request, how often it is looked whether one is over it. */
const checksPerRequestTimeout = 15
/** And how often whether a large body that has taken longer still comes. */
const looksPerRequestTimeout = 3

/** What the app is told of a request beside itself. */
interface Incoming extends IncomingMessage {
  proxiedPath?: string
  callerSocket?: CallerSocket
}

export async function startServer(options: ServerOptions): Promise<NodeServer> {
  const { gateway, host, port, log, requestTimeoutMs = 30_000, readerTimeoutMs = 150_000 } = options
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
    if (hostsIn(incoming) !== 1) return refuse(outgoing, 'A request has one Host header, neither none nor several.')
    // Behind another request on its connection, a body would lie here until that is answered.
    const refusal = outgoing.socket && hasSmallBody(incoming) ? gateway.turnAway(incoming) : undefined
    if (refusal) return turnAway(incoming, outgoing, refusal)
    const proxied = parseProxiedTarget(incoming.url ?? '')
    if (proxied) {
      // What belongs to the instance is not for the parsers of URLs on the way to the app.
      incoming.url = proxied.route
      incoming.proxiedPath = proxied.path
      // A body that was sent whole, and that a machine takes slowly: Node would cut the caller after the sender's time.
      outgoing.on('timeout', () => {})
    }
    void listener(incoming, outgoing)
  }
  const waiting = new WeakMap<Socket, number>()
  const inTurn = createTurns()
  /**
   * What came in one breath with the request before it (RFC 9112, 9.3.2) is begun when that is answered, one of all
   * connections in a turn of the loop: a connection has one under way, and a crowd of such leaves room for the others. Not
   * what has a body: Node reads no further while nobody takes it, and would hear neither its end nor the caller's leaving.
   */
  const take = (incoming: Incoming, outgoing: ServerResponse) => {
    if (outgoing.socket !== null || hasBody(incoming)) return answer(incoming, outgoing)
    const { socket } = incoming
    const others = waiting.get(socket) ?? 0
    if (others >= maxWaiting) return socket.destroy()
    waiting.set(socket, others + 1)
    outgoing.once('socket', () => {
      waiting.set(socket, waiting.get(socket)! - 1)
      inTurn({ isOver: () => socket.destroyed, run: () => answer(incoming, outgoing) })
    })
  }
  const limits = {
    ...connectionLimits,
    headersTimeout: Math.min(headersTimeoutMs, requestTimeoutMs),
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.ceil(requestTimeoutMs / checksPerRequestTimeout),
  }
  // A missing Host is refused here, in the words of all refusals.
  const server = createServer(
    { ...limits, ServerResponse: ChunkedResponse, requireHostHeader: false, shouldUpgradeCallback: isForTunnel },
    take,
  )
  server.on('checkExpectation', (_, outgoing) => refuse(outgoing, 'Expect: only 100-continue is known here.', 417))
  server.on('upgrade', (incoming, socket, head) => answerUpgrade(incoming, socket, head, answer))
  server.on('clientError', (error: Error & { code?: string }, socket: Socket) => {
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && goesOn(socket, requestTimeoutMs)) return
    answerClientError(error, socket)
  })
  const stuckReaders = cutStuckReaders(server, readerTimeoutMs)
  const unsent = keepUnsent(server)
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
    async drain({ delayMs, timeoutMs, readerTimeoutMs: drainReaderMs = 30_000 }) {
      gateway.beginDrain()
      await sleep(delayMs)
      const closed = listeners.close()
      stuckReaders.cutAfter(Math.min(drainReaderMs, readerTimeoutMs))
      const busy = () => Math.max(gateway.inFlight(), unsent().length)
      if (!(await emptied(server, busy, Math.max(timeoutMs - farewellMs, 0)))) {
        log.warn('requests outlast the drain and are cut', { detail: String(busy()) })
        gateway.stopStreams()
        await emptied(server, busy, Math.min(timeoutMs, farewellMs))
      }
      server.closeAllConnections()
      stuckReaders.stop()
      // What was joined with a machine is no connection of the server's any more, and is ended by whoever joined it.
      await Promise.race([closed, sleep(closeMs, undefined, { ref: false })])
    },
  }
}

interface Turn {
  /** Nobody is there for it any more: it takes no turn. */
  isOver(): boolean
  run(): void
}

/** Each runs in a turn of the loop of its own, in their order. */
function createTurns() {
  const queue: Turn[] = []
  const next = () => {
    let turn = queue.shift()
    while (turn?.isOver()) turn = queue.shift()
    if (queue.length > 0) setImmediate(next)
    turn?.run()
  }
  return (turn: Turn) => {
    if (queue.push(turn) === 1) setImmediate(next)
  }
}

/** The caller is answered before his body is here: it is read and dropped, and not waited for. */
function turnAway(incoming: IncomingMessage, outgoing: ServerResponse, { status, headers, body }: Refusal) {
  incoming.resume()
  outgoing.once('finish', () => {
    if (incoming.complete) return
    const { socket } = incoming
    const cutting = setTimeout(() => socket.destroySoon(), lateBodyMs)
    incoming.once('close', () => clearTimeout(cutting))
  })
  outgoing.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body)
}

/**
 * The answers that have been ended and have not left whole: Node would take their connections for idle, and close them on
 * a reader who is still at megabytes.
 */
function keepUnsent(server: Server): () => ServerResponse[] {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const unsent = () =>
    [...sockets].flatMap((socket) => {
      const answer = socket.writableLength > 0 ? answerOn(socket) : undefined
      return answer?.finished ? answer : []
    })
  const closeIdle = server.closeIdleConnections.bind(server)
  server.closeIdleConnections = () => {
    const answers = unsent()
    for (const answer of answers) answer.finished = false
    closeIdle()
    for (const answer of answers) answer.finished = true
  }
  return unsent
}

async function emptied(server: Server, busy: () => number, withinMs: number): Promise<boolean> {
  const end = performance.now() + withinMs
  for (;;) {
    server.closeIdleConnections()
    if (busy() === 0) return true
    if (performance.now() >= end) return false
    await sleep(pollMs)
  }
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
  // In one breath with a request that is not answered yet: nobody who means to talk asks so.
  if (answerOn(socket)) return socket.destroy()
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
function hostsIn({ rawHeaders }: IncomingMessage): number {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts
}

function refuse(outgoing: ServerResponse, message: string, status = 400) {
  const { headers, body } = rejection('invalid_header', message, outgoing.req.url)
  outgoing.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body)
}

const hasBody = ({ headers }: IncomingMessage) =>
  Number(headers['content-length'] ?? 0) > 0 || headers['transfer-encoding'] !== undefined

const hasSmallBody = ({ headers }: IncomingMessage) => Number(headers['content-length']) <= maxUnreadBytes

/** The answer that is under way. Node keeps it on its socket, and has no other word for it. */
const answerOn = (socket: Socket) => (socket as { _httpMessage?: ServerResponse | null })._httpMessage

/** Whose time is over, and what comes from him still may: Node asks once for each request, and looks no more. */
function goesOn(socket: Socket, requestTimeoutMs: number): boolean {
  // A body that is handed on as it comes has limits of its own.
  if (handingOn.has(socket)) return true
  const body = largeBodyOn(socket)
  if (!body?.comesSteadily()) return false
  const look = () => {
    if (largeBodyOn(socket) !== body) return
    if (body.comesSteadily()) later()
    else answerClientError(requestTimeout, socket)
  }
  const later = () => setTimeout(look, requestTimeoutMs / looksPerRequestTimeout).unref()
  later()
  return true
}

const requestTimeout = Object.assign(new Error('the body came too slowly'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' })

/** What Node's parser refuses: no request exists, so the answer is written on the socket itself. */
function answerClientError(error: Error & { code?: string }, socket: Socket) {
  if (socket.destroyed) return
  // Of what comes behind a request it would be taken for that one's answer, or for a part of it.
  const answer = answerOn(socket)
  if (!socket.writable || (answer && (answer.headersSent || answer.req.complete))) return void socket.destroy()
  const [status, code, message] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ([
          '431 Request Header Fields Too Large',
          'invalid_header',
          'The headers are too large. Send at most 16 KB of them.',
        ] as const)
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? (['408 Request Timeout', 'body_timeout', 'The request did not arrive in time. Send it again.'] as const)
        : (['400 Bad Request', 'invalid_header', 'This is not a valid HTTP/1.1 request.'] as const)
  const { headers, body } = rejection(code, message, answer?.req.url)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status}\r\n${lines.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
  // Cut at once he might not read it; one who never closes his side would keep the connection. Each byte of his would put
  // off a timer of the socket's own.
  setTimeout(() => socket.destroy(), refusalMs).unref()
}

/** `url`: where it is known what was asked for. */
function rejection(code: 'invalid_header' | 'body_timeout', message: string, url = '/v1/') {
  const [id, error] = [newId(), new ApiError(code, { message })]
  const isOpenAi = url.startsWith('/v1/')
  return {
    headers: {
      'content-type': isOpenAi ? 'application/json' : 'application/problem+json',
      'x-request-id': id,
      connection: 'close',
    },
    body: JSON.stringify(isOpenAi ? openAiError(error) : problemDetails(error, id)),
  }
}
