import OpenAI, { toFile } from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { audioOf } from './openai-speech.ts'
import { type Fault, type Sandbox, type SandboxServer, startSandbox } from './sandbox.ts'

const clock = {
  now: () => performance.now(),
  wallNow: () => 1_800_000_000_500,
  setTimer(_ms: number, fn: () => void) {
    const timer = setImmediate(fn)
    return () => clearImmediate(timer)
  },
}

type Json = ReturnType<typeof JSON.parse>

let sandbox: Sandbox
let server: SandboxServer
let client: OpenAI

beforeAll(async () => {
  sandbox = await startSandbox({ clock, random: Math.random, servers: ['openai'], wordIntervalMs: 1 })
  server = sandbox.openai as SandboxServer
  client = new OpenAI({ apiKey: 'any', baseURL: server.baseUrl, maxRetries: 0 })
})
afterEach(() => server.setFaults([]))
afterAll(() => sandbox.close())

const post = (path: string, body: object) =>
  fetch(server.baseUrl + path, {
    method: 'POST',
    headers: body instanceof FormData ? {} : { 'content-type': 'application/json' },
    body: body instanceof FormData ? body : JSON.stringify(body),
  })

async function refusal(path: string, body: object) {
  const response = await post(path, body)
  return [response.status, ((await response.json()) as Json).error.param]
}

const words = (count: number) => Array.from({ length: count }, (_, i) => `w${i + 1}`).join(' ')
const speech = () => toFile(Buffer.alloc(64_000), 'speech.mp3', { type: 'audio/mpeg' })

describe('responses', () => {
  it('answer the shape of OpenAI, counting a word as a token', async () => {
    const response = await client.responses.create({
      model: 'gpt-4o',
      instructions: 'be brief',
      input: [{ role: 'user', content: [{ type: 'input_text', text: 'count to three' }] }],
    })
    const count = response.usage!.output_tokens
    expect(response).toMatchObject({ object: 'response', status: 'completed', store: true, output_text: words(count) })
    expect(response.usage).toMatchObject({ input_tokens: 5, total_tokens: 5 + count })
    expect(count).toBeGreaterThanOrEqual(8)
  })

  it('say that they ran out of room', async () => {
    const response = await client.responses.create({ model: 'gpt-4o', input: 'hi', max_output_tokens: 20 })
    expect(response).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output_text: words(20),
    })
  })

  it('stream typed events with numbers and without [DONE]', async () => {
    const text = await (await post('/responses', { model: 'm', input: 'hi', stream: true })).text()
    const events = text.split('\n\n').slice(0, -1)
    const types = events.map((event) => /^event: (\S+)\ndata: /.exec(event)?.[1])
    const data = events.map((event) => JSON.parse(event.slice(event.indexOf('\n') + 7)))
    expect(data.map(({ type }) => type)).toEqual(types)
    expect(data.map((event) => event.sequence_number)).toEqual([...data.keys()])
    expect(types.slice(0, 5)).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
    ])
    expect(types.slice(-4)).toEqual([
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ])
  })

  it('stream to the end that the SDK expects, text and function calls', async () => {
    const text = await client.responses.stream({ model: 'm', input: 'hi', max_output_tokens: 20 }).finalResponse()
    expect(text).toMatchObject({ output_text: words(20), status: 'incomplete' })
    const call = await client.responses
      .stream({
        model: 'm',
        input: 'hi',
        tools: [{ type: 'function', name: 'look', parameters: {}, strict: false }],
        tool_choice: 'required',
      })
      .finalResponse()
    expect(call.output[0]).toMatchObject({ type: 'function_call', name: 'look', arguments: '{"word":"w1"}' })
  })

  it.each<[object, string]>([
    [{}, 'input'],
    [{ input: 7 }, 'input'],
    [{ input: [] }, 'input'],
    [{ input: ['hi'] }, 'input'],
    [{ input: 'hi', max_output_tokens: 15 }, 'max_output_tokens'],
    [{ input: 'hi', previous_response_id: 'resp_1' }, 'previous_response_id'],
    [{ input: 'hi', stream: 'yes' }, 'stream'],
  ])('refuse %j', async (body, param) => {
    expect(await refusal('/responses', { model: 'm', ...body })).toEqual([400, param])
  })
})

