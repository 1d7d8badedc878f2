import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createMemoryBooks } from '../../adapters/memory/books.ts'
import { createMemoryIdempotency } from '../../adapters/memory/idempotency.ts'
import { createMemoryWriteMode } from '../../adapters/memory/write-mode.ts'
import { silentMs } from '../../src/domain/idempotency.ts'
import type { LimitSettings } from '../../src/domain/principal.ts'
import type { Idempotency } from '../../src/ports.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { FakeClock } from '../support/fake-clock.ts'
import {
  eventually,
  readSse,
  startTestGateway,
  type TestGateway,
  type TestGatewayOptions,
  testAccountId,
} from '../support/gateway.ts'
import { type HeldProvider, startHeldProvider } from '../support/held-provider.ts'

const chat = '/v1/chat/completions'
const ask = { model: 'held', messages: [{ role: 'user', content: 'canary-prompt' }] }
const streamed = { ...ask, stream: true, stream_options: { include_usage: true } }
const otherKey = 'ak_live_otheraccountotheraccount001'

let provider: HeldProvider
const gateways: TestGateway[] = []
let gateway: TestGateway

async function start(options: TestGatewayOptions = {}) {
  const started = await startTestGateway({
    providers: { openai: { baseUrl: provider.baseUrl, apiKey: 'sk-canary-openai-0123456789' } },
    ...options,
  })
  gateways.push(started)
  return started
}
beforeEach(async () => {
  provider = await startHeldProvider()
  gateway = await start()
})
afterEach(async () => {
  provider.go()
  await Promise.all(gateways.splice(0).map((each) => each.close()))
  provider.close()
})

const send = (body: unknown = ask, { key = 'key-1', path = chat, on = gateway, ...init }: Sending = {}) =>
  on.post(path, body, { ...init, headers: { 'idempotency-key': key, ...init.headers } })
const addOther = (limits: LimitSettings = {}) =>
  gateway.accounts.add(otherKey, {
    accountId: '00000000-0000-7000-8000-00000000000b',
    keyId: 'b',
    role: 'user',
    scopes: ['inference'],
    limits: { key: limits, account: {} },
  })
interface Sending {
  key?: string
  path?: string
  on?: TestGateway
  headers?: Record<string, string>
  signal?: AbortSignal
}
const codeOf = async (response: Response) => ((await response.json()) as { error: { code: string } }).error.code
const isReplay = (response: Response) => response.headers.get('idempotent-replayed') === 'true'

test('a key that may not use the model is not given what another key of its account has had', async () => {
  const limitedKey = 'ak_live_samesamesamesamesamesame0001'
  const [accountId, keyId] = [testAccountId, '00000000-0000-7000-8000-00000000002b']
  const limits = { key: { models: ['another'] }, account: {} }
  gateway.accounts.add(limitedKey, { accountId, keyId, role: 'user', scopes: ['inference'], limits })
  await (await send()).text()
  const refused = await send(ask, { headers: { authorization: `Bearer ${limitedKey}` } })
  expect(refused.status).toBeGreaterThanOrEqual(400)
  expect(isReplay(refused)).toBe(false)
})

