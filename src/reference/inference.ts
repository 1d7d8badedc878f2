/** `/v1`: OpenAI's own API. */
import * as z from 'zod'
import type { ErrorCode } from '../errors.ts'
import { formBodies, jsonBodies } from '../routes/openai-bodies.ts'
import { streamBySdk, upload } from './programs.ts'
import type { Answer, Example, RouteDoc } from './route.ts'
import * as shapes from './shapes.ts'

const failures: ErrorCode[] = [
  ...(['model_not_found', 'model_not_priced', 'model_not_allowed', 'stored_state_unsupported'] as const),
  ...(['insufficient_credit', 'budget_exceeded', 'guardrail_exceeded', 'ledger_unavailable'] as const),
  ...(['usage_unrecordable', 'provider_not_configured', 'upstream_throttled', 'upstream_invalid'] as const),
  ...(['upstream_credential', 'upstream_unavailable', 'upstream_timeout', 'circuit_open', 'connect_timeout'] as const),
  ...(['headers_timeout', 'deadline_exceeded', 'invalid_header'] as const),
]
const streamFailures: ErrorCode[] = [
  ...(['first_token_timeout', 'stream_interrupted', 'stream_idle_timeout', 'stream_too_slow'] as const),
]
const requestHeaders = {
  'x-request-timeout-ms':
    'The time this request may take, in ms. The SDKs’ `x-stainless-timeout`, in s, is heard, too: for a stream it is the time to its first words.',
  'x-gpuproxy-cache':
    'An answer given before will do, if it is at most so many seconds old: `300`. With `; sampled` also where the temperature is not 0.',
  'Cache-Control': '`no-cache`: do not answer from the cache. `no-store`: keep nothing of this either.',
  traceparent: 'W3C Trace Context: the trace that this request belongs to.',
}
const answerHeaders = {
  'x-gpuproxy-provider': 'Who answered.',
  'x-gpuproxy-model': 'The model’s name there.',
  'x-gpuproxy-attempts': 'Tries in all.',
  'x-gpuproxy-cost-usd': 'What it cost. Only there where that is known before the body.',
  'x-cache': '`memory`, `redis`, `stale`, `miss` or `bypass`.',
}
const fallbacks = ' `fallbacks: ["model-b"]` names models to try after the one asked for; `models: […]` replaces both.'

interface Inference {
  summary: string
  about?: string
  answer: Answer
  streams?: true
  examples: readonly [Example, ...Example[]]
}

const post = (endpoint: keyof typeof jsonBodies | keyof typeof formBodies, it: Inference): RouteDoc => ({
  method: 'POST',
  path: `/v1/${endpoint}`,
  section: 'Inference',
  name: `create${endpoint
    .split(/[/ ]/)
    .map((word) => word[0]!.toUpperCase() + word.slice(1))
    .join('')}`,
  summary: it.summary,
  about: (it.about ?? 'The body is OpenAI’s own; here are the fields that the gateway looks at.') + fallbacks,
  access: 'inference',
  body:
    endpoint in jsonBodies
      ? { schema: withRouting(jsonBodies[endpoint as keyof typeof jsonBodies]) }
      : { schema: withFile(formBodies[endpoint as keyof typeof formBodies]), type: 'multipart/form-data' },
  idempotencyKey: 'optional',
  headers: requestHeaders,
  words: { role: 'Who says it.', output: 'What the model made.' },
  answers: { 200: { ...it.answer, headers: answerHeaders } },
  errors: it.streams ? [...failures, ...streamFailures] : failures,
  examples: it.examples,
})

type Fields = z.ZodPipe<z.ZodObject, z.ZodTransform>
/** The schema that validates is loose: these two are read by the router, the file by the form's reader. */
const withRouting = (schema: z.ZodType) =>
  (schema as unknown as Fields).in.extend({
    fallbacks: z.array(z.string()).optional(),
    models: z.array(z.string()).optional(),
  })
const withFile = (schema: z.ZodType) =>
  (schema as unknown as Fields).in.extend({ file: z.file(), fallbacks: z.string().optional() })

const hello = [{ role: 'user', content: 'Say hello in three words.' }]
const eventStream = ['text/event-stream']