describe('moderations', () => {
  it('judge each text, and parts together', async () => {
    const texts = await client.moderations.create({ input: ['be nice', 'kill it'] })
    expect(texts.model).toBe('omni-moderation-latest')
    expect(texts.results.map(({ flagged, categories }) => [flagged, categories.violence])).toEqual([
      [false, false],
      [true, true],
    ])
    const parts = await client.moderations.create({
      input: [
        { type: 'text', text: 'hi' },
        { type: 'image_url', image_url: { url: 'https://images.example/a.png' } },
      ],
    })
    expect(parts.results).toHaveLength(1)
    expect(parts.results[0]!.category_applied_input_types).toMatchObject({
      violence: ['text', 'image'],
      hate: ['text'],
    })
  })

  it.each([[{}], [{ input: [] }], [{ input: [1] }], [{ input: [null, 'a'] }]])('refuse %j', async (body) => {
    expect(await refusal('/moderations', body)).toEqual([400, 'input'])
  })
})

describe('images', () => {
  it('come as addresses or as PNG', async () => {
    const { data } = await client.images.generate({ model: 'dall-e-2', prompt: 'a dot', n: 2 })
    expect(data?.map(({ url }) => url?.startsWith('https://'))).toEqual([true, true])
    const whole = await client.images.generate({ model: 'gpt-image-1.5', prompt: 'a dot' })
    expect(Buffer.from(whole.data![0]!.b64_json!, 'base64').subarray(1, 4).toString()).toBe('PNG')
    expect(whole.usage).toMatchObject({ input_tokens: 2, output_tokens: 272, total_tokens: 274 })
  })

  it('stream partly drawn ones first', async () => {
    const stream = await client.images.generate({
      model: 'gpt-image-1.5',
      prompt: 'x',
      stream: true,
      partial_images: 2,
    })
    const events = await Array.fromAsync(stream)
    expect(events.map(({ type }) => type)).toEqual([
      'image_generation.partial_image',
      'image_generation.partial_image',
      'image_generation.completed',
    ])
    expect(events[2]).toMatchObject({ usage: { output_tokens: 272 } })
  })

  it.each<[object, string]>([
    [{ prompt: 'x', model: undefined }, 'model'],
    [{}, 'prompt'],
    [{ prompt: 'x', n: 11 }, 'n'],
    [{ prompt: 'x', n: 2, model: 'dall-e-3' }, 'n'],
    [{ prompt: 'x', stream: true }, 'stream'],
    [{ prompt: 'x', response_format: 'gif' }, 'response_format'],
    [{ prompt: 'x', model: 'gpt-image-1.5', response_format: 'url' }, 'response_format'],
    [{ prompt: 'x', model: 'gpt-image-1.5', partial_images: 4 }, 'partial_images'],
  ])('refuse %j', async (body, param) => {
    expect(await refusal('/images/generations', { model: 'dall-e-2', ...body })).toEqual([400, param])
  })
})

