import { describe, expect, it } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { FakeHttp } from '../../tests/support/fake-http.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { ApiError } from '../errors.ts'
import { HttpFailure } from '../ports.ts'
import { createOpenAiProvider, type StreamedAnswer } from '../providers/openai.ts'
import { readStreamEvents, type StreamEvent } from '../providers/openai-stream.ts'
import { instruments } from '../telemetry/instruments.ts'
import type { Hold } from '../upstream/guarded-call.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { type RelayOptions, relayStream, type Source } from './relay-stream.ts'
import { spliceRestart } from './splice.ts'
import { TranscriptMemory } from './transcript.ts'

const encoder = new TextEncoder()
const done = 'data: [DONE]\n\n'

interface Told {
  text: string
  failed: number
  released: number
  malformed: number
  interrupted: number
  ended: number
  closed: boolean
}

type Events = AsyncGenerator<StreamEvent[], void, void>

async function relay(
  rest: Events,
  {
    wantsUsage = false,
    signal = new AbortController().signal,
    begun = [] as StreamEvent[],
    onText = (_text: string) => {},
    choices = 1,
    rescue = (async () => undefined) as RelayOptions['rescue'],
    clock = new FakeClock(),
    onLast = () => {},
    onUsage = (() => {}) as NonNullable<RelayOptions['onUsage']>,
  } = {},
): Promise<Told> {
  const told: Told = { text: '', failed: 0, released: 0, malformed: 0, interrupted: 0, ended: 0, closed: false }
  const closing = rest.return.bind(rest)
  rest.return = (value) => {
    told.closed = true
    return closing(value)
  }
  const hold = {
    // More calls are ignored, as the guarded call promises.
    release() {
      told.released = 1
    },
    failed: () => void told.failed++,
    abort: () => {},
  }
  const out = relayStream(sourceOf(rest, { hold, begun }), {
    ...options(),
    clock,
    choices,
    rescue,
    signal,
    wantsUsage,
    async onLast() {
      onLast()
    },
    onUsage,
    onMalformed: () => void told.malformed++,
    onInterrupted: () => void told.interrupted++,
    onEnd: () => void told.ended++,
  })
  for await (const text of out) {
    told.text += text
    onText(text)
  }
  return told
}

const sourceOf = (rest: Events, { hold, begun = [] }: { hold: Hold; begun?: StreamEvent[] }): Source => ({
  provider: 'openai',
  begun,
  rest,
  hold,
  splice: undefined,
  rescuedBy: undefined,
  minTokensPerSecond: undefined,
  maxSilenceMs: 120_000,
})

const options = () => ({
  clock: new FakeClock(),
  choices: 1,
  memory: new TranscriptMemory(1_000_000),
  rescue: async () => undefined,
})

/** A provider's stream: chunks as objects, other text as it is, an error is thrown. */
async function* streamOf(...events: (object | string | Error)[]): AsyncGenerator<StreamEvent[], void, void> {
  async function* body() {
    for (const event of events) {
      if (event instanceof Error) throw event
      yield encoder.encode(typeof event === 'string' ? event : `data: ${JSON.stringify(event)}\n\n`)
    }
  }
  yield* readStreamEvents(body())
}

const word = (content: string, index = 0) => ({ choices: [{ index, delta: { content }, finish_reason: null }] })
const finish = (index = 0) => ({ choices: [{ index, delta: {}, finish_reason: 'stop' }] })
const usage = { choices: [], usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } }

const eventsOf = (text: string) =>
  text
    .split('\n\n')
    .filter(Boolean)
    .map((event) => event.replace(/^data: /, ''))
const parsed = (text: string) =>
  eventsOf(text)
    .filter((event) => event !== '[DONE]')
    .map((event) => JSON.parse(event))
const wordsOf = (text: string) =>
  parsed(text)
    .flatMap(({ choices }) => choices ?? [])
    .map(({ delta }) => delta?.content ?? '')
    .join('')

const whole = { failed: 0, released: 1, interrupted: 0, ended: 1, closed: true }
const broken = { failed: 1, released: 1, interrupted: 1, ended: 1, closed: true }

