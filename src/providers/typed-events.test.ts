import { describe, expect, it } from 'vitest'
import { tokenUsage } from './token-usage.ts'
import { isFirstToken, isTerminal, readTypedEvents, type TypedEvent, toTypedEvent, usageOf } from './typed-events.ts'

const typed = (data: Record<string, unknown>): TypedEvent => ({
  kind: 'typed',
  text: '',
  type: String(data.type),
  data,
})
const usage = { input_tokens: 7, input_tokens_details: { cached_tokens: 3 }, output_tokens: 9, total_tokens: 16 }

describe('an event', () => {
  it('goes out as it came, named or not', async () => {
    const named = 'event: response.created\ndata: {"type":"response.created","big":12345678901234567890,"z" : 1.0}\n\n'
    const plain = 'data: {"type":"transcript.text.delta","delta":"a"}\n\n'
    const lines = 'event: x\ndata: {"type":\ndata: "x"}\n\n'
    async function* body() {
      yield new TextEncoder().encode(`${named}${plain}${lines}data: [DONE]\n\n`)
    }
    const events = (await Array.fromAsync(readTypedEvents(body()))).flat()
    expect(events.map((event) => 'text' in event && event.text)).toEqual([named, plain, lines, 'data: [DONE]\n\n'])
    expect(events.map((event) => (event.kind === 'typed' ? event.type : event.kind))).toEqual([
      'response.created',
      'transcript.text.delta',
      'x',
      'done',
    ])
  })

  const read = (data: string, event?: string) => toTypedEvent({ data, event, id: undefined })

  it.each(['', '{', '{"type":"x"', '[]', '1', 'null', '"x"', '{}', '{"type":7}'])('%j is malformed', (data) => {
    expect(read(data)).toEqual({ kind: 'malformed' })
  })

  it('has the type of its name where the data has none', () => {
    expect(read('{"b64_json":""}', 'image_generation.completed')).toMatchObject({ type: 'image_generation.completed' })
  })

  it.each<[string, string, string | undefined]>([
    ['flat', '{"type":"error","code":"server_error","message":"m","param":null,"sequence_number":3}', undefined],
    ['nested', '{"type":"error","sequence_number":2,"error":{"type":"t","code":"server_error"}}', undefined],
    ['named only', '{"code":"server_error"}', 'error'],
    ['without a type', '{"error":{"code":"server_error"}}', undefined],
    [
      'a response that the provider failed at',
      '{"type":"response.failed","response":{"error":{"code":"server_error"}}}',
      undefined,
    ],
  ])('is an error: %s', (_what, data, name) => {
    expect(read(data, name)).toMatchObject({ kind: 'error', error: { code: 'server_error' } })
  })

  it.each(['invalid_prompt', 'image_content_policy_violation'])(
    'of a response that was refused (%s) is the answer',
    (code) => {
      const event = read(JSON.stringify({ type: 'response.failed', response: { error: { code } } }))
      expect(event).toMatchObject({ kind: 'typed', type: 'response.failed' })
      expect(isTerminal(event as TypedEvent)).toBe(true)
    },
  )
})

describe('the first token', () => {
  it.each([
    'response.created',
    'response.in_progress',
    'response.queued',
    'response.output_item.added',
    'response.content_part.added',
    'response.reasoning_summary_part.added',
    'keepalive',
  ])('is not %s', (type) => expect(isFirstToken(type)).toBe(false))

  it.each([
    'response.output_text.delta',
    'response.function_call_arguments.delta',
    'response.reasoning_summary_text.delta',
    'response.completed',
    'response.failed',
    'image_generation.partial_image',
    'image_generation.completed',
    'speech.audio.delta',
    'transcript.text.delta',
  ])('may be %s', (type) => expect(isFirstToken(type)).toBe(true))
})

describe('usage', () => {
  it('is found in every kind of last event', () => {
    const counted = { inputTokens: 7, cachedInputTokens: 3, outputTokens: 9 }
    expect(usageOf(typed({ type: 'response.completed', response: { usage } }))).toEqual(counted)
    expect(usageOf(typed({ type: 'image_generation.completed', usage }))).toEqual(counted)
    const { input_tokens_details: _, ...plain } = usage
    expect(usageOf(typed({ type: 'speech.audio.done', usage: plain }))).toEqual({ ...counted, cachedInputTokens: 0 })
  })

  it.each([
    undefined,
    null,
    {},
    { input_tokens: '7', output_tokens: 9 },
    { input_tokens: -1, output_tokens: 9 },
    { input_tokens: 1.5, output_tokens: 9 },
    { input_tokens: 1e300, output_tokens: 9 },
  ])('%j counts no tokens', (value) => expect(tokenUsage(value)).toBeUndefined())

  it('of a transcription may be its length', () => {
    expect(tokenUsage({ type: 'duration', seconds: 4.5 })).toMatchObject({ outputTokens: 0, seconds: 4.5 })
    expect(tokenUsage({ type: 'duration', seconds: -1 })).toBeUndefined()
    expect(tokenUsage({ type: 'duration', seconds: 'long' })).toBeUndefined()
  })

  it('never has more cached tokens than tokens', () => {
    const odd = { input_tokens: 7, input_tokens_details: { cached_tokens: 70 }, output_tokens: 0 }
    expect(tokenUsage(odd)).toEqual({ inputTokens: 7, cachedInputTokens: 7, outputTokens: 0 })
  })
})
