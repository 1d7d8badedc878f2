import OpenAI, { toFile } from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { eventually, startTestGateway, type TestGateway, testKey, words } from '../support/gateway.ts'

let gateway: TestGateway
let client: OpenAI

beforeAll(async () => {
  // So many faults on end would open the circuit, which is another test's promise.
  gateway = await startTestGateway({ env: { CIRCUIT_BREAKER_MIN_REQUESTS: '1000' } })
  client = new OpenAI({ apiKey: testKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 })
})
afterEach(() => gateway.sandbox.openai.setFaults([]))
afterAll(() => gateway.close())

type Json = ReturnType<typeof JSON.parse>

const direct = () => new OpenAI({ apiKey: 'any', baseURL: gateway.sandbox.openai.baseUrl })
const lastCall = () => gateway.sandbox.openai.calls.at(-1)!
const sound = () => toFile(Buffer.alloc(64_000, 'sound\r\n--'), 'a sound.mp3', { type: 'audio/mpeg' })
const noneLeft = () =>
  eventually(
    () => gateway.metric('upstream_requests_in_flight', { upstream: 'openai' }),
    (n) => n === 0,
  )
const form = async (fields: Record<string, string>) => {
  const data = new FormData()
  for (const [name, value] of Object.entries(fields)) data.append(name, value)
  data.append('file', await sound())
  return data
}
const postForm = (path: string, body: FormData) =>
  fetch(gateway.url + path, { method: 'POST', headers: { authorization: `Bearer ${testKey}` }, body })

describe('responses', () => {
  test('arrive whole, and nothing is stored', async () => {
    const { data, response } = await client.responses
      .create({ model: 'gpt-4o', input: 'Say some words', max_output_tokens: 20 })
      .withResponse()
    expect(data.output_text).toBe(words(20))
    expect(data.usage).toMatchObject({ input_tokens: 3, output_tokens: 20 })
    expect(response.headers.get('x-gpuproxy-provider')).toBe('openai')
    expect(response.headers.get('x-gpuproxy-model')).toBe('gpt-4o')
    expect(lastCall().body).toMatchObject({ store: false })
  })

  test('are not stored where the caller asks for it', async () => {
    await client.responses.create({ model: 'gpt-4o', input: 'hi', store: true })
    expect(lastCall().body).toMatchObject({ store: false })
  })

  test('stream the events of OpenAI in their order', async () => {
    const stream = await client.responses.create({ model: 'gpt-4o', input: 'hi', max_output_tokens: 20, stream: true })
    const events = await Array.fromAsync(stream)
    const text = events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join('')
    expect(text).toBe(words(20))
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual([...events.keys()])
    expect(events.at(-1)).toMatchObject({ type: 'response.incomplete', response: { usage: { output_tokens: 20 } } })
    expect(lastCall().body).not.toHaveProperty('stream_options')
  })

  test('stream to the SDK’s own end, tool calls too', async () => {
    const final = await client.responses
      .stream({
        model: 'gpt-4o',
        input: 'hi',
        tools: [{ type: 'function', name: 'look', parameters: {}, strict: false }],
        tool_choice: 'required',
      })
      .finalResponse()
    expect(final.output[0]).toMatchObject({ type: 'function_call', arguments: '{"word":"w1"}' })
  })

  test.each([
    { kind: 'cut', afterTokens: 5 },
    { kind: 'clean_cut', afterTokens: 5 },
    { kind: 'no_done' },
    { kind: 'malformed_event', atToken: 1 },
    { kind: 'malformed_event', atToken: 5 },
  ] as const)('that break off in the middle are an error, never a short answer: %j', async (fault) => {
    gateway.sandbox.openai.setFaults([fault])
    const stream = await client.responses.create({ model: 'gpt-4o', input: 'hi', max_output_tokens: 20, stream: true })
    let text = ''
    const read = (async () => {
      for await (const event of stream) if (event.type === 'response.output_text.delta') text += event.delta
    })()
    await expect(read).rejects.toMatchObject({ code: 'stream_interrupted' })
    expect(words(20).startsWith(text)).toBe(true)
    await noneLeft()
  })

  test('an error before the first word is an answer of its own', async () => {
    gateway.sandbox.openai.setFaults([{ kind: 'error_200' }])
    const asked = client.responses.create({ model: 'gpt-4o', input: 'hi', stream: true })
    await expect(asked).rejects.toMatchObject({ status: 503, code: 'upstream_unavailable' })
  })

  test('leaving a stream ends the provider’s call', async () => {
    const stream = await client.responses.create({
      model: 'gpt-4o',
      input: 'hi',
      max_output_tokens: 50_000,
      stream: true,
    })
    for await (const event of stream) if (event.type === 'response.output_text.delta') break
    const call = lastCall()
    await eventually(() => call.closedAt)
    await noneLeft()
  })
})

