import { describe, expect, it } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { ApiError } from '../errors.ts'
import { HttpFailure } from '../ports.ts'
import type { TokenUsage } from '../providers/token-usage.ts'
import { readTypedEvents, type TypedStreamEvent } from '../providers/typed-events.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'
import { relayTypedStream } from './typed-stream.ts'

const encoder = new TextEncoder()

type Data = Record<string, unknown>
type Source = AsyncGenerator<TypedStreamEvent[], void, void>

const eventText = (data: Data, named = true) =>
  `${named ? `event: ${data.type}\n` : ''}data: ${JSON.stringify(data)}\n\n`

/** A provider's stream: events as objects, other text as it is, an error is thrown. */
async function* streamOf(...events: (Data | string | Error)[]): Source {
  async function* body() {
    for (const event of events) {
      if (event instanceof Error) throw event
      yield encoder.encode(typeof event === 'string' ? event : eventText(event))
    }
  }
  yield* readTypedEvents(body())
}

async function relay(
  rest: Source,
  {
    clock = new FakeClock(),
    signal = new AbortController().signal,
    begun = [] as TypedStreamEvent[],
    answers = 1,
    onText = (_text: string) => {},
    onAbort = () => {},
  } = {},
) {
  const told = {
    ...{ text: '', failed: 0, released: 0, malformed: 0, interrupted: 0, ended: 0, closed: false, delivered: 0 },
    unfinished: 0,
  }
  const usage: TokenUsage[] = []
  const toolCalls: number[] = []
  const closing = rest.return.bind(rest)
  rest.return = (value) => {
    told.closed = true
    return closing(value)
  }
  const out = relayTypedStream(
    { begun, rest, maxSilenceMs: 60_000 },
    {
      clock,
      hold: { release: () => void told.released++, failed: () => void told.failed++, abort: onAbort },
      signal,
      answers,
      onUsage: (used) => usage.push(used),
      onToolCalls: (count) => toolCalls.push(count),
      onDelivered(_pieces, delivered) {
        told.delivered = delivered
        return undefined
      },
      onMalformed: () => void told.malformed++,
      onInterrupted: () => void told.interrupted++,
      onUnfinished: () => void told.unfinished++,
      onEnd: () => void told.ended++,
    },
  )
  for await (const text of out) {
    told.text += text
    onText(text)
  }
  return { ...told, usage, toolCalls, timers: clock.pendingTimers }
}

const created = { type: 'response.created', sequence_number: 0, response: {} }
const delta = (number: number) => ({
  type: 'response.output_text.delta',
  sequence_number: number,
  delta: ` w${number}`,
})
const completed = (number: number) => ({
  type: 'response.completed',
  sequence_number: number,
  response: { usage: { input_tokens: 3, input_tokens_details: { cached_tokens: 1 }, output_tokens: 2 } },
})
const image = { type: 'image_generation.completed', b64_json: '', usage: { input_tokens: 1, output_tokens: 272 } }
const sound = { type: 'speech.audio.delta', audio: 'AAAA' }
const soundDone = { type: 'speech.audio.done', usage: { input_tokens: 1, output_tokens: 1 } }
const done = 'data: [DONE]\n\n'

const eventsOf = (text: string): Data[] =>
  text.split('\n\n').flatMap((event) => {
    const at = event.indexOf('data: {')
    return at < 0 ? [] : [JSON.parse(event.slice(at + 6))]
  })
const lastOf = (text: string) => eventsOf(text).at(-1)

const whole = { failed: 0, released: 1, interrupted: 0, ended: 1, closed: true, timers: 0 }
const broken = { failed: 1, released: 1, interrupted: 1, ended: 1, closed: true, timers: 0 }
const interrupted = { type: 'error', code: 'stream_interrupted', param: null, error: { code: 'stream_interrupted' } }

