/** OpenAI's own API: what its SDKs send is what this takes. */
import { Hono } from 'hono'
import { formatUsd } from '../domain/money.ts'
import { ApiError } from '../errors.ts'
import { priorityOf } from '../middleware/admission.ts'
import { principalOf } from '../middleware/authenticate.ts'
import type { FormBody, ReadForm } from '../middleware/form-body.ts'
import { type Idempotent, keyedForm, keyedJson } from '../middleware/idempotency.ts'
import type { JsonBody, ReadJson } from '../middleware/json-body.ts'
import { expectedTokens } from '../middleware/rate-limit.ts'
import {
  type AppContext,
  type AppEnv,
  cacheControl,
  header,
  notInMemory,
  respond,
  respondJson,
  waitedFor,
  wantsFresh,
} from '../middleware/request-context.ts'
import type { InferenceEndpoint } from '../providers/endpoints.ts'
import type { Limits } from '../resilience/deadline.ts'
import type { Answers, CacheWish } from '../services/answers.ts'
import type { RequestBody } from '../services/inference.ts'
import type { NoteKept } from '../services/meter.ts'
import type { Models } from '../services/models.ts'
import { rewriteBody } from '../services/rewrite-body.ts'
import { rewriteForm } from '../services/rewrite-form.ts'
import { refuseStoredState } from '../services/stored-state.ts'
import { type Asked, formBodies, jsonBodies, notOffered, statefulFamilies } from './openai-bodies.ts'
import { parseOr400 } from './parse.ts'

export interface OpenAiRouteOptions {
  answers: Answers
  models: Models
  readJson: ReadJson
  readForm: ReadForm
  /** An answer that was given before costs nothing, and is told of all the same. */
  noteKept: NoteKept
  idempotent: Idempotent
}

/** What is kept at the provider may stand for a field that is missing: that it is, is the caller's real mistake. */
function parseAsked(endpoint: keyof typeof jsonBodies, value: JsonBody['value']): Asked {
  try {
    return parseOr400(jsonBodies[endpoint], value)
  } catch (error) {
    refuseStoredState(value)
    throw error
  }
}

