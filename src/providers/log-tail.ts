/** The last of what a machine wrote. Some markets end a log, others write on for as long as one listens. */
import { joined } from '../domain/joined.ts'
import type { Clock, HttpCall, HttpClient } from '../ports.ts'
import { failureFrom, first, UpstreamFailure } from '../upstream/outcome.ts'

const maxBytes = 1024 * 1024
const headersTimeoutMs = 10_000
/** After the headers: what comes later is not waited for. */
const listenMs = 5_000
const decoder = new TextDecoder()

export interface LogTail {
  status: number
  text: string
}

/** @throws UpstreamFailure */
export async function readLogTail(
  http: HttpClient,
  clock: Clock,
  call: Pick<HttpCall, 'origin' | 'path' | 'headers' | 'signal'>,
): Promise<LogTail> {
  const enough = new AbortController()
  const signal = AbortSignal.any([call.signal, enough.signal])
  let cancel = () => {}
  const log = createTail()
  try {
    const { status, headers, body } = await http.stream({
      ...call,
      method: 'GET',
      headers: { 'accept-encoding': 'identity', ...call.headers },
      signal,
      headersTimeoutMs,
      idleTimeoutMs: 2 * listenMs,
      maxBytes: Number.POSITIVE_INFINITY,
    })
    cancel = clock.setTimer(listenMs, () => enough.abort())
    try {
      for await (const piece of body) log.add(piece)
    } catch (error) {
      if (!enough.signal.aborted) throw error
    }
    const isEvents = first(headers['content-type'])?.startsWith('text/event-stream')
    return { status, text: isEvents ? dataOf(log.text()) : log.text() }
  } catch (error) {
    throw call.signal.aborted ? new UpstreamFailure('client') : failureFrom(error)
  } finally {
    cancel()
  }
}

/** The last bytes of many; what is left of a line whose beginning is gone tells nothing. */
function createTail() {
  const pieces: Uint8Array[] = []
  let size = 0
  let cut = false
  return {
    add(piece: Uint8Array) {
      const last = piece.subarray(-maxBytes)
      cut ||= last.length < piece.length
      pieces.push(last)
      size += last.length
      for (; size > maxBytes; cut = true) size -= pieces.shift()!.length
    },
    text(): string {
      const text = decoder.decode(joined(pieces))
      return cut ? text.slice(text.indexOf('\n') + 1) : text
    },
  }
}

/** Of server-sent events, a line each. */
const dataOf = (events: string) =>
  events
    .split(/\r?\n/)
    .flatMap((line) => (line.startsWith('data:') ? [`${line.slice(5).replace(/^ /, '')}\n`] : []))
    .join('')
