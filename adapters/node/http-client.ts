/**
 * The HTTP port over undici's `dispatch`: plain records in and out, no web streams, no redirects. One pool for each
 * origin; how many calls run at once is the bulkheads' business.
 */
import type { Duplex } from 'node:stream'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate } from 'node:zlib'
import { type buildConnector, type Dispatcher, Pool } from 'undici'
import { type HttpCall, type HttpClient, HttpFailure, type HttpFailureKind, type HttpReply } from '../../src/ports.ts'
import { createTurnBudget } from './batching.ts'

export interface NodeHttpClient extends HttpClient {
  /** Asks for a WebSocket: resolves with the socket where the other end agrees, else with its answer. */
  upgrade(call: HttpCall): Promise<Upgraded | HttpReply<AsyncIterable<Uint8Array>>>
  close(): Promise<void>
}

export interface Upgraded {
  headers: Headers
  socket: Duplex
}

export interface HttpClientOptions {
  /** Longest wait for a connection, TLS included, in ms. */
  connectTimeoutMs: number
  /** How long what a stream brings after its first bytes is gathered, in ms. @default at once */
  batchMs?: () => number
  /** How connections are made. @default to wherever the call says */
  connector?: buildConnector.connector | undefined
  /** Origins that are never called, whatever they mean. @default none */
  refuses?: (origin: string) => boolean
  /** Origins whose connections are kept: beyond it idle ones are closed. @default 500 */
  maxPools?: number
}

const atOnce = () => 0
/** A provider's own hint (Keep-Alive: timeout) wins where it is shorter. */
const keepAliveMs = 30_000
/** Answers of 1xx before the answer: one a second says for a quarter of an hour that work goes on. */
const maxInformational = 1_000

export function createHttpClient(options: HttpClientOptions): NodeHttpClient {
  const { connectTimeoutMs, batchMs = atOnce, connector, refuses = () => false, maxPools = 500 } = options
  const pools = new Map<string, Pool>()

  /** Origins come and go, as rented machines do. Where none is idle there is one more. */
  function closeIdlePool() {
    for (const [origin, pool] of pools) {
      const { running, pending, queued } = pool.stats
      if (running + pending + queued > 0) continue
      pools.delete(origin)
      // Nothing is under way on it; how its sockets end is nobody's concern.
      void pool.close().catch(() => {})
      return
    }
  }

  const poolOf = (origin: string) => {
    let pool = pools.get(origin)
    if (!pool) {
      if (pools.size >= maxPools) closeIdlePool()
      pool = new Pool(origin, {
        allowH2: false,
        pipelining: 1,
        connect: connector ?? { timeout: connectTimeoutMs },
        keepAliveTimeout: keepAliveMs,
      })
      pools.set(origin, pool)
    }
    return pool
  }

  const dispatch = (call: HttpCall, handler: CallHandler, upgrade: string | null = null) => {
    if (refuses(call.origin)) return handler.refuse()
    poolOf(call.origin).dispatch(
      {
        method: call.method as Dispatcher.HttpMethod,
        path: call.path,
        headers: call.headers,
        body: (call.body as string | Uint8Array | undefined) ?? null,
        upgrade,
        headersTimeout: call.headersTimeoutMs,
        bodyTimeout: call.idleTimeoutMs,
      },
      handler,
    )
  }

  return {
    bytes: (call) => new Promise((resolve, reject) => dispatch(call, new BytesHandler(call, resolve, reject))),
    stream: (call) =>
      new Promise((resolve, reject) => dispatch(call, new StreamHandler(call, batchMs, resolve, reject))),
    upgrade: (call) =>
      new Promise((resolve, reject) => dispatch(call, new UpgradeHandler(call, batchMs, resolve, reject), 'websocket')),
    async close() {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()))
      pools.clear()
    },
  }
}

type Headers = HttpReply<unknown>['headers']

/** What both ways of reading share: the signal, the phases, and the names of failures. */
abstract class CallHandler implements Dispatcher.DispatchHandler {
  protected readonly call: HttpCall
  protected readonly reject: (reason: unknown) => void
  protected controller: Dispatcher.DispatchController | undefined
  protected status = 0
  protected headers: Headers = {}
  private informational = 0

  constructor(call: HttpCall, reject: (reason: unknown) => void) {
    this.call = call
    this.reject = reject
    if (call.signal.aborted) this.onAbort()
    // Never taken off: the signal is this call's own, and goes with it.
    else call.signal.addEventListener('abort', this.onAbort)
  }

