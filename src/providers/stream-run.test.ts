import fc from 'fast-check'
import { assert, describe, expect, it } from 'vitest'
import { readStreamEvents, type StreamChunk, type StreamEvent } from './openai-stream.ts'

const encoder = new TextEncoder()

/** What is read of a stream that comes in these pieces. */
async function read(pieces: readonly (string | Uint8Array)[]): Promise<StreamEvent[]> {
  async function* body() {
    for (const piece of pieces) yield typeof piece === 'string' ? encoder.encode(piece) : piece
  }
  return (await Array.fromAsync(readStreamEvents(body()))).flat()
}

const withoutPadding = ({ obfuscation: _, ...rest }: StreamChunk & { obfuscation?: string }) => rest

/** As if each event had been parsed. */
const parsed = (events: readonly StreamEvent[]) =>
  events.flatMap((event) => {
    if (event.kind === 'run') return event.pieces.map((piece) => event.chunkOf(piece) as unknown)
    return [event.kind === 'chunk' ? withoutPadding(event.chunk) : event.kind]
  })

const runsIn = (events: readonly StreamEvent[]) => events.filter((event) => event.kind === 'run')
const inRuns = (events: readonly StreamEvent[]) => runsIn(events).reduce((sum, { pieces }) => sum + pieces.length, 0)
const sse = (texts: readonly string[]) => texts.map((text) => `data: ${text}\n\n`).join('')

const chunk = (delta: object, more: object = {}, choice: object = {}) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1_760_000_000,
  model: 'm',
  choices: [{ index: 0, delta, logprobs: null, finish_reason: null, ...choice }],
  ...more,
})
const words = Array.from({ length: 20 }, (_, i) => ` word${i}`)

