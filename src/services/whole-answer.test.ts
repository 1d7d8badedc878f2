import { describe, expect, it } from 'vitest'
import { isWholeAnswer, isWholeStream } from './whole-answer.ts'

const json = JSON.stringify
const chat = (...ends: (string | null)[]) => json({ choices: ends.map((finish_reason) => ({ finish_reason })) })
const events = (...chunks: object[]) => `${chunks.map((chunk) => `data: ${json(chunk)}\n\n`).join('')}data: [DONE]\n\n`
const piece = (index: number, finish_reason: string | null = null) => ({
  choices: [{ index, delta: {}, finish_reason }],
})

describe('an answer in one piece is whole', () => {
  it.each([
    ['chat/completions', chat('stop'), true],
    ['chat/completions', chat('stop', 'tool_calls'), true],
    ['completions', chat('stop'), true],
    ['embeddings', json({ data: [{ embedding: [1] }] }), true],
    ['moderations', json({ results: [{}] }), true],
    ['chat/completions', chat('length'), false],
    ['chat/completions', chat('stop', 'content_filter'), false],
    ['chat/completions', chat('stop', null), false],
    ['chat/completions', chat(), false],
    ['chat/completions', json({ error: { message: 'x' }, choices: [{ finish_reason: 'stop' }] }), false],
    ['chat/completions', chat('stop').slice(0, -1), false],
    ['embeddings', json({ data: [] }), false],
    ['responses', json({ status: 'completed' }), false],
    ['audio/speech', 'bytes', false],
  ] as const)('%s %s: %s', (endpoint, text, whole) => expect(isWholeAnswer(endpoint, text)).toBe(whole))
})

describe('a stream is whole', () => {
  it.each([
    ['with a good end and [DONE]', events(piece(0), piece(0, 'stop')), true],
    ['with its usage after the end', events(piece(0, 'stop'), { choices: [], usage: {} }), true],
    ['with an event of a choice after its end', events(piece(0, 'stop'), piece(0)), true],
    ['with several choices that all end', events(piece(0), piece(1, 'stop'), piece(0, 'tool_calls')), true],
    ['not with one choice that does not end', events(piece(0, 'stop'), piece(1)), false],
    ['not cut short by a limit', events(piece(0, 'length')), false],
    ['not without [DONE]', events(piece(0, 'stop')).replace('data: [DONE]\n\n', ''), false],
    ['not with half an event', events(piece(0, 'stop')).slice(0, -1), false],
    ['not with an error in it', events(piece(0, 'stop'), { error: { message: 'x' } }), false],
    ['not with an event that is no JSON', `data: {\n\n${events(piece(0, 'stop'))}`, false],
    ['not empty', 'data: [DONE]\n\n', false],
  ])('%s', (_how, text, whole) => expect(isWholeStream(text)).toBe(whole))
})
