/**
 * Relays a stream of typed events and decides what its end means. Whole: the event has come that ends the answer.
 * Anything else is a break, and the caller gets an `error` event: a short answer must not look complete.
 */
import { ApiError, openAiError } from '../errors.ts'
import type { Clock } from '../ports.ts'
import { isPolicyRefusal } from '../providers/openai-stream.ts'
import type { TokenUsage } from '../providers/token-usage.ts'
import {
  beginsHostedCall,
  hostedCallsOf,
  isTerminal,
  type TypedEvent,
  type TypedStreamEvent,
  usageOf,
} from '../providers/typed-events.ts'
import { codeOf } from '../upstream/api-error.ts'
import type { Hold } from '../upstream/guarded-call.ts'
import { failureFrom, UpstreamFailure } from '../upstream/outcome.ts'
import { createWaits, heartbeat, heartbeatMs, tailMs } from './waits.ts'

export interface TypedAnswer {
  /** The first events, already here. */
  begun: TypedStreamEvent[]
  rest: AsyncGenerator<TypedStreamEvent[], void, void>
  /** Longest wait for an event. */
  maxSilenceMs: number
}

export interface TypedRelayOptions {
  clock: Clock
  hold: Hold
  /** Aborted when the caller leaves. */
  signal: AbortSignal
  /** How many were asked for: of images, each ends with an event of its own. @default 1 */
  answers?: number
  /** For each of them, where the provider says it. */
  onUsage?(usage: TokenUsage): void
  /** Of tools that the provider runs, so many have been begun, in all. */
  onToolCalls?(count: number): void
  /** So many pieces of text, and answers, are about to have gone out, in all. A promise is waited for before. */
  onDelivered?(pieces: number, answers: number): Promise<void> | undefined
  /** Before what makes the answer complete goes out. */
  onLast?(): Promise<void> | undefined
  onMalformed(): void
  /** The provider broke the stream. */
  onInterrupted(): void
  /** The answer ends in the middle, by whoever's doing but the caller's own. */
  onUnfinished?(): void
  onEnd(): void
}

export async function* relayTypedStream(
  { begun, rest, maxSilenceMs }: TypedAnswer,
  options: TypedRelayOptions,
): AsyncGenerator<string> {
  const { clock, hold, signal, onInterrupted, onEnd } = options
  const answer = createAnswer(options)
  const waits = createWaits(clock)

  /** Why there is nothing more: undefined = the answer is whole. */
  async function* relay(): AsyncGenerator<string, Broken | undefined> {
    try {
      for (let events = begun; ; ) {
        const { text, ending } = answer.take(events)
        const noted = options.onDelivered?.(answer.pieces(), answer.delivered())
        if (noted) await noted
        if (ending === 'whole' || answer.isWhole()) await options.onLast?.()
        if (text) yield text
        if (ending) return ending === 'whole' ? undefined : ending
        const askedAt = clock.now()
        const next = rest.next()
        const finished = answer.isWhole()
        let result = await waits.upTo(finished ? tailMs : heartbeatMs, next)
        for (; result === 'late'; result = await waits.upTo(heartbeatMs, next)) {
          if (finished) return undefined
          if (clock.now() - askedAt >= maxSilenceMs) return new UpstreamFailure('silent', { phase: 'idle' })
          yield heartbeat
        }
        if (result.done) return finished ? undefined : new UpstreamFailure('poison')
        events = result.value
      }
    } catch (cause) {
      // What was already whole stays so. The gateway's own endings (it stops, the time is over) bring their words along,
      // and the rest is the provider's.
      if (answer.isWhole()) return undefined
      return cause instanceof ApiError ? cause : failureFrom(cause)
    }
  }

  try {
    const broken = yield* relay()
    if (signal.aborted || broken === undefined) return
    // A caller whose own time is over has had what he was given.
    if (!(broken instanceof ApiError) || broken.code !== 'deadline_exceeded') {
      options.onUnfinished?.()
      await options.onDelivered?.(answer.pieces(), answer.finished())
    }
    if (broken instanceof ApiError) return yield answer.error(broken)
    if (!(broken instanceof UpstreamFailure)) return yield broken.passOn
    hold.failed()
    onInterrupted()
    yield answer.error(new ApiError(broken.class === 'silent' ? codeOf(broken) : 'stream_interrupted'))
  } finally {
    // Reached in every way out, the caller's leaving included. Aborted too: `return` alone would wait for the next event.
    hold.abort(ended)
    hold.release()
    waits.stop()
    onEnd()
    void rest.return().catch(() => {}) // Nobody reads on; how the call ends no longer matters.
  }
}