describe('events that differ in their text alone', () => {
  it.each([
    ['of OpenAI', words.map((content) => JSON.stringify(chunk({ content })))],
    ['with spaces', words.map((content) => JSON.stringify(chunk({ content })).replaceAll(/([:,])"/g, '$1 "'))],
    ['that repeat the role', words.map((content) => JSON.stringify(chunk({ role: 'assistant', content })))],
    ['of a chain of thought', words.map((reasoning_content) => JSON.stringify(chunk({ reasoning_content })))],
    [
      'padded to hide their length',
      words.map((content, i) => JSON.stringify(chunk({ content }, { usage: null, obfuscation: 'aZ9'.repeat(i) }))),
    ],
    ['of a second choice', words.map((content) => JSON.stringify(chunk({ content }, {}, { index: 1 })))],
  ])('%s are read without parsing them, and as they are', async (_, texts) => {
    const events = await read([sse(texts)])
    expect(parsed(events)).toEqual(texts.map((text) => withoutPadding(JSON.parse(text))))
    expect(inRuns(events)).toBe(words.length - 2)
    expect(runsIn(events)).toHaveLength(1)
    expect(runsIn(events)[0]!.raw).toBe(sse(texts.slice(2)))
    for (const { choice, chunkOf } of runsIn(events)) expect(choice).toBe(chunkOf('').choices?.[0]?.index)
  })

  it.each([
    ['last', (content: string) => `{"choices":[{"delta":{"content":"${content}"}}],"usage":null}`],
    [
      'before padding',
      (content: string) => `{"choices":[{"delta":{"content":"${content}"}}], "usage": null,"obfuscation":"x"}`,
    ],
    ['first', (content: string) => `{"usage":null,"choices":[{"delta":{"content":"${content}"}}]}`],
    [
      'beside another',
      (content: string) => `{"choices":[{"x":{"usage":null},"delta":{"content":"${content}"}}],"usage":null}`,
    ],
    [
      'twice',
      (content: string) => `{"choices":[{"delta":{"content":"${content}"}}],"x":{"y":1,"usage":null},"usage":null}`,
    ],
  ])('are told without a usage that says nothing where it stands %s', async (where, event) => {
    const [run] = runsIn(await read([sse(words.map(event))]))
    const told = run!.withoutUsage()
    if (where === 'twice') return expect(told).toBeUndefined()
    assert(told !== undefined)
    const without = (text: string) => {
      const { usage, ...rest } = JSON.parse(text)
      expect(usage).toBeNull()
      return rest
    }
    const lines = told
      .split('\n\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line.slice('data: '.length)))
    expect(lines).toEqual(words.slice(2).map((content) => without(event(content))))
  })

  it('may say anything', async () => {
    const said = [
      'x',
      '\n',
      '"',
      '\\',
      '\\"}]',
      'ä',
      '😀',
      '\u0000',
      '\ud800',
      '"},"logprobs":null',
      ' long '.repeat(20),
      'y',
    ]
    const texts = said.map((content) => JSON.stringify(chunk({ content })))
    const events = await read([sse(texts)])
    expect(parsed(events)).toEqual(texts.map((text) => JSON.parse(text)))
    expect(inRuns(events)).toBe(said.length - 2)
  })

  it('are parsed where something else differs, too', async () => {
    const texts = [
      chunk({ content: 'a' }),
      chunk({ content: 'b' }, { id: 'chatcmpl-2' }),
      chunk({ content: 'c' }, {}, { index: 1 }),
      chunk({ content: 'd' }, {}, { finish_reason: 'stop' }),
      chunk({ content: 'e' }, { usage: { prompt_tokens: 1 } }),
      chunk({ content: 'f', refusal: 'g' }),
      chunk({ tool_calls: [{ index: 0, function: { arguments: 'h' } }] }),
      chunk({ content: '' }),
      chunk({}),
    ].map((event) => JSON.stringify(event))
    const events = await read([sse(texts)])
    expect(parsed(events)).toEqual(texts.map((text) => JSON.parse(text)))
    expect(runsIn(events)).toEqual([])
  })

  it.each([
    [
      'another field of the same name',
      (w: string) => `{"m":{"content":"${w}"},"choices":[{"delta":{"content":"${w}"}}]}`,
    ],
    ['the field twice', (w: string) => `{"choices":[{"delta":{"content":"${w}","content":"${w}!"}}]}`],
    [
      'padding of another place',
      (w: string) => `{"choices":[{"delta":{"content":"${w}"},"x":{"obfuscation":"${w}"}}]}`,
    ],
    ['no JSON at all', (w: string) => `{"choices":[{"delta":{"content":"${w}"}}]`],
  ])('are parsed where the text is not where it seems to be: %s', async (_, event) => {
    const texts = ['one', 'two', 'three'].map(event)
    const events = await read([sse(texts)])
    expect(runsIn(events)).toEqual([])
    expect(events).toHaveLength(3)
  })

  it.each([
    ['', ['{"choices":[{"delta":{"content":"a"}}]}', '{"choices":[{"delta":{"content":"b"c"}}]}']],
    [' control', ['{"choices":[{"delta":{"content":"a"}}]}', '{"choices":[{"delta":{"content":"b\u0001"}}]}']],
    [' escape', ['{"choices":[{"delta":{"content":"a"}}]}', '{"choices":[{"delta":{"content":"b\\x"}}]}']],
  ])('with a text that is no JSON%s are malformed', async (_, texts) => {
    expect(parsed(await read([sse(texts)]))).toEqual([JSON.parse(texts[0]!), 'malformed'])
  })

  it('are looked at no further where a stream has none', async () => {
    const texts = words.map((content, i) => JSON.stringify(chunk({ content }, { system_fingerprint: `fp_${i}` })))
    const events = await read([sse(texts)])
    expect(parsed(events)).toEqual(texts.map((text) => JSON.parse(text)))
  })

  it.each(['$$', '$&', "$'", '$`', '$1'])('keep a %s that stands around the text', async (fingerprint) => {
    const event = (content: string) =>
      JSON.stringify({ ...chunk({ content }, { usage: null }), system_fingerprint: fingerprint, obfuscation: 'x' })
    const [run] = runsIn(await read([sse(words.map(event))]))
    const expected = words.slice(2).map((content) => event(content).replace('"usage":null,', ''))
    expect(run!.withoutUsage()).toBe(sse(expected))
  })

  it('of several lines each are parsed, and so is what looks like one of them', async () => {
    const lines = (content: string) => `data: {"id":"a",\ndata: "choices":[{"delta":{"content":"${content}"}}]}\n\n`
    const torn = (content: string) => `data: {"id":"a",\n"choices":[{"delta":{"content":"${content}"}}]}\n\n`
    const events = await read([lines('a') + lines('b') + lines('c') + torn('d') + torn('e')])
    expect(events.map(({ kind }) => kind)).toEqual(['chunk', 'chunk', 'chunk', 'malformed', 'malformed'])
  })

  it('are found within themselves, however much stands before them', async () => {
    const padded = (content: string) => `{"choices":[{"delta":{"content":"${content}"}}],"obfuscation":"x"}`
    const other = '{"choices":[{"delta":{"content":"x"}}],"o":""}'
    const texts = [padded('a'), padded('b'), padded('c'), other, other, padded('d')]
    const events = await read([sse(texts)])
    expect(parsed(events)).toEqual(texts.map((text) => withoutPadding(JSON.parse(text))))
  })

  it.each([
    ['beside a finish reason', (content: string) => chunk({ content }, {}, { finish_reason: 'stop' })],
    ['beside other text', (content: string) => chunk({ content }, {}, { text: 'x' })],
    ['beside another field', (content: string) => chunk({ content, refusal: 'no' })],
    ['beside a field that nobody knows', (content: string) => chunk({ content, annotations: [1] })],
    ['beside 0', (content: string) => chunk({ content, score: 0 })],
    ['of a field that nobody knows', (mood: string) => chunk({ mood })],
    ['beside a usage', (content: string) => chunk({ content }, { usage: { prompt_tokens: 1 } })],
    ['beside another choice', (content: string) => ({ choices: [{ delta: { content } }, { delta: {} }] })],
    ['that are no text', (content: string) => chunk({ content: [content] })],
    ['that are too long', (content: string) => chunk({ content }, { system_fingerprint: 'x'.repeat(5_000) })],
  ])('are parsed each by itself %s', async (_, event) => {
    const texts = words.map((word) => JSON.stringify(event(word)))
    const events = await read([sse(texts)])
    expect(runsIn(events)).toEqual([])
    expect(parsed(events)).toEqual(texts.map((text) => JSON.parse(text)))
  })

  it('are learned eight times at most, and read by the last of them', async () => {
    const shape = (i: number) => (content: string) =>
      JSON.stringify(chunk({ content }, { system_fingerprint: `fp_${i}` }))
    const texts = Array.from({ length: 12 }, (_, i) => ['a', 'b', 'c'].map(shape(i))).flat()
    const events = await read([sse(texts)])
    expect(parsed(events)).toEqual(texts.map((text) => JSON.parse(text)))
    // Of the first shape one comes before there is a use for it.
    expect(inRuns(events)).toBe(1 + 7 * 2)
  })

  it('may have padding of any length, and nothing else in its place', async () => {
    const padded = (padding: string) => `{"choices":[{"delta":{"content":"a"}}],"obfuscation":"${padding}"}`
    const runs = ['x', 'y', '', 'aZ9+/=-_'].map(padded)
    expect(inRuns(await read([sse(runs)]))).toBe(2)
    const odd = ['x', 'y', 'a\\"b', 'a b'].map(padded)
    const events = await read([sse(odd)])
    expect(runsIn(events)).toEqual([])
    expect(events).toHaveLength(4)
  })

  it('are parsed where they come one by one', async () => {
    const texts = words.map((content) => JSON.stringify(chunk({ content })))
    const events = await read(texts.map((text) => sse([text])))
    expect(runsIn(events)).toEqual([])
    expect(parsed(events)).toEqual(texts.map((text) => JSON.parse(text)))
  })

  it('are read the same wherever the network cuts', async () => {
    const texts = ['a', 'é😀', '\n', 'd'].map((content) => JSON.stringify(chunk({ content })))
    const stream = `${sse(texts)}: comment\n\n${sse([...texts, '[DONE]'])}`
    const expected = [...texts, ...texts].map((text) => JSON.parse(text)).concat('done')
    const bytes = encoder.encode(stream)
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(parsed(await read([bytes.slice(0, cut), bytes.slice(cut)])), `cut at ${cut}`).toEqual(expected)
    }
    expect(parsed(await read([stream.replaceAll('\n', '\r\n')]))).toEqual(expected)
  })
})

it('whatever a stream holds and however it is cut, it is read as if each event had been parsed', async () => {
  const delta = fc.oneof(
    { weight: 4, arbitrary: fc.record({ content: fc.string({ unit: 'binary', maxLength: 20 }) }) },
    fc.record({ content: fc.string(), role: fc.constant('assistant') }),
    fc.record({ reasoning: fc.string() }),
    fc.record({ content: fc.constant(null), refusal: fc.string() }),
    fc.constant({}),
  )
  const event = fc.oneof(
    { weight: 8, arbitrary: delta.map((each) => JSON.stringify(chunk(each))) },
    delta.map((each) => JSON.stringify(chunk(each, { usage: null, obfuscation: 'xyz' }))),
    delta.map((each) => JSON.stringify(chunk(each, {}, { index: 1, finish_reason: 'stop' }))),
    fc.constantFrom('{"choices":[]}', '{', '"text"', 'null', '{"error":{"message":"no"}}'),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { maxLength: 12 }),
      fc.array(fc.nat({ max: 2_000 }), { maxLength: 4 }),
      async (texts, cuts) => {
        const bytes = encoder.encode(sse(texts))
        const at = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length]
        const pieces = at.slice(1).map((end, i) => bytes.slice(at[i], end))
        // By itself each event meets a reader that has not learned anything.
        const expected = []
        for (const text of texts) expected.push(...parsed(await read([sse([text])])))
        expect(parsed(await read(pieces))).toEqual(expected)
      },
    ),
  )
})
