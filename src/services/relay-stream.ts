/**
 * Relays a streamed completion event by event and decides what its end means. Whole: every choice has said why it
 * finished. Where a provider breaks off before that, another one goes on with the answer; where none can, the caller
 * gets an `error` event and no `[DONE]`: a short answer must not look complete.
 */
import { ApiError, type ErrorCode, openAiError } from '../errors.ts'
import type { Clock } from '../ports.ts'
import { isPolicyRefusal, type StreamChunk, type StreamEvent } from '../providers/openai-stream.ts'
import { type TokenUsage, tokenUsage } from '../providers/token-usage.ts'
import { codeOf } from '../upstream/api-error.ts'
import type { Hold } from '../upstream/guarded-call.ts'
import { failureFrom, UpstreamFailure } from '../upstream/outcome.ts'
import type { Splice } from './splice.ts'
import { Transcript, type TranscriptMemory } from './transcript.ts'
import { createWaits, heartbeat, heartbeatMs, tailMs } from './waits.ts'

/** One provider's part of an answer. */
export interface Source {
  provider: string
  /** The first events, already here. */
  begun: StreamEvent[]
  rest: AsyncGenerator<StreamEvent[], void, void>
  hold: Hold
  /** Joins it to what others have sent before; undefined = it is the first. */
  splice: Splice | undefined
  /** How it goes on, for metrics. */
  rescuedBy: 'prefill' | 'restart' | undefined
  /** Fewer tokens per second than this are a break; undefined = any pace will do. */
  minTokensPerSecond: number | undefined
  /** So long without an event is one, too. */
  maxSilenceMs: number
}

export interface RelayOptions {
  clock: Clock
  /** Aborted when the caller leaves. */
  signal: AbortSignal
  wantsUsage: boolean
  /** How many choices were asked for. */
  choices: number
  memory: TranscriptMemory
  /** Another source for the rest of the answer; undefined where nobody can go on with it. */
  rescue(transcript: Transcript, broken: UpstreamFailure | 'mismatch'): Promise<Source | undefined>
  /** The source that goes on has said something that fits: from here on the answer is its own. */
  onTaken?(): void
  /** What the answer cost, where the provider says so; the last word counts. `early`: the answer goes on. */
  onUsage?(usage: TokenUsage, early: boolean): void
  /** So many pieces of text are about to have gone out, in all. A promise is waited for before they do. */
  onText?(tokens: number): Promise<void> | undefined
  /** All of the answer is out, and what it cost is still to come: that is read also where the caller leaves now. */
  onWaitingForUsage?(): void
  /** Before what makes the answer complete goes out. */
  onLast?(): Promise<void> | undefined
  onMalformed(provider: string): void
  /** A provider broke the stream, and how the answer was saved, if it was. */
  onInterrupted(provider: string, rescued: 'prefill' | 'restart' | 'no'): void
  onEnd(): void
}

/** Over how long the pace of a stream is measured. */
const paceMs = 10_000