describe('speech', () => {
  it('is bytes that depend on the text, in the type of its format', async () => {
    const response = await client.audio.speech.create({
      model: 'tts-1',
      voice: 'alloy',
      input: 'hi there',
      response_format: 'wav',
    })
    expect(response.headers.get('content-type')).toBe('audio/wav')
    expect(response.headers.get('content-length')).toBeNull()
    expect(Buffer.from(await response.arrayBuffer())).toEqual(Buffer.concat(audioOf('hi there')))
  })

  it('says the same in events', async () => {
    const body = { model: 'gpt-4o-mini-tts', voice: 'alloy', input: 'hi there', stream_format: 'sse' }
    const text = await (await post('/audio/speech', body)).text()
    const events = text.split('\n\n').slice(0, -1)
    expect(events.pop()).toBe('data: [DONE]')
    const data = events.map((event) => JSON.parse(event.replace(/^data: /, '')))
    expect(data.pop()).toMatchObject({ type: 'speech.audio.done', usage: { input_tokens: 2 } })
    expect(Buffer.concat(data.map(({ audio }) => Buffer.from(audio, 'base64')))).toEqual(
      Buffer.concat(audioOf('hi there')),
    )
  })

  it.each<[object, string]>([
    [{ voice: 'alloy' }, 'input'],
    [{ voice: 'alloy', input: '' }, 'input'],
    [{ voice: 'alloy', input: 'x'.repeat(4097) }, 'input'],
    [{ input: 'x' }, 'voice'],
    [{ voice: 'alloy', input: 'x', response_format: 'ogg' }, 'response_format'],
    [{ voice: 'alloy', input: 'x', speed: 5 }, 'speed'],
    [{ voice: 'alloy', input: 'x', stream_format: 'sse' }, 'stream_format'],
  ])('refuses %j', async (body, param) => {
    expect(await refusal('/audio/speech', { model: 'tts-1', ...body })).toEqual([400, param])
  })
})

describe('transcriptions and translations', () => {
  it('are JSON, and the call keeps the fields and the file’s name and size', async () => {
    const { text, usage } = await client.audio.transcriptions.create({
      model: 'whisper-1',
      file: await speech(),
      timestamp_granularities: ['word', 'segment'],
    })
    expect(text).toMatch(/^w1 w2 w3 /)
    expect(usage).toEqual({ type: 'duration', seconds: 4 })
    expect(server.calls.at(-1)).toMatchObject({ model: 'whisper-1' })
    expect(server.calls.at(-1)?.body).toEqual({
      model: 'whisper-1',
      file: { name: 'speech.mp3', type: 'audio/mpeg', size: 64_000 },
      'timestamp_granularities[]': ['word', 'segment'],
    })
    expect((await client.audio.translations.create({ model: 'whisper-1', file: await speech() })).text).toBe(text)
  })

  it.each([
    ['text', /^w1 w2 .*\n$/],
    ['srt', /^1\n00:00:00,000 --> 00:00:04,000\nw1 w2 /],
    ['vtt', /^WEBVTT\n\n00:00:00\.000 --> 00:00:04\.000\nw1 w2 /],
  ] as const)('are text as %s', async (format, shape) => {
    const text = await client.audio.transcriptions.create({
      model: 'whisper-1',
      file: await speech(),
      response_format: format,
    })
    expect(text).toMatch(shape)
  })

  it('tell words and their times', async () => {
    const verbose = await client.audio.transcriptions.create({
      model: 'whisper-1',
      file: await speech(),
      response_format: 'verbose_json',
      timestamp_granularities: ['word'],
    })
    expect(verbose).toMatchObject({ duration: 4, language: 'english', segments: [{ start: 0, end: 4 }] })
    expect(verbose.words?.map(({ word }) => word).join(' ')).toBe(verbose.text)
  })

  it('stream, where the model does', async () => {
    const create = async (model: string) =>
      client.audio.transcriptions.create({ model, file: await speech(), stream: true })
    const events = await Array.fromAsync(await create('gpt-4o-mini-transcribe'))
    const text = events.map((event) => (event.type === 'transcript.text.delta' ? event.delta : '')).join('')
    expect(events.at(-1)).toMatchObject({ type: 'transcript.text.done', text, usage: { input_tokens: 40 } })
    const form = new FormData()
    for (const [name, value] of Object.entries({ model: 'whisper-1', stream: 'true' })) form.set(name, value)
    form.set('file', await speech())
    expect((await post('/audio/transcriptions', form)).headers.get('content-type')).toBe('application/json')
  })

  it('refuse what is no form, no file, no audio, too much of it, or a format the model lacks', async () => {
    const form = (fields: Record<string, string | File>) => {
      const data = new FormData()
      for (const [name, value] of Object.entries(fields)) data.set(name, value)
      return data
    }
    const path = '/audio/transcriptions'
    const file = await speech()
    const large = new File([new Uint8Array(25 * 1024 * 1024 + 1)], 'a.mp3')
    expect(await refusal(path, { model: 'whisper-1' })).toEqual([400, null])
    expect(await refusal(path, form({ file }))).toEqual([400, 'model'])
    expect(await refusal(path, form({ model: 'whisper-1' }))).toEqual([400, 'file'])
    expect(await refusal(path, form({ model: 'whisper-1', file: 'text' }))).toEqual([400, 'file'])
    expect(await refusal(path, form({ model: 'whisper-1', file: new File(['x'], 'a.txt') }))).toEqual([400, 'file'])
    expect(await refusal(path, form({ model: 'whisper-1', file: large }))).toEqual([413, null])
    expect(await refusal(path, form({ model: 'gpt-4o-transcribe', file, response_format: 'srt' }))).toEqual([
      400,
      'response_format',
    ])
    expect(await refusal(path, form({ model: 'no-such', file }))).toEqual([404, null])
  })
})