export const inferenceRoutes: RouteDoc[] = [
  post('chat/completions', {
    summary: 'Answer a conversation',
    answer: {
      about: 'The completion; with `stream: true` its parts as server-sent events that end with `[DONE]`.',
      json: shapes.chatCompletion,
      types: eventStream,
    },
    streams: true,
    examples: [
      { title: 'In one piece', body: { model: 'gpt-4o-mini', messages: hello } },
      {
        title: 'As it is written',
        body: { model: 'gpt-4o-mini', messages: hello, stream: true },
        stream: true,
        code: { javascript: streamBySdk },
      },
      {
        title: 'With another model to fall back on',
        body: { model: 'gpt-4o', fallbacks: ['gpt-4o-mini'], messages: hello },
      },
    ],
  }),
  post('completions', {
    summary: 'Continue a text',
    answer: { about: 'The completion; streamed with `stream: true`.', json: shapes.completion, types: eventStream },
    streams: true,
    examples: [
      { title: 'In one piece', body: { model: 'gpt-3.5-turbo-instruct', prompt: 'Once upon a time', max_tokens: 16 } },
    ],
  }),
  post('embeddings', {
    summary: 'Turn texts into vectors',
    answer: { about: 'One vector for each input.', json: shapes.embeddings },
    examples: [
      { title: 'Two texts', body: { model: 'text-embedding-3-small', input: ['a black cat', 'a white dog'] } },
    ],
  }),
  post('responses', {
    summary: 'Answer by the Responses API',
    about:
      'Nothing is stored: `store` is set to false, and `previous_response_id`, `conversation` and `background` are refused.',
    answer: { about: 'The response; streamed with `stream: true`.', json: shapes.response, types: eventStream },
    streams: true,
    examples: [{ title: 'In one piece', body: { model: 'gpt-4o-mini', input: 'Say hello in three words.' } }],
  }),
  post('moderations', {
    summary: 'Judge a text',
    answer: { about: 'One result for each input.', json: shapes.moderation },
    examples: [{ title: 'One text', body: { model: 'omni-moderation-latest', input: 'I like cats.' } }],
  }),
  post('images/generations', {
    summary: 'Make images',
    answer: { about: 'The images; streamed with `stream: true`.', json: shapes.images, types: eventStream },
    streams: true,
    examples: [{ title: 'One image', body: { model: 'dall-e-3', prompt: 'A black cat on a white sofa', n: 1 } }],
  }),
  post('audio/speech', {
    summary: 'Read a text aloud',
    answer: {
      about: 'The sound, in the format asked for.',
      types: ['audio/mpeg', 'audio/wav', 'audio/opus', 'audio/aac', 'audio/flac', 'audio/pcm', ...eventStream],
    },
    streams: true,
    examples: [
      { title: 'Into a file', body: { model: 'tts-1', voice: 'alloy', input: 'Hello there.' }, file: 'hello.mp3' },
    ],
  }),
  post('audio/transcriptions', {
    summary: 'Write down speech',
    answer: { about: 'The text.', json: shapes.transcript, types: ['text/plain', ...eventStream] },
    streams: true,
    examples: [{ title: 'Of a file', code: upload('/v1/audio/transcriptions') }],
  }),
  post('audio/translations', {
    summary: 'Write down speech in English',
    answer: { about: 'The text.', json: shapes.transcript, types: ['text/plain'] },
    examples: [{ title: 'Of a file', code: upload('/v1/audio/translations') }],
  }),
  {
    method: 'GET',
    path: '/v1/models',
    section: 'Inference',
    name: 'listModels',
    summary: 'List the models',
    about: 'Every provider’s models under one roof. A provider that cannot say shortens the list, which then says so.',
    access: 'inference',
    answers: { 200: { about: 'The models that this key may use.', json: shapes.modelsAnswer } },
    errors: ['provider_not_configured'],
    examples: [{ title: 'All of them' }],
  },
  {
    method: 'GET',
    path: '/v1/models/{id}',
    section: 'Inference',
    name: 'getModel',
    summary: 'Look at a model',
    access: 'inference',
    words: { id: 'The model’s name, which may hold slashes.' },
    answers: { 200: { about: 'The model.', json: shapes.modelAnswer } },
    errors: ['model_not_found', 'model_not_allowed', 'upstream_unavailable', 'provider_not_configured'],
    examples: [{ title: 'One of them', params: { id: 'gpt-4o-mini' } }],
  },
]
