import { describe, expect, it } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { FakeHttp, type Scripted } from '../../tests/support/fake-http.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import type { HttpCall, HttpReply } from '../ports.ts'
import { instruments } from '../telemetry/instruments.ts'
import { createFaultInjection, type FaultKind, type FaultToSet } from './fault-injection.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const eventStream = { 'content-type': 'text/event-stream; charset=utf-8' }
/** `[DONE]` included, in chunks that know nothing of events. */
const streamed = (events: number): Scripted => {
  const text = [...Array.from({ length: events }, (_, i) => `data: {"n":${i + 1}}\n\n`), 'data: [DONE]\n\n'].join('')
  return { headers: eventStream, chunks: text.match(/[\s\S]{1,7}/g)! }
}

function world(...script: Scripted[]) {
  const clock = new FakeClock()
  const metrics = new FakeMetrics()
  const inner = new FakeHttp(clock, ...script)
  const injection = createFaultInjection({ clock, random: () => 0.5, metrics, upstreams: () => ['openai', 'vastai'] })
  const http = injection.wrap(inner, 'openai')
  const caller = new AbortController()
  const call = (more: Partial<HttpCall> = {}): HttpCall => ({
    method: 'POST',
    origin: 'https://api.test',
    path: '/v1/chat/completions',
    headers: {},
    body: encoder.encode('{"model":"gpt"}'),
    signal: caller.signal,
    headersTimeoutMs: 30_000,
    idleTimeoutMs: 15_000,
    maxBytes: 1_000_000,
    ...more,
  })
  const set = (kind: FaultKind, more: Partial<FaultToSet> = {}) =>
    injection.set([{ target: 'openai', kind, share: 1, seed: 1, expiresInMs: 600_000, ...more }])
  const injected = (kind: FaultKind) => metrics.counted(instruments.faultsInjected, { kind })
  return { clock, inner, injection, http, caller, call, set, injected }
}

/** The data of the events that came, and how it ended. */
async function read(reply: Promise<HttpReply<AsyncIterable<Uint8Array>>>) {
  let text = ''
  let failure: unknown
  try {
    for await (const chunk of (await reply).body) text += decoder.decode(chunk)
  } catch (error) {
    failure = error
  }
  return { data: [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => data), failure, text }
}

const numbers = (count: number, from = 1) => Array.from({ length: count }, (_, i) => `{"n":${from + i}}`)

describe('without a fault', () => {
  it('a call goes on as it is, to the same answer', async () => {
    const { http, inner, call, injection } = world({ body: '{}' })
    const asked = call()
    await http.bytes(asked)
    expect(inner.calls[0]).toBe(asked)
    const reply = await http.stream(asked)
    expect(inner.calls[1]).toBe(asked)
    expect((await read(Promise.resolve(reply))).text).toBe('{}')
    expect(injection.priceFactor('vastai')).toBe(1)
  })

  it('of the right kind, neither', async () => {
    const { http, inner, call, set, injection, injected } = world({ body: '{}' })
    for (const kind of ['no_done', 'price_spike'] as const) {
      set(kind)
      await http.bytes(call())
      expect(injected(kind)).toBe(0)
    }
    expect(inner.calls).toHaveLength(2)
    set('cut')
    expect(injection.priceFactor('openai')).toBe(1)
  })
})

