/**
 * An answer that is kept on its way out. Where its caller leaves, it is read on to its end all the same, so that the
 * caller's next try gets it whole; so many at the same time, and each no longer than a request may take.
 */
import type { Ending } from '../domain/idempotency.ts'
import { ApiError } from '../errors.ts'
import type { AnswerHeaders, ReplyBody } from '../ports.ts'
import type { Execution } from '../services/idempotency.ts'
import { createRecorder, type Recording } from '../services/recording.ts'
import { heartbeat } from '../services/waits.ts'
import { toApiError } from '../upstream/api-error.ts'
import type { AppContext, RequestInFlight } from './request-context.ts'

/** Bytes of one answer; what is longer is not given again. */
const maxBytes = 256 * 1024
/** Of all streams being recorded at the same time. */
const maxRecordedBytes = 32 * 1024 * 1024
/** Executions whose caller has left. One more ends with its caller. */
const maxAlone = 256
/** The others are about one request, not about what came of it. */
const keptHeaders = [
  ...['content-type', 'location', 'x-cache', 'x-gpuproxy-cost-usd'],
  ...['x-gpuproxy-provider', 'x-gpuproxy-model', 'x-gpuproxy-attempts'],
]
const encoder = new TextEncoder()

type Chunk = string | Uint8Array
type Head = { status: number; headers: Record<string, string> }

export function createKeyedAnswer() {
  const recorder = createRecorder({ max: maxBytes, maxTogether: maxRecordedBytes })
  let alone = 0

  /** From here on the request ends by a signal of its own. */
  function outlive(request: RequestInFlight, caller: AbortSignal): Life {
    const own = new AbortController()
    let isAlone = false
    const onLeft = () => {
      if (alone >= maxAlone) return own.abort(caller.reason)
      alone++
      isAlone = true
    }
    if (caller.aborted) onLeft()
    else caller.addEventListener('abort', onLeft, { once: true })
    request.ownSignal = own.signal
    return {
      signal: own.signal,
      abort: () => own.abort(caller.reason),
      end() {
        caller.removeEventListener('abort', onLeft)
        if (isAlone) alone--
        isAlone = false
      },
    }
  }

  async function* recorded(
    body: AsyncIterable<Chunk>,
    { request, execution, life, head }: { request: RequestInFlight; execution: Execution; life: Life; head: Head },
  ) {
    const recording = recorder.begin()
    const pieces = body[Symbol.asyncIterator]()
    let state: 'under way' | 'whole' | 'broken' = 'under way'
    try {
      for (let next = await pieces.next(); !next.done; next = await pieces.next()) {
        if (next.value !== heartbeat) recording.add(next.value)
        yield next.value
      }
      state = 'whole'
    } catch (error) {
      state = 'broken'
      throw error
    } finally {
      // The caller has left: nobody else ends this generator early.
      if (state === 'under way') state = await readOn(pieces, recording, life)
      const isWhole = state === 'whole' && !life.signal.aborted
      request.kept = isWhole
      const ending = endingOf(head, recording.bytes(), isWhole)
      recording.close()
      life.end()
      await execution.end(ending)
    }
  }

  /** Answers through `run`, which is told to end only where nobody will want its answer. */
  return async function answerOnce(c: AppContext, execution: Execution, run: () => Promise<Response>) {
    const request = c.get('request')
    const life = outlive(request, c.req.raw.signal)
    let ending: Ending | undefined
    let streams = false
    request.onAnswer = (status, headers, body) => {
      const head = { status, headers: pick(headers) }
      if (isStream(body)) {
        streams = true
        return recorded(body, { request, execution, life, head })
      }
      ending = endingOf(head, typeof body === 'string' ? encoder.encode(body) : (body ?? new Uint8Array()), true)
      return body
    }
    try {
      const response = await run()
      if (!streams && !ending) throw new TypeError('a route with an Idempotency-Key answers through respond')
      if (ending) await execution.end(ending)
      if (!streams) life.end()
      return response
    } catch (error) {
      request.onAnswer = undefined
      life.end()
      await (saysNothingCame(error) ? execution.release() : execution.doubt())
      throw error
    }
  }
}

interface Life {
  signal: AbortSignal
  abort(): void
  end(): void
}

/** To the end of what can still be kept. */
async function readOn(pieces: AsyncIterator<Chunk>, recording: Recording, life: Life): Promise<'whole' | 'broken'> {
  try {
    while (recording.isOpen) {
      const next = await pieces.next()
      if (next.done) return 'whole'
      if (next.value !== heartbeat) recording.add(next.value)
    }
    life.abort()
    await pieces.return?.()
    return 'broken'
  } catch {
    return 'broken' // There is nobody to cut the connection to.
  }
}

/** `bytes`: undefined = more than is kept. */
function endingOf(head: Head, bytes: Uint8Array | undefined, isWhole: boolean): Ending {
  if (!bytes || bytes.length > maxBytes) return { outcome: 'too_large' }
  return isWhole ? { outcome: 'answered', answer: { ...head, body: bytes } } : { outcome: 'lost' }
}

/** What was refused, and what providers failed at: but a caller's leaving may have come after anything. */
function saysNothingCame(error: unknown): boolean {
  const told = toApiError(error)
  return told instanceof ApiError && told.code !== 'client_closed'
}

const isStream = (body: ReplyBody): body is AsyncIterable<Chunk> =>
  body !== null && typeof body !== 'string' && !(body instanceof Uint8Array)

const pick = (headers: Readonly<AnswerHeaders>) =>
  Object.fromEntries(
    keptHeaders.flatMap((name) => {
      const value = headers[name]
      return typeof value === 'string' ? [[name, value]] : []
    }),
  )
