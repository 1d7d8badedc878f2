/** OpenAI's API as far as the gateway speaks it: https://platform.openai.com/docs/api-reference */
import type { Clock } from '../../src/ports.ts'
import { completionBody } from './openai-completion.ts'
import { embeddings } from './openai-embedding.ts'
import { openaiError, openaiErrorFor } from './openai-errors.ts'
import { type CompletionRequest, missing, readChatRequest, readTextRequest } from './openai-request.ts'
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
]

export function createOpenai({ clock, random, key, wordIntervalMs, answerDelayMs }: OpenaiOptions): Vendor {
  const newId = (prefix: string) => prefix + randomText(random, 29)

  const complete =
    (form: 'chat' | 'text', read: (body: Body) => CompletionRequest | WholeAnswer) =>
    (body: Body): Answer => {
      const request = read(body)
      if ('status' in request) return request
      const created = Math.floor(clock.wallNow() / 1000)
      const type = request.stream ? 'text/event-stream; charset=utf-8' : 'application/json'
      return {
        status: 200,
        headers: { 'content-type': type, ...allowance(request.promptTokens) },
        ...(!request.stream && { delayMs: answerDelayMs }),
        body: completionBody(form, request, { created, newId, wordIntervalMs }),
      }
    }

  const embed = (body: Body): Answer => {
    const { answer, tokens } = embeddings(body)
    return { ...answer, headers: { ...answer.headers, ...allowance(tokens) }, delayMs: answerDelayMs }
  }

  const routes: Route[] = [
    ['POST', /^\/v1\/chat\/completions$/, withBody(complete('chat', readChatRequest))],
    ['POST', /^\/v1\/completions$/, withBody(complete('text', readTextRequest))],
    ['POST', /^\/v1\/embeddings$/, withBody(embed)],
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

/** A handler of JSON bodies that name a model which exists: any, but for names that begin with `no-such`. */
const withBody =
  (handle: (body: Body) => Answer) =>
  ({ body }: VendorCall): Answer => {
    if (!isRecord(body)) return openaiError(400, { message: 'We could not parse the JSON body of your request.' })
    const { model } = body
    if (typeof model !== 'string' || model === '') return missing('model')
    return model.startsWith('no-such') ? modelNotFound(model) : handle(body)
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
