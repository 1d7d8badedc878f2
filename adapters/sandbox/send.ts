/**
 * What a fake vendor answers, as plain data, and the one place that puts it on a socket. Keeping answers as data lets a
 * fault be a function from one answer to another.
 */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Clock } from '../../src/ports.ts'

export interface Answer {
  status: number
  headers: Record<string, string>
  /** Waited before the first byte. */
  delayMs?: number
  /** A string goes out whole, with its length; steps go out chunked, one after the other. */
  body: string | Iterable<Step>
}

/** `reset` drops the connection with an RST, so that the caller cannot take it for an end. */
export type Step = 'reset' | { waitMs?: number; data?: string | Uint8Array; kind?: 'token' | 'done' }

/** `reset`: an RST before any header. `hang`: the connection stays open and nothing ever comes. */
export type Outcome = Answer | 'reset' | 'hang'

interface Exchange {
  res: ServerResponse
  clock: Clock
  /** Aborts when the connection goes away: every wait ends and no timer stays behind. */
  signal: AbortSignal
  reset: () => void
}

export async function send(outcome: Outcome, { res, clock, signal, reset }: Exchange): Promise<void> {
  if (outcome === 'hang') return
  if (outcome === 'reset') return reset()
  const { status, headers, delayMs, body } = outcome
  if (delayMs) await wait(clock, delayMs, signal)
  if (typeof body === 'string') {
    const length = status === 204 ? undefined : { 'content-length': String(Buffer.byteLength(body)) }
    res.writeHead(status, { ...length, ...headers }).end(body)
    return
  }
  res.writeHead(status, headers).flushHeaders()
  for (const step of body) {
    if (step === 'reset') {
      await flushed(res)
      return reset()
    }
    if (step.waitMs) await wait(clock, step.waitMs, signal)
    if (step.data && !res.write(step.data)) await once(res, 'drain', { signal })
  }
  res.end()
}

function wait(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const onAbort = () => {
      cancel()
      reject(signal.reason)
    }
    const cancel = clock.setTimer(ms, () => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    })
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

/** Resolves when the kernel has what was written: an RST throws away whatever is still queued in this process. */
function flushed(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    if (!res.socket) return resolve()
    res.socket.write('', () => resolve())
  })
}