export async function* relayStream(first: Source, options: RelayOptions): AsyncGenerator<string> {
  const { clock, signal, memory, choices, rescue, onInterrupted, onEnd } = options
  const transcript = new Transcript(memory, choices)
  const waits = createWaits(clock)
  let source = first
  /** Whoever is to go on, until it is here: it must be ended also where nobody waits for it any more. */
  let saving: Promise<Source | undefined> | undefined
  /** Every choice has said why it finished. */
  let finished = false
  let usageTold = false
  /** The source gives nothing more. */
  let over = false
  let taken = true
  const absorbing: RelayOptions = {
    ...options,
    onTaken() {
      if (!taken) options.onTaken?.()
      taken = true
    },
    onUsage(usage) {
      // Of an answer that nobody was given.
      if (!taken) return
      // What some tell all along is not the last word.
      const isLast = transcript.isWhole(false)
      usageTold ||= isLast
      options.onUsage?.(usage, !isLast)
    },
  }
  /** As far as it comes within a moment; else the caller who has left pays for what was delivered. */
  async function readUsage() {
    try {
      for (;;) {
        const result = await waits.upTo(tailMs, source.rest.next())
        if (result === 'late' || result.done) return
        for (const event of result.value) {
          if (event.kind === 'done') return
          if (event.kind === 'chunk' && event.chunk.usage) return tellUsage(event.chunk.usage, options)
        }
      }
    } catch {
      // It was broken off: the answer was whole before.
    }
  }
  /** Providers that broke off, until it is known whether another one could go on. */
  let interrupted: string[] = []
  const resolved = (rescued: 'prefill' | 'restart' | 'no') => {
    for (const provider of interrupted) onInterrupted(provider, rescued)
    interrupted = []
  }

  try {
    for (;;) {
      /** Why the source gives nothing more: undefined = the answer is whole. */
      let broken: Broken | undefined
      const pace = source.minTokensPerSecond === undefined ? undefined : createPace(source.minTokensPerSecond)
      try {
        for (let events = source.begun; ; ) {
          const { text, ending } = absorb(events, source, transcript, absorbing)
          finished = transcript.isWhole(false)
          if (finished && !usageTold) options.onWaitingForUsage?.()
          const noted = options.onText?.(transcript.tokens)
          if (noted) await noted
          if (ending === 'whole') await options.onLast?.()
          if (text) {
            // What it says fits to what was sent.
            if (source.rescuedBy) resolved(source.rescuedBy)
            yield text
          }
          if (ending) {
            broken = ending === 'whole' ? undefined : ending
            break
          }
          if (!finished && pace?.isTooSlow(countOf(events))) {
            broken = new UpstreamFailure('silent', { phase: 'rate' })
            break
          }
          // What has been said must not be held by a stream that waits.
          events.length = 0
          const askedAt = clock.now()
          const next = source.rest.next()
          let result = await waits.upTo(finished ? tailMs : heartbeatMs, next)
          for (; result === 'late' && !finished; result = await waits.upTo(heartbeatMs, next)) {
            if (clock.now() - askedAt >= source.maxSilenceMs) {
              source.hold.abort(ended)
              throw new UpstreamFailure('silent', { phase: 'idle' })
            }
            yield heartbeat
          }
          pace?.waited(clock.now() - askedAt)
          if (result === 'late') {
            // Only the usage or `[DONE]` was still to come. Aborted: closing would wait for the event that is awaited.
            source.hold.abort(ended)
            break
          }
          if (result.done) {
            broken = finished ? undefined : new UpstreamFailure('poison')
            break
          }
          events = result.value
        }
      } catch (cause) {
        // What was already whole stays so. The gateway's own endings (it stops, the time is over) bring their words
        // along, and the rest is the provider's.
        if (!transcript.isWhole(false)) broken = cause instanceof ApiError ? cause : failureFrom(cause)
      }
      over = true
      if (signal.aborted) return
      if (broken === undefined) {
        await options.onLast?.()
        return yield done
      }
      if (broken instanceof ApiError) return yield toError(broken)
      if (broken instanceof UpstreamFailure) {
        source.hold.failed()
        interrupted.push(source.provider)
      } else if (broken !== 'mismatch') return yield broken.passOn

      end(source)
      saving = transcript.obstacle ? Promise.resolve(undefined) : rescue(transcript, broken)
      let next = await waits.upTo(heartbeatMs, saving)
      for (; next === 'late'; next = await waits.upTo(heartbeatMs, saving)) yield heartbeat
      if (signal.aborted) return
      saving = undefined
      if (!next) {
        resolved('no')
        return yield toError(new ApiError(codeOfBreak(broken)))
      }
      source = next
      over = false
      taken = false
    }
  } finally {
    if (finished && !usageTold && !over) await readUsage()
    // Reached in every way out, the caller's leaving included: the provider's call ends here.
    end(source)
    void saving?.then((late) => late && end(late)).catch(() => {}) // What it failed with is told already, or to nobody.
    waits.stop()
    transcript.close()
    onEnd()
  }
}

/** `mismatch`: this source says something else than what was sent. `passOn`: its verdict on the request, as an event. */
type Broken = UpstreamFailure | ApiError | 'mismatch' | { passOn: string }

