/** OpenAI's API as far as the gateway speaks it: https://platform.openai.com/docs/api-reference */
import type { Clock } from '../../src/ports.ts'
import { type CompletionContext, completionBody } from './openai-completion.ts'
import { embeddings } from './openai-embedding.ts'
import { openaiError, openaiErrorFor } from './openai-errors.ts'
import { imageBody, readImageRequest } from './openai-image.ts'
import { moderations } from './openai-moderation.ts'
import { type CompletionRequest, missing, readChatRequest, readTextRequest } from './openai-request.ts'
import { readResponseRequest, responseBody } from './openai-responses.ts'
import { readSpeechRequest, speechBody } from './openai-speech.ts'
import { readTranscriptionRequest, type TranscriptionRequest, transcriptionAnswer } from './openai-transcription.ts'
import type { FormFields } from './request-body.ts'
import type { Answer } from './send.ts'
import {
  findRoute,
  isRecord,
  jsonAnswer,
  type Route,
  type Vendor,
  type VendorCall,
  type WholeAnswer,
} from './vendor.ts'

interface OpenaiOptions {
  clock: Clock
  random: () => number
  key: string | undefined
  wordIntervalMs: number
  answerDelayMs: number
}

type Body = Record<string, unknown>

const models = [
  { id: 'gpt-4o-mini', object: 'model', created: 1_721_172_741, owned_by: 'system' },
  { id: 'gpt-4o', object: 'model', created: 1_715_367_049, owned_by: 'system' },
  { id: 'gpt-4.1-mini', object: 'model', created: 1_744_318_173, owned_by: 'system' },
  { id: 'text-embedding-3-small', object: 'model', created: 1_705_948_997, owned_by: 'system' },
  { id: 'omni-moderation-latest', object: 'model', created: 1_731_689_265, owned_by: 'system' },
  { id: 'gpt-image-1.5', object: 'model', created: 1_764_030_620, owned_by: 'system' },
  { id: 'tts-1', object: 'model', created: 1_681_940_951, owned_by: 'openai-internal' },
  { id: 'gpt-4o-mini-tts', object: 'model', created: 1_742_403_959, owned_by: 'system' },
  { id: 'whisper-1', object: 'model', created: 1_677_532_384, owned_by: 'openai-internal' },
  { id: 'gpt-4o-mini-transcribe', object: 'model', created: 1_742_068_596, owned_by: 'system' },
]

export function createOpenai({ clock, random, key, wordIntervalMs, answerDelayMs }: OpenaiOptions): Vendor {
  const newId = (prefix: string) => prefix + randomText(random, 29)

  const context = (): CompletionContext => ({ created: Math.floor(clock.wallNow() / 1000), newId, wordIntervalMs })
  const success = (contentType: string, tokens: number, body: Answer['body']): Answer => ({
    status: 200,
    headers: { 'content-type': contentType, ...allowance(tokens) },
    ...(typeof body === 'string' && { delayMs: answerDelayMs }),
    body,
  })
  const jsonOrEvents = (stream: boolean, tokens: number, body: Answer['body']) =>
    success(stream ? eventStream : 'application/json', tokens, body)

  const complete =
    (form: 'chat' | 'text', read: (body: Body) => CompletionRequest | WholeAnswer) =>
    (body: Body): Answer => {
      const request = read(body)
      if ('status' in request) return request
      return jsonOrEvents(request.stream, request.promptTokens, completionBody(form, request, context()))
    }

  const embed = (body: Body): Answer => {
    const { answer, tokens } = embeddings(body)
    return { ...answer, headers: { ...answer.headers, ...allowance(tokens) }, delayMs: answerDelayMs }
  }

  const respond = (body: Body): Answer => {
    const request = readResponseRequest(body)
    if ('status' in request) return request
    return jsonOrEvents(request.stream, request.inputTokens, responseBody(request, context()))
  }

  const moderate = (body: Body): Answer => ({ ...moderations(body, newId), delayMs: answerDelayMs })

  const draw = (body: Body): Answer => {
    const request = readImageRequest(body)
    if ('status' in request) return request
    return jsonOrEvents(request.stream, request.inputTokens, imageBody(request, context()))
  }

  const speak = (body: Body): Answer => {
    const request = readSpeechRequest(body)
    if ('status' in request) return request
    const { sse, contentType, inputTokens } = request
    return success(sse ? eventStream : contentType, inputTokens, speechBody(request, context()))
  }

  const listen =
    (task: TranscriptionRequest['task']) =>
    (fields: FormFields): Answer => {
      const request = readTranscriptionRequest(task, fields)
      if ('status' in request) return request
      const { contentType, body } = transcriptionAnswer(request, context())
      return success(contentType, request.words, body)
    }

  const routes: Route[] = [
    ['POST', /^\/v1\/chat\/completions$/, withBody(complete('chat', readChatRequest))],
    ['POST', /^\/v1\/completions$/, withBody(complete('text', readTextRequest))],
    ['POST', /^\/v1\/embeddings$/, withBody(embed)],
    ['POST', /^\/v1\/responses$/, withBody(respond)],
    ['POST', /^\/v1\/moderations$/, withBody(moderate, 'omni-moderation-latest')],
    ['POST', /^\/v1\/images\/generations$/, withBody(draw)],
    ['POST', /^\/v1\/audio\/speech$/, withBody(speak)],
    ['POST', /^\/v1\/audio\/transcriptions$/, withForm(listen('transcribe'))],
    ['POST', /^\/v1\/audio\/translations$/, withForm(listen('translate'))],
    ['GET', /^\/v1\/models$/, () => jsonAnswer(200, { object: 'list', data: models })],
    ['GET', /^\/v1\/models\/([^/]+)$/, (_, id) => retrieveModel(id)],
  ]

  return {
    answer(call) {
      const route = findRoute(routes, call) ?? (() => unknownUrl(call))
      const answer = unauthorized(call, key) ?? route()
      return { ...answer, headers: { ...answer.headers, ...identity(newId('req_'), answer.delayMs ?? 0) } }
    },
    error: openaiErrorFor,
  }
}

