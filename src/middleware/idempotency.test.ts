import { ReadableStream } from 'node:stream/web'
import { Hono } from 'hono'
import { beforeEach, describe, expect, test } from 'vitest'
import { createMemoryIdempotency } from '../../adapters/memory/idempotency.ts'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { Gate } from '../../tests/support/gate.ts'
import { ApiError } from '../errors.ts'
import type { Reply } from '../ports.ts'
import { createKeyedExecutions } from '../services/idempotency.ts'
import { heartbeat } from '../services/waits.ts'
import { createIdempotent, keyedJson } from './idempotency.ts'
import { parseJsonBody } from './json-body.ts'
import { createOnError } from './on-error.ts'
import { type AppContext, type AppEnv, createRequestContext, respond, respondJson } from './request-context.ts'

const metrics = new FakeMetrics()
const reply: Reply = (status, headers, body) => {
  const isStream = body !== null && typeof body === 'object' && !(body instanceof Uint8Array)
  return new Response((isStream ? ReadableStream.from(bytesOf(body)) : body) as unknown as BodyInit, {
    status,
    headers: headers as HeadersInit,
  })
}
async function* bytesOf(body: AsyncIterable<string | Uint8Array>) {
  for await (const piece of body) yield typeof piece === 'string' ? new TextEncoder().encode(piece) : piece
}
const log = { debug() {}, info() {}, warn() {}, error() {} }

let app: Hono<AppEnv>
let outcome: 'none' | 'spent'
/** What the handler does, and how often it was asked to. */
let handle: (c: AppContext) => Response | Promise<Response>
let executed: number

beforeEach(() => {
  const clock = new FakeClock()
  executed = 0
  outcome = 'spent'
  handle = (c) => respondJson(c, 201, { n: executed })
  const executions = createKeyedExecutions({
    clock,
    random: () => 0.5,
    store: createMemoryIdempotency({ clock }),
    outcomeOf: async () => outcome,
    mode: { readOnly: false },
    metrics,
    log,
  })
  let ids = 0
  const newId = () => `id-${++ids}`
  app = new Hono<AppEnv>()
  app.onError(createOnError({ log }))
  app.use(createRequestContext({ clock, newId, metrics, log, reply, isDraining: () => false, onEnded() {} }).middleware)
  app.use(async (c, next) => {
    const limits = { key: {}, account: {} }
    c.get('request').principal = { accountId: 'a', keyId: 'k', role: 'user', scopes: [], limits }
    await next()
  })
  const idempotent = createIdempotent(executions)
  const body = keyedJson(async (c) => parseJsonBody(new Uint8Array(await c.req.raw.arrayBuffer())))
  app.post(
    '/things/:id',
    idempotent.required(body, async (c) => {
      executed++
      return handle(c)
    }),
  )
})

const post = (
  key: string | undefined,
  { path = '/things/1', signal, body = {} }: { path?: string; signal?: AbortSignal; body?: object } = {},
) =>
  app.fetch(
    new Request(`http://gw${path}`, {
      method: 'POST',
      headers: key === undefined ? {} : { 'idempotency-key': key },
      body: JSON.stringify(body),
      ...(signal && { signal }),
    }),
    {},
  )
const problem = async (response: Response) => ((await response.json()) as { code: string }).code

const whole = (c: AppContext) => respondJson(c, 200, {})

/** Each begins an execution that waits at the gate, and leaves. */
async function leave(count: number, gate: Gate, signals: AbortSignal[], end: (c: AppContext) => Response = whole) {
  handle = async (c) => {
    const { signal } = c.get('request')
    signals.push(signal)
    await gate.open()
    if (signal.aborted) throw new ApiError('client_closed')
    return end(c)
  }
  gate.hold()
  const leaving = new AbortController()
  const sent = Array.from({ length: count }, (_, i) => post(`k${i}`, { signal: leaving.signal }))
  while (signals.length < count) await settled()
  leaving.abort()
  return sent
}

