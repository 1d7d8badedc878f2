import OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Sandbox, type SandboxServer, startSandbox } from './sandbox.ts'

const clock = {
  now: () => performance.now(),
  wallNow: () => 1_800_000_000_500,
  setTimer(ms: number, fn: () => void) {
    const timer = setTimeout(fn, ms)
    return () => clearTimeout(timer)
  },
}

type Json = ReturnType<typeof JSON.parse>

let sandbox: Sandbox
let server: SandboxServer

beforeAll(async () => {
  sandbox = await startSandbox({ clock, random: Math.random, servers: ['openai'], wordIntervalMs: 0 })
  server = sandbox.openai as SandboxServer
})
afterEach(() => server.setFaults([]))
afterAll(() => sandbox.close())

const user = (content: unknown) => ({ role: 'user', content })

async function post(path: string, body: unknown): Promise<{ status: number; headers: Headers; json: Json }> {
  const response = await fetch(server.baseUrl + path, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, headers: response.headers, json: await response.json() }
}

/** The events of a stream, the last `[DONE]` included. */
async function stream(path: string, body: object): Promise<Json[]> {
  const response = await fetch(server.baseUrl + path, {
    method: 'POST',
    body: JSON.stringify({ ...body, stream: true }),
  })
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  const events = (await response.text()).split('\n\n')
  expect(events.pop()).toBe('')
  return events.map((event) => {
    expect(event.startsWith('data: ')).toBe(true)
    return event === 'data: [DONE]' ? '[DONE]' : JSON.parse(event.slice(6))
  })
}

const chat = (body: object) => post('/chat/completions', { model: 'gpt-4o-mini', ...body })
const textOf = (events: Json[], index = 0) =>
  events
    .flatMap((event) => event.choices ?? [])
    .filter((choice) => choice.index === index)
    .map((choice) => choice.delta?.content ?? choice.text ?? '')
    .join('')

