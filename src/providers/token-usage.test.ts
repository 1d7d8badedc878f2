import { expect, test } from 'vitest'
import { tokenUsage } from './token-usage.ts'

const counted = (inputTokens: number, outputTokens: number, more: object = {}) => ({
  ...{ inputTokens, cachedInputTokens: 0, outputTokens },
  ...more,
})

test.each<[string, object, object | undefined]>([
  ['completions', { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }, counted(3, 2)],
  ['responses', { input_tokens: 3, output_tokens: 2 }, counted(3, 2)],
  [
    'both names, one of them unused',
    { prompt_tokens: 1300, completion_tokens: 900, input_tokens: 0, output_tokens: 0 },
    counted(1300, 900),
  ],
  [
    'both names the other way round',
    { prompt_tokens: 0, completion_tokens: 0, input_tokens: 7, output_tokens: 8 },
    counted(7, 8),
  ],
  ['embeddings', { prompt_tokens: 3, total_tokens: 3 }, counted(3, 0)],
  ['no word of the output', { prompt_tokens: 12, total_tokens: 8012 }, counted(12, 8000)],
  ['a total that is less', { prompt_tokens: 12, total_tokens: 5 }, counted(12, 0)],
  ['a total of nonsense', { prompt_tokens: 12, total_tokens: '80' }, counted(12, 0)],
  ['noughts', { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }, undefined],
  [
    'thoughts beside what was written',
    {
      ...{ prompt_tokens: 32, completion_tokens: 9, total_tokens: 135 },
      completion_tokens_details: { reasoning_tokens: 94 },
    },
    counted(32, 103),
  ],
  [
    'thoughts within it',
    { input_tokens: 32, output_tokens: 103, total_tokens: 135, output_tokens_details: { reasoning_tokens: 94 } },
    counted(32, 103),
  ],
  ['texts', { prompt_tokens: '3', completion_tokens: '2' }, undefined],
  ['parts', { prompt_tokens: 3, completion_tokens: 2.5 }, undefined],
  ['null', { prompt_tokens: null, completion_tokens: null }, undefined],
  [
    'what was cached',
    { prompt_tokens: 3, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 9, audio_tokens: 0 } },
    counted(3, 2, { cachedInputTokens: 3 }),
  ],
  ['no details', { prompt_tokens: 3, completion_tokens: 2, prompt_tokens_details: null }, counted(3, 2)],
  [
    'sound',
    { type: 'tokens', input_tokens: 1314, output_tokens: 45, input_token_details: { audio_tokens: 1300 } },
    counted(1314, 45, { seconds: 130 }),
  ],
  ['a length', { type: 'duration', seconds: 9.5 }, counted(0, 0, { seconds: 9.5 })],
])('of %s', (_, usage, expected) => {
  expect(tokenUsage(usage)).toEqual(expected)
})