describe('moderations and images', () => {
  test('a moderation needs no model', async () => {
    const { model, results } = await client.moderations.create({ input: ['be nice', 'kill it'] })
    expect(model).toBe('omni-moderation-latest')
    expect(results.map(({ flagged }) => flagged)).toEqual([false, true])
  })

  test('images come as the provider made them', async () => {
    const { data, usage } = await client.images.generate({ model: 'gpt-image-1.5', prompt: 'a dot', n: 2 })
    expect(data).toHaveLength(2)
    expect(usage?.output_tokens).toBe(544)
    const urls = await client.images.generate({ model: 'dall-e-2', prompt: 'a dot', response_format: 'url' })
    expect(urls.data?.[0]?.url).toMatch(/^https:/)
  })

  test('images stream, each to its own end', async () => {
    const stream = await client.images.generate({
      model: 'gpt-image-1.5',
      prompt: 'a dot',
      n: 2,
      partial_images: 1,
      stream: true,
    })
    const types = (await Array.fromAsync(stream)).map(({ type }) => type)
    expect(types).toEqual([
      'image_generation.partial_image',
      'image_generation.completed',
      'image_generation.completed',
    ])
  })

  test('an image that breaks off is an error', async () => {
    gateway.sandbox.openai.setFaults([{ kind: 'cut', afterTokens: 1 }])
    const stream = await client.images.generate({
      model: 'gpt-image-1.5',
      prompt: 'a dot',
      partial_images: 2,
      stream: true,
    })
    await expect(Array.fromAsync(stream)).rejects.toMatchObject({ code: 'stream_interrupted' })
  })
})

describe('speech', () => {
  const body = { model: 'tts-1', voice: 'alloy', input: 'Say some words', response_format: 'wav' } as const

  test('is byte for byte what the provider said, in its type', async () => {
    const [ours, theirs] = await Promise.all([client.audio.speech.create(body), direct().audio.speech.create(body)])
    expect(ours.headers.get('content-type')).toBe('audio/wav')
    expect(ours.headers.get('x-gpuproxy-provider')).toBe('openai')
    expect(Buffer.from(await ours.arrayBuffer())).toEqual(Buffer.from(await theirs.arrayBuffer()))
  })

  test('comes in events where that is asked for', async () => {
    const sse = { ...body, model: 'gpt-4o-mini-tts', stream_format: 'sse' } as const
    const ask = async (api: OpenAI) => (await api.audio.speech.create(sse)).text()
    const text = await ask(client)
    expect(text).toBe(await ask(direct()))
    expect(text).toContain('"type":"speech.audio.done"')
  })

  test('that breaks off does not end like speech that is whole', async () => {
    gateway.sandbox.openai.setFaults([{ kind: 'cut', afterTokens: 2 }])
    await expect(client.audio.speech.create(body).then((response) => response.arrayBuffer())).rejects.toThrow()
    await noneLeft()
  })

  test('an error of the provider stays one', async () => {
    gateway.sandbox.openai.setFaults([{ kind: 'error_200' }])
    await expect(client.audio.speech.create(body)).rejects.toMatchObject({ status: 503 })
    gateway.sandbox.openai.setFaults([])
    await expect(client.audio.speech.create({ ...body, speed: 9 })).rejects.toMatchObject({
      status: 400,
      param: 'speed',
    })
  })
})