describe('chat completions', () => {
  it('answers the shape of OpenAI, counting a word as a token', async () => {
    const { status, json } = await chat({
      messages: [
        { role: 'system', content: 'be brief' },
        user([{ type: 'text', text: 'count to three' }, { type: 'image_url' }]),
      ],
      max_tokens: 3,
    })
    expect(status).toBe(200)
    expect(json).toEqual({
      id: expect.stringMatching(/^chatcmpl-[A-Za-z0-9]{29}$/),
      object: 'chat.completion',
      created: 1_800_000_000,
      model: 'gpt-4o-mini',
      service_tier: 'default',
      system_fingerprint: expect.stringMatching(/^fp_/),
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'w1 w2 w3', refusal: null, annotations: [] },
          logprobs: null,
          finish_reason: 'length',
        },
      ],
      usage: {
        prompt_tokens: 5,
        completion_tokens: 3,
        total_tokens: 8,
        prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
        completion_tokens_details: {
          reasoning_tokens: 0,
          audio_tokens: 0,
          accepted_prediction_tokens: 0,
          rejected_prediction_tokens: 0,
        },
      },
    })
  })

  it('has a natural length of 8 to 40 words that depends on the prompt alone', async () => {
    const lengths = new Set<number>()
    for (const word of ['a', 'b', 'c', 'd', 'e', 'f']) {
      const [one, two] = await Promise.all([
        chat({ messages: [user(word)] }),
        chat({ messages: [user(word)], model: 'other' }),
      ])
      expect(one.json.choices[0].finish_reason).toBe('stop')
      expect(one.json.choices[0].message).toEqual(two.json.choices[0].message)
      lengths.add(one.json.usage.completion_tokens)
    }
    expect(Math.min(...lengths)).toBeGreaterThanOrEqual(8)
    expect(Math.max(...lengths)).toBeLessThanOrEqual(40)
    expect(lengths.size).toBeGreaterThan(2)
  })

  it('continues a trailing assistant message to the same end as the whole answer', async () => {
    const whole = (await chat({ messages: [user('tell me')] })).json.choices[0].message.content
    const prefix = 'w1 w2 w3'
    const { json } = await chat({ messages: [user('tell me'), { role: 'assistant', content: prefix }] })
    expect(json.choices[0].message.content).toMatch(/^ w4 w5 /)
    expect(prefix + json.choices[0].message.content).toBe(whole)
    const limited = await chat({
      messages: [user('tell me'), { role: 'assistant', content: 'Sure: ' }],
      max_completion_tokens: 2,
    })
    expect(limited.json.choices[0].message.content).toBe('w2 w3')
  })

  it('streams a role, one word an event, the finish reason and [DONE]', async () => {
    const events = await stream('/chat/completions', { model: 'gpt-4o', messages: [user('hi')], max_tokens: 3 })
    expect(events.at(-1)).toBe('[DONE]')
    const chunks = events.slice(0, -1)
    expect(chunks.map((chunk) => chunk.choices[0].delta)).toEqual([
      { role: 'assistant', content: '', refusal: null },
      { content: 'w1' },
      { content: ' w2' },
      { content: ' w3' },
      {},
    ])
    expect(chunks.map((chunk) => chunk.choices[0].finish_reason)).toEqual([null, null, null, null, 'length'])
    expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1)
    expect(chunks.every((chunk) => chunk.object === 'chat.completion.chunk' && !('usage' in chunk))).toBe(true)
  })

  it('tells usage in a chunk of its own when asked, and null in every other', async () => {
    const events = await stream('/chat/completions', {
      model: 'gpt-4o',
      messages: [user('one two')],
      max_tokens: 2,
      stream_options: { include_usage: true },
    })
    const usage = events.at(-2)
    expect(usage.choices).toEqual([])
    expect(usage.usage).toMatchObject({ prompt_tokens: 2, completion_tokens: 2, total_tokens: 4 })
    expect(events.slice(0, -2).every((chunk) => chunk.usage === null)).toBe(true)
  })

  it('answers n choices, whole and streamed', async () => {
    const body = { model: 'gpt-4o', messages: [user('hi')], max_tokens: 2, n: 2 }
    const { json } = await chat(body)
    expect(json.choices.map((choice: Json) => [choice.index, choice.message.content])).toEqual([
      [0, 'w1 w2'],
      [1, 'w1 w2'],
    ])
    expect(json.usage.completion_tokens).toBe(4)
    const events = await stream('/chat/completions', body)
    expect([textOf(events, 0), textOf(events, 1)]).toEqual(['w1 w2', 'w1 w2'])
  })

  it('calls the tool it is forced to call, in pieces when streaming', async () => {
    const tools = [{ type: 'function', function: { name: 'look_up', parameters: {} } }]
    const forced = { type: 'function', function: { name: 'look_up' } }
    const { json } = await chat({ messages: [user('hi')], tools, tool_choice: 'required' })
    expect(json.choices[0].message.content).toBeNull()
    expect(json.choices[0].finish_reason).toBe('tool_calls')
    expect(json.choices[0].message.tool_calls).toEqual([
      {
        id: expect.stringMatching(/^call_/),
        type: 'function',
        function: { name: 'look_up', arguments: '{"word":"w1"}' },
      },
    ])
    const events = await stream('/chat/completions', { model: 'm', messages: [user('hi')], tools, tool_choice: forced })
    const calls = events.slice(0, -1).flatMap((chunk) => chunk.choices[0].delta.tool_calls ?? [])
    expect(calls[0]).toMatchObject({ index: 0, type: 'function', function: { name: 'look_up', arguments: '' } })
    expect(calls.map((call) => call.function.arguments).join('')).toBe('{"word":"w1"}')
    expect(events.at(-2).choices[0].finish_reason).toBe('stop')
  })

  it('streams a long answer to a slow reader and notices when the reader leaves', async () => {
    const leaving = new AbortController()
    const response = await fetch(`${server.baseUrl}/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model: 'leaver', messages: [user('hi')], max_tokens: 100_000, stream: true }),
      signal: leaving.signal,
    })
    await response.body?.getReader().read()
    leaving.abort()
    await expect.poll(() => server.calls.at(-1)?.closedAt).toBeGreaterThan(0)
    expect(server.calls.at(-1)?.model).toBe('leaver')
  })
})

describe('pace', () => {
  it('leaves the interval between words, round by round, and delays whole answers alone', async () => {
    const waits: number[] = []
    const setTimer = (ms: number, fn: () => void) => {
      waits.push(ms)
      const timer = setImmediate(fn)
      return () => clearImmediate(timer)
    }
    const options = { servers: ['openai'] as const, wordIntervalMs: 15, answerDelayMs: 700 }
    const paced = await startSandbox({ clock: { ...clock, setTimer }, random: Math.random, ...options })
    const ask = async (stream: boolean) => {
      const body = JSON.stringify({ model: 'm', messages: [user('hi')], max_tokens: 3, n: 2, stream })
      return (await fetch(`${paced.openai?.baseUrl}/chat/completions`, { method: 'POST', body })).text()
    }
    await ask(true)
    expect(waits.splice(0)).toEqual([15, 15])
    await ask(false)
    expect(waits).toEqual([700])
    await paced.close()
  })
})

describe('text completions', () => {
  it('answers every prompt in its own shape, whole and streamed', async () => {
    const { json } = await post('/completions', { model: 'davinci-002', prompt: ['one two', 'three'], max_tokens: 2 })
    expect(json.object).toBe('text_completion')
    expect(json.choices).toEqual([
      { index: 0, text: 'w1 w2', logprobs: null, finish_reason: 'length' },
      { index: 1, text: 'w1 w2', logprobs: null, finish_reason: 'length' },
    ])
    expect(json.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 4 })
    const events = await stream('/completions', { model: 'davinci-002', prompt: 'one two', max_tokens: 2 })
    expect(textOf(events)).toBe('w1 w2')
    expect(events.slice(0, -1).map((chunk) => chunk.choices[0].text)).toEqual(['w1', ' w2', ''])
  })

  it.each([
    [null, 1],
    [[1, 2], 2],
    [[[1, 2], [3]], 3],
  ])('of the prompt %j count %i tokens', async (prompt, tokens) => {
    const { json } = await post('/completions', { model: 'davinci-002', prompt, max_tokens: 1 })
    expect(json.usage.prompt_tokens).toBe(tokens)
  })
})

describe('embeddings', () => {
  it('gives a text always the same unit vector, as numbers and as base64 floats', async () => {
    const { json } = await post('/embeddings', { model: 'text-embedding-3-small', input: ['a b', 'c'], dimensions: 8 })
    const [first, second] = json.data.map((item: Json) => item.embedding as number[])
    expect(Math.hypot(...first)).toBeCloseTo(1, 6)
    expect(first).not.toEqual(second)
    expect(json.usage).toEqual({ prompt_tokens: 3, total_tokens: 3 })
    const { json: encoded } = await post('/embeddings', {
      model: 'm',
      input: 'a b',
      dimensions: 8,
      encoding_format: 'base64',
    })
    const bytes = Buffer.from(encoded.data[0].embedding, 'base64')
    expect(Array.from({ length: 8 }, (_, index) => bytes.readFloatLE(index * 4))).toEqual(first)
  })

  it('takes a text in tokens, as clients send it that cut long texts themselves', async () => {
    const embed = async (input: unknown) => (await post('/embeddings', { model: 'm', input, dimensions: 2 })).json
    const one = await embed([1, 20, 300])
    expect(one.data).toHaveLength(1)
    expect(one.usage.prompt_tokens).toBe(3)
    const two = await embed([[1, 20, 300], [4]])
    expect(two.data.map((item: Json) => item.index)).toEqual([0, 1])
    expect(two.data[0].embedding).toEqual(one.data[0].embedding)
    expect(two.usage.prompt_tokens).toBe(4)
  })

  it('refuses what is no list of 1 to 2048 texts', async () => {
    for (const input of [undefined, [], '', [''], [1, 'a'], [1.5], [[]], Array(2049).fill('x')]) {
      const { status, json } = await post('/embeddings', { model: 'm', input })
      expect([status, json.error.param]).toEqual([400, 'input'])
    }
  })
})

describe('models', () => {
  it('lists its models and finds each by its id', async () => {
    const list: Json = await (await fetch(`${server.baseUrl}/models`)).json()
    expect(list.object).toBe('list')
    expect(list.data.map((model: Json) => model.id)).toContain('gpt-4o-mini')
    const one = await fetch(`${server.baseUrl}/models/gpt-4o`)
    expect(await one.json()).toEqual(list.data.find((model: Json) => model.id === 'gpt-4o'))
    const none = await fetch(`${server.baseUrl}/models/no-such-model`)
    expect(none.status).toBe(404)
  })
})

describe('refusals', () => {
  const cases: [string, unknown, number, object][] = [
    ['broken JSON', '{"model":', 400, { type: 'invalid_request_error' }],
    ['no model', { messages: [user('hi')] }, 400, { param: 'model' }],
    ['no messages', { model: 'm' }, 400, { param: 'messages', code: 'missing_required_parameter' }],
    ['no message', { model: 'm', messages: [] }, 400, { param: 'messages', code: 'empty_array' }],
    ['messages that are none', { model: 'm', messages: ['hi'] }, 400, { param: 'messages', code: 'invalid_type' }],
    [
      'too many choices',
      { model: 'm', messages: [user('')], n: 5 },
      400,
      { param: 'n', code: 'integer_above_max_value' },
    ],
    ['no room', { model: 'm', messages: [user('')], max_tokens: 0 }, 400, { code: 'integer_below_min_value' }],
    ['a limit of words', { model: 'm', messages: [user('')], max_tokens: '9' }, 400, { code: 'invalid_type' }],
    ['idle stream options', { model: 'm', messages: [user('')], stream_options: {} }, 400, { param: 'stream_options' }],
    ['an unknown model', { model: 'no-such-thing', messages: [user('')] }, 404, { code: 'model_not_found' }],
  ]
  it.each(cases)('says in the envelope of OpenAI what is wrong: %s', async (_, body, status, error) => {
    const answer = await post('/chat/completions', body)
    expect(answer.status).toBe(status)
    expect(answer.json.error).toMatchObject(error)
    expect(Object.keys(answer.json.error)).toEqual(['message', 'type', 'param', 'code'])
    expect(answer.headers.get('x-request-id')).toMatch(/^req_/)
  })

  it('does not know any other URL', async () => {
    const { status, json } = await post('/chat/completion', {})
    expect([status, json.error.message]).toEqual([404, 'Invalid URL (POST /v1/chat/completion)'])
  })
})

describe('headers and keys', () => {
  it('carries the request id, the version and the rate limits', async () => {
    const { headers } = await chat({ messages: [user('one two three')] })
    expect(headers.get('x-request-id')).toMatch(/^req_/)
    expect(headers.get('openai-version')).toBe('2020-10-01')
    expect(headers.get('openai-processing-ms')).toMatch(/^\d+$/)
    expect(headers.get('x-ratelimit-limit-requests')).toBe('10000')
    expect(headers.get('x-ratelimit-remaining-requests')).toBe('9999')
    expect(headers.get('x-ratelimit-reset-requests')).toBe('6ms')
    expect(headers.get('x-ratelimit-remaining-tokens')).toBe('1999997')
  })

  it('takes its one key and refuses every other credential', async () => {
    const guarded = await startSandbox({
      clock,
      random: Math.random,
      servers: ['openai'],
      keys: { openai: 'sk-right' },
    })
    const get = async (authorization?: string) => {
      const response = await fetch(`${guarded.openai?.baseUrl}/models`, {
        headers: authorization ? { authorization } : {},
      })
      return [response.status, ((await response.json()) as Json).error?.code]
    }
    expect(await get('Bearer sk-right')).toEqual([200, undefined])
    expect(await get('Bearer sk-wrong')).toEqual([401, 'invalid_api_key'])
    expect(await get()).toEqual([401, null])
    await guarded.close()
  })
})

describe('the official SDK', () => {
  const client = () => new OpenAI({ apiKey: 'any', baseURL: server.baseUrl, maxRetries: 0 })

  it('completes, streams and embeds', async () => {
    const whole = await client().chat.completions.create({
      model: 'gpt-4o',
      messages: [{ role: 'user', content: 'hi' }],
      max_tokens: 2,
    })
    expect(whole.choices[0]?.message.content).toBe('w1 w2')
    const pieces: string[] = []
    const streamed = await client().chat.completions.create({
      model: 'gpt-4o',
      messages: [{ role: 'user', content: 'hi' }],
      max_tokens: 4,
      stream: true,
    })
    for await (const chunk of streamed) pieces.push(chunk.choices[0]?.delta.content ?? '')
    expect(pieces.join('')).toBe('w1 w2 w3 w4')
    const vectors = await client().embeddings.create({ model: 'text-embedding-3-small', input: 'hello' })
    expect(vectors.data[0]?.embedding).toHaveLength(1536)
  })
})