describe('a stream', () => {
  it('that is whole is relayed as it came and ends with [DONE]', async () => {
    const odd = 'data: {"choices":[{"index":0,"delta":{"content":"x"},"big":12345678901234567890,"z" : 1.0}]}\n\n'
    const told = await relay(streamOf(word('Hello'), odd, finish(), done))
    expect(told).toMatchObject({ ...whole, malformed: 0 })
    expect(told.text).toBe(
      `data: ${JSON.stringify(word('Hello'))}\n\n${odd}data: ${JSON.stringify(finish())}\n\n${done}`,
    )
  })

  it('that finished but forgot [DONE] gets one', async () => {
    const told = await relay(streamOf(word('Hello'), finish()))
    expect(told).toMatchObject(whole)
    expect(told.text.endsWith(done)).toBe(true)
    expect(told.text.split('[DONE]')).toHaveLength(2)
  })

  it('that finished and then forgot to end is ended at its usage', async () => {
    const rest = (async function* () {
      yield* streamOf(word('Hello'), finish(), usage)
      await new Promise(() => {})
    })()
    const told = await relay(rest, { wantsUsage: true })
    expect(told.text.endsWith(`data: ${JSON.stringify(usage)}\n\n${done}`)).toBe(true)
    expect(told).toMatchObject(whole)
  })

  it.each([
    ['cut', new HttpFailure('cut')],
    ['reset', new HttpFailure('reset')],
    ['silent', new HttpFailure('idle_timeout')],
  ])('that finished and was then %s is whole: nothing of it is missing', async (_name, error) => {
    const told = await relay(streamOf(word('Hello'), finish(), error))
    expect(told).toMatchObject(whole)
    expect(told.text.endsWith(done)).toBe(true)
  })

  it.each<[string, (object | string | Error)[]]>([
    ['ends without finish_reason', [word('Hel')]],
    ['sends [DONE] without finish_reason', [word('Hel'), done]],
    ['is cut', [word('Hel'), new HttpFailure('cut')]],
    ['falls silent', [word('Hel'), new HttpFailure('idle_timeout')]],
    ['throws what nobody foresaw', [word('Hel'), new TypeError('canary')]],
    ['reports an error', [word('Hel'), { error: { message: 'canary' } }, word('never')]],
    ['sends usage without finish_reason', [word('Hel'), usage]],
    ['sends choices that are none', [word('Hel'), { choices: 7 }]],
  ])('that %s ends with an error and no [DONE], and is evidence', async (name, events) => {
    const told = await relay(streamOf(...events))
    expect(told).toMatchObject(broken)
    expect(told.text).not.toContain('[DONE]')
    expect(told.text).not.toContain('canary')
    expect(wordsOf(told.text)).toBe('Hel')
    const code = name === 'falls silent' ? 'stream_idle_timeout' : 'stream_interrupted'
    expect(parsed(told.text).at(-1).error).toMatchObject({ code, type: 'server_error' })
  })

  it('that never says anything is broken', async () => {
    expect(await relay(streamOf())).toMatchObject(broken)
    expect(await relay(streamOf(done))).toMatchObject(broken)
  })

  it('that the gateway itself ends says why, and is no evidence', async () => {
    const told = await relay(streamOf(word('Hel'), new ApiError('deadline_exceeded')))
    expect(told).toMatchObject(whole)
    expect(told.text).not.toContain('[DONE]')
    expect(parsed(told.text).at(-1).error.code).toBe('deadline_exceeded')
  })

  it('skips an event that does not parse, and counts it', async () => {
    const told = await relay(
      streamOf(word('Hel'), 'data: {"choices":[{"ind\n\n', 'data: 7\n\n', word('lo'), finish(), done),
    )
    expect(told).toMatchObject({ ...whole, malformed: 2 })
    expect(wordsOf(told.text)).toBe('Hello')
  })

  it('with several choices is whole only when each has finished', async () => {
    const half = await relay(streamOf(word('a', 0), word('b', 1), finish(0), done))
    expect(half).toMatchObject(broken)
    const both = await relay(streamOf(word('a', 0), word('b', 1), finish(1), finish(0), done))
    expect(both).toMatchObject(whole)
    expect(both.text.endsWith(done)).toBe(true)
  })

  describe('with fewer choices than asked for', () => {
    const one = [word('a'), finish()]

    it.each<[string, (object | string)[]]>([
      ['[DONE]', [...one, done]],
      ['its usage', [...one, usage, word('never')]],
    ])('is whole where the provider says with %s that no more is to come', async (_name, events) => {
      const told = await relay(streamOf(...events), { choices: 2 })
      expect(told).toMatchObject(whole)
      expect(wordsOf(told.text)).toBe('a')
      expect(told.text.endsWith(done)).toBe(true)
    })

    it.each<[string, (object | string | Error)[]]>([
      ['ends', one],
      ['is cut', [...one, new HttpFailure('cut')]],
      ['reports an error', [...one, { error: { message: 'x' } }]],
    ])('is broken where it %s without that', async (_name, events) => {
      const told = await relay(streamOf(...events), { choices: 2 })
      expect(told).toMatchObject(broken)
      expect(told.text).not.toContain('[DONE]')
    })

    it('is waited for longer than one that only has to end', async () => {
      const clock = new FakeClock()
      const rest = (async function* () {
        yield* streamOf(...one)
        await new Promise<void>((resolve) => clock.setTimer(5_000, resolve))
        yield* streamOf(word('b', 1), finish(1), done)
      })()
      const relayed = relay(rest, { choices: 2, clock })
      await clock.advance(5_000)
      expect(wordsOf((await relayed).text)).toBe('ab')
    })
  })

  it('that reports an error after it has finished is whole', async () => {
    const begun: StreamEvent[] = [
      { kind: 'chunk', text: JSON.stringify(finish()), chunk: finish() },
      { kind: 'error', text: '{}', error: {} },
    ]
    const told = await relay(streamOf(word('never')), { begun })
    expect(told).toMatchObject(whole)
    expect(told.text).toBe(`data: ${JSON.stringify(finish())}\n\n${done}`)
  })

  it.each<[string, string, (object | string | Error)[]]>([
    ['ends', 'poison', [word('Hel')]],
    ['says that it is done', 'poison', [word('Hel'), done]],
    ['reports an error', 'server', [word('Hel'), { error: { message: 'x' } }]],
    ['falls silent', 'silent', [word('Hel'), new HttpFailure('idle_timeout')]],
  ])('that %s half-way is rescued as one whose provider is %s', async (_name, failure, events) => {
    const asked: unknown[] = []
    const rescue: RelayOptions['rescue'] = async (_transcript, broke) => {
      asked.push(broke)
      return undefined
    }
    await relay(streamOf(...events), { rescue })
    expect(asked).toMatchObject([{ class: failure }])
  })

  it('leaves no timer behind', async () => {
    const clock = new FakeClock()
    await relay(streamOf(word('Hello'), finish(), done), { clock })
    expect(clock.pendingTimers).toBe(0)
  })

  it('ends at [DONE], whatever is sent after it', async () => {
    const told = await relay(streamOf(word('Hello'), finish(), `${done}data: {"late":1}\n\n`, word('late')))
    expect(told.text).not.toContain('late')
    expect(told).toMatchObject(whole)
  })

  it('keeps data of several lines one event', async () => {
    const told = await relay(streamOf('data: {"choices":\ndata: [{"index":0,"finish_reason":"stop"}]}\n\n', done))
    expect(told.text).toBe(`data: {"choices":\ndata: [{"index":0,"finish_reason":"stop"}]}\n\n${done}`)
  })

  it('begins with the events that are here already', async () => {
    const text = JSON.stringify(word('Hel'))
    const begun: StreamEvent[] = [{ kind: 'chunk', text, chunk: word('Hel') }]
    expect(wordsOf((await relay(streamOf(word('lo'), finish()), { begun })).text)).toBe('Hello')
  })
})

