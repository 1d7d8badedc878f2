import { describe, expect, it } from 'vitest'
import { endpoints } from '../providers/endpoints.ts'
import { formBodies, jsonBodies } from './openai-bodies.ts'
import { parseOr400 } from './parse.ts'

const bodies = { ...jsonBodies, ...formBodies }
type Name = keyof typeof bodies

describe('bodies', () => {
  it('are known for each endpoint, as JSON or as a form', () => {
    const names = Object.entries(endpoints)
    expect(Object.keys(jsonBodies)).toEqual(names.flatMap(([name, { form }]) => (form ? [] : [name])))
    expect(Object.keys(formBodies)).toEqual(names.flatMap(([name, { form }]) => (form ? [name] : [])))
  })

  const messages = [{ role: 'user', content: 'hi' }]
  it.each<[Name, object, object]>([
    ['chat/completions', { messages }, { stream: false, usage: false }],
    [
      'chat/completions',
      { messages, stream: true, stream_options: { include_usage: true } },
      { stream: true, usage: true },
    ],
    ['chat/completions', { messages, stream: null, stream_options: null, odd: [1] }, { stream: false, usage: false }],
    ['completions', { prompt: ['a', 'b'], stream: true }, { stream: true }],
    ['completions', { prompt: null }, { stream: false }],
    ['embeddings', { input: [1, 2] }, { stream: false }],
    ['embeddings', { input: 'hi', stream: false }, { stream: false }],
    ['responses', { input: 'hi', stream: true }, { stream: true, answers: 1 }],
    ['responses', { input: [{ role: 'user' }], stream_options: { include_obfuscation: false } }, { stream: false }],
    ['moderations', { input: 'hi' }, { stream: false }],
    ['moderations', { input: 'hi', stream: null }, { stream: false }],
    ['images/generations', { prompt: 'a dot', n: 3, stream: true }, { stream: true, answers: 3 }],
    ['images/generations', { prompt: 'a dot', n: null }, { stream: false, answers: 1 }],
    ['audio/speech', { input: 'hi', voice: 'alloy' }, { stream: false }],
    ['audio/speech', { input: 'hi', voice: { id: 'v' }, stream_format: 'sse' }, { stream: true }],
    ['audio/transcriptions', { stream: 'true', prompt: 'hi' }, { stream: true }],
    ['audio/transcriptions', { stream: 'False' }, { stream: false }],
    ['audio/transcriptions', {}, { stream: false }],
    ['audio/translations', {}, { stream: false }],
  ])('%s %j ask for %j', (endpoint, body, asked) => {
    expect(parseOr400(bodies[endpoint], { model: 'm', ...body })).toMatchObject(asked)
  })

  it.each<[Name, object, string]>([
    ['chat/completions', { messages: [] }, 'messages'],
    ['completions', {}, 'prompt'],
    ['embeddings', { input: 'hi', stream: true }, 'stream'],
    ['responses', {}, 'input'],
    ['responses', { input: [] }, 'input'],
    ['responses', { input: 'hi', stream: 'yes' }, 'stream'],
    ['responses', { input: 'hi', model: '' }, 'model'],
    ['moderations', {}, 'input'],
    ['images/generations', {}, 'prompt'],
    ['images/generations', { prompt: 'x', n: 0 }, 'n'],
    ['audio/speech', { voice: 'alloy' }, 'input'],
    ['audio/speech', { input: 'hi' }, 'voice'],
    ['audio/speech', { input: 'hi', voice: 'alloy', stream_format: 'json' }, 'stream_format'],
    ['audio/transcriptions', { stream: 'maybe' }, 'stream'],
    ['audio/translations', { stream: 'true' }, 'stream'],
  ])('%s %j are refused for their %s', (endpoint, body, param) => {
    expect(() => parseOr400(bodies[endpoint], { model: 'm', ...body })).toThrow(
      expect.objectContaining({ code: 'invalid_body', options: expect.objectContaining({ param }) }),
    )
  })
})