export function openAiRoutes(options: OpenAiRouteOptions) {
  const { answers, models, readJson, readForm, noteKept, idempotent } = options
  const app = new Hono<AppEnv>()

  async function answer(c: AppContext, endpoint: InferenceEndpoint, asked: Asked, body: RequestBody) {
    const request = c.get('request')
    request.log.stream = asked.stream
    const wish = cacheWish(c)
    const principal = principalOf(c)
    const asking = {
      endpoint,
      stream: asked.stream,
      wantsUsage: asked.usage,
      answers: asked.answers,
      body,
      patience: patienceOf(c),
      nested: Number(header(c, 'x-gpuproxy-attempt')) > 1,
      signal: request.signal,
      principal,
      priority: priorityOf(c),
      tokens: expectedTokens(c),
      metered: request,
      allowedModels: principal.limits.key.models,
      log: request.log,
    }
    // An error says it, too.
    request.headers['x-cache'] = 'bypass'
    const answered = await answers.infer(asking, wish)
    if (answered.cache) request.headers['x-cache'] = answered.cache
    if (answered.ageMs !== undefined) request.headers.age = String(Math.floor(answered.ageMs / 1000))
    request.log.provider = answered.provider
    if (answered.ageMs !== undefined) noteKept(request, principal, { endpoint, stream: asked.stream, ...answered })
    const headers = {
      'content-type': answered.contentType,
      'x-gpuproxy-provider': answered.provider,
      'x-gpuproxy-model': headerSafe(answered.model),
      'x-gpuproxy-attempts': String(request.trace.attempts),
      ...(answered.cost !== undefined && { 'x-gpuproxy-cost-usd': formatUsd(answered.cost) }),
    }
    return respond(c, answered.status, headers, answered.body)
  }

  for (const endpoint of Object.keys(jsonBodies) as (keyof typeof jsonBodies)[]) {
    const handle = (c: AppContext, json: JsonBody) => {
      const asked = parseAsked(endpoint, json.value)
      return answer(c, endpoint, asked, {
        value: json.value,
        ambiguous: json.ambiguous,
        bytes: json.bytes.length,
        write: (fields) => ({ bytes: rewriteBody(json, fields), contentType: 'application/json' }),
      })
    }
    app.post(`/${endpoint}`, idempotent.optional(keyedJson(readJson), handle))
  }
  for (const endpoint of Object.keys(formBodies) as (keyof typeof formBodies)[]) {
    const handle = (c: AppContext, form: FormBody) => {
      const asked = parseOr400(formBodies[endpoint], form.fields)
      // Some servers take a file's text for the value of a field.
      refuseStoredState(Object.fromEntries(form.files.map((name) => [name, name])))
      return answer(c, endpoint, asked, {
        value: form.fields,
        ambiguous: false,
        bytes: form.bytes.length,
        write: (fields) => rewriteForm(form, fields as Record<string, string | undefined>),
      })
    }
    app.post(`/${endpoint}`, idempotent.optional(keyedForm(readForm), handle))
  }

  app.get('/models', async (c) => {
    const {
      models: data,
      providers,
      result,
    } = await waitedFor(c, models.list(principalOf(c).accountId, wantsFresh(c)), notInMemory)
    c.get('request').headers['x-cache'] = result
    const allowed = principalOf(c).limits.key.models
    const shown = allowed ? data.filter(({ id }) => allowed.includes(id)) : data
    return respondJson(c, 200, { object: 'list', data: shown, providers })
  })
  app.get('/models/:id{.+}', async (c) => {
    const id = c.req.param('id')
    const { accountId, limits } = principalOf(c)
    if (limits.key.models?.includes(id) === false) throw new ApiError('model_not_allowed')
    const { model, result } = await waitedFor(c, models.find(accountId, id, wantsFresh(c)), notInMemory)
    c.get('request').headers['x-cache'] = result
    return respondJson(c, 200, model)
  })

  const refused = (message: string) => () => {
    throw new ApiError('unsupported_endpoint', { message })
  }
  for (const family of statefulFamilies) {
    const message = `/v1/${family.replace(':id', '{id}')} keeps an account's state at the provider, which this gateway does not offer. GET /docs shows what it does.`
    app.all(`/${family}`, refused(message))
    app.all(`/${family}/*`, refused(message))
  }
  for (const path of notOffered)
    app.all(`/${path}`, refused(`/v1/${path} is not offered by this gateway. GET /docs shows what is.`))
  return app
}

/**
 * `x-gpuproxy-cache: 300`: an answer given before will do, if it is at most so many seconds old, and this one may be kept
 * as long. With `; sampled` also where the temperature is not 0.
 */
function cacheWish(c: AppContext): CacheWish | undefined {
  const name = 'x-gpuproxy-cache'
  const text = header(c, name)
  if (text === undefined) return undefined
  const [, seconds, sampled] = /^\s*(\d{1,6})\s*(?:;\s*(sampled)\s*)?$/.exec(text) ?? []
  if (seconds === undefined) {
    throw new ApiError('invalid_header', {
      message: `${name} must be a number of seconds, as in "300" or "300; sampled".`,
      param: name,
    })
  }
  if (Number(seconds) === 0 || cacheControl(c, 'no-store')) return undefined
  const { accountId } = principalOf(c)
  const maxAgeMs = Number(seconds) * 1000
  return { accountId, maxAgeMs, sampled: sampled !== undefined, read: !cacheControl(c, 'no-cache') }
}

/**
 * The time that the caller gives: our own header for the whole answer, that of the SDKs for its beginning, since they
 * read a stream for as long as it takes. They tell whole seconds, and 0 where they give less than one: that binds nobody.
 */
function patienceOf(c: AppContext): Pick<Limits, 'callerMs' | 'beginMs'> {
  const sdks = header(c, 'x-stainless-timeout') === '0' ? undefined : time(c, 'x-stainless-timeout', 1000)
  return { callerMs: time(c, 'x-request-timeout-ms', 1), beginMs: sdks }
}

/** @throws ApiError where it is no time at all. */
function time(c: AppContext, name: string, unitMs: number): number | undefined {
  const text = header(c, name)
  if (text === undefined) return undefined
  const ms = Number(text) * unitMs
  if (!(ms > 0)) throw new ApiError('invalid_header', { message: `${name} must be a number above 0.`, param: name })
  return ms
}

/** A model's name is the caller's text; a header takes no control characters and nothing beyond Latin-1. */
const headerSafe = (text: string) => text.replace(/[^\x20-\x7e]/g, '?')