  /** A call that waits for a connection cannot be taken back from undici: it is ended when its turn comes. */
  private readonly onAbort = () => {
    this.controller?.abort(abortError)
    this.fail(this.call.signal.reason)
  }

  refuse() {
    this.fail(new HttpFailure('not_sent'))
  }

  protected fail(reason: unknown) {
    this.reject(reason)
  }

  protected stop(kind: HttpFailureKind) {
    // First of all: the abort is told to this handler as an error, too, which would pass for a connection that broke.
    this.fail(new HttpFailure(kind))
    this.controller?.abort(abortError)
  }

  onRequestStart(controller: Dispatcher.DispatchController) {
    this.controller = controller
    if (this.call.signal.aborted) controller.abort(abortError)
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: Headers) {
    // The bytes they were read from, with all that came along: a stream that waits would hold them to its end.
    controller.rawHeaders = null
    if (status < 200) {
      // Each begins undici's time for headers anew: without a bound they would be a way to answer never.
      if (++this.informational > maxInformational) this.stop('malformed')
      return
    }
    this.status = status
    this.headers = headers
    this.onHeaders()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error) {
    if (this.call.signal.aborted) return this.fail(this.call.signal.reason)
    this.fail(new HttpFailure(this.kindOf(error), { cause: error }))
  }

  /** Without a controller the call never began on a connection, so nothing of it was sent. */
  private kindOf(error: Error & { code?: string }): HttpFailureKind {
    const code = error.code ?? ''
    if (code === 'UND_ERR_CONNECT_TIMEOUT') return 'connect_timeout'
    if (!this.controller) return 'not_sent'
    if (code === 'UND_ERR_HEADERS_TIMEOUT') return 'headers_timeout'
    if (code === 'UND_ERR_BODY_TIMEOUT') return 'idle_timeout'
    if (code.startsWith('HPE_') || code === 'UND_ERR_HEADERS_OVERFLOW') return 'malformed'
    return this.status === 0 ? 'reset' : 'cut'
  }

  abstract onHeaders(): void
  abstract onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void
  abstract onResponseEnd(): void
}

const abortError = new Error('call ended by the gateway')

/** Large answers pack to a tenth at best. What unpacks to more than this is made to fill memory, which is freed late. */
const maxRatio = 16
const minDecodedBytes = 4 * 1024 * 1024

const decoders = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
}

class BytesHandler extends CallHandler {
  private readonly chunks: Buffer[] = []
  private size = 0
  private readonly resolve: (reply: HttpReply<Uint8Array>) => void

  constructor(call: HttpCall, resolve: (reply: HttpReply<Uint8Array>) => void, reject: (reason: unknown) => void) {
    super(call, reject)
    this.resolve = resolve
  }

  onHeaders() {}

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer) {
    this.size += chunk.length
    if (this.size > this.call.maxBytes) this.stop('too_large')
    else this.chunks.push(chunk)
  }

  onResponseEnd() {
    const { status, headers, chunks } = this
    const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
    const encoding = headers['content-encoding']
    if (encoding === undefined || encoding === 'identity') return this.resolve({ status, headers, body })
    this.decode(String(encoding), body)
  }

  /** We ask for no encoding; some front ends compress all the same. What it unpacks to is bounded like the rest. */
  private decode(encoding: string, body: Buffer) {
    const decoder = decoders[encoding as keyof typeof decoders]
    if (!decoder) return this.reject(new HttpFailure('malformed'))
    const maxOutputLength = Math.min(this.call.maxBytes, Math.max(minDecodedBytes, body.length * maxRatio))
    decoder(body, { maxOutputLength }).then(
      (decoded) => {
        const { 'content-encoding': _, 'content-length': __, ...headers } = this.headers
        this.resolve({ status: this.status, headers, body: decoded })
      },
      (cause: Error & { code?: string }) => {
        this.reject(new HttpFailure(cause.code === 'ERR_BUFFER_TOO_LARGE' ? 'too_large' : 'malformed', { cause }))
      },
    )
  }
}

/** Bytes that may wait for the reader before the socket is paused. */
const highWaterBytes = 64 * 1024
/** After its reader has left, a call may still end by itself, which keeps its connection usable. */
const lingerMs = 200

/** Of the one loop that all streams share. */
const hasTime = createTurnBudget()

