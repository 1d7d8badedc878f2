import OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { eventually, startTestGateway, type TestGateway, testKey, words } from '../support/gateway.ts'

let gateway: TestGateway
let client: OpenAI

beforeAll(async () => {
  gateway = await startTestGateway()
  client = new OpenAI({ apiKey: testKey, baseURL: `${gateway.url}/v1` })
})
afterEach(() => gateway.sandbox.openai.setFaults([]))
afterAll(() => gateway.close())

const messages = [{ role: 'user' as const, content: 'Say some words' }]

test('a chat completion arrives whole, with its usage and the id of the request', async () => {
  const { data, response, request_id } = await client.chat.completions
    .create({ model: 'gpt-4o', messages, max_tokens: 7 })
    .withResponse()
  expect(data.choices[0]?.message.content).toBe(words(7))
  expect(data.usage?.completion_tokens).toBe(7)
  expect(request_id).toBe(response.headers.get('x-request-id'))
  expect(response.headers.get('x-gpuproxy-provider')).toBe('openai')
})

test('a streamed chat arrives word by word, without usage unless asked', async () => {
  const stream = await client.chat.completions.create({ model: 'gpt-4o', messages, max_tokens: 20, stream: true })
  let text = ''
  let events = 0
  for await (const chunk of stream) {
    events++
    text += chunk.choices[0]?.delta.content ?? ''
    expect(chunk).not.toHaveProperty('usage')
  }
  expect(text).toBe(words(20))
  expect(events).toBe(22)
})

test('a streamed chat ends with its usage when asked', async () => {
  const stream = await client.chat.completions.create({
    model: 'gpt-4o',
    messages,
    max_tokens: 5,
    stream: true,
    stream_options: { include_usage: true },
  })
  const chunks = await Array.fromAsync(stream)
  expect(chunks.at(-1)?.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 })
})

test('tool calls stream through', async () => {
  const runner = client.chat.completions.stream({
    model: 'gpt-4o',
    messages,
    tools: [{ type: 'function', function: { name: 'look', parameters: { type: 'object', properties: {} } } }],
    tool_choice: 'required',
  })
  const final = await runner.finalChatCompletion()
  const call = final.choices[0]?.message.tool_calls?.[0]
  expect(call?.type === 'function' && call.function).toMatchObject({ name: 'look', arguments: '{"word":"w1"}' })
})

test('leaving a stream ends the provider’s call', async () => {
  const stream = await client.chat.completions.create({ model: 'gpt-4o', messages, max_tokens: 50_000, stream: true })
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content === ' w3') break
  const call = gateway.sandbox.openai.calls.at(-1)!
  await eventually(() => call.closedAt)
  await eventually(
    () => gateway.metric('http_requests_in_flight'),
    (n) => n === 0,
  )
  expect(await gateway.metric('upstream_requests_in_flight', { upstream: 'openai' })).toBe(0)
  expect(gateway.log.findLast((line) => line.message === 'request')).toMatchObject({ status: 499 })
})

test('legacy completions work, streamed and not', async () => {
  const whole = await client.completions.create({ model: 'gpt-3.5-turbo-instruct', prompt: 'Go on', max_tokens: 4 })
  expect(whole.choices[0]?.text).toBe(words(4))
  const stream = await client.completions.create({ model: 'x', prompt: 'Go on', max_tokens: 4, stream: true })
  let text = ''
  for await (const chunk of stream) text += chunk.choices[0]?.text ?? ''
  expect(text).toBe(words(4))
})

test('embeddings come as the numbers that the provider gave', async () => {
  const { data, usage } = await client.embeddings.create({
    model: 'text-embedding-3-small',
    input: ['a b', 'c'],
    dimensions: 8,
  })
  expect(data.map(({ embedding }) => embedding.length)).toEqual([8, 8])
  expect(usage.prompt_tokens).toBe(3)
})

test('models are listed and found one by one', async () => {
  const models = await Array.fromAsync(client.models.list())
  expect(models.map(({ id }) => id)).toContain('gpt-4o-mini')
  expect(await client.models.retrieve('gpt-4o-mini')).toMatchObject({ id: 'gpt-4o-mini', object: 'model' })
  await expect(client.models.retrieve('none')).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
})

test('errors are the SDK’s own classes', async () => {
  const stranger = new OpenAI({ apiKey: 'ak_live_unknownunknownunknown000', baseURL: `${gateway.url}/v1` })
  await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError)
  await expect(client.chat.completions.create({ model: 'no-such-model', messages })).rejects.toBeInstanceOf(
    OpenAI.NotFoundError,
  )
  await expect(client.chat.completions.create({ model: 'gpt-4o', messages: [] })).rejects.toBeInstanceOf(
    OpenAI.BadRequestError,
  )
})

test('the SDK does not repeat what the gateway has already tried again', async () => {
  gateway.sandbox.openai.setFaults([{ kind: 'status', status: 503, match: { model: 'dead-model' } }])
  const before = gateway.sandbox.openai.calls.length
  await expect(client.chat.completions.create({ model: 'dead-model', messages })).rejects.toMatchObject({ status: 503 })
  expect(gateway.sandbox.openai.calls.length - before).toBe(3)
})

test('the SDK’s own retries get a caller over its rate limit', async () => {
  const key = 'ak_live_slowslowslowslowslowslow0001'
  gateway.accounts.add(key, {
    accountId: 'a',
    keyId: 'slow',
    role: 'user',
    scopes: ['inference'],
    // A turn each three seconds: far longer than all of them take, on a busy machine, too.
    limits: { key: { requestsPerMinute: 20 }, account: {} },
  })
  const slow = new OpenAI({ apiKey: key, baseURL: `${gateway.url}/v1` })
  const answers = await Promise.all(Array.from({ length: 21 }, () => slow.models.list().asResponse()))
  expect(answers.every((answer) => answer.status === 200)).toBe(true)
  expect(await gateway.metric('rate_limited_total', { scope: 'key' })).toBeGreaterThan(0)
})

test('a stream that the provider breaks is an error, never a short answer', async () => {
  gateway.sandbox.openai.setFaults([{ kind: 'cut', afterTokens: 5 }])
  const stream = await client.chat.completions.create({ model: 'gpt-4o', messages, max_tokens: 20, stream: true })
  let text = ''
  const read = (async () => {
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  })()
  await expect(read).rejects.toMatchObject({ code: 'stream_interrupted' })
  expect(words(20).startsWith(text)).toBe(true)
})
