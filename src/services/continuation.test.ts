import { describe, expect, it } from 'vitest'
import { continuationOf } from './continuation.ts'
import { Transcript, TranscriptMemory } from './transcript.ts'

const transcriptOf = (...texts: string[]) => {
  const transcript = new Transcript(new TranscriptMemory(1_000), 1)
  for (const content of texts) transcript.add({ choices: [{ delta: { content } }] })
  return transcript
}
const user = { role: 'user', content: 'count' }
const chat = { model: 'm', messages: [user] }
const sent = transcriptOf('one', ' two')

describe('the request for the rest of an answer', () => {
  it('ends with the answer so far, and says what the server wants besides', () => {
    expect(continuationOf(chat, sent, { continue_final_message: true })).toEqual({
      messages: [user, { role: 'assistant', content: 'one two' }],
      continue_final_message: true,
    })
  })

  it('makes one message of the caller’s own beginning and the answer so far', () => {
    const begun = { ...chat, messages: [user, { role: 'assistant', content: 'zero ', name: 'x' }] }
    expect(continuationOf(begun, sent, {})).toEqual({
      messages: [user, { role: 'assistant', content: 'zero one two', name: 'x' }],
    })
    const spoken = { role: 'assistant', content: 'hm' }
    const long = { ...chat, messages: [user, spoken, user, { role: 'assistant', content: 'zero ' }] }
    expect(continuationOf(long, sent, {})).toEqual({
      messages: [user, spoken, user, { role: 'assistant', content: 'zero one two' }],
    })
  })

  it('follows a beginning of the caller’s that is no plain text as a message of its own', () => {
    const parts = { role: 'assistant', content: [{ type: 'text', text: 'zero ' }] }
    expect(continuationOf({ ...chat, messages: [user, parts] }, sent, {})).toEqual({
      messages: [user, parts, { role: 'assistant', content: 'one two' }],
    })
  })

  it('of a chat leaves a stray prompt alone', () => {
    expect(continuationOf({ ...chat, prompt: 'count' }, sent, {})).toEqual({
      messages: [user, { role: 'assistant', content: 'one two' }],
    })
  })

  it('asks for as many tokens as are left, and for one at least', () => {
    expect(continuationOf({ ...chat, max_tokens: 10, max_completion_tokens: 1 }, sent, {})).toMatchObject({
      max_tokens: 8,
      max_completion_tokens: 1,
    })
  })

  it('of a text completion is its prompt and what came of it, for any server', () => {
    const transcript = new Transcript(new TranscriptMemory(1_000), 1)
    transcript.add({ choices: [{ text: 'one' }] })
    expect(continuationOf({ prompt: 'count: ' }, transcript, undefined)).toEqual({ prompt: 'count: one' })
    expect(continuationOf({ prompt: ['a', 'b'] }, transcript, {})).toBeUndefined()
  })

  it.each<[string, object]>([
    ['several choices', { n: 2 }],
    ['the best of several', { best_of: 2 }],
    ['probabilities', { logprobs: true }],
    ['an echo', { echo: true }],
    ['a suffix', { suffix: 'x' }],
    ['a JSON object', { response_format: { type: 'json_object' } }],
    ['a schema', { response_format: { type: 'json_schema' } }],
    ['sound', { modalities: ['text', 'audio'] }],
    ['no messages', { messages: 'none' }],
  ])('is not made where the caller wants %s', (_name, fields) => {
    expect(continuationOf({ ...chat, ...fields }, sent, {})).toBeUndefined()
  })

  it.each<[string, object]>([
    ['one choice', { n: 1 }],
    ['null for what is not wanted', { n: null, logprobs: null, response_format: null, modalities: null }],
    ['plain text', { response_format: { type: 'text' }, modalities: ['text'] }],
  ])('is made where the caller asks for %s', (_name, fields) => {
    expect(continuationOf({ ...chat, ...fields }, sent, {})).toBeDefined()
  })

  it('is not made for a model that does not continue', () => {
    expect(continuationOf(chat, sent, undefined)).toBeUndefined()
  })

  it('is not made of nothing, nor of anything but plain content', () => {
    expect(continuationOf(chat, transcriptOf(''), {})).toBeUndefined()
    const thinking = transcriptOf('one')
    thinking.add({ choices: [{ delta: { reasoning_content: 'hm' } }] })
    expect(continuationOf(chat, thinking, {})).toBeUndefined()
    const calling = transcriptOf('one')
    calling.add({ choices: [{ delta: { tool_calls: [{ index: 0, id: 'x' }] } }] })
    expect(continuationOf(chat, calling, {})).toBeUndefined()
    const second = transcriptOf()
    second.add({ choices: [{ index: 1, delta: { content: 'one' } }] })
    expect(continuationOf(chat, second, {})).toBeUndefined()
  })
})