/** Takes note of what the events tell; answers the text to relay, and the ending where one of them is the last. */
function absorb(events: readonly StreamEvent[], source: Source, transcript: Transcript, options: RelayOptions) {
  let text = ''
  const relay = (chunk: StreamChunk, asItCame?: string) => {
    transcript.add(chunk)
    text += toRelay(chunk, options.wantsUsage, asItCame)
  }
  /** False: it says something else than what was sent. */
  const take = (chunk: StreamChunk, asItCame?: string): boolean => {
    const chunks = source.splice?.take(chunk)
    if (chunks === 'mismatch') return false
    if (chunks?.some(({ choices }) => choices?.length)) options.onTaken?.()
    if (chunks) for (const each of chunks) relay(each)
    else relay(chunk, asItCame)
    return true
  }
  for (const event of events) {
    switch (event.kind) {
      case 'malformed':
        options.onMalformed(source.provider)
        break
      case 'error':
        if (transcript.isWhole(false)) return { text, ending: 'whole' as const }
        return {
          text,
          ending: isPolicyRefusal(event.error) ? { passOn: toEvent(event.text) } : new UpstreamFailure('server'),
        }
      case 'done':
        return { text, ending: transcript.isWhole(true) ? ('whole' as const) : new UpstreamFailure('poison') }
      case 'run': {
        const asTheyCame = options.wantsUsage ? event.raw : event.withoutUsage()
        if (source.splice || asTheyCame === undefined) {
          for (const piece of event.pieces) {
            if (!take(event.chunkOf(piece))) return { text, ending: 'mismatch' as const }
          }
        } else {
          transcript.addRun(event)
          text += asTheyCame
        }
        break
      }
      case 'chunk': {
        if (!take(event.chunk, event.text)) return { text, ending: 'mismatch' as const }
        if (event.chunk.usage) tellUsage(event.chunk.usage, options)
        // A provider that forgets `[DONE]` may keep the connection open: the usage event is the last one anyway.
        if (isUsageEvent(event.chunk) && transcript.isWhole(true)) return { text, ending: 'whole' as const }
      }
    }
  }
  return { text, ending: undefined }
}

const countOf = (events: readonly StreamEvent[]) =>
  events.reduce((sum, event) => sum + (event.kind === 'run' ? event.pieces.length : 1), 0)

function tellUsage(said: unknown, { onUsage }: RelayOptions) {
  const usage = tokenUsage(said)
  if (usage) onUsage?.(usage, false)
}

/** The event for the caller, as it came where that will do, without usage nobody asked for. */
function toRelay(chunk: StreamChunk, wantsUsage: boolean, asItCame: string | undefined): string {
  if (wantsUsage || !('usage' in chunk)) return toEvent(asItCame ?? JSON.stringify(chunk))
  if (isUsageEvent(chunk)) return ''
  const { usage: _, ...rest } = chunk
  return toEvent(JSON.stringify(rest))
}

const ended = new ApiError('stream_interrupted')

function end({ hold, rest }: Source) {
  hold.release()
  void rest.return().catch(() => {}) // Nobody reads on; how the call ends no longer matters.
}

/** By the time in which the source is waited for: a caller who reads slowly does not make a provider slow. */
function createPace(minPerSecond: number) {
  let ms = 0
  let tokens = 0
  return {
    waited(more: number) {
      ms += more
    },
    isTooSlow(more: number): boolean {
      tokens += more
      if (ms < paceMs) return false
      const slow = tokens < (minPerSecond * ms) / 1000
      ms = 0
      tokens = 0
      return slow
    },
  }
}

/** After the first byte the words are those of an answer that broke off; only a timeout is more exact. */
function codeOfBreak(broken: UpstreamFailure | 'mismatch'): ErrorCode {
  return broken !== 'mismatch' && broken.class === 'silent' ? codeOf(broken) : 'stream_interrupted'
}

const isUsageEvent = ({ usage, choices }: StreamChunk) => usage != null && (choices?.length ?? 0) === 0

const done = 'data: [DONE]\n\n'
const toError = (error: ApiError) => toEvent(JSON.stringify(openAiError(error)))
/** Data of several lines is one `data:` field a line. */
const toEvent = (data: string) => `data: ${data.includes('\n') ? data.replaceAll('\n', '\ndata: ') : data}\n\n`