describe('usage', () => {
  const nulls = { ...word('Hello'), usage: null }

  it('nobody asked for is taken out, null or not', async () => {
    const told = await relay(streamOf(nulls, { ...finish(), usage: null }, usage, done))
    expect(told.text).not.toContain('usage')
    expect(eventsOf(told.text)).toEqual([JSON.stringify(word('Hello')), JSON.stringify(finish()), '[DONE]'])
  })

  it('on a chunk that has choices is taken out of it, and the choices stay', async () => {
    const told = await relay(streamOf({ ...word('Hello'), usage: usage.usage }, finish(), done))
    expect(told.text).not.toContain('usage')
    expect(wordsOf(told.text)).toBe('Hello')
  })

  it('is told by an event with usage, not by one that only has no choices', async () => {
    const empty = { choices: [], usage: null }
    const told = await relay(streamOf(word('Hello'), finish(), empty, usage, done), { wantsUsage: true })
    expect(eventsOf(told.text)).toContain(JSON.stringify(usage))
  })

  it('may come without a list of choices, and before the end', async () => {
    const told = await relay(streamOf(word('Hel'), { usage: usage.usage }, word('lo'), finish(), done))
    expect(told).toMatchObject(whole)
    expect(wordsOf(told.text)).toBe('Hello')
    expect(told.text).not.toContain('usage')
  })

  it('that comes early is not the end of it', async () => {
    const said: string[] = []
    let soFar = ''
    await relay(streamOf(word('Hel'), usage, word('lo'), finish(), done), {
      onText(text) {
        soFar += text
      },
      onLast: () => void said.push(wordsOf(soFar)),
    })
    expect(new Set(said)).toEqual(new Set(['Hello']))
  })

  it('is told as early while the answer goes on', async () => {
    const said: boolean[] = []
    await relay(streamOf({ ...word('Hel'), usage: usage.usage }, word('lo'), finish(), usage, done), {
      onUsage: (_, early) => void said.push(early),
    })
    expect(said).toEqual([true, false])
  })

  it('asked for is relayed as it came', async () => {
    const told = await relay(streamOf(nulls, finish(), usage, done), { wantsUsage: true })
    expect(eventsOf(told.text)).toEqual([nulls, finish(), usage].map((event) => JSON.stringify(event)).concat('[DONE]'))
  })
})