describe('transcriptions and translations', () => {
  test('send the file on as it came', async () => {
    const { text } = await client.audio.transcriptions.create({
      model: 'whisper-1',
      file: await sound(),
      timestamp_granularities: ['word', 'segment'],
    })
    expect(text).toMatch(/^w1 w2 w3 /)
    expect(lastCall()).toMatchObject({
      path: '/v1/audio/transcriptions',
      body: {
        file: { name: 'a sound.mp3', type: 'audio/mpeg', size: 64_000 },
        'timestamp_granularities[]': ['word', 'segment'],
      },
    })
    expect((await client.audio.translations.create({ model: 'whisper-1', file: await sound() })).text).toBe(text)
  })

  test.each(['text', 'srt', 'vtt'] as const)('are text as %s', async (format) => {
    const ask = async (api: OpenAI) =>
      api.audio.transcriptions.create({ model: 'whisper-1', file: await sound(), response_format: format })
    const text = await ask(client)
    expect(text).toContain('w1 w2 w3')
    expect(text).toBe(await ask(direct()))
  })

  test('are told in detail', async () => {
    const verbose = await client.audio.transcriptions.create({
      model: 'whisper-1',
      file: await sound(),
      response_format: 'verbose_json',
    })
    expect(verbose).toMatchObject({ duration: 4, segments: [{ start: 0 }] })
  })

  test('stream, and a model that does not answers in one piece', async () => {
    const stream = await client.audio.transcriptions.create({
      model: 'gpt-4o-mini-transcribe',
      file: await sound(),
      stream: true,
    })
    const events = await Array.fromAsync(stream)
    const text = events.map((event) => (event.type === 'transcript.text.delta' ? event.delta : '')).join('')
    expect(events.at(-1)).toMatchObject({ type: 'transcript.text.done', text })
    const whole = await postForm('/v1/audio/transcriptions', await form({ model: 'whisper-1', stream: 'true' }))
    expect(whole.headers.get('content-type')).toMatch(/^application\/json/)
    expect(((await whole.json()) as Json).text).toBe(text)
  })

  test('that break off in the middle are an error', async () => {
    gateway.sandbox.openai.setFaults([{ kind: 'clean_cut', afterTokens: 3 }])
    const stream = await client.audio.transcriptions.create({
      model: 'gpt-4o-mini-transcribe',
      file: await sound(),
      stream: true,
    })
    await expect(Array.fromAsync(stream)).rejects.toMatchObject({ code: 'stream_interrupted' })
  })

  test('ask for another form of body, a file and one model, in words that help', async () => {
    const path = '/v1/audio/transcriptions'
    const says = async (response: Response) => {
      const { error } = (await response.json()) as Json
      return [response.status, error.code, error.param, error.message]
    }
    const json = await says(await gateway.post(path, { model: 'whisper-1' }))
    expect(json).toEqual([415, 'unsupported_media_type', null, expect.stringContaining('multipart/form-data')])
    const noFile = new FormData()
    noFile.set('model', 'whisper-1')
    expect(await says(await postForm(path, noFile))).toEqual([400, 'invalid_body', 'file', expect.any(String)])
    expect(await says(await postForm(path, await form({})))).toEqual([400, 'invalid_body', 'model', expect.any(String)])
    const twice = await form({ model: 'whisper-1' })
    twice.append('model', 'whisper-2')
    expect(await says(await postForm(path, twice))).toEqual([400, 'invalid_body', 'model', expect.any(String)])
    const large = new FormData()
    large.set('model', 'whisper-1')
    large.set('file', new File([new Uint8Array(26 * 1024 * 1024)], 'a.mp3'))
    expect(await says(await postForm(path, large))).toEqual([413, 'body_too_large', null, expect.any(String)])
    const unknown = await postForm(path, await form({ model: 'no-such-model' }))
    expect(unknown.status).toBe(404)
  })
})

describe('what the provider bills beside the price of a model', () => {
  const messages = [{ role: 'user', content: 'hi' }]
  test.each([
    ['priority', 'default'],
    ['scale', 'default'],
    ['flex', 'flex'],
    ['auto', 'auto'],
    [undefined, undefined],
  ])('service_tier %s goes out as %s', async (tier, sent) => {
    const response = await gateway.post('/v1/chat/completions', { model: 'gpt-4o', messages, service_tier: tier })
    expect(response.status).toBe(200)
    expect(lastCall().body).toMatchObject({ model: 'gpt-4o', ...(sent && { service_tier: sent }) })
    expect('service_tier' in (lastCall().body as object)).toBe(sent !== undefined)
  })

  test('a picture drawn within an answer is not sold', async () => {
    const calls = gateway.sandbox.openai.calls.length
    const tools = [{ type: 'function', name: 'f', parameters: {} }, { type: 'image_generation' }]
    const response = await gateway.post('/v1/responses', { model: 'gpt-4o', input: 'hi', tools })
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ error: { code: 'model_not_priced', param: 'tools' } })
    expect(gateway.sandbox.openai.calls).toHaveLength(calls)
  })

  test.each([
    ['responses', { input: 'hi', tools: [{ type: 'web_search' }] }, 'tools'],
    ['responses', { input: 'hi', tools: [{ type: 'code_interpreter', container: { type: 'auto' } }] }, 'tools'],
    ['chat/completions', { messages, web_search_options: {} }, 'web_search_options'],
    ['chat/completions', { messages, model: 'gpt-4o-search-preview' }, 'model'],
  ])('what the provider bills by the call is not sold without a price: %s with %j', async (endpoint, body, param) => {
    const calls = gateway.sandbox.openai.calls.length
    const response = await gateway.post(`/v1/${endpoint}`, { model: 'gpt-4o', ...body })
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ error: { code: 'model_not_priced', param } })
    expect(gateway.sandbox.openai.calls).toHaveLength(calls)
  })
})