const eventStream = 'text/event-stream; charset=utf-8'

/** A handler of JSON bodies that name a model which exists: any, but for names that begin with `no-such`. */
const withBody =
  (handle: (body: Body) => Answer, defaultModel?: string) =>
  ({ body }: VendorCall): Answer => {
    if (!isRecord(body)) return openaiError(400, { message: 'We could not parse the JSON body of your request.' })
    const { model = defaultModel } = body
    if (typeof model !== 'string' || model === '') return missing('model')
    return model.startsWith('no-such') ? modelNotFound(model) : handle({ ...body, model })
  }

/** The same for forms. */
const withForm =
  (handle: (fields: FormFields) => Answer) =>
  (call: VendorCall): Answer => {
    const isForm = call.headers['content-type']?.startsWith('multipart/form-data') && isRecord(call.body)
    return isForm
      ? withBody((fields) => handle(fields as FormFields))(call)
      : openaiError(400, { message: 'Could not parse multipart form' })
  }

function retrieveModel(id: string): Answer {
  const model = models.find((candidate) => candidate.id === id)
  return model ? jsonAnswer(200, model) : modelNotFound(id)
}

function modelNotFound(model: string): Answer {
  const message = `The model \`${model}\` does not exist or you do not have access to it.`
  return openaiError(404, { message, code: 'model_not_found' })
}

function unknownUrl({ method, path }: VendorCall): Answer {
  return openaiError(404, { message: `Invalid URL (${method} ${path})` })
}

function unauthorized({ headers }: VendorCall, key: string | undefined): Answer | undefined {
  if (key === undefined || headers.authorization === `Bearer ${key}`) return undefined
  if (!headers.authorization) {
    return openaiError(401, { message: "You didn't provide an API key. Send it as Authorization: Bearer YOUR_KEY." })
  }
  return openaiErrorFor(401)
}

function identity(requestId: string, processingMs: number): Record<string, string> {
  return {
    'x-request-id': requestId,
    'openai-processing-ms': String(Math.ceil(processingMs)),
    'openai-version': '2020-10-01',
  }
}

const requestsPerMinute = 10_000
const tokensPerMinute = 2_000_000

/** What is left after this one call: the sandbox tells limits, and leaves enforcing them to faults. */
function allowance(tokens: number): Record<string, string> {
  return {
    'x-ratelimit-limit-requests': String(requestsPerMinute),
    'x-ratelimit-limit-tokens': String(tokensPerMinute),
    'x-ratelimit-remaining-requests': String(requestsPerMinute - 1),
    'x-ratelimit-remaining-tokens': String(Math.max(0, tokensPerMinute - tokens)),
    'x-ratelimit-reset-requests': `${60_000 / requestsPerMinute}ms`,
    'x-ratelimit-reset-tokens': `${Math.ceil((tokens * 60_000) / tokensPerMinute)}ms`,
  }
}

function randomText(random: () => number, length: number): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
  return Array.from({ length }, () => letters[Math.floor(random() * letters.length)]).join('')
}