describe('a streamed answer', () => {
  it('is cut after ten events, or as many as are said', async () => {
    const { http, inner, call, set, injected } = world(streamed(60))
    set('cut')
    const ten = await read(http.stream(call()))
    expect(ten).toMatchObject({ data: numbers(10), failure: { kind: 'cut' } })
    set('cut', { afterTokens: 0 })
    const none = await read(http.stream(call()))
    expect(none).toMatchObject({ data: [], failure: { kind: 'cut' } })
    expect(inner.closedBodies).toBe(2)
    expect(injected('cut')).toBe(2)
  })

  it('that is shorter is left whole, and no fault is counted', async () => {
    const { http, call, set, injected } = world(streamed(5))
    set('cut')
    expect(await read(http.stream(call()))).toMatchObject({ data: [...numbers(5), '[DONE]'], failure: undefined })
    expect(injected('cut')).toBe(0)
  })

  it('stalls until the call’s own limit on silence', async () => {
    const { clock, http, inner, call, set, injected } = world(streamed(60))
    set('stall', { afterTokens: 20 })
    const answer = read(http.stream(call()))
    await clock.advance(14_999)
    expect(inner.closedBodies).toBe(0)
    await clock.advance(1)
    expect(await answer).toMatchObject({ data: numbers(20), failure: { kind: 'idle_timeout' } })
    expect(inner.closedBodies).toBe(1)
    expect(injected('stall')).toBe(1)
    expect(clock.pendingTimers).toBe(0)
  })

  it.each([15_000, 0])('stalls no longer than the caller waits, with an own limit of %i', async (idleTimeoutMs) => {
    const { clock, http, inner, caller, call, set } = world(streamed(60))
    set('stall')
    const answer = read(http.stream(call({ idleTimeoutMs })))
    await clock.advance(10_000)
    caller.abort(new Error('left'))
    expect(await answer).toMatchObject({ data: numbers(10), failure: { message: 'left' } })
    expect(inner.closedBodies).toBe(1)
    expect(clock.pendingTimers).toBe(0)
  })

  it('gets one event that cannot be parsed, and loses none', async () => {
    const { http, call, set, injected } = world(streamed(30))
    set('malformed')
    const { data, failure } = await read(http.stream(call()))
    const broken = data.filter((text) => text !== '[DONE]').filter((text) => !isJson(text!))
    expect(broken).toHaveLength(1)
    expect(data.indexOf(broken[0])).toBe(10)
    expect(data.filter((text) => text !== broken[0])).toEqual([...numbers(30), '[DONE]'])
    expect(failure).toBe(undefined)
    expect(injected('malformed')).toBe(1)
  })

  it('ends without [DONE]', async () => {
    const { http, call, set, injected } = world(streamed(30))
    set('no_done')
    expect(await read(http.stream(call()))).toMatchObject({ data: numbers(30), failure: undefined })
    expect(injected('no_done')).toBe(1)
  })

  it('drips', async () => {
    const { clock, http, call, set, injected } = world(streamed(3))
    set('slow', { delayMs: 2_000 })
    const answer = read(http.stream(call()))
    let ended = false
    void answer.then(() => (ended = true))
    await clock.advance(7_999)
    expect(ended).toBe(false)
    await clock.advance(1)
    expect(await answer).toMatchObject({ data: [...numbers(3), '[DONE]'], failure: undefined })
    expect(injected('slow')).toBe(1)
  })

  it('that drips more slowly than the call allows ends as a silent one', async () => {
    const { clock, http, call, set } = world(streamed(3))
    set('slow', { delayMs: 15_000 })
    const answer = read(http.stream(call()))
    await clock.advance(15_000)
    expect(await answer).toMatchObject({ data: [], failure: { kind: 'idle_timeout' } })
  })

  it('keeps the names, ids and lines of its events', async () => {
    const text = 'id: 7\nevent: response.created\ndata: {"a":\ndata: 1}\n\ndata: ü\n\n'
    const { http, call, set } = world({
      headers: eventStream,
      chunks: [...encoder.encode(text)].map((byte) => new Uint8Array([byte])),
    })
    set('malformed')
    expect((await read(http.stream(call()))).text).toBe(text)
  })

  it('that is no event stream goes by its chunks, and is never made malformed', async () => {
    const { http, call, set } = world({ headers: { 'content-type': 'audio/mpeg' }, chunks: ['a', 'b', 'c'] })
    set('cut', { afterTokens: 2 })
    expect(await read(http.stream(call()))).toMatchObject({ text: 'ab', failure: { kind: 'cut' } })
    set('malformed', { afterTokens: 1 })
    expect(await read(http.stream(call()))).toMatchObject({ text: 'abc', failure: undefined })
  })
})