describe('a caller who leaves', () => {
  it('hears nothing more, and it is nobody’s failure', async () => {
    const caller = new AbortController()
    const rest = (async function* (): AsyncGenerator<StreamEvent[], void, void> {
      yield* streamOf(word('Hel'))
      await new Promise((_, reject) => caller.signal.addEventListener('abort', () => reject(caller.signal.reason)))
    })()
    const told = await relay(rest, { signal: caller.signal, onText: () => setImmediate(() => caller.abort()) })
    expect(told).toMatchObject(whole)
    expect(told.text).toBe(`data: ${JSON.stringify(word('Hel'))}\n\n`)
  })

  it('between two events ends the provider’s call, too', async () => {
    let closed = false
    let released = 0
    const rest = (async function* (): AsyncGenerator<StreamEvent[], void, void> {
      try {
        yield* streamOf(word('Hel'), word('lo'))
      } finally {
        closed = true
      }
    })()
    const hold = { release: () => void released++, failed: () => expect.fail('no evidence'), abort: () => {} }
    const out = relayStream(sourceOf(rest, { hold }), {
      ...options(),
      signal: new AbortController().signal,
      wantsUsage: false,
      onMalformed: () => {},
      onInterrupted: () => expect.fail('not interrupted'),
      onEnd: () => {},
    })
    await out.next()
    await out.return(undefined)
    await settled()
    expect(closed).toBe(true)
    expect(released).toBe(1)
  })
})

describe('a caller who leaves with the whole answer', () => {
  const left = async (after: (object | string | Error)[], first: object = word('Hello')) => {
    const clock = new FakeClock()
    const told = { usage: [] as number[], waiting: 0, closed: false }
    const rest = (async function* (): Events {
      yield* streamOf(first, finish(), ...after)
      await new Promise(() => {})
    })()
    const closing = rest.return.bind(rest)
    rest.return = (value) => {
      told.closed = true
      return closing(value)
    }
    const hold = { release() {}, failed: () => expect.fail('no evidence'), abort() {} }
    const out = relayStream(sourceOf(rest, { hold }), {
      ...options(),
      clock,
      signal: new AbortController().signal,
      wantsUsage: false,
      onWaitingForUsage: () => void told.waiting++,
      onUsage: ({ outputTokens }) => void told.usage.push(outputTokens),
      onMalformed: () => {},
      onInterrupted: () => expect.fail('not interrupted'),
      onEnd: () => {},
    })
    for (let text = ''; !text.includes('finish_reason":"stop'); ) text = (await out.next()).value as string
    const returned = out.return(undefined)
    await clock.advance(2_000)
    await returned
    return { ...told, timers: clock.pendingTimers }
  }

  it('pays for it by the provider’s word, which comes a moment later', async () => {
    const told = await left([usage, done])
    expect(told).toMatchObject({ waiting: 1, closed: true, timers: 0 })
    expect(told.usage).toHaveLength(1)
  })

  it('pays by the last word also of one that has told of its usage all along', async () => {
    const first = { ...word('Hello'), usage: { ...usage.usage, completion_tokens: 1 } }
    expect((await left([usage, done], first)).usage).toEqual([1, 2])
  })

  it.each<[string, (object | string | Error)[]]>([
    ['breaks off', [new HttpFailure('cut')]],
    ['says no more', [done]],
    ['falls silent', []],
  ])('is not held up by one that %s', async (_, after) => {
    expect(await left(after)).toMatchObject({ usage: [], closed: true, timers: 0 })
  })
})