const ended = new ApiError('stream_interrupted')

/** `passOn`: the provider's own event, which the caller is to see. */
type Broken = UpstreamFailure | ApiError | { passOn: string }

function createAnswer({ answers = 1, onUsage, onToolCalls, onMalformed }: TypedRelayOptions) {
  let finished = 0
  /** A picture that is not finished has been seen. */
  let seen = false
  let pieces = 0
  let toolCalls = 0
  let lastNumber: number | undefined
  let skipped = false

  /** An event that could not be read may have been noise, or a piece of the answer, which is missing then. */
  function isPieceMissing({ type, data, afterMalformed }: TypedEvent): boolean {
    skipped ||= afterMalformed === true
    const { sequence_number: number } = data
    // Transcripts and images come whole at the end, speech comes in pieces alone.
    if (typeof number !== 'number') return skipped && type === 'speech.audio.done'
    const expected = lastNumber === undefined ? 0 : lastNumber + 1
    lastNumber = number
    return afterMalformed === true && number !== expected
  }

  return {
    isWhole: () => finished >= answers,
    finished: () => finished,
    /** Those that were seen before they were finished with them: a picture is worth most of its price then. */
    delivered: () => finished + (seen && finished < answers ? 1 : 0),
    pieces: () => pieces,
    /** Takes note of what the events tell; answers the text to relay, and the ending where one of them is the last. */
    take(events: readonly TypedStreamEvent[]): { text: string; ending?: Broken | 'whole' } {
      let text = ''
      for (const event of events) {
        switch (event.kind) {
          case 'malformed':
            onMalformed()
            break
          case 'error':
            if (finished >= answers) return { text, ending: 'whole' }
            return {
              text,
              ending: isPolicyRefusal(event.error) ? { passOn: event.text } : new UpstreamFailure('server'),
            }
          case 'done':
            // Fewer answers than asked for are the provider's word; none is a break.
            return finished > 0
              ? { text: text + event.text, ending: 'whole' }
              : { text, ending: new UpstreamFailure('poison') }
          case 'typed': {
            if (isPieceMissing(event)) return { text, ending: new UpstreamFailure('poison') }
            text += event.text
            if (event.type.endsWith('.delta')) pieces++
            if (event.type === 'image_generation.partial_image') seen = true
            if (beginsHostedCall(event)) onToolCalls?.(++toolCalls)
            if (!isTerminal(event)) break
            finished++
            // The end knows what was searched for and what was only read.
            onToolCalls?.(hostedCallsOf(event) ?? toolCalls)
            seen = false
            // One that is told twice is one answer.
            const usage = finished > answers ? undefined : usageOf(event)
            if (usage) onUsage?.(usage)
          }
        }
      }
      return { text }
    },
    /** Flat, as OpenAI's reference has it, and nested, as OpenAI sends it: each is what some SDK reads. */
    error(error: ApiError): string {
      const { error: nested } = openAiError(error)
      const { code, message, param } = nested
      const number = lastNumber === undefined ? undefined : lastNumber + 1
      const data = { type: 'error', code, message, param, sequence_number: number, error: nested }
      return `event: error\ndata: ${JSON.stringify(data)}\n\n`
    },
  }
}