describe('any answer', () => {
  it.each(['bytes', 'stream'] as const)('may be a 429 with or without Retry-After, as %s', async (way) => {
    const { http, inner, call, set, injected } = world({ body: '{}' })
    const ask = async () => {
      const { body, ...head } = await http[way](call())
      const text =
        body instanceof Uint8Array ? decoder.decode(body) : (await read(Promise.resolve({ ...head, body }))).text
      return { ...head, body: JSON.parse(text) }
    }
    set('429')
    expect(await ask()).toMatchObject({ status: 429, body: { error: { code: 'rate_limit_exceeded' } } })
    expect((await ask()).headers['retry-after']).toBe(undefined)
    set('429', { retryAfterS: 2 })
    expect((await ask()).headers['retry-after']).toBe('2')
    expect(inner.calls).toHaveLength(0)
    expect(injected('429')).toBe(3)
  })

  it.each(['bytes', 'stream'] as const)('may be a reset before anything is sent, as %s', async (way) => {
    const { http, inner, call, set } = world({ body: '{}' })
    set('reset')
    await expect(http[way](call())).rejects.toMatchObject({ kind: 'reset' })
    expect(inner.calls).toHaveLength(0)
  })
})

describe('a whole answer', () => {
  it('is cut when it has been made', async () => {
    const { http, inner, call, set } = world({ body: '{"a":1}' })
    set('cut')
    await expect(http.bytes(call())).rejects.toMatchObject({ kind: 'cut' })
    expect(inner.calls).toHaveLength(1)
  })

  it('may be no JSON', async () => {
    const { http, call, set } = world({ body: '{"a":1}' })
    set('malformed')
    expect(isJson(decoder.decode((await http.bytes(call())).body))).toBe(false)
  })

  it('comes late', async () => {
    const { clock, http, inner, call, set } = world({ body: '{}' })
    set('slow')
    const answer = http.bytes(call())
    await clock.advance(499)
    expect(inner.calls).toHaveLength(0)
    await clock.advance(1)
    expect((await answer).status).toBe(200)
  })

  it.each([
    ['stall', 30_000, 30_000],
    ['slow', 10_000, 10_000],
  ] as const)('that does not come in time ends as a silent one: %s', async (kind, headersTimeoutMs, delayMs) => {
    const { clock, http, call, set } = world({ body: '{}' })
    set(kind, { delayMs })
    const answer = expect(http.bytes(call({ headersTimeoutMs }))).rejects.toMatchObject({ kind: 'headers_timeout' })
    await clock.advance(headersTimeoutMs)
    await answer
  })

  it('that never comes is waited for until the caller leaves, where the call has no limit', async () => {
    const { clock, http, caller, call, set } = world({ body: '{}' })
    set('stall')
    const answer = expect(http.bytes(call({ headersTimeoutMs: 0 }))).rejects.toThrow('left')
    await clock.advance(600_000)
    caller.abort(new Error('left'))
    await answer
    await expect(http.bytes(call({ headersTimeoutMs: 0 }))).rejects.toThrow('left')
  })
})

describe('the share', () => {
  const struck = async (share: number, seed: number, calls: number) => {
    const { http, call, set } = world({ body: '{}' })
    set('reset', { share, seed })
    const outcomes: boolean[] = []
    for (let i = 0; i < calls; i++) {
      outcomes.push(
        await http.bytes(call()).then(
          () => false,
          () => true,
        ),
      )
    }
    return outcomes
  }
  const count = (outcomes: boolean[]) => outcomes.filter(Boolean).length

  it('is that of the calls struck', async () => {
    expect(count(await struck(0, 1, 100))).toBe(0)
    expect(count(await struck(1, 1, 100))).toBe(100)
    const some = count(await struck(0.3, 1, 2_000))
    expect(Math.abs(some / 2_000 - 0.3)).toBeLessThan(0.04)
  })

  it('strikes the same calls with the same seed, and others with another', async () => {
    expect(await struck(0.5, 7, 200)).toEqual(await struck(0.5, 7, 200))
    expect(await struck(0.5, 7, 200)).not.toEqual(await struck(0.5, 8, 200))
  })

  it('does not depend on the other faults; the first in the list wins', async () => {
    const { http, call, injection, injected } = world({ body: '{}' })
    const second: FaultToSet = { target: 'openai', kind: '429', share: 0.5, seed: 7, expiresInMs: 600_000 }
    injection.set([{ ...second, kind: 'reset', seed: 3 }, second])
    const outcomes: boolean[] = []
    const alone = await struck(0.5, 7, 100)
    for (let i = 0; i < 100; i++) {
      const status = await http.bytes(call()).then(
        (reply) => reply.status,
        () => 0,
      )
      outcomes.push(status === 0 ? alone[i]! : status === 429)
    }
    expect(outcomes).toEqual(alone)
    expect(injected('reset')).toBeGreaterThan(30)
    expect(injected('429')).toBeGreaterThan(10)
  })
})