describe('faults', () => {
  const ask = async (fault: Fault, path: string, body: object) => {
    server.setFaults([fault])
    return await (await post(path, body)).text()
  }
  const response = { model: 'm', input: 'hi', max_output_tokens: 16, stream: true }
  const deltas = (text: string) => text.split('event: response.output_text.delta').length - 1

  it('end a typed stream after so many words', async () => {
    const cut = await ask({ kind: 'clean_cut', afterTokens: 5 }, '/responses', response)
    expect(deltas(cut)).toBe(5)
    const early = await ask({ kind: 'clean_cut', afterTokens: 0 }, '/responses', response)
    expect(early).toContain('response.content_part.added')
    expect(deltas(early)).toBe(0)
    await expect(ask({ kind: 'cut', afterTokens: 5 }, '/responses', response)).rejects.toThrow()
  })

  it('leave out the event that ends it', async () => {
    const text = await ask({ kind: 'no_done' }, '/responses', response)
    expect(deltas(text)).toBe(16)
    expect(text).not.toContain('response.incomplete')
    const image = { model: 'gpt-image-1.5', prompt: 'x', stream: true }
    expect(await ask({ kind: 'clean_cut', afterTokens: 0 }, '/images/generations', image)).toBe('')
  })

  it('break one event and leave the others whole', async () => {
    const text = await ask({ kind: 'malformed_event', atToken: 2 }, '/responses', response)
    const whole = text.split('\n\n').map((event) => {
      try {
        return JSON.parse(event.replace(/^.*\ndata: /, '')).type !== undefined
      } catch {
        return false
      }
    })
    expect(whole.filter((is) => !is)).toHaveLength(2) // The broken one, and what follows the last.
    expect(whole.indexOf(false)).toBe(5)
  })

  it('tell an error in the form of the stream', async () => {
    expect(await ask({ kind: 'error_200' }, '/responses', response)).toMatch(
      /^event: error\ndata: \{"type":"error","error":\{"message":/,
    )
    const speech = { model: 'tts-1', voice: 'alloy', input: 'hi' }
    expect(JSON.parse(await ask({ kind: 'error_200' }, '/audio/speech', speech))).toHaveProperty('error')
  })

  it('cut audio', async () => {
    const speech = { model: 'tts-1', voice: 'alloy', input: 'one two three' }
    await expect(ask({ kind: 'cut', afterTokens: 2 }, '/audio/speech', speech)).rejects.toThrow()
    server.setFaults([{ kind: 'clean_cut', afterTokens: 2 }])
    expect((await (await post('/audio/speech', speech)).arrayBuffer()).byteLength).toBe(1024)
  })
})
