import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createMemorySharedCache } from '../../adapters/memory/shared-cache.ts'
import type { SharedCache } from '../../src/ports.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { readSse, startTestGateway, type TestGateway } from '../support/gateway.ts'

const path = '/v1/chat/completions'
const ask = {
  model: 'gpt-4o-mini',
  temperature: 0,
  messages: [{ role: 'user', content: 'canary-prompt: say 5 words' }],
}
const otherKey = 'ak_live_otheraccountotheraccount001'
const sharedCache = createMemorySharedCache({ clock })

let gateway: TestGateway
beforeEach(async () => {
  gateway = await startTestGateway()
  gateway.accounts.add(otherKey, {
    accountId: '00000000-0000-7000-8000-00000000000b',
    keyId: 'b',
    role: 'user',
    scopes: ['inference'],
    limits: { key: {}, account: {} },
  })
})
afterEach(() => gateway.close())

const send = async (body: object = ask, headers: Record<string, string> = { 'x-gpuproxy-cache': '300' }) => {
  const response = await gateway.post(path, body, { headers })
  return { response, cache: response.headers.get('x-cache') }
}
const calls = () => gateway.sandbox.openai.calls.length

describe('an answer in one piece', () => {
  test('is given again, byte for byte, to whoever asked for that', async () => {
    const first = await send()
    expect(first.cache).toBe('miss')
    const text = await first.response.text()
    // Other order, other whitespace: the same question.
    const again = await gateway.post(
      path,
      JSON.stringify({ messages: ask.messages, temperature: 0.0, model: ask.model }, null, 2),
      {
        headers: { 'x-gpuproxy-cache': '300' },
      },
    )
    expect(again.headers.get('x-cache')).toBe('memory')
    expect(again.headers.get('age')).toBe('0')
    expect(again.headers.get('x-gpuproxy-attempts')).toBe('0')
    expect(again.headers.get('x-gpuproxy-provider')).toBe('openai')
    expect(await again.text()).toBe(text)
    expect(calls()).toBe(1)
    expect(await gateway.metric('cache_requests_total', { cache: 'answers', result: 'memory' })).toBe(1)
    expect(await gateway.metric('cache_bytes', { cache: 'answers' })).toBeGreaterThan(text.length)
  })

  test.each<[string, object, Record<string, string>]>([
    ['who did not ask for it', ask, {}],
    ['who asked for none', ask, { 'x-gpuproxy-cache': '0' }],
    ['who forbids it', ask, { 'x-gpuproxy-cache': '300', 'cache-control': 'max-age=0, No-Store' }],
    ['whose temperature leaves it to chance', { ...ask, temperature: 0.7 }, { 'x-gpuproxy-cache': '300' }],
    ['who names no temperature', { ...ask, temperature: undefined }, { 'x-gpuproxy-cache': '300' }],
  ])('is made anew for one %s', async (_who, body, headers) => {
    await (await send()).response.text()
    for (let i = 0; i < 2; i++) expect((await send(body, headers)).cache).toBe('bypass')
    expect(calls()).toBe(3)
  })

  test('is made anew and kept for one who will not have an old one', async () => {
    const headers = { 'x-gpuproxy-cache': '300', 'cache-control': 'no-cache' }
    for (let i = 0; i < 2; i++) expect((await send(ask, headers)).cache).toBe('bypass')
    expect((await send()).cache).toBe('memory')
    expect(calls()).toBe(2)
  })

  test('is kept at any temperature for one who says so', async () => {
    const headers = { 'x-gpuproxy-cache': '300; sampled' }
    expect((await send({ ...ask, temperature: 1 }, headers)).cache).toBe('miss')
    expect((await send({ ...ask, temperature: 1 }, headers)).cache).toBe('memory')
  })

  test('is never given to another account, nor for another question', async () => {
    await (await send()).response.text()
    expect((await send(ask, { 'x-gpuproxy-cache': '300', authorization: `Bearer ${otherKey}` })).cache).toBe('miss')
    for (const other of [
      { seed: 1 },
      { user: 'x' },
      { messages: [...ask.messages, ...ask.messages] },
      { model: 'gpt-4o' },
      { stream: true },
    ]) {
      expect((await send({ ...ask, ...other })).cache).toBe('miss')
    }
    const twice = `{"temperature":0,"temperature":0,"model":"gpt-4o-mini","messages":${JSON.stringify(ask.messages)}}`
    const response = await gateway.post(path, twice, { headers: { 'x-gpuproxy-cache': '300' } })
    expect(response.headers.get('x-cache')).toBe('bypass')
  })

  test.each<[string, Parameters<TestGateway['sandbox']['openai']['setFaults']>[0][number]]>([
    ['an error', { kind: 'status', status: 400 }],
    ['an answer that a limit cut short', { kind: 'clean_cut', afterTokens: 1 }],
  ])('is not kept where it is %s', async (_what, fault) => {
    gateway.sandbox.openai.setFaults([fault])
    const { response } = await send()
    await response.text()
    gateway.sandbox.openai.setFaults([])
    expect((await send()).cache).toBe('miss')
  })

  test('is refused a header that says nothing', async () => {
    const { response } = await send(ask, { 'x-gpuproxy-cache': 'yes' })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { code: 'invalid_header', param: 'x-gpuproxy-cache' } })
  })
})

