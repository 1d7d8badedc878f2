/** An HttpClient that plays a script: one answer a call, in order. It keeps the calls and obeys their signals. */
import type { Clock, HttpCall, HttpClient, HttpFailure, HttpReply } from '../../src/ports.ts'

export interface ScriptedReply {
  /** @default 200 */
  status?: number
  headers?: Record<string, string>
  /** Text and bytes as they are, anything else as JSON. */
  body?: unknown
  /** For streams: the body's pieces. An error among them is thrown there, 'silence' lasts until the signal aborts. */
  chunks?: readonly (string | Uint8Array | Error | 'silence')[]
  /** The headers come after this long. */
  afterMs?: number
}

/** `silence`: no header ever comes. */
export type Scripted = ScriptedReply | HttpFailure | 'silence' | ((call: HttpCall) => ScriptedReply | HttpFailure)

const encoder = new TextEncoder()

export class FakeHttp implements HttpClient {
  readonly calls: HttpCall[] = []
  /** Stream bodies whose iteration was ended, in whatever way. */
  closedBodies = 0
  #script: Scripted[] = []
  #clock: Clock

  constructor(clock: Clock, ...script: Scripted[]) {
    this.#clock = clock
    this.script(...script)
  }

  /** What is answered from now on. The last answer is repeated for ever. */
  script(...script: Scripted[]): this {
    this.#script = script
    return this
  }

  bytes = async (call: HttpCall): Promise<HttpReply<Uint8Array>> => {
    const reply = await this.#answer(call)
    return { ...head(reply), body: bytesOf(reply.body ?? '') }
  }

  stream = async (call: HttpCall): Promise<HttpReply<AsyncIterable<Uint8Array>>> => {
    const reply = await this.#answer(call)
    return { ...head(reply), body: this.#pieces(reply, call.signal) }
  }

  async #answer(call: HttpCall): Promise<ScriptedReply> {
    this.calls.push(call)
    const next = this.#script.length > 1 ? this.#script.shift()! : this.#script[0]
    if (next === undefined) throw new Error(`no answer is scripted for ${call.method} ${call.path}`)
    call.signal.throwIfAborted()
    if (next === 'silence') return await aborted(call.signal)
    const reply = typeof next === 'function' ? next(call) : next
    if (reply instanceof Error) throw reply
    if (reply.afterMs) await Promise.race([this.#wait(reply.afterMs), aborted(call.signal)])
    return reply
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.setTimer(ms, resolve))
  }

  async *#pieces(reply: ScriptedReply, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      for (const piece of reply.chunks ?? [bytesOf(reply.body ?? '')]) {
        signal.throwIfAborted()
        if (piece === 'silence') await aborted(signal)
        else if (piece instanceof Error) throw piece
        else yield bytesOf(piece)
      }
    } finally {
      this.closedBodies++
    }
  }
}

const head = ({ status = 200, headers = {} }: ScriptedReply) => ({ status, headers })

const bytesOf = (body: unknown): Uint8Array =>
  body instanceof Uint8Array ? body : encoder.encode(typeof body === 'string' ? body : JSON.stringify(body))

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) return reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
