/**
 * An HttpClient whose calls a fake vendor answers in the same process, by whatever clock: the vendors and faults of the
 * sandbox without its sockets, fast enough for a simulation. What a fault does to bytes on a wire comes as the failure
 * that the real client makes of it.
 */
import { createFaults, type Fault } from '../../adapters/sandbox/faults.ts'
import type { Answer, Outcome } from '../../adapters/sandbox/send.ts'
import type { Vendor } from '../../adapters/sandbox/vendor.ts'
import { type Clock, type HttpCall, type HttpClient, HttpFailure, type HttpReply } from '../../src/ports.ts'
import { sleep } from '../../src/resilience/clock.ts'

export interface InProcessVendor {
  origin: string
  http: HttpClient
  setFaults(faults: readonly Fault[]): void
  /** From here on nothing is sent: connections are refused. */
  goDown(): void
  comeBack(): void
  /** How many it has answered, or left unanswered by a fault. */
  calls(): number
}

interface InProcessOptions {
  origin: string
  vendor: Vendor
  clock: Clock
  random: () => number
  /** There and back; the vendor acts half-way. @default none */
  latencyMs?: () => number
}

export function createInProcessVendor({ origin, vendor, clock, random, latencyMs }: InProcessOptions): InProcessVendor {
  const faults = createFaults({ random, vendor })
  let isDown = false
  let calls = 0

  /** Resolves at the headers. */
  async function exchange(call: HttpCall): Promise<Answer> {
    call.signal.throwIfAborted()
    if (isDown) throw new HttpFailure('not_sent')
    const halfMs = (latencyMs?.() ?? 0) / 2
    if (halfMs > 0) await sleep(clock, halfMs, call.signal)
    calls++
    const answer = await arrived(act(call), call)
    if (halfMs > 0) await sleep(clock, halfMs, call.signal)
    return answer
  }

  function act(call: HttpCall): Outcome {
    const { method, path: url, body: sent } = call
    const [path = ''] = url.split('?', 1)
    const headers = lowerCased({ host: new URL(origin).host, ...call.headers })
    const body = parse(sent)
    const seen = { method, path: url, headers, body, at: clock.now() }
    const query = new URLSearchParams(url.slice(path.length))
    return faults.apply(seen, () => vendor.answer({ method, url, path, query, headers, body }))
  }

  async function arrived(outcome: Outcome, call: HttpCall): Promise<Answer> {
    if (outcome === 'reset') throw new HttpFailure('reset')
    const delayMs = outcome === 'hang' ? Number.POSITIVE_INFINITY : (outcome.delayMs ?? 0)
    await patience(delayMs, call.headersTimeoutMs, 'headers_timeout', call.signal)
    return outcome as Answer
  }

  /** Waits so long, or fails where that is longer than the caller waits. */
  async function patience(
    ms: number,
    limitMs: number,
    failure: 'headers_timeout' | 'idle_timeout',
    signal: AbortSignal,
  ) {
    const isTooLong = limitMs > 0 && ms > limitMs
    const waitMs = isTooLong ? limitMs : ms
    if (waitMs === Number.POSITIVE_INFINITY) await aborted(signal)
    if (waitMs > 0) await sleep(clock, waitMs, signal)
    if (isTooLong) throw new HttpFailure(failure)
  }

  async function* pieces({ headers, body }: Answer, call: HttpCall): AsyncGenerator<Uint8Array> {
    // Compression is of the wire: what claims it is not what it says.
    if (headers['content-encoding']) throw new HttpFailure('malformed')
    let size = 0
    for (const step of typeof body === 'string' ? [{ data: body }] : body) {
      if (step === 'reset') throw new HttpFailure('cut')
      if ('waitMs' in step && step.waitMs) {
        await patience(step.waitMs, call.idleTimeoutMs, 'idle_timeout', call.signal)
      }
      const data = bytesOf(step.data ?? '')
      size += data.length
      if (size > call.maxBytes) throw new HttpFailure('too_large')
      if (data.length > 0) yield data
    }
    const declared = Number(headers['content-length'] ?? size)
    if (declared !== size) throw new HttpFailure(declared > size ? 'cut' : 'malformed')
  }

  const http: HttpClient = {
    async bytes(call): Promise<HttpReply<Uint8Array>> {
      const answer = await exchange(call)
      const parts: Uint8Array[] = []
      for await (const part of pieces(answer, call)) parts.push(part)
      const { status, headers } = answer
      return { status, headers, body: parts.length === 1 ? parts[0]! : Buffer.concat(parts) }
    },
    async stream(call) {
      const answer = await exchange(call)
      return { status: answer.status, headers: answer.headers, body: pieces(answer, call) }
    },
  }

  return {
    origin,
    http,
    setFaults: faults.set,
    goDown() {
      isDown = true
    },
    comeBack() {
      isDown = false
    },
    calls: () => calls,
  }
}

/** One client for all of them; what has no vendor is refused. */
export function routeByOrigin(vendors: readonly InProcessVendor[]): HttpClient {
  const of = (call: HttpCall) => {
    const vendor = vendors.find(({ origin }) => origin === call.origin)
    if (!vendor) throw new HttpFailure('not_sent')
    return vendor.http
  }
  return { bytes: async (call) => of(call).bytes(call), stream: async (call) => of(call).stream(call) }
}

const encoder = new TextEncoder()
const bytesOf = (data: string | Uint8Array) => (typeof data === 'string' ? encoder.encode(data) : data)

const lowerCased = (headers: Record<string, string>) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

function parse(body: HttpCall['body']): unknown {
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) return undefined
  if (body.length === 0) return undefined
  const text = typeof body === 'string' ? body : new TextDecoder().decode(body)
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
}
