import { describe, expect, it } from 'vitest'
import type { StreamChoice } from '../providers/openai-stream.ts'
import type { StreamRun } from '../providers/stream-run.ts'
import { Transcript, TranscriptMemory } from './transcript.ts'

const world = (maxChars = 1_000_000, choices = 1) => {
  const memory = new TranscriptMemory(maxChars)
  const transcript = new Transcript(memory, choices)
  const add = (...parts: StreamChoice[]) => transcript.add({ id: 'a', created: 1, choices: parts })
  return { memory, transcript, add }
}

describe('a transcript', () => {
  it('keeps the text of each channel of each choice', () => {
    const { transcript, add } = world()
    add({ index: 0, delta: { role: 'assistant', content: '' } })
    add({ index: 0, delta: { content: 'one' } }, { index: 1, delta: { refusal: 'no' } })
    add({ delta: { content: ' two', tool_calls: [{ index: 0, function: { name: 'f', arguments: '{' } }] } })
    expect(Object.fromEntries(transcript.channels)).toEqual({
      '0/content': 'one two',
      '1/refusal': 'no',
      '0/tool_calls.0.name': 'f',
      '0/tool_calls.0.arguments': '{',
    })
    expect(transcript.tokens).toBe(3)
    expect(transcript.id).toBe('a')
  })

  it('takes several pieces at once, and counts each', () => {
    const { memory, transcript, add } = world()
    const run = (choice: number, ...pieces: string[]) =>
      transcript.addRun({ choice, field: 'content', pieces } as unknown as StreamRun)
    add({ delta: { content: 'one' } })
    run(0, ' two', ' three')
    run(1, 'uno')
    expect(Object.fromEntries(transcript.channels)).toEqual({ '0/content': 'one two three', '1/content': 'uno' })
    expect([transcript.tokens, [...transcript.seen]]).toEqual([4, [0, 1]])
    expect(memory.chars).toBe(16 + 2 * 64)
    add({ delta: { audio: { id: 'x' } } })
    run(0, 'x', 'y')
    expect([transcript.tokens, transcript.obstacle, memory.chars]).toEqual([6, 'unknown_field', 0])
    for (let i = 2; i < 1_024; i++) run(i, 'z')
    run(1_024, 'z')
    run(1_023, 'z')
    expect([transcript.seen.size, transcript.tokens]).toEqual([1_024, 6 + 1_023])
  })

  it('gives up what is too long, also where it comes in pieces', () => {
    const { memory, transcript } = world(100)
    transcript.addRun({ choice: 0, field: 'content', pieces: ['x'.repeat(20), 'y'.repeat(20)] } as unknown as StreamRun)
    expect([transcript.obstacle, transcript.tokens, memory.chars]).toEqual(['too_long', 2, 0])
  })

  it('knows a tool call that has only its id so far', () => {
    const { transcript, add } = world()
    add({ delta: { tool_calls: [{ index: 0, id: 'x' }] } })
    expect([...transcript.channels]).toEqual([
      ['0/tool_calls.0.name', ''],
      ['0/tool_calls.0.arguments', ''],
    ])
    expect(transcript.tokens).toBe(0)
  })

  it.each<[string, StreamChoice, string]>([
    ['a field nobody knows', { delta: { audio: { id: 'x' } } }, 'unknown_field'],
    ['a list nobody knows', { delta: { citations: [{ index: 0 }] } }, 'unknown_field'],
    ['content that is no text', { delta: { content: [{ type: 'text' }] } }, 'unknown_field'],
    ['tool calls without a number', { delta: { tool_calls: [{ function: { name: 'f' } }] } }, 'unknown_field'],
    ['custom tool calls', { delta: { tool_calls: [{ index: 0, type: 'custom' }] } }, 'unknown_field'],
    ['what they are called with', { delta: { tool_calls: [{ index: 0, custom: { input: 'x' } }] } }, 'unknown_field'],
    ['tool calls that are none', { delta: { tool_calls: [null] } }, 'unknown_field'],
    [
      'arguments that are no text',
      { delta: { tool_calls: [{ index: 0, function: { arguments: {} } }] } },
      'unknown_field',
    ],
    ['probabilities', { delta: { content: 'x' }, logprobs: { content: [] } }, 'logprobs'],
    ['more than it may keep', { delta: { content: 'x'.repeat(262_145) } }, 'too_long'],
  ])('cannot be gone on with after %s, and keeps nothing then', (_name, choice, obstacle) => {
    const { transcript, memory, add } = world()
    add({ delta: { content: 'before' } })
    add(choice)
    add({ delta: { content: 'after' }, finish_reason: 'stop' })
    expect(transcript.obstacle).toBe(obstacle)
    expect(transcript.channels.size).toBe(0)
    expect(memory.chars).toBe(0)
    expect(transcript.isWhole(false)).toBe(true)
  })

  it.each(['content', 'refusal', 'reasoning_content', 'reasoning'])('keeps text in %s', (field) => {
    const { transcript, add } = world()
    add({ delta: { [field]: 'x' } })
    expect([...transcript.channels]).toEqual([[`0/${field}`, 'x']])
    expect(transcript.obstacle).toBeUndefined()
  })

  it('takes no note of an event without choices', () => {
    const { transcript } = world()
    transcript.add({ usage: { completion_tokens: 1 } })
    expect(transcript.seen.size).toBe(0)
  })

  it('keeps 256 KiB, a channel’s name included once', () => {
    const { transcript, memory, add } = world()
    add({ delta: { content: 'x'.repeat(262_079) } })
    add({ delta: { content: 'y' } })
    expect(memory.chars).toBe(262_144)
    expect(transcript.obstacle).toBeUndefined()
    add({ delta: { content: 'z' } })
    expect(transcript.obstacle).toBe('too_long')
  })

  it('takes no more memory than all may take together, and gives it back', () => {
    const { transcript, memory, add } = world(140)
    const other = new Transcript(memory, 1)
    other.add({ choices: [{ delta: { content: '12345678' } }] })
    add({ delta: { content: 'abcd' } })
    expect(transcript.obstacle).toBeUndefined()
    expect(memory.chars).toBe(140)
    add({ delta: { content: 'e' } })
    expect(transcript.obstacle).toBe('too_long')
    expect(memory.chars).toBe(72)
    other.close()
    other.close()
    expect(memory.chars).toBe(0)
  })

  it('is bounded also where a provider opens channel after channel and says nothing', () => {
    const { transcript, memory, add } = world()
    for (let index = 0; index < 10_000; index++) {
      add({ index: 0, delta: { tool_calls: [{ index, id: 'x' }] } })
      add({ index, delta: {} })
    }
    expect(transcript.obstacle).toBe('too_long')
    expect(transcript.seen.size).toBe(1_024)
    expect(memory.chars).toBe(0)
  })

  it('is whole when each choice that was asked for has said why it finished', () => {
    const { transcript, add } = world(1_000, 2)
    expect(transcript.isWhole(true)).toBe(false)
    add({ index: 0, delta: { content: 'x' } })
    expect(transcript.isWhole(true)).toBe(false)
    add({ index: 0, finish_reason: 'stop' })
    expect(transcript.isWhole(false)).toBe(false)
    expect(transcript.isWhole(true)).toBe(true)
    add({ index: 1, delta: { content: 'y' } })
    expect(transcript.isWhole(true)).toBe(false)
    add({ index: 1, finish_reason: 'length' })
    expect(transcript.isWhole(false)).toBe(true)
  })
})