describe('events that came together', () => {
  const said = ['zero', ' one', ' two', ' three', ' four']
  const lines = (events: readonly object[]) => events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')
  const unused = (content: string) => ({ ...word(content), usage: null })
  /** `usage` within another field comes first, so that it takes parsing to leave out the right one. */
  const hidden = (content: string) => ({ ...word(content), x: { y: 1, usage: null }, usage: null })

  it('are relayed as they came', async () => {
    const text = lines([...said.map((content) => word(content)), finish()]) + done
    expect((await relay(streamOf(text))).text).toBe(text)
    const asked = lines([...said.map(unused), finish(), usage]) + done
    expect((await relay(streamOf(asked), { wantsUsage: true })).text).toBe(asked)
  })

  it.each([
    ['', unused],
    [' also where that takes parsing', hidden],
  ])('lack a usage that nobody asked for%s', async (_, event) => {
    const told = await relay(streamOf(lines([...said.map(event), finish(), usage]) + done))
    const expected = said.map((content) => {
      const { usage: _, ...rest } = event(content)
      return rest
    })
    expect(parsed(told.text)).toEqual([...expected, finish()])
  })

  it('are told to whoever goes on with the answer, and are joined to it word by word', async () => {
    const known: unknown[] = []
    const rescue: RelayOptions['rescue'] = async (transcript) => {
      if (known.length > 0) return undefined
      known.push(Object.fromEntries(transcript.channels), transcript.tokens)
      const rest = streamOf(
        lines([...said, ' five', ' six'].map((content) => word(content))) + lines([finish()]) + done,
      )
      const hold = { release() {}, failed() {}, abort() {} }
      return { ...sourceOf(rest, { hold }), splice: spliceRestart(transcript), rescuedBy: 'restart' }
    }
    const told = await relay(streamOf(lines(said.map((content) => word(content))), new HttpFailure('cut')), { rescue })
    expect(known).toEqual([{ '0/content': said.join('') }, said.length])
    expect(wordsOf(told.text)).toBe([...said, ' five', ' six'].join(''))
    expect(told.text.endsWith(done)).toBe(true)
  })

  it('end the answer where one of them is not what was sent before', async () => {
    let tries = 0
    const rescue: RelayOptions['rescue'] = async (transcript) => {
      if (++tries > 1) return undefined
      const rest = streamOf(
        lines(['zero', ' one', ' two', ' THREE', ' four', ' five'].map((content) => word(content))) +
          lines([finish()]) +
          done,
      )
      const hold = { release() {}, failed() {}, abort() {} }
      return { ...sourceOf(rest, { hold }), splice: spliceRestart(transcript), rescuedBy: 'restart' }
    }
    const told = await relay(streamOf(lines(said.map((content) => word(content))), new HttpFailure('cut')), { rescue })
    expect(tries).toBe(2)
    expect(told.text).toContain('stream_interrupted')
    expect(told.text).not.toContain('THREE')
    expect(told.text).not.toContain('[DONE]')
  })
})