describe('a typed stream', () => {
  it('that is whole is relayed as it came, and its usage told', async () => {
    const events = [created, delta(1), delta(2), completed(3)]
    const told = await relay(streamOf(...events))
    expect(told).toMatchObject(whole)
    expect(told.text).toBe(events.map((event) => eventText(event)).join(''))
    expect(told.usage).toEqual([{ inputTokens: 3, cachedInputTokens: 1, outputTokens: 2 }])
  })

  it('whose end is told twice was used once', async () => {
    const told = await relay(
      streamOf([created, delta(1), completed(2), completed(3)].map((e) => eventText(e)).join('')),
    )
    expect(told).toMatchObject({ ...whole, usage: [{ outputTokens: 2 }] })
  })

  it.each(['response.incomplete', 'response.failed'])('that ends with %s is whole', async (type) => {
    const last = { type, sequence_number: 2, response: { error: { code: 'invalid_prompt' } } }
    const told = await relay(streamOf(created, delta(1), last))
    expect(told).toMatchObject(whole)
    expect(lastOf(told.text)).toEqual(last)
  })

  it('keeps its [DONE] where it has one, and gets none where it has not', async () => {
    const told = await relay(streamOf(sound, soundDone, done))
    expect(told).toMatchObject(whole)
    expect(told.text.endsWith(`${eventText(soundDone)}${done}`)).toBe(true)
    expect((await relay(streamOf(sound, soundDone))).text).not.toContain('[DONE]')
  })

  it('begins with the events that are already here', async () => {
    const begun = (await Array.fromAsync(streamOf(created, delta(1)))).flat()
    const told = await relay(streamOf(completed(2)), { begun })
    expect(told).toMatchObject(whole)
    expect(eventsOf(told.text)).toHaveLength(3)
  })

  it.each<[string, (Data | string | Error)[]]>([
    ['ends', []],
    ['is cut', [new HttpFailure('cut')]],
    ['says [DONE]', [done]],
    ['breaks in a way nobody foresaw', [new Error('secret')]],
    ['tells of an error', ['event: error\ndata: {"type":"error","code":"server_error","message":"org-secret"}\n\n']],
    ['fails', [{ type: 'response.failed', sequence_number: 3, response: { error: { code: 'server_error' } } }]],
    ['stops before its last event is out', ['event: response.completed\ndata: {"type":"response.comp']],
  ])('that %s before its last event ends with an error, never as if it were whole', async (_what, events) => {
    const told = await relay(streamOf(created, delta(1), delta(2), ...events))
    expect(told).toMatchObject(broken)
    expect(lastOf(told.text)).toMatchObject({ ...interrupted, sequence_number: 3 })
    expect(told.text).toMatch(/\n\nevent: error\ndata: \{"type":"error",.*\}\n\n$/)
    expect(told.text).not.toMatch(/secret|\[DONE\]|response\.(?:completed|failed)/)
  })

  it('that falls silent tells so, in its own words', async () => {
    const told = await relay(streamOf(created, delta(1), new UpstreamFailure('silent', { phase: 'idle' })))
    expect(told).toMatchObject(broken)
    expect(lastOf(told.text)).toMatchObject({ type: 'error', code: 'stream_idle_timeout', sequence_number: 2 })
  })

  it('without numbers gets an error without one', async () => {
    const told = await relay(streamOf(sound, new HttpFailure('cut')))
    expect(told).toMatchObject(broken)
    expect(lastOf(told.text)).toMatchObject(interrupted)
    expect(lastOf(told.text)).not.toHaveProperty('sequence_number')
  })

  it('that the provider has judged is not a failure: its words pass on', async () => {
    const judged = 'event: error\ndata: {"type":"error","error":{"code":"moderation_blocked","message":"no"}}\n\n'
    const told = await relay(streamOf(created, judged))
    expect(told).toMatchObject(whole)
    expect(told.text.endsWith(judged)).toBe(true)
  })

  it('that the gateway itself ends says why', async () => {
    const told = await relay(streamOf(created, new ApiError('deadline_exceeded')))
    expect(told).toMatchObject({ ...broken, failed: 0, interrupted: 0 })
    expect(lastOf(told.text)).toMatchObject({ type: 'error', code: 'deadline_exceeded' })
  })

  it.each([
    ['a cut', new HttpFailure('cut')],
    ['an error', 'event: error\ndata: {"type":"error","code":"server_error"}\n\n'],
    ['the end of the time', new ApiError('deadline_exceeded')],
  ])('that is whole stays so after %s', async (_what, after) => {
    const told = await relay(streamOf(created, completed(1), after))
    expect(told).toMatchObject(whole)
    expect(lastOf(told.text)).toEqual(completed(1))
  })

  it('of several images is whole with the last of them', async () => {
    expect(await relay(streamOf(image, image, image), { answers: 3 })).toMatchObject(whole)
    expect(await relay(streamOf(image, done), { answers: 3 })).toMatchObject(whole)
    const told = await relay(streamOf(image, image), { answers: 3 })
    expect(told).toMatchObject(broken)
    expect(told.usage).toHaveLength(2)
    expect(lastOf(told.text)).toMatchObject(interrupted)
  })
})

