import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { StreamChoice, StreamChunk } from '../providers/openai-stream.ts'
import { type Splice, spliceContinuation, spliceRestart } from './splice.ts'
import { Transcript, TranscriptMemory } from './transcript.ts'

const memory = () => new TranscriptMemory(1_000_000)
const transcriptOf = (chunks: StreamChunk[], choices = 1) => {
  const transcript = new Transcript(memory(), choices)
  for (const chunk of chunks) transcript.add(chunk)
  return transcript
}

const chunk = (choice: StreamChoice, more: Partial<StreamChunk> = {}): StreamChunk => ({
  id: 'b',
  created: 2,
  model: 'model-b',
  choices: [{ index: 0, finish_reason: null, ...choice }],
  ...more,
})
const role = (index = 0) => chunk({ index, delta: { role: 'assistant', content: '', refusal: null } })
const word = (content: string, index = 0) => chunk({ index, delta: { content } })
const finish = (reason = 'stop', index = 0) => chunk({ index, delta: {}, finish_reason: reason })
const usage = chunk({}, { choices: [], usage: { completion_tokens: 9 } })
const tool = (call: object) => chunk({ delta: { tool_calls: [call] } })
const fromA = (...chunks: StreamChunk[]) => chunks.map((each) => ({ ...each, id: 'a', created: 1, model: 'model-a' }))

/** What the caller has in the end, put together as an SDK does; `mismatch` where the splice gave up. */
function joined(sent: StreamChunk[], splice: Splice, rest: StreamChunk[]) {
  const all = [...sent]
  for (const each of rest) {
    const out = splice.take(each)
    if (out === 'mismatch') return { answer: assemble(all), mismatch: true }
    all.push(...out)
  }
  return { answer: assemble(all), mismatch: false, all }
}

function assemble(chunks: StreamChunk[]) {
  const choices: Record<number, { role: string; content: string; tools: unknown[]; finish: unknown }> = {}
  for (const { choices: parts = [] } of chunks) {
    for (const { index = 0, delta, text, finish_reason } of parts) {
      choices[index] ??= { role: '', content: '', tools: [], finish: null }
      const choice = choices[index]
      choice.role += delta?.role ?? ''
      choice.content += text ?? delta?.content ?? ''
      for (const { index: at, id = '', function: f = {} } of (delta?.tool_calls ?? []) as never as {
        index: number
        id?: string
        function?: { name?: string; arguments?: string }
      }[]) {
        choice.tools[at] ??= { id: '', name: '', text: '' }
        const call = choice.tools[at] as { id: string; name: string; text: string }
        call.id += id
        call.name += f.name ?? ''
        call.text += f.arguments ?? ''
      }
      choice.finish = finish_reason ?? choice.finish
    }
  }
  return choices
}