class StreamHandler extends CallHandler {
  private readonly resolve: (reply: HttpReply<AsyncIterable<Uint8Array>>) => void
  private readonly batchMs: () => number
  private queue: Buffer[] = []
  private queuedBytes = 0
  private ended = false
  private failure: { reason: unknown } | undefined
  private abandoned = false
  private begun = false
  /** Runs while bytes are gathered for a reader who waits. */
  private timer: NodeJS.Timeout | undefined
  private waiting:
    | { resolve: (r: IteratorResult<Uint8Array, undefined>) => void; reject: (e: unknown) => void }
    | undefined

  constructor(
    call: HttpCall,
    batchMs: () => number,
    resolve: (reply: HttpReply<AsyncIterable<Uint8Array>>) => void,
    reject: (reason: unknown) => void,
  ) {
    super(call, reject)
    this.batchMs = batchMs
    this.resolve = resolve
  }

  onHeaders() {
    const encoding = this.headers['content-encoding']
    if (encoding !== undefined && encoding !== 'identity' && !this.call.anyEncoding) return this.stop('malformed')
    const iterator: AsyncIterableIterator<Uint8Array, undefined> = {
      [Symbol.asyncIterator]: () => iterator,
      next: () => this.next(),
      return: () => this.abandon(),
    }
    this.resolve({ status: this.status, headers: this.headers, body: iterator })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer) {
    if (this.abandoned || this.failure) return
    this.queue.push(chunk)
    this.queuedBytes += chunk.length
    if (this.queuedBytes > highWaterBytes) {
      controller.pause()
      this.deliver()
    } else if (this.waiting && !this.timer) {
      const ms = this.begun ? this.batchMs() : 0
      // Spread: a long turn of the loop would have all streams speak in the same turn from then on.
      if (ms > 0) this.timer = setTimeout(this.onGathered, ms * (0.5 + Math.random()))
      else this.deliver()
    }
  }

  onResponseEnd() {
    this.ended = true
    this.deliver()
  }

  protected override fail(reason: unknown) {
    this.failure ??= { reason }
    this.deliver()
    super.fail(reason)
  }

  private readonly onGathered = () => {
    if (hasTime()) this.deliver()
    else if (this.waiting) setImmediate(this.onGathered)
  }

  /** What there is by now goes to whoever waits. */
  private deliver() {
    if (this.timer) {
      clearTimeout(this.timer)
      this.timer = undefined
    }
    this.serve()
  }

  private next(): Promise<IteratorResult<Uint8Array, undefined>> {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject }
      this.serve()
    })
  }

  /** Who waits gets what there is; else he waits on. */
  private serve() {
    const { waiting, failure } = this
    if (!waiting) return
    this.waiting = undefined
    // An abort discards what is queued; any other end lets the reader have it first.
    if (failure && this.call.signal.aborted) waiting.reject(failure.reason)
    else if (this.queue.length > 0) waiting.resolve({ done: false, value: this.take() })
    else if (failure) waiting.reject(failure.reason)
    else if (this.ended) waiting.resolve({ done: true, value: undefined })
    else this.waiting = waiting
  }

  private take(): Buffer {
    const { queue } = this
    this.begun = true
    this.queue = []
    this.queuedBytes = 0
    if (this.controller?.paused) this.controller.resume()
    return queue.length === 1 ? queue[0]! : Buffer.concat(queue)
  }

  private abandon(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.abandoned = true
    clearTimeout(this.timer)
    this.queue = []
    if (!this.ended && !this.failure) {
      this.controller?.resume()
      setTimeout(() => {
        if (!this.ended) this.controller?.abort(abortError)
      }, lingerMs).unref()
    }
    return Promise.resolve({ done: true, value: undefined })
  }
}

class UpgradeHandler extends StreamHandler {
  private readonly upgraded: (upgraded: Upgraded) => void

  constructor(
    call: HttpCall,
    batchMs: () => number,
    resolve: (reply: Upgraded | HttpReply<AsyncIterable<Uint8Array>>) => void,
    reject: (reason: unknown) => void,
  ) {
    super(call, batchMs, resolve, reject)
    this.upgraded = resolve
  }

  onRequestUpgrade(_controller: Dispatcher.DispatchController, _status: number, headers: Headers, socket: Duplex) {
    // From here on it is nobody's but the taker's: undici has let go of it, and the call's signal no longer reaches it.
    this.upgraded({ headers, socket })
  }
}