describe('state kept at the provider', () => {
  const input = (part: object) => [{ role: 'user', content: [part] }]
  test.each<[string, object, string]>([
    ['responses', { input: 'hi', previous_response_id: 'resp_1' }, 'previous_response_id'],
    ['responses', { input: 'hi', conversation: 'conv_1' }, 'conversation'],
    ['responses', { input: 'hi', background: true }, 'background'],
    ['responses', { input: 'hi', prompt: { id: 'pmpt_1' } }, 'prompt.id'],
    ['responses', { input: input({ type: 'input_file', file_id: 'file-1' }) }, 'input[0].content[0].file_id'],
    [
      'responses',
      { input: 'hi', tools: [{ type: 'file_search', vector_store_ids: ['vs_1'] }] },
      'tools[0].vector_store_ids',
    ],
    [
      'chat/completions',
      { messages: input({ type: 'file', file: { file_id: 'file-1' } }) },
      'messages[0].content[0].file.file_id',
    ],
  ])('%s with %j is refused by its field', async (endpoint, body, param) => {
    const calls = gateway.sandbox.openai.calls.length
    const response = await gateway.post(`/v1/${endpoint}`, { model: 'gpt-4o', ...body })
    expect(response.status).toBe(400)
    const { error } = (await response.json()) as Json
    expect(error).toMatchObject({ code: 'stored_state_unsupported', param })
    expect(error.message).toContain(param)
    expect(gateway.sandbox.openai.calls).toHaveLength(calls)
  })

  test('is not what a prompt speaks of, nor what SDKs leave empty', async () => {
    const { output_text } = await client.responses.create({
      model: 'gpt-4o',
      input: 'What is {"file_id": "file-1"}?',
      previous_response_id: null,
      conversation: null,
      background: false,
      max_output_tokens: 16,
    })
    expect(output_text).toBe(words(16))
  })

  test.each([
    ['GET', 'responses/resp_1'],
    ['DELETE', 'responses/resp_1'],
    ['POST', 'responses/resp_1/cancel'],
    ['GET', 'responses/resp_1/input_items'],
    ['GET', 'chat/completions/chatcmpl-1'],
    ['POST', 'chat/completions/chatcmpl-1'],
    ['DELETE', 'chat/completions/chatcmpl-1'],
    ['GET', 'chat/completions/chatcmpl-1/messages'],
    ['GET', 'files'],
    ['POST', 'files'],
    ['GET', 'files/file-1/content'],
    ['POST', 'uploads'],
    ['POST', 'batches'],
    ['GET', 'assistants'],
    ['POST', 'threads/thread_1/runs'],
    ['POST', 'fine_tuning/jobs'],
    ['POST', 'vector_stores'],
    ['POST', 'conversations'],
    ['GET', 'conversations/conv_1/items'],
    ['POST', 'containers'],
    ['GET', 'containers/cntr_1/files'],
    ['POST', 'evals'],
    ['POST', 'videos'],
    ['GET', 'videos/video_1/content'],
    ['POST', 'realtime/client_secrets'],
    ['GET', 'realtime'],
    ['POST', 'audio/voices'],
    ['POST', 'images/edits'],
    ['GET', 'organization/projects'],
  ])('%s /v1/%s is a clear 404 that goes no further', async (method, path) => {
    const calls = gateway.sandbox.openai.calls.length
    const response = await gateway.get(`/v1/${path}`, { method })
    expect(response.status).toBe(404)
    const { error } = (await response.json()) as { error: { code: string; message: string } }
    expect(error).toMatchObject({ code: 'unsupported_endpoint', message: expect.not.stringContaining('/:') })
    expect(gateway.sandbox.openai.calls).toHaveLength(calls)
  })
})