describe('the target', () => {
  it('may be one model of a provider', async () => {
    const { http, injection, call, set } = world({ body: '{}' })
    set('reset', { target: 'openai:org/gpt:1' })
    await http.bytes(call())
    await http.bytes(call({ body: 'model=org/gpt:1' }))
    const { body: _, ...bodiless } = call()
    await http.bytes(bodiless)
    for (const body of ['{"model":"org/gpt:1"}', encoder.encode('{"x":{"model":"y"},"model":"org/gpt:1"}')]) {
      await expect(http.bytes(call({ body }))).rejects.toMatchObject({ kind: 'reset' })
    }
    const market = injection.wrap(new FakeHttp(new FakeClock(), { body: '{}' }), 'vastai')
    await market.bytes(call({ body: '{"model":"org/gpt:1"}' }))
  })

  it('may be a market, whose prices are tripled', () => {
    const { injection, set, injected } = world()
    set('price_spike', { target: 'vastai' })
    expect([injection.priceFactor('vastai'), injection.priceFactor('ionet')]).toEqual([3, 1])
    expect(injected('price_spike')).toBe(1)
  })

  it('must be something that is called', () => {
    const { injection, set } = world()
    set('cut')
    for (const target of ['nobody', 'openai2', 'open', ':openai']) {
      expect(() => set('reset', { target })).toThrow(/^faults\.0\.target must be one of openai, vastai, or a model/)
    }
    expect(injection.list()).toMatchObject([{ kind: 'cut' }])
  })
})

describe('the faults in force', () => {
  it('end by themselves', async () => {
    const { clock, http, injection, call, set } = world({ body: '{}' })
    set('reset', { expiresInMs: 60_000 })
    expect(injection.list()).toEqual([
      { target: 'openai', kind: 'reset', share: 1, seed: 1, expiresAtMs: clock.wallNow() + 60_000 },
    ])
    clock.tick(59_999)
    await expect(http.bytes(call())).rejects.toMatchObject({ kind: 'reset' })
    clock.tick(1)
    expect(injection.list()).toEqual([])
    expect((await http.bytes(call())).status).toBe(200)
  })

  it('end on time also when somebody sets the machine’s date', async () => {
    const { clock, injection, set } = world()
    set('reset', { expiresInMs: 60_000 })
    clock.stepWall(-3_600_000)
    expect(injection.list()[0]!.expiresAtMs).toBe(clock.wallNow() + 60_000)
    clock.tick(60_000)
    expect(injection.list()).toEqual([])
  })

  it('are replaced all together', async () => {
    const { http, injection, call, set } = world({ body: '{}' })
    set('reset')
    set('malformed')
    expect(injection.list().map(({ kind }) => kind)).toEqual(['malformed'])
    injection.set([])
    await http.bytes(call())
    expect(injection.list()).toEqual([])
  })

  it('have a seed also where none was given, which is told', () => {
    const { injection, set } = world()
    set('reset', { seed: undefined })
    expect(injection.list()[0]!.seed).toBe(2 ** 31)
  })

  it('strike calls that began before them only from the next call on', async () => {
    const { http, call, set } = world(streamed(30))
    const { body, ...head } = await http.stream(call())
    set('cut')
    await settled()
    expect((await read(Promise.resolve({ ...head, body }))).data).toHaveLength(31)
  })
})

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