describe('a stream', () => {
  const streamed = { ...ask, stream: true }
  const withUsage = { ...streamed, stream_options: { include_usage: true } }

  test('is replayed as a stream, with the same events, its end, and usage as asked', async () => {
    for (const body of [streamed, withUsage]) {
      const first = await send(body)
      expect(first.cache).toBe('miss')
      const original = await readSse(first.response)
      const again = await send(body)
      expect(again.cache).toBe('memory')
      expect(again.response.headers.get('content-type')).toMatch(/^text\/event-stream/)
      const replayed = await readSse(again.response)
      expect(replayed.raw).toBe(original.raw)
      expect(replayed.done).toBe(true)
      expect(replayed.usage === undefined).toBe(body === streamed)
    }
    expect(calls()).toBe(2)
  })

  test('with another option than the usage is another stream', async () => {
    const plainly = { ...streamed, stream_options: { include_obfuscation: false } }
    for (const body of [streamed, plainly]) {
      const { cache, response } = await send(body)
      expect(cache).toBe('miss')
      await response.text()
    }
    expect((await send(plainly)).cache).toBe('memory')
    expect((await send({ ...streamed, stream_options: { include_usage: false } })).cache).toBe('memory')
  })

  test('that broke off, or whose caller left, is not kept', async () => {
    gateway.sandbox.openai.setFaults([{ kind: 'cut', afterTokens: 2 }])
    expect((await readSse((await send(streamed)).response)).error).toBeDefined()
    gateway.sandbox.openai.setFaults([{ kind: 'stall', afterTokens: 2, ms: 60_000 }])
    const { response } = await send(streamed)
    const reader = response.body!.getReader()
    await reader.read()
    await reader.cancel()
    gateway.sandbox.openai.setFaults([])
    expect((await send(streamed)).cache).toBe('miss')
  })
})

test('pods share answers, and what they share holds no prompt and no key in its keys', async () => {
  const keys: string[] = []
  const seen: SharedCache = {
    ...sharedCache,
    write(key, entry) {
      keys.push(key)
      return sharedCache.write(key, entry)
    },
  }
  const a = await startTestGateway({ ports: { sharedCache: seen } })
  // The same route: another server behind the same name would be another answer.
  const { baseUrl } = a.sandbox.openai
  const b = await startTestGateway({ ports: { sharedCache: seen }, providers: { openai: { baseUrl, apiKey: 'x' } } })
  try {
    const headers = { 'x-gpuproxy-cache': '300' }
    const original = await (await a.post(path, ask, { headers })).text()
    const response = await b.post(path, ask, { headers })
    expect(response.headers.get('x-cache')).toBe('redis')
    expect(await response.text()).toBe(original)
    expect(a.sandbox.openai.calls.length).toBe(1)
    expect(keys).toHaveLength(1)
    expect(keys[0]).toMatch(/^answers:1:00000000-0000-7000-8000-000000000001\/chat%2Fcompletions\/[0-9a-f]{64}$/)
  } finally {
    await Promise.all([a.close(), b.close()])
  }
})