describe('the same key and the same request', () => {
  test('are answered from what was executed once, with the same status, body and words about it', async () => {
    const first = await send()
    expect(isReplay(first)).toBe(false)
    const text = await first.text()
    const again = await send()
    expect(again.status).toBe(200)
    expect(isReplay(again)).toBe(true)
    expect(await again.text()).toBe(text)
    for (const name of ['content-type', 'x-gpuproxy-provider', 'x-gpuproxy-model', 'x-gpuproxy-attempts', 'x-cache']) {
      expect(again.headers.get(name), name).toBe(first.headers.get(name))
    }
    expect(again.headers.get('x-request-id')).not.toBe(first.headers.get('x-request-id'))
    expect(again.headers.get('x-gpuproxy-original-request-id')).toBe(first.headers.get('x-request-id'))
    expect(provider.calls).toHaveLength(1)
    expect(await gateway.metric('idempotent_requests_total', { result: 'executed' })).toBe(1)
    expect(await gateway.metric('idempotent_requests_total', { result: 'replayed' })).toBe(1)
    expect(gateway.log.filter(({ outcome }) => outcome === 'replayed')).toHaveLength(1)
  })

  test('a hundred at once are one execution: 200 or 409, and who is told to wait gets the same answer', async () => {
    provider.hold()
    const sending = Array.from({ length: 100 }, () => send())
    await eventually(() => provider.calls.length > 0)
    await eventually(async () => (await gateway.metric('idempotent_requests_total', { result: 'in_flight' })) === 99)
    provider.go()
    const responses = await Promise.all(sending)
    const told = responses.filter(({ status }) => status === 409)
    expect(told).toHaveLength(99)
    expect(await codeOf(told[0]!)).toBe('idempotency_in_flight')
    expect(told[1]!.headers.get('retry-after')).toBe('1')
    expect(told[1]!.headers.get('x-should-retry')).toBe('true')
    const text = await responses.find(({ status }) => status === 200)!.text()
    const again = await Promise.all(told.map(() => send()))
    expect(new Set(await Promise.all(again.map((each) => each.text())))).toEqual(new Set([text]))
    expect(provider.calls).toHaveLength(1)
  })

  test('are the same in another order and spacing of the JSON', async () => {
    await (await send()).text()
    const { model, messages } = ask
    expect(isReplay(await send(JSON.stringify({ messages, model }, null, 2)))).toBe(true)
    expect(provider.calls).toHaveLength(1)
  })

  test.each([
    ['large integers', '{"model":"held","messages":[{"role":"user"}],"seed":9007199254740993}', '9007199254740992'],
    ['keys that stand twice', '{"model":"held","messages":[{"role":"user"}],"seed":9007199254740993,"seed":1}', '2'],
  ])('are told apart by their bytes where they hold %s', async (_what, body, other) => {
    await (await send(body)).text()
    expect(isReplay(await send(body))).toBe(true)
    expect((await send(body.replace('9007199254740993', other))).status).toBe(422)
  })

  test('use up none of the tokens that a key has', async () => {
    addOther({ tokensPerMinute: 600 })
    const body = { ...ask, user: 'x'.repeat(800) }
    for (let i = 0; i < 20; i++) {
      expect((await send(body, { headers: { authorization: `Bearer ${otherKey}` } })).status).toBe(200)
    }
    expect(provider.calls).toHaveLength(1)
  })
})

describe('one key', () => {
  test('with another body is a 422, also while the first one runs', async () => {
    provider.hold()
    const first = send()
    await eventually(() => provider.calls.length === 1)
    const other = await send({ ...ask, seed: 1 })
    expect([other.status, await codeOf(other)]).toEqual([422, 'idempotency_mismatch'])
    provider.go()
    await (await first).text()
    expect((await send({ ...ask, seed: 1 })).status).toBe(422)
    expect(provider.calls).toHaveLength(1)
  })

  test('is another one for another account and on another route', async () => {
    addOther()
    const responses = [
      await send(),
      await send({ ...ask, seed: 1 }, { headers: { authorization: `Bearer ${otherKey}` } }),
      await send({ model: 'held', prompt: 'x' }, { path: '/v1/completions' }),
    ]
    expect(responses.map((each) => [each.status, isReplay(each)])).toEqual(Array(3).fill([200, false]))
    expect(provider.calls).toHaveLength(3)
  })

  test.each(['', 'x'.repeat(256), 'schlüssel'])(
    'that is not 1 to 255 printable ASCII characters is a 400: %s',
    async (key) => {
      const response = await send(ask, { key })
      expect([response.status, await codeOf(response)]).toEqual([400, 'invalid_header'])
      expect(provider.calls).toHaveLength(0)
    },
  )

  test('may hold spaces and 255 characters', async () => {
    expect((await send(ask, { key: `~ ${'x'.repeat(253)}` })).status).toBe(200)
  })
})

