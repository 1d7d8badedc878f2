/** What the fake provider is asked and what it answers. */

export const model = 'gpt-4o-mini'
const created = 1_760_000_000

/** About 200 bytes. */
export const chatRequest = JSON.stringify({
  model,
  messages: [
    { role: 'system', content: 'You answer in one short sentence.' },
    { role: 'user', content: 'Which GPU has enough memory for a model of 13 billion parameters?' },
  ],
})

export const streamRequest = `${chatRequest.slice(0, -1)},"stream":true}`

/** About 400 bytes. */
export const chatAnswer = JSON.stringify({
  id: 'chatcmpl-B7yQ2mWk0s3vX9uT4rPd1LfNzEaHc',
  object: 'chat.completion',
  created,
  model,
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'Any with 32 GB, or one of 24 GB with 8-bit weights.' },
      logprobs: null,
      finish_reason: 'stop',
    },
  ],
  usage: { prompt_tokens: 31, completion_tokens: 16, total_tokens: 47, prompt_tokens_details: { cached_tokens: 0 } },
})

/** Tokens in a stream, one in each event. */
export const streamTokens = 200
export const streamEnding = 'data: [DONE]\n\n'

const event = (choices: object[], more: object = {}) =>
  `data: ${JSON.stringify({ id: 'chatcmpl-B7yQ2mWk0s3vX9uT4rPd1LfNzEaHc', object: 'chat.completion.chunk', created, model, choices, ...more })}\n\n`
const piece = (delta: object, finish: string | null = null) => [
  { index: 0, delta, logprobs: null, finish_reason: finish },
]
const usage = { prompt_tokens: 31, completion_tokens: streamTokens, total_tokens: 31 + streamTokens }

export const streamEvents = [
  event(piece({ role: 'assistant', content: '' })),
  ...Array.from({ length: streamTokens }, (_, index) => event(piece({ content: ` w${index + 1}` }))),
  event(piece({}, 'stop')),
  event([], { usage }),
  streamEnding,
]