describe('an answer that begins anew', () => {
  const sent = fromA(role(), word('one two'))
  const restart = () => spliceRestart(transcriptOf(sent))

  it('is silent until it has said what was sent, and then says only what is new', () => {
    const splice = restart()
    expect(splice.take(role())).toEqual([])
    expect(splice.take(word('one'))).toEqual([])
    expect(splice.take(word(' two three'))).toEqual([
      { ...chunk({ delta: { content: ' three' } }), id: 'a', created: 1, model: 'model-b' },
    ])
    expect(splice.take(word(' four'))).toMatchObject([{ id: 'a', choices: [{ delta: { content: ' four' } }] }])
    expect(splice.take(finish())).toMatchObject([{ choices: [{ finish_reason: 'stop' }] }])
    expect(splice.take(usage)).toMatchObject([{ usage: { completion_tokens: 9 }, choices: [] }])
  })

  it.each<[string, StreamChunk[]]>([
    ['says another word', [word('one too')]],
    ['says another first word', [word('One')]],
    ['ends before it has said as much', [word('one'), finish()]],
    ['thinks aloud where the other did not, and then ends', [chunk({ delta: { reasoning_content: 'hm' } }), finish()]],
    [
      'calls a tool instead',
      [tool({ index: 0, id: 'x', function: { name: 'f', arguments: '{}' } }), finish('tool_calls')],
    ],
    ['says what nobody understands', [chunk({ delta: { audio: { data: 'x' } } })]],
    ['says two pieces at once', [chunk({ delta: { tool_calls: [{ index: 0 }, { index: 'x' }] } })]],
  ])('that %s is a mismatch', (_name, rest) => {
    expect(joined(sent, restart(), rest).mismatch).toBe(true)
  })

  it('goes on from nothing where only the role was sent', () => {
    const begun = fromA(role())
    const { answer, mismatch } = joined(begun, spliceRestart(transcriptOf(begun)), [role(), word('Hi'), finish()])
    expect(mismatch).toBe(false)
    expect(answer).toEqual({ 0: { role: 'assistant', content: 'Hi', tools: [], finish: 'stop' } })
  })

  it('goes on with a tool call under the id that was sent', () => {
    const begun = fromA(
      role(),
      tool({ index: 0, id: 'call_a', type: 'function', function: { name: 'get', arguments: '{"a' } }),
    )
    const rest = [
      role(),
      tool({ index: 0, id: 'call_b', type: 'function', function: { name: 'get', arguments: '' } }),
      tool({ index: 0, function: { arguments: '{"a":' } }),
      tool({ index: 0, function: { arguments: '1}' } }),
      tool({ index: 1, id: 'call_c', type: 'function', function: { name: 'put', arguments: '{}' } }),
      finish('tool_calls'),
    ]
    expect(joined(begun, spliceRestart(transcriptOf(begun)), rest).answer[0]).toEqual({
      role: 'assistant',
      content: '',
      tools: [
        { id: 'call_a', name: 'get', text: '{"a":1}' },
        { id: 'call_c', name: 'put', text: '{}' },
      ],
      finish: 'tool_calls',
    })
  })

  it('tells of a tool call only what is new', () => {
    const begun = fromA(tool({ index: 0, id: 'call_a', function: { name: 'ge', arguments: '' } }))
    const splice = spliceRestart(transcriptOf(begun))
    const call = (call: object) => splice.take(tool({ index: 0, ...call }))
    const fresh = (parts: object) => [
      { ...chunk({ delta: { tool_calls: [{ index: 0, function: parts }] } }), id: 'a', created: 1 },
    ]
    expect(call({ id: 'call_b', function: { name: 'g' } })).toEqual([])
    expect(call({ id: 'call_b', function: { name: 'et' } })).toStrictEqual(fresh({ name: 't', arguments: '' }))
    expect(call({ function: { arguments: '' } })).toEqual([])
    expect(call({ function: { arguments: '{}' } })).toStrictEqual(fresh({ arguments: '{}' }))
  })

  it('that leaves out a tool call which has begun is a mismatch', () => {
    const begun = fromA(word('x'), tool({ index: 0, id: 'call_a', function: {} }))
    expect(joined(begun, spliceRestart(transcriptOf(begun)), [word('x'), finish()]).mismatch).toBe(true)
  })

  it('that tells two pieces of one tool call at once is a mismatch: they could not be taken apart', () => {
    const begun = fromA(tool({ index: 0, id: 'call_a', function: { name: 'f', arguments: '{"a":' } }))
    const pieces = [
      { index: 0, id: 'call_b', function: { name: 'f', arguments: '{"a":' } },
      { index: 0, function: { arguments: '1}' } },
    ]
    const rest = [chunk({ delta: { tool_calls: pieces } })]
    expect(joined(begun, spliceRestart(transcriptOf(begun)), rest).mismatch).toBe(true)
  })

  it('leaves alone what comes besides the text', () => {
    const splice = restart()
    splice.take(word('one'))
    const more = { content: ' two', refusal: null, tool_calls: null, annotations: [] }
    expect(splice.take(chunk({ delta: { ...more, content: ' two!' } }))).toStrictEqual([
      { ...chunk({ delta: { ...more, content: '!' } }), id: 'a', created: 1 },
    ])
    expect(splice.take({ id: 'b', usage: { completion_tokens: 1 } })).toEqual([
      { id: 'a', created: 1, choices: [], usage: { completion_tokens: 1 } },
    ])
  })

  it('keeps its own id and time where none were sent', () => {
    const splice = spliceRestart(transcriptOf([{ choices: [{ delta: { content: 'x' } }] }]))
    expect(splice.take(word('xy'))).toMatchObject([{ id: 'b', created: 2 }])
  })

  it('is taken at its word where the answer repeats itself', () => {
    const sent = fromA(word('0, '.repeat(10)))
    const rest = [word('0, '.repeat(10)), word('end'), finish()]
    const { answer } = joined(sent, spliceContinuation(transcriptOf(sent)), rest)
    expect(answer[0]!.content).toBe(`${'0, '.repeat(20)}end`)
  })

  it('may be that of a text completion', () => {
    const text = (piece: string) => chunk({ text: piece })
    const begun = fromA(text('one'))
    const splice = spliceRestart(transcriptOf(begun))
    expect(splice.take(text('on'))).toEqual([])
    expect(splice.take(text('e two'))).toMatchObject([{ choices: [{ text: ' two' }] }])
  })

  it('is compared for no more than 10,000 events', () => {
    const splice = restart()
    const thought = chunk({ delta: { reasoning_content: 'hm' } })
    for (let i = 0; i < 10_000; i++) expect(splice.take(thought)).toEqual([])
    expect(splice.take(thought)).toBe('mismatch')
  })

  it('may end one choice while another has still to repeat what was sent', () => {
    const begun = fromA(word('x'), word('y', 1))
    const rest = [word('x'), finish(), word('yz', 1), finish('stop', 1)]
    expect(joined(begun, spliceRestart(transcriptOf(begun, 2)), rest)).toMatchObject({
      mismatch: false,
      answer: { 0: { content: 'x', finish: 'stop' }, 1: { content: 'yz', finish: 'stop' } },
    })
  })

  it('that calls another tool is a mismatch', () => {
    const begun = fromA(tool({ index: 0, id: 'call_a', function: { name: 'get', arguments: '{' } }))
    const rest = [tool({ index: 0, id: 'call_b', function: { name: 'put', arguments: '{}' } })]
    expect(joined(begun, spliceRestart(transcriptOf(begun)), rest).mismatch).toBe(true)
  })

  it('must end a choice as it has ended, and adds nothing to it', () => {
    const begun = fromA(word('x'), finish('stop'), word('y', 1))
    const splice = () => spliceRestart(transcriptOf(begun, 2))
    const both = [word('x'), word('yz', 1), finish('stop'), finish('stop', 1)]
    expect(joined(begun, splice(), both).answer).toMatchObject({
      0: { content: 'x', finish: 'stop' },
      1: { content: 'yz', finish: 'stop' },
    })
    expect(joined(begun, splice(), [word('x'), finish('length')]).mismatch).toBe(true)
    expect(joined(begun, splice(), [word('xx')]).mismatch).toBe(true)
  })

  it('waits for every choice before it says anything', () => {
    const begun = fromA(word('x'), word('y', 1))
    const splice = spliceRestart(transcriptOf(begun, 2))
    expect(splice.take(word('x more'))).toEqual([])
    expect(splice.take(word('y', 1))).toMatchObject([{ choices: [{ index: 0, delta: { content: ' more' } }] }])
  })

  it('cut anywhere and chunked in any way, gives the one answer or says that it differs', () => {
    const pieces = fc.array(fc.string({ minLength: 1, maxLength: 6, unit: 'grapheme' }), {
      minLength: 1,
      maxLength: 12,
    })
    const rechunked = (text: string, sizes: number[]) => {
      const out: string[] = []
      for (let at = 0, i = 0; at < text.length; i++) {
        const size = sizes[i % sizes.length]!
        out.push(text.slice(at, at + size))
        at += size
      }
      return out
    }
    const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(pieces, fc.nat(12), sizes, fc.option(fc.nat(60)), (words, cut, chunking, changeAt) => {
        const begun = fromA(role(), ...words.slice(0, cut).map((each) => word(each)))
        const text = words.join('')
        const before = words.slice(0, cut).join('')
        const other = changeAt === null ? text : `${text.slice(0, changeAt)}\u0007${text.slice(changeAt + 1)}`
        const rest = [role(), ...rechunked(other, chunking).map((each) => word(each)), finish()]
        const { answer, mismatch } = joined(begun, spliceRestart(transcriptOf(begun)), rest)
        if (other.startsWith(before)) {
          expect(mismatch).toBe(false)
          expect(answer[0]).toEqual({ role: 'assistant', content: other, tools: [], finish: 'stop' })
        } else {
          expect(mismatch).toBe(true)
          expect(answer[0]!.content).toBe(before)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('an answer that is continued', () => {
  const long = 'a beginning of more than twenty-four characters'
  const begun = fromA(role(), word(long))
  const continued = (rest: StreamChunk[]) => joined(begun, spliceContinuation(transcriptOf(begun)), rest)

  it('is what was sent and what comes', () => {
    const { answer } = continued([role(), word(', and its end'), finish(), usage])
    expect(answer[0]).toEqual({ role: 'assistant', content: `${long}, and its end`, tools: [], finish: 'stop' })
  })

  it('keeps the id of the answer and tells the model of who continues', () => {
    const { all } = continued([word(' on')])
    expect(all!.at(-1)).toMatchObject({ id: 'a', created: 1, model: 'model-b' })
  })

  it('is not said twice by a server that begins from the front all the same', () => {
    const { answer } = continued([
      role(),
      word(long.slice(0, 10)),
      word(`${long.slice(10)} and more`),
      word('!'),
      finish(),
    ])
    expect(answer[0]).toMatchObject({ content: `${long} and more!`, finish: 'stop' })
  })

  it('is not said twice by such a server, however it divides its events', () => {
    const exact = 'x'.repeat(24)
    const sent = fromA(word(exact))
    const { answer } = joined(sent, spliceContinuation(transcriptOf(sent)), [word(`${exact} on`)])
    expect(answer[0]!.content).toBe(`${exact} on`)
    // The end in the event that completes the repetition.
    expect(continued([chunk({ delta: { content: long }, finish_reason: 'stop' })]).answer[0]).toMatchObject({
      content: long,
      finish: 'stop',
    })
    // A tool call after the repetition.
    const call = { index: 0, id: 'x', function: { name: 'f', arguments: '{}' } }
    expect(continued([word(long), tool(call), finish('tool_calls')]).answer[0]).toMatchObject({
      content: long,
      tools: [{ id: 'x', name: 'f', text: '{}' }],
    })
    const text = (piece: string) => chunk({ text: piece })
    const prompted = fromA(text(long))
    const whole = joined(prompted, spliceContinuation(transcriptOf(prompted)), [text(long), text(' more')])
    expect(whole.answer[0]!.content).toBe(`${long} more`)
  })

  it.each(['reasoning', 'reasoning_content'])('may be thought about first (%s)', (field) => {
    const thought = (text: string) => chunk({ delta: { [field]: text } })
    const thoughts = (from: StreamChunk[]) =>
      from.flatMap(({ choices }) => choices?.map(({ delta }) => delta?.[field]) ?? []).filter(Boolean)
    for (const sent of [begun, fromA(role(), thought('before'), word(long))]) {
      const goOn = (rest: StreamChunk[]) => joined(sent, spliceContinuation(transcriptOf(sent)), rest)
      const thinking = [role(), thought('so'), thought(' on')]
      // By one that begins from the front after it, and by one that does not.
      const anew = goOn([...thinking, word(long.slice(0, 5)), word(`${long.slice(5)} and`), word(' more'), finish()])
      expect(anew.answer[0]).toMatchObject({ content: `${long} and more`, finish: 'stop' })
      const onward = goOn([...thinking, word(' and more'), finish()])
      expect(onward.answer[0]).toMatchObject({ content: `${long} and more`, finish: 'stop' })
      for (const { all } of [anew, onward]) expect(thoughts(all!).slice(-2)).toEqual(['so', ' on'])
    }
    // In the midst of it, it is no repetition.
    const between = continued([word(long.slice(0, 30)), thought('hm'), word('!'), finish()])
    expect(between.answer[0]!.content).toBe(`${long}${long.slice(0, 30)}!`)
    const both = chunk({ delta: { [field]: 'so', content: long } })
    expect(continued([both, word('!')]).answer[0]!.content).toBe(`${long}${long}!`)
  })

  it('goes out at once, and alone, where it does not begin from the front', () => {
    const take = (each: StreamChunk) => spliceContinuation(transcriptOf(begun)).take(each)
    expect(take(word(', on'))).toEqual([{ ...word(', on'), id: 'a', created: 1 }])
    // Thinking aloud is not what was sent, though it were the same words.
    const thought = chunk({ delta: { reasoning_content: long.slice(0, 5) } })
    expect(take(thought)).toEqual([{ ...thought, id: 'a', created: 1 }])
  })

  it('may come with events without choices, and choices without a number', () => {
    const splice = spliceContinuation(transcriptOf(begun))
    expect(splice.take(word('!'))).toHaveLength(1)
    expect(splice.take({ usage: { completion_tokens: 1 } })).toEqual([
      { id: 'a', created: 1, usage: { completion_tokens: 1 } },
    ])
    expect(splice.take({ choices: [{ delta: { role: 'assistant', content: '?' } }] })).toEqual([
      { id: 'a', created: 1, choices: [{ delta: { content: '?' } }] },
    ])
  })

  it('is told from one that begins anew, where that can be', () => {
    expect(spliceRestart(transcriptOf(begun)).begins).toBe('anew')
    const after = (sent: StreamChunk[], ...rest: StreamChunk[]) => {
      const splice = spliceContinuation(transcriptOf(sent))
      for (const each of rest) splice.take(each)
      return splice.begins
    }
    expect(after(begun, role(), word(long.slice(0, -1)))).toBeUndefined()
    expect(after(begun, word(long.slice(0, -1)), word(long.slice(-1)))).toBe('anew')
    expect(after(begun, word(long.slice(0, 5)), word('!'))).toBe('onward')
    expect(after(fromA(word('short')), word(' and on'))).toBeUndefined()
  })

  it('keeps words that only begin like the beginning', () => {
    const { answer } = continued([word(long.slice(0, 12)), word('nother thing'), finish()])
    expect(answer[0]).toMatchObject({ content: `${long}${long.slice(0, 12)}nother thing`, finish: 'stop' })
  })

  it('keeps an end that is like the beginning', () => {
    const { answer } = continued([word(long.slice(0, 12)), finish()])
    expect(answer[0]).toMatchObject({ content: long + long.slice(0, 12), finish: 'stop' })
  })

  it('keeps a tool call that follows', () => {
    const { answer } = continued([
      tool({ index: 0, id: 'x', function: { name: 'f', arguments: '{}' } }),
      finish('tool_calls'),
    ])
    expect(answer[0]).toMatchObject({ content: long, tools: [{ id: 'x', name: 'f', text: '{}' }] })
  })

  it('is taken at its word where little was sent', () => {
    const short = fromA(word('na '))
    const { answer } = joined(short, spliceContinuation(transcriptOf(short)), [word('na batman'), finish()])
    expect(answer[0]!.content).toBe('na na batman')
  })

  it('may be that of a text completion', () => {
    const text = (piece: string) => chunk({ text: piece })
    const sent = fromA(text(long))
    const { answer } = joined(sent, spliceContinuation(transcriptOf(sent)), [text(long.slice(0, 5)), text('zz')])
    expect(answer[0]!.content).toBe(`${long}${long.slice(0, 5)}zz`)
  })
})
