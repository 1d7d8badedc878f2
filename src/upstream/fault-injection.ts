/**
 * Faults for game days, put between the gateway and its HTTP client: what the provider is made to do meets the very
 * defences that a real fault would. Each fault strikes a share of the calls to its target, chosen by a seeded die, and
 * ends by itself. While none is set, a call passes straight on.
 */
import { ApiError } from '../errors.ts'
import { type Clock, type HttpCall, type HttpClient, HttpFailure, type HttpReply, type Metrics } from '../ports.ts'
import { sleep } from '../resilience/clock.ts'
import { instruments } from '../telemetry/instruments.ts'
import { first } from './outcome.ts'
import { readEvents, type SseEvent } from './sse.ts'

export const faultKinds = ['cut', 'stall', 'malformed', 'no_done', '429', 'reset', 'slow', 'price_spike'] as const
export type FaultKind = (typeof faultKinds)[number]

export interface Fault {
  /** A provider, a market, or one model of a provider as `provider:model`. */
  target: string
  kind: FaultKind
  /** Of the target's calls, 0-1. */
  share: number
  /** The same seed strikes the same calls. */
  seed: number
  /** For `cut`, `stall` and `malformed`: the events of a stream that pass before it. @default 10 */
  afterTokens?: number | undefined
  /** For `429`: the Retry-After in seconds. @default no such header */
  retryAfterS?: number | undefined
  /** For `slow`: the delay before each event of a stream, or before a whole answer. @default 500 */
  delayMs?: number | undefined
}

export interface FaultToSet extends Omit<Fault, 'seed'> {
  /** @default any */
  seed?: number | undefined
  expiresInMs: number
}

export interface FaultInForce extends Fault {
  /** Since 1970. */
  expiresAtMs: number
}

export interface FaultInjection {
  /** Replaces all faults. @throws ApiError `invalid_body` for a target that is not called. */
  set(faults: readonly FaultToSet[]): void
  list(): FaultInForce[]
  /** The client through which `upstream` is to be called. */
  wrap(http: HttpClient, upstream: string): HttpClient
  /** What the prices of a market's next list are to be multiplied by. */
  priceFactor(market: string): number
}

export interface FaultInjectionOptions {
  clock: Clock
  /** Seeds the faults that come without a seed. */
  random: () => number
  metrics: Metrics
  /** The names of those that can be called. */
  upstreams: () => Iterable<string>
}

interface Struck extends Fault {
  until: number
  draw: () => number
}

type Way = 'bytes' | 'stream' | 'prices'
type Limit = 'headers_timeout' | 'idle_timeout'

const defaultAfterTokens = 10
const defaultDelayMs = 500
const spikeFactor = 3
const encoder = new TextEncoder()
const decoder = new TextDecoder()
/** It looks like an event of any provider and ends too early. */
const brokenEvent = encoder.encode('data: {"id":"injected","choices":[{"index":0,"delta":{"content":\n\n')