it.each<[string, Data | Error, number]>([
  ['the provider breaks it off', new HttpFailure('cut'), 1],
  ['the gateway stops', new ApiError('stream_interrupted'), 1],
  ['the caller’s own time is over', new ApiError('deadline_exceeded'), 0],
  ['it is whole', soundDone, 0],
])('speech is told to be unfinished where that is so: %s', async (_, last, unfinished) => {
  expect(await relay(streamOf(sound, last))).toMatchObject({ unfinished })
})

describe('a picture of which parts are shown', () => {
  const part = { type: 'image_generation.partial_image', b64_json: '', partial_image_index: 0 }

  it('counts from the first of them, for a caller who leaves or whose time is over', async () => {
    const leaving = new AbortController()
    const left = await relay(streamOf(part, part, new HttpFailure('cut')), {
      signal: leaving.signal,
      onText: () => leaving.abort(),
    })
    expect(left.delivered).toBe(1)
    expect(await relay(streamOf(part, new ApiError('deadline_exceeded')))).toMatchObject({ delivered: 1 })
    expect(await relay(streamOf(image, part, new ApiError('deadline_exceeded')), { answers: 2 })).toMatchObject({
      delivered: 2,
    })
  })

  it('counts once, and not where the provider breaks it off', async () => {
    expect(await relay(streamOf(part, part, image))).toMatchObject({ ...whole, delivered: 1 })
    expect(await relay(streamOf(part, image, part, image), { answers: 2 })).toMatchObject({ ...whole, delivered: 2 })
    expect(await relay(streamOf(part, part, new HttpFailure('cut')))).toMatchObject({ ...broken, delivered: 0 })
    expect(await relay(streamOf(part, new ApiError('stream_interrupted')))).toMatchObject({ delivered: 0 })
  })
})

describe('an event that cannot be read', () => {
  const noise = 'data: {oops\n\n'

  it('is skipped where nothing is missing', async () => {
    const told = await relay(streamOf(created, delta(1), noise, delta(2), completed(3)))
    expect(told).toMatchObject({ ...whole, malformed: 1 })
    expect(eventsOf(told.text)).toHaveLength(4)
    expect(await relay(streamOf(noise, image))).toMatchObject({ ...whole, malformed: 1 })
  })

  it('breaks the stream where its number is missing: the answer would lack a word', async () => {
    const told = await relay(streamOf(created, delta(1), noise, delta(3), completed(4)))
    expect(told).toMatchObject({ ...broken, malformed: 1 })
    expect(eventsOf(told.text).map(({ type }) => type)).toEqual([created.type, delta(1).type, 'error'])
    expect(lastOf(told.text)).toMatchObject(interrupted)
  })

  it('is known of also where it came before the answer was begun', async () => {
    const begun = (await Array.fromAsync(streamOf(created, noise, delta(2)))).flat()
    const kept = begun.filter(({ kind }) => kind !== 'malformed')
    const told = await relay(streamOf(completed(3)), { begun: kept })
    expect(told).toMatchObject(broken)
    expect(eventsOf(told.text).map(({ type }) => type)).toEqual([created.type, 'error'])
  })

  it('breaks speech, of which every piece is needed', async () => {
    const told = await relay(streamOf(sound, noise, sound, soundDone, done))
    expect(told).toMatchObject({ ...broken, malformed: 1 })
    expect(lastOf(told.text)).toMatchObject(interrupted)
  })
})

describe('tools that the provider runs', () => {
  const begins = (number: number, item: object) => ({
    ...{ type: 'response.output_item.added', sequence_number: number, item },
  })
  const search = { type: 'web_search_call', id: 'ws' }
  const ends = (number: number, output?: object[]) => ({
    ...{ type: 'response.completed', sequence_number: number, response: { output } },
  })
  const both = [begins(1, search), begins(2, search), begins(3, { type: 'function_call' })]

  it('are counted as they begin: whoever leaves then has had them run', async () => {
    const told = await relay(streamOf(created, ...both, new HttpFailure('cut')))
    expect(told.toolCalls).toEqual([1, 2])
  })

  it('are counted by the end, which knows what was only read', async () => {
    const read = { ...search, action: { type: 'open_page' } }
    const told = await relay(streamOf(created, ...both, ends(4, [{ ...search, action: { type: 'search' } }, read])))
    expect(told.toolCalls.at(-1)).toBe(1)
    expect((await relay(streamOf(created, ends(1, [search])))).toolCalls.at(-1)).toBe(1)
  })

  it('are not forgotten where the end does not list them', async () => {
    expect((await relay(streamOf(created, ...both, ends(4)))).toolCalls.at(-1)).toBe(2)
    expect((await relay(streamOf(created, ...both, ends(4, [])))).toolCalls.at(-1)).toBe(2)
  })
})