describe('a route that requires a key', () => {
  test('says so with a 400, before anything is done', async () => {
    const response = await post(undefined)
    expect([response.status, await problem(response), executed]).toEqual([400, 'idempotency_key_required', 0])
    expect(response.headers.get('content-type')).toBe('application/problem+json')
  })

  test('answers again what it answered, with its status and its Location', async () => {
    handle = (c) => respond(c, 202, { 'content-type': 'text/plain', location: '/things/9' }, 'soon')
    await post('k')
    const again = await post('k')
    expect([again.status, again.headers.get('location'), await again.text()]).toEqual([202, '/things/9', 'soon'])
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect(executed).toBe(1)
  })

  test('answers again what has no body', async () => {
    handle = (c) => respond(c, 204, {}, null)
    await post('k')
    const again = await post('k')
    expect([again.status, again.body, executed]).toEqual([204, null, 1])
  })

  test('tells a path from another one of the same pattern', async () => {
    await post('k')
    expect(await problem(await post('k', { path: '/things/2' }))).toBe('idempotency_mismatch')
    expect(executed).toBe(1)
  })
})

describe('what a handler throws', () => {
  test('as an ApiError frees the key', async () => {
    handle = () => {
      throw new ApiError('overloaded')
    }
    for (let i = 1; i <= 2; i++) {
      expect((await post('k')).status).toBe(503)
      expect(executed).toBe(i)
    }
  })

  test.each([
    ['may have had an effect', 'spent', 1, 'idempotency_outcome_lost'],
    ['had no effect', 'none', 2, 'internal'],
  ] as const)('without having been foreseen, where it %s', async (_what, known, times, code) => {
    outcome = known
    handle = () => {
      throw new Error('surprise')
    }
    expect((await post('k')).status).toBe(500)
    expect(await problem(await post('k'))).toBe(code)
    expect(executed).toBe(times)
  })

  test('an answer that does not go through respond is a mistake of the program', async () => {
    handle = () => new Response('x')
    expect((await post('k')).status).toBe(500)
  })
})

describe('callers who leave', () => {
  test('do not end what they began, but for one more than 256', async () => {
    const [gate, signals] = [new Gate(), [] as AbortSignal[]]
    const sent = await leave(257, gate, signals)
    expect(signals.filter(({ aborted }) => aborted)).toHaveLength(1)
    // Nor for one who was gone before it began.
    const gone = post('gone', { signal: AbortSignal.abort() })
    while (signals.length < 258) await settled()
    expect(signals[257]!.aborted).toBe(true)
    gate.go()
    await gone
    await Promise.all(sent)
    // One may have been sent to a provider before it was ended.
    const codes = await Promise.all(Array.from({ length: 257 }, async (_, i) => (await post(`k${i}`)).status))
    expect(codes.filter((status) => status === 409)).toHaveLength(1)
    expect(executed).toBe(258)
  })

  test.each<[string, (c: AppContext) => Response]>([
    ['whole', whole],
    [
      'a stream',
      (c) => {
        async function* body() {
          yield 'a'
        }
        return respond(c, 200, { 'content-type': 'text/plain' }, body())
      },
    ],
    [
      'an error',
      () => {
        throw new ApiError('overloaded')
      },
    ],
  ])('make room again when theirs has ended, which was %s', async (_what, end) => {
    const [gate, signals] = [new Gate(), [] as AbortSignal[]]
    const first = await leave(256, gate, signals, end)
    gate.go()
    await Promise.all(first.map(async (sent) => (await sent).text()))
    signals.length = 0
    handle = async (c) => {
      const { signal } = c.get('request')
      signals.push(signal)
      await gate.open()
      return whole(c)
    }
    outcome = 'none'
    const leaving = new AbortController()
    gate.hold()
    const late = post('late', { signal: leaving.signal })
    while (signals.length === 0) await settled()
    leaving.abort()
    expect(signals[0]!.aborted).toBe(false)
    gate.go()
    await late
    expect((await post('late')).headers.get('idempotent-replayed')).toBe('true')
  })
})

