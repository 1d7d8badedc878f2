/** OpenAI's own API: what its SDKs send is what this takes. */
import { Hono } from 'hono'
import * as z from 'zod'
import { ApiError } from '../errors.ts'
import type { ReadJson } from '../middleware/json-body.ts'
import { type AppContext, type AppEnv, header, respond, respondJson } from '../middleware/request-context.ts'
import type { InferenceEndpoint } from '../providers/openai.ts'
import type { Inference } from '../services/inference.ts'
import type { Models } from '../services/models.ts'
import { parseOr400 } from './parse.ts'

export interface OpenAiRouteOptions {
  inference: Inference
  models: Models
  readJson: ReadJson
}

const common = {
  model: z.string().min(1).max(256),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
}
/** Only what the gateway itself needs; everything else is the provider's to judge. */
const bodies = {
  'chat/completions': z.looseObject({ ...common, messages: z.array(z.looseObject({ role: z.string() })).min(1) }),
  completions: z.looseObject({ ...common, prompt: z.union([z.string(), z.array(z.unknown())]) }),
  embeddings: z.looseObject({
    model: common.model,
    stream: z.undefined().optional(),
    stream_options: z.undefined().optional(),
    input: z.union([z.string(), z.array(z.unknown()).min(1)]),
  }),
} satisfies Record<InferenceEndpoint, z.ZodType>

/** Families that keep an account's state at the provider, where all accounts share one credential. */
const stateful = [
  'assistants',
  'batches',
  'containers',
  'conversations',
  'files',
  'fine_tuning',
  'threads',
  'uploads',
  'vector_stores',
]

export function openAiRoutes({ inference, models, readJson }: OpenAiRouteOptions) {
  const app = new Hono<AppEnv>()
  for (const endpoint of Object.keys(bodies) as InferenceEndpoint[]) {
    app.post(`/${endpoint}`, async (c) => {
      const body = await readJson(c)
      const { model, stream, stream_options } = parseOr400(bodies[endpoint], body.value)
      const request = c.get('request')
      Object.assign(request.log, { model, stream: stream === true })
      const answer = await inference.infer({
        endpoint,
        model,
        stream: stream === true,
        wantsUsage: stream_options?.include_usage === true,
        body,
        timeoutMs: callerTimeoutMs(c),
        signal: c.req.raw.signal,
        trace: request.trace,
      })
      request.log.provider = answer.provider
      const headers = {
        'content-type': answer.contentType,
        'x-gpuproxy-provider': answer.provider,
        'x-gpuproxy-model': headerSafe(answer.model),
        'x-gpuproxy-attempts': String(request.trace.attempts),
      }
      return respond(c, answer.status, headers, answer.body)
    })
  }

  app.get('/models', async (c) => {
    const { models: data, providers, result } = await models.list()
    c.get('request').headers['x-cache'] = result
    return respondJson(c, 200, { object: 'list', data, providers })
  })
  app.get('/models/:id{.+}', async (c) => {
    const { model, result } = await models.find(c.req.param('id'))
    c.get('request').headers['x-cache'] = result
    return respondJson(c, 200, model)
  })

  for (const family of stateful) {
    for (const path of [`/${family}`, `/${family}/*`]) {
      app.all(path, () => {
        throw new ApiError('unsupported_endpoint', {
          message: `/v1/${family} keeps an account's state at the provider, which this gateway does not offer.`,
        })
      })
    }
  }
  return app
}

/** The shortest time that the caller's headers ask for: ours in ms, the SDKs' in seconds. */
function callerTimeoutMs(c: AppContext): number | undefined {
  const asked = [
    ['x-request-timeout-ms', 1],
    ['x-stainless-timeout', 1000],
  ] as const
  let shortest: number | undefined
  for (const [name, unitMs] of asked) {
    const text = header(c, name)
    if (text === undefined) continue
    const ms = Number(text) * unitMs
    if (!(ms > 0)) throw new ApiError('invalid_header', { message: `${name} must be a number above 0.`, param: name })
    shortest = Math.min(shortest ?? Infinity, ms)
  }
  return shortest
}

/** A model's name is the caller's text; a header takes no control characters and nothing beyond Latin-1. */
const headerSafe = (text: string) => text.replace(/[^\x20-\x7e]/g, '?')
