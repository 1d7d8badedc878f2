/**
 * Relays a streamed answer event by event and decides what its end means. Whole: every choice has said why it finished.
 * Anything else is a break, and the caller gets an `error` event and no `[DONE]`: a short answer must not look complete.
 */
import { ApiError, openAiError } from '../errors.ts'
import type { StreamedAnswer } from '../providers/openai.ts'
import type { StreamChunk, StreamEvent } from '../providers/openai-stream.ts'
import type { Hold } from '../upstream/guarded-call.ts'

export interface RelayOptions {
  hold: Hold
  /** Aborted when the caller leaves. */
  signal: AbortSignal
  wantsUsage: boolean
  onMalformed: () => void
  /** The provider broke the stream. */
  onInterrupted: () => void
  onEnd: () => void
}

export async function* relayStream({ begun, rest }: StreamedAnswer, options: RelayOptions): AsyncGenerator<string> {
  const { hold, signal, wantsUsage, onMalformed, onInterrupted, onEnd } = options
  const answer = createAnswerState()
  const broken = () => {
    hold.failed()
    onInterrupted()
    return new ApiError('stream_interrupted')
  }
  try {
    let error: ApiError | undefined
    try {
      for (let events: StreamEvent[] | undefined = begun; events; events = (await rest.next()).value ?? undefined) {
        let text = ''
        for (const event of events) {
          if (event.kind === 'chunk') text += answer.take(event.text, event.chunk, wantsUsage)
          else if (event.kind === 'malformed') onMalformed()
          else answer.ended = true
          if (answer.ended) break
        }
        if (text) yield text
        if (answer.ended) break
      }
      if (!answer.isWhole()) error = broken()
    } catch (cause) {
      if (signal.aborted) return
      // What was already whole stays so. Else the gateway's own endings (it stops, the time is over) bring their words
      // along, and the rest is the provider's.
      if (!answer.isWhole()) error = cause instanceof ApiError ? cause : broken()
    }
    yield error ? toEvent(JSON.stringify(openAiError(error))) : toEvent('[DONE]')
  } finally {
    // Reached in every way out, the caller's leaving included: the provider's call ends here.
    hold.release()
    onEnd()
    void rest.return().catch(() => {}) // Nobody reads on; how the call ends no longer matters.
  }
}

function createAnswerState() {
  const seen = new Set<number>()
  const finished = new Set<number>()
  return {
    /** `[DONE]`, an error, or the usage event, after which nothing more is to come. */
    ended: false,
    /** Notes what the event tells and answers the text to relay, without usage nobody asked for. */
    take(text: string, chunk: StreamChunk, wantsUsage: boolean): string {
      const choices = chunk.choices ?? []
      for (const { index = 0, finish_reason } of choices) {
        seen.add(index)
        if (finish_reason) finished.add(index)
      }
      const usageEvent = chunk.usage != null && choices.length === 0
      // A provider that forgets `[DONE]` may keep the connection open: the usage event is the last one anyway.
      if (usageEvent && this.isWhole()) this.ended = true
      if (wantsUsage || !('usage' in chunk)) return toEvent(text)
      if (usageEvent) return ''
      const { usage: _, ...rest } = chunk
      return toEvent(JSON.stringify(rest))
    },
    isWhole: () => seen.size > 0 && finished.size === seen.size,
  }
}

/** Data of several lines is one `data:` field a line. */
const toEvent = (data: string) => `data: ${data.includes('\n') ? data.replaceAll('\n', '\ndata: ') : data}\n\n`