describe('a stream', () => {
  /** Says one thing, and at the gate's opening another, unless nobody wants it any more. */
  const says = (gate: Gate) => (c: AppContext) => {
    const { signal } = c.get('request')
    async function* body() {
      yield 'a'
      await gate.open()
      if (!signal.aborted) yield 'b'
    }
    return respond(c, 200, { 'content-type': 'text/plain' }, body())
  }
  async function sendAndLeave(gate: Gate) {
    gate.hold()
    handle = says(gate)
    const leaving = new AbortController()
    const response = await post('s', { signal: leaving.signal })
    const reader = response.body!.getReader()
    await reader.read()
    leaving.abort()
    const cancelled = reader.cancel()
    gate.go()
    await cancelled
  }

  test('whose caller leaves is whole for the next try', async () => {
    await sendAndLeave(new Gate())
    expect(await (await post('s')).text()).toBe('ab')
    expect(executed).toBe(1)
  })

  test('that was ended with its caller is neither whole nor executed again', async () => {
    const gate = new Gate()
    const alone = await leave(256, gate, [])
    await sendAndLeave(new Gate())
    expect(await problem(await post('s'))).toBe('idempotency_outcome_lost')
    gate.go()
    await Promise.all(alone)
    expect(executed).toBe(257)
  })

  test('that breaks without a word is neither', async () => {
    handle = (c) => {
      async function* body() {
        yield 'a'
        throw new Error('cut')
      }
      return respond(c, 200, { 'content-type': 'text/plain' }, body())
    }
    await expect((await post('s')).text()).rejects.toThrow('cut')
    expect(await problem(await post('s'))).toBe('idempotency_outcome_lost')
    expect(executed).toBe(1)
  })
})

describe('what is recorded of streams', () => {
  const plain = { 'content-type': 'text/plain' }

  test('gives its room back at their end', async () => {
    // Together more than may be recorded at the same time.
    handle = (c) => {
      async function* body() {
        yield 'x'.repeat(200_000)
      }
      return respond(c, 200, plain, body())
    }
    for (let i = 0; i < 200; i++) await (await post(`k${i}`)).text()
    expect((await (await post('k199')).text()).length).toBe(200_000)
    expect(executed).toBe(200)
  })

  test.each(['stays', 'leaves'])(
    'is what was said, without what keeps a connection open, where the caller %s',
    async (how) => {
      const gate = new Gate()
      gate.hold()
      handle = (c) => {
        async function* body() {
          yield 'a'
          yield heartbeat
          await gate.open()
          yield heartbeat
          yield 'b'
        }
        return respond(c, 200, plain, body())
      }
      const leaving = new AbortController()
      const response = await post('s', { signal: leaving.signal })
      const reader = response.body!.getReader()
      await reader.read()
      if (how === 'leaves') leaving.abort()
      const read = how === 'leaves' ? reader.cancel() : reader.read().then(() => reader.read())
      gate.go()
      await read
      reader.releaseLock()
      if (how === 'stays') for await (const _ of response.body!);
      expect(await (await post('s')).text()).toBe('ab')
      expect(executed).toBe(1)
    },
  )
})

describe('an answer that is larger than is kept', () => {
  test.each([
    ['as a whole', (text: string) => text],
    [
      'in pieces',
      async function* (text: string) {
        yield text
      },
    ],
  ])('%s, counted in bytes, is not given again', async (_how, body) => {
    for (const [letters, status] of [
      [128 * 1024, 200],
      [128 * 1024 + 1, 409],
    ] as const) {
      handle = (c) => respond(c, 200, { 'content-type': 'text/plain' }, body('ß'.repeat(letters)))
      expect((await (await post(`k${letters}`)).text()).length).toBe(letters)
      expect((await post(`k${letters}`)).status).toBe(status)
    }
    expect(executed).toBe(2)
  })
})