export function createFaultInjection({ clock, random, metrics, upstreams }: FaultInjectionOptions): FaultInjection {
  let faults: Struck[] = []

  const count = ({ kind }: Fault) => metrics.count(instruments.faultsInjected, { kind })

  /** The fault that this call meets. All that aim at it draw, so that none depends on which others are set. */
  function strike(upstream: string, way: Way, body?: HttpCall['body']): Struck | undefined {
    const now = clock.now()
    faults = faults.filter(({ until }) => until > now)
    let struck: Struck | undefined
    let model: string | undefined
    for (const fault of faults) {
      if (!comesBy(fault.kind, way)) continue
      if (fault.target !== upstream) {
        if (!fault.target.startsWith(`${upstream}:`)) continue
        model ??= modelOf(body)
        if (fault.target !== `${upstream}:${model}`) continue
      }
      if (fault.draw() < fault.share) struck ??= fault
    }
    return struck
  }

  async function bytes(http: HttpClient, fault: Struck, call: HttpCall): Promise<HttpReply<Uint8Array>> {
    count(fault)
    switch (fault.kind) {
      case '429':
        return tooMany(fault)
      case 'reset':
        throw new HttpFailure('reset')
      case 'stall':
        return await silence(call, 'headers_timeout')
      case 'slow':
        await delay(fault.delayMs ?? defaultDelayMs, call, 'headers_timeout')
        return http.bytes(call)
      case 'cut':
        await http.bytes(call)
        throw new HttpFailure('cut')
      case 'malformed': {
        const reply = await http.bytes(call)
        return { ...reply, body: reply.body.subarray(0, reply.body.length >> 1) }
      }
      case 'no_done':
      case 'price_spike':
        throw new TypeError(`${fault.kind} is no fault of a whole answer`)
    }
  }

  async function stream(http: HttpClient, fault: Struck, call: HttpCall) {
    if (fault.kind === '429') {
      count(fault)
      const { body, ...head } = tooMany(fault)
      return { ...head, body: once(body) }
    }
    if (fault.kind === 'reset') {
      count(fault)
      throw new HttpFailure('reset')
    }
    const reply = await http.stream(call)
    const isEvents = first(reply.headers['content-type'])?.startsWith('text/event-stream') ?? false
    return { ...reply, body: spoilt(fault, reply.body, isEvents, call) }
  }

  async function* spoilt(fault: Struck, body: AsyncIterable<Uint8Array>, isEvents: boolean, call: HttpCall) {
    const { kind, afterTokens = defaultAfterTokens, delayMs = defaultDelayMs } = fault
    const strikesOnce = kind === 'cut' || kind === 'stall' || (kind === 'malformed' && isEvents)
    let left = strikesOnce ? afterTokens : Infinity
    if (kind === 'slow') count(fault)
    for await (const { piece, isDone } of isEvents ? eventPieces(body) : pieces(body)) {
      if (kind === 'slow') await delay(delayMs, call, 'idle_timeout')
      if (kind === 'no_done' && isDone) {
        count(fault)
        continue
      }
      if (left-- === 0) {
        count(fault)
        if (kind === 'cut') throw new HttpFailure('cut')
        if (kind === 'stall') await silence(call, 'idle_timeout')
        // Put between two events and not in the place of one: the caller's own words are all there to be delivered.
        yield brokenEvent
      }
      yield piece
    }
  }

  function delay(ms: number, call: HttpCall, limit: Limit): Promise<void> {
    return ms < limitMs(call, limit) ? sleep(clock, ms, call.signal) : silence(call, limit)
  }

  /** Until the caller gives up, or the call's own limit ends it as the HTTP client would. */
  async function silence(call: HttpCall, limit: Limit): Promise<never> {
    const ms = limitMs(call, limit)
    if (ms === Infinity) return await aborted(call.signal)
    await sleep(clock, ms, call.signal)
    throw new HttpFailure(limit)
  }

  return {
    set(next) {
      const names = [...upstreams()]
      next.forEach(({ target }, i) => {
        if (names.some((name) => target === name || target.startsWith(`${name}:`))) return
        const param = `faults.${i}.target`
        throw new ApiError('invalid_body', {
          message: `${param} must be one of ${names.join(', ')}, or a model of it as in "provider:model".`,
          param,
        })
      })
      faults = next.map(({ expiresInMs, seed = Math.floor(random() * 2 ** 32), ...fault }) => ({
        ...fault,
        seed,
        draw: seededRandom(seed),
        until: clock.now() + expiresInMs,
      }))
    },
    list() {
      const [now, wallNow] = [clock.now(), clock.wallNow()]
      return faults
        .filter(({ until }) => until > now)
        .map(({ until, draw: _, ...fault }) => ({ ...fault, expiresAtMs: wallNow + until - now }))
    },
    wrap: (http, upstream) => ({
      bytes(call) {
        const fault = faults.length > 0 && strike(upstream, 'bytes', call.body)
        return fault ? bytes(http, fault, call) : http.bytes(call)
      },
      stream(call) {
        const fault = faults.length > 0 && strike(upstream, 'stream', call.body)
        return fault ? stream(http, fault, call) : http.stream(call)
      },
    }),
    priceFactor(market) {
      const fault = faults.length > 0 && strike(market, 'prices')
      if (!fault) return 1
      count(fault)
      return spikeFactor
    },
  }
}

const limitMs = ({ headersTimeoutMs, idleTimeoutMs }: HttpCall, limit: Limit) =>
  (limit === 'headers_timeout' ? headersTimeoutMs : idleTimeoutMs) || Infinity

function comesBy(kind: FaultKind, way: Way): boolean {
  if (kind === 'price_spike' || way === 'prices') return kind === 'price_spike' && way === 'prices'
  return kind !== 'no_done' || way === 'stream'
}

/** The model that a JSON body names; the empty name for any other body, which no fault of one model can mean. */
function modelOf(body: HttpCall['body']): string {
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) return ''
  try {
    const { model } = JSON.parse(typeof body === 'string' ? body : decoder.decode(body)) as { model?: unknown }
    return typeof model === 'string' ? model : ''
  } catch {
    // A form, as audio is sent: its faults are those of the whole provider.
    return ''
  }
}

function tooMany({ retryAfterS }: Fault): HttpReply<Uint8Array> {
  const error = { message: 'Injected fault.', type: 'rate_limit_error', code: 'rate_limit_exceeded' }
  return {
    status: 429,
    headers: {
      'content-type': 'application/json',
      ...(retryAfterS !== undefined && { 'retry-after': String(retryAfterS) }),
    },
    body: encoder.encode(JSON.stringify({ error })),
  }
}

interface Piece {
  piece: Uint8Array
  isDone: boolean
}

/** One piece an event, whatever boundaries the network chose. */
async function* eventPieces(body: AsyncIterable<Uint8Array>): AsyncGenerator<Piece> {
  for await (const events of readEvents(body, (event) => event)) {
    for (const event of events) yield { piece: encoder.encode(written(event)), isDone: event.data === '[DONE]' }
  }
}

async function* pieces(body: AsyncIterable<Uint8Array>): AsyncGenerator<Piece> {
  for await (const piece of body) yield { piece, isDone: false }
}

async function* once(body: Uint8Array) {
  yield body
}

function written({ id, event, data }: SseEvent): string {
  const fields = [...(id === undefined ? [] : [`id: ${id}`]), ...(event === undefined ? [] : [`event: ${event}`])]
  return [...fields, ...data.split('\n').map((line) => `data: ${line}`), '', ''].join('\n')
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) return reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

/** Numbers in [0, 1) that look random and are the same for the same seed (mulberry32). */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