describe('a stream', () => {
  test('is given again byte for byte, usage and [DONE] included', async () => {
    const first = await readSse(await send(streamed))
    expect(first).toMatchObject({ done: true, usage: { total_tokens: 5 } })
    const response = await send(streamed)
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
    expect(isReplay(response)).toBe(true)
    expect(await response.text()).toBe(first.raw)
    expect(provider.calls).toHaveLength(1)
  })

  test('that is too large says so, and is not executed again', async () => {
    const large = { ...streamed, model: 'words-40000' }
    const first = await readSse(await send(large))
    expect([first.done, first.raw.length > 200_000]).toEqual([true, true])
    const again = await send(large)
    expect(again.status).toBe(409)
    expect(again.headers.get('x-should-retry')).toBe('false')
    expect(await codeOf(again)).toBe('idempotency_answer_too_large')
    expect(provider.calls).toHaveLength(1)
  })

  test('that the provider broke off is given again as it was, not as a whole one', async () => {
    provider.hold()
    const response = await send(streamed)
    await eventually(() => provider.calls.length === 1)
    provider.close()
    const first = await readSse(response)
    expect(first).toMatchObject({ done: false, error: { code: 'stream_interrupted' } })
    expect((await readSse(await send(streamed))).raw).toBe(first.raw)
  })

  test('of bytes is given again too', async () => {
    const sandboxed = await startTestGateway()
    gateways.push(sandboxed)
    const speech = { model: 'tts-1', input: 'one two three', voice: 'alloy' }
    const how = { path: '/v1/audio/speech', on: sandboxed }
    const first = await send(speech, how)
    const bytes = await first.arrayBuffer()
    const again = await send(speech, how)
    expect([first.status, isReplay(again), again.headers.get('content-type')]).toEqual([
      200,
      true,
      first.headers.get('content-type'),
    ])
    expect(new Uint8Array(await again.arrayBuffer())).toEqual(new Uint8Array(bytes))
    expect(sandboxed.sandbox.openai.calls).toHaveLength(1)
  })
})

describe('a form', () => {
  test('is the same with another boundary, and another with another file', async () => {
    const sandboxed = await startTestGateway()
    gateways.push(sandboxed)
    const form = (boundary: string, bytes: string, model = 'whisper-1') =>
      [
        `--${boundary}\r\ncontent-disposition: form-data; name="model"\r\n\r\n${model}\r\n`,
        `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n${bytes}\r\n`,
        `--${boundary}--\r\n`,
      ].join('')
    const post = (boundary: string, bytes: string, model?: string) =>
      send(new TextEncoder().encode(form(boundary, bytes, model)), {
        path: '/v1/audio/transcriptions',
        on: sandboxed,
        headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
      })
    const first = await post('one', 'RIFF1234')
    expect(first.status).toBe(200)
    const text = await first.text()
    const again = await post('two-and-longer', 'RIFF1234')
    expect([isReplay(again), await again.text()]).toEqual([true, text])
    expect((await post('one', 'RIFF1235')).status).toBe(422)
    expect((await post('one', 'RIFF1234', 'whisper-2')).status).toBe(422)
  })
})

describe('the key is free again', () => {
  test('after the providers failed', async () => {
    provider.fail(500)
    expect((await send()).status).toBe(503)
    expect((await send(streamed, { key: 'key-2' })).status).toBe(503)
    provider.fail(undefined)
    expect([(await send()).status, (await send(streamed, { key: 'key-2' })).status]).toEqual([200, 200])
  })

  test('after the gateway refused the request, also for another body', async () => {
    expect((await send({ ...ask, messages: [] })).status).toBe(400)
    expect((await send({ ...ask, previous_response_id: 'x' })).status).toBe(400)
    expect((await send()).status).toBe(200)
  })

  test('but not after the provider has judged the request: its answer stands', async () => {
    provider.fail(422)
    const first = await send()
    provider.fail(undefined)
    const again = await send()
    expect([first.status, again.status, isReplay(again)]).toEqual([422, 422, true])
    expect(provider.calls).toHaveLength(1)
  })
})

describe('a caller who leaves', () => {
  test.each([
    ['a stream', streamed],
    ['a whole answer', ask],
  ])('in the middle of %s gets all of it with the next try', async (what, body) => {
    provider.hold()
    const leaving = new AbortController()
    const sent = send(body, { signal: leaving.signal })
    const gone = sent.then((response) => response.text())
    await eventually(() => provider.calls.length === 1)
    if (what === 'a stream') await sent
    leaving.abort()
    await expect(gone).rejects.toThrow()

    const meanwhile = await send(body)
    expect([meanwhile.status, await codeOf(meanwhile)]).toEqual([409, 'idempotency_in_flight'])
    provider.go()
    const again = await eventually(
      () => send(body),
      ({ status }) => status === 200,
    )
    expect(isReplay(again)).toBe(true)
    const text = await again.text()
    expect(text).toContain('größe größe ')
    if (what === 'a stream') expect(text).toMatch(/"total_tokens":5.*\n\ndata: \[DONE\]\n\n$/)
    expect([provider.calls.length, provider.cut]).toEqual([1, 0])
    await eventually(() => gateway.log.some(({ message, status }) => message === 'request' && status === 200))
    expect(gateway.log.filter(({ status }) => status === 499)).toEqual([])
  })

  test('a stream that is too large to be kept ends with its caller', async () => {
    const large = { ...streamed, model: 'words-60000' }
    provider.hold()
    const leaving = new AbortController()
    await send(large, { signal: leaving.signal })
    leaving.abort()
    provider.go()
    await eventually(() => gateway.log.some(({ status }) => status === 499))
    expect(await codeOf(await send(large))).toBe('idempotency_answer_too_large')
    expect(provider.calls).toHaveLength(1)
  })

  test('without a key ends the call, as ever', async () => {
    provider.hold()
    const leaving = new AbortController()
    await gateway.post(chat, streamed, { signal: leaving.signal })
    leaving.abort()
    await eventually(() => provider.cut === 1)
  })
})