describe('the bytes of an answer of twenty words', () => {
  const words = Array.from({ length: 20 }, (_, i) => (i % 5 === 4 ? ` wörd😀${i}` : ` word${i}`))
  const text = words.join('')
  const bytesOf = (end: string) =>
    encoder.encode(
      [...words.map((content) => word(content)), finish(), usage]
        .map((event) => `data: ${JSON.stringify(event)}${end}${end}`)
        .join('')
        .concat(`data: [DONE]${end}${end}`),
    )

  async function relayBytes(chunks: Uint8Array[], ending: 'end' | 'cut' = 'end') {
    async function* body() {
      yield* chunks
      if (ending === 'cut') throw new HttpFailure('cut')
    }
    return relay(readStreamEvents(body()))
  }

  it.each(['end', 'cut'] as const)(
    'cut anywhere (%s) never look complete unless they are, and are always a prefix',
    async (ending) => {
      const bytes = bytesOf('\n')
      const finished = new TextDecoder().decode(bytes).indexOf('"stop"')
      const finishedAt = encoder.encode(new TextDecoder().decode(bytes).slice(0, finished)).length
      let complete = 0
      for (let cut = 0; cut <= bytes.length; cut++) {
        const told = await relayBytes([bytes.slice(0, cut)], ending)
        const relayed = wordsOf(told.text)
        expect(text.startsWith(relayed), `cut at ${cut}`).toBe(true)
        if (told.text.includes('[DONE]')) {
          complete++
          expect(cut, 'complete only after finish_reason').toBeGreaterThan(finishedAt)
          expect(relayed).toBe(text)
          expect(told.text).not.toContain('"error"')
          expect(told.failed).toBe(0)
        } else {
          expect(parsed(told.text).at(-1).error.code).toBe('stream_interrupted')
          expect(told.failed).toBe(1)
        }
        expect(told).toMatchObject({ released: 1, ended: 1 })
      }
      expect(complete).toBeGreaterThan(0)
      expect(complete).toBeLessThan(bytes.length / 3)
    },
  )

  it.each(['\n', '\r\n', '\r'])('are relayed alike wherever the network divides them (line ending %j)', async (end) => {
    const bytes = bytesOf(end)
    const expected = (await relayBytes([bytes])).text
    expect(wordsOf(expected)).toBe(text)
    expect(expected.endsWith(done)).toBe(true)
    for (let cut = 1; cut < bytes.length; cut++) {
      const told = await relayBytes([bytes.slice(0, cut), bytes.slice(cut)])
      expect(told.text, `divided at ${cut}`).toBe(expected)
    }
    for (const size of [1, 2, 3, 7, 64, 1_000]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.slice(i * size, (i + 1) * size),
      )
      expect((await relayBytes(pieces)).text, `pieces of ${size}`).toBe(expected)
    }
  })
})

describe('the first event', () => {
  const eventStream = { 'content-type': 'text/event-stream; charset=utf-8' }
  const send = (...chunks: (string | Error | 'silence')[]) => {
    const clock = new FakeClock()
    const http = new FakeHttp(clock, { headers: eventStream, chunks })
    const metrics = new FakeMetrics()
    const provider = createOpenAiProvider({
      name: 'openai',
      baseUrl: 'https://api.test/v1',
      apiKeys: ['sk-test'],
      headers: {},
      onRejected: () => {},
      http,
      clock,
      metrics,
      upstream: { circuit: () => ({}) } as unknown as Upstream,
      guardedCall: () => expect.fail('not asked'),
    })
    const call = {
      endpoint: 'chat/completions' as const,
      model: 'm',
      payload: () => ({ bytes: encoder.encode('{}'), contentType: 'application/json' }),
      timeouts: { headersMs: 30_000, firstTokenMs: 10_000, idleMs: 15_000, lastSilenceMs: 120_000, totalMs: 600_000 },
      contextWindow: undefined,
    }
    const { signal } = new AbortController()
    return { http, metrics, answer: provider.stream(call).send(signal, { number: 1, last: false }) }
  }
  const event = (value: object) => `data: ${JSON.stringify(value)}\n\n`

  it('makes a stream an answer', async () => {
    const { answer, metrics } = send(': hello\n\n', 'data: {broken\n\n', event(word('Hi')), event(finish()), done)
    const streamed = (await answer) as StreamedAnswer
    expect(streamed).toMatchObject({ kind: 'stream', begun: [{ kind: 'chunk' }], maxSilenceMs: 120_000 })
    expect(metrics.counted(instruments.malformedEvents, { provider: 'openai' })).toBe(1)
    expect(wordsOf((await relay(streamed.rest, { begun: streamed.begun })).text)).toBe('Hi')
  })

  it.each([
    ['is missing', [], 'poison'],
    ['never comes among what does not parse', ['data: {\n\n', 'data: 1\n\n'], 'poison'],
    ['is an error', [event({ error: { message: 'overloaded' } }), 'silence'], 'server'],
    ['is [DONE]', [done, 'silence'], 'poison'],
  ] as const)('that %s makes it none, while the call can still be repeated', async (_name, chunks, failed) => {
    const { answer, http } = send(...chunks)
    await expect(answer).rejects.toMatchObject({ class: failed })
    expect(http.closedBodies).toBe(1)
  })
})