describe('waiting', () => {
  /** What the provider says, and then nothing until the call is aborted. */
  function silentAfter(...events: Data[]) {
    const aborting = new AbortController()
    const rest = (async function* (): Source {
      yield* streamOf(...events)
      await new Promise((_, reject) => aborting.signal.addEventListener('abort', () => reject(aborting.signal.reason)))
    })()
    return { rest, onAbort: () => aborting.abort(new Error('ended')), aborted: () => aborting.signal.aborted }
  }

  it('keeps the connection open with a comment every 15 s', async () => {
    const clock = new FakeClock()
    const { rest, onAbort } = silentAfter(created)
    const leaving = new AbortController()
    const relaying = relay(rest, { clock, signal: leaving.signal, onAbort })
    for (let i = 0; i < 3; i++) await clock.advance(15_000)
    leaving.abort()
    onAbort()
    const told = await relaying
    expect(told.text).toBe(`${eventText(created)}${': keep-alive\n\n'.repeat(3)}`)
    expect(told).toMatchObject(whole)
  })

  it('ends where only comments come for too long', async () => {
    const clock = new FakeClock()
    const { rest, onAbort, aborted } = silentAfter(created)
    const relaying = relay(rest, { clock, onAbort })
    await clock.advance(59_999)
    expect(aborted()).toBe(false)
    await clock.advance(1)
    expect(aborted()).toBe(true)
    const told = await relaying
    expect(told).toMatchObject(broken)
    expect(lastOf(told.text)).toMatchObject({ type: 'error', code: 'stream_idle_timeout' })
  })

  it('ends 2 s after the last event, and the provider’s call with it', async () => {
    const clock = new FakeClock()
    const { rest, onAbort, aborted } = silentAfter(created, completed(1))
    let ended = false
    const relaying = relay(rest, { clock, onAbort }).then((told) => {
      ended = true
      return told
    })
    await clock.advance(1_999)
    expect(ended).toBe(false)
    await clock.advance(1)
    expect(await relaying).toMatchObject(whole)
    expect(aborted()).toBe(true)
  })

  it('ends when the caller leaves, with nothing more said and no evidence', async () => {
    const { rest, onAbort } = silentAfter(created, delta(1))
    const leaving = new AbortController()
    const relaying = relay(rest, { signal: leaving.signal, onAbort })
    await settled()
    leaving.abort()
    onAbort()
    const told = await relaying
    expect(told).toMatchObject(whole)
    expect(eventsOf(told.text)).toHaveLength(2)
  })

  it('relays no further than it is read', async () => {
    let pulled = 0
    const rest = (async function* (): Source {
      for (const event of [created, delta(1), delta(2), completed(3)]) {
        pulled++
        yield* streamOf(event)
      }
    })()
    const clock = new FakeClock()
    const hold = { release() {}, failed() {}, abort() {} }
    const quiet = { onMalformed() {}, onInterrupted() {}, onEnd() {} }
    const answer = { begun: [], rest, maxSilenceMs: 60_000 }
    const out = relayTypedStream(answer, { clock, hold, signal: new AbortController().signal, ...quiet })
    await out.next()
    expect(pulled).toBe(1)
    await out.next()
    expect(pulled).toBe(2)
    await out.return(undefined)
    expect(pulled).toBe(2)
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('wherever a stream is cut', () => {
  it('the caller never gets a short answer that looks complete', async () => {
    const text = [created, delta(1), delta(2), completed(3)].map((event) => eventText(event)).join('')
    for (let at = 0; at < text.length; at++) {
      const told = await relay(streamOf(text.slice(0, at)))
      expect(told, `cut at ${at}`).toMatchObject(broken)
      expect(lastOf(told.text), `cut at ${at}`).toMatchObject(interrupted)
    }
    expect(await relay(streamOf(text))).toMatchObject(whole)
  })
})
