import { expect, it } from 'vitest'
import { isAnswerType } from './endpoints.ts'

it.each([
  ['json', 'application/json', true],
  ['json', 'Application/JSON; charset=utf-8', true],
  ['json', 'text/plain', false],
  ['json', undefined, false],
  ['text', 'application/json', true],
  ['text', 'text/plain; charset=utf-8', true],
  ['text', 'text/vtt', true],
  ['text', 'text/html', false],
  ['text', 'audio/mpeg', false],
  ['binary', 'audio/mpeg', true],
  ['binary', 'application/octet-stream', true],
  ['binary', 'application/json', false],
  ['binary', 'text/plain', false],
  ['binary', undefined, false],
] as const)('an answer of %s may be of type %s: %s', (answer, type, is) => {
  expect(isAnswerType(answer, type)).toBe(is)
})