describe('without the store', () => {
  const broken = new Proxy({} as Idempotency, {
    get: () => async () => {
      throw new Error('canary: no database')
    },
  })

  test('a key is a 503, never a silent execution; a request without one goes on', async () => {
    const other = await start({ ports: { idempotency: broken } })
    const response = await send(ask, { on: other })
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
    const text = await response.text()
    expect(text).toContain('idempotency_unavailable')
    expect(text).not.toContain('canary')
    expect(provider.calls).toHaveLength(0)
    expect((await other.post(chat, ask)).status).toBe(200)
  })

  test('the same while nothing may be written', async () => {
    const writeMode = createMemoryWriteMode({ clock })
    const other = await start({ ports: { writeMode } })
    await writeMode.set(true)
    expect(await codeOf(await send(ask, { on: other }))).toBe('idempotency_unavailable')
    expect((await other.post(chat, ask)).status).toBe(200)
    await writeMode.set(false)
    expect((await send(ask, { on: other })).status).toBe(200)
  })
})

describe('an execution that has gone silent', () => {
  /** Somebody claimed the key and is not heard of again. */
  async function silenced(outcome: 'none' | 'spent') {
    const time = new FakeClock()
    const store = createMemoryIdempotency({ clock: time })
    const asked: string[] = []
    const ports = {
      idempotency: store,
      // The memory store's own name for its one pod.
      identity: { podId: 'memory', processId: 'memory' },
      ledgerStore: {
        ...createMemoryBooks({ clock: time, everyoneHas: 1_000_000_000 }).ledgerStore,
        async stateOf(_accountId: string, requestId: string) {
          asked.push(requestId)
          return outcome === 'spent' ? ('hold' as const) : undefined
        },
      },
    }
    const dead = await start({ ports: { ...ports, idempotency: { ...store, end: () => new Promise(() => {}) } } })
    const pods = [await start({ ports }), await start({ ports })] as const
    void send(ask, { on: dead }).catch(() => {}) // It never answers.
    await eventually(() => provider.calls.length === 1)
    expect((await send(ask, { on: pods[0] })).status).toBe(409)
    expect(asked).toEqual([])
    time.tick(silentMs)
    return { pods, asked }
  }

  test('that sent nothing is executed by one of two pods that find it', async () => {
    const { pods, asked } = await silenced('none')
    const responses = await Promise.all(Array.from({ length: 20 }, (_, i) => send(ask, { on: pods[i % 2]! })))
    expect(responses.filter((each) => each.status === 200 && !isReplay(each))).toHaveLength(1)
    expect(responses.every(({ status }) => status === 200 || status === 409)).toBe(true)
    expect(provider.calls).toHaveLength(2)
    expect(new Set(asked).size).toBe(1)
    expect(isReplay(await send(ask, { on: pods[0] }))).toBe(true)
  })

  test('that may have sent something is never executed again, and its request is named', async () => {
    const { pods, asked } = await silenced('spent')
    for (const on of pods) {
      const response = await send(ask, { on })
      expect(response.status).toBe(409)
      expect(response.headers.get('x-gpuproxy-original-request-id')).toBe(asked[0])
      expect(await codeOf(response)).toBe('idempotency_outcome_lost')
    }
    expect(provider.calls).toHaveLength(1)
  })
})

test('no key, and nothing that it stands for, is in a log line or a metric', async () => {
  await (await send(ask, { key: 'canary-key' })).text()
  await send(ask, { key: 'canary-key' })
  expect(JSON.stringify(gateway.log) + (await gateway.metricsText())).not.toContain('canary-')
})
