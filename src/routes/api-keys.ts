/** An account's API keys. The key itself is told once, when it is made. */
import { Hono } from 'hono'
import * as z from 'zod'
import { scopes } from '../domain/principal.ts'
import { ApiError } from '../errors.ts'
import { principalOf } from '../middleware/authenticate.ts'
import { type ReadJson, valueOrNone } from '../middleware/json-body.ts'
import { type AppContext, type AppEnv, respond, respondJson } from '../middleware/request-context.ts'
import type { ApiKey } from '../ports.ts'
import type { ApiKeys } from '../services/api-keys.ts'
import { keyLimitsOut } from '../services/limit-shapes.ts'
import { duration, keyLimitsBody, keyLimitsIn } from './limits.ts'
import { nothing, parseOr400 } from './parse.ts'
import { nameRule, respondSecret } from './sign-in.ts'

export interface ApiKeyRouteOptions {
  apiKeys: ApiKeys
  readJson: ReadJson
  wallNow: () => number
}

const dayMs = 86_400_000
const longestMs = 3_650 * dayMs

export const rotateBody = z.strictObject({ overlap: duration(0, 30 * dayMs).default(dayMs) })

/** Two of its rules are about now. */
export function createKeyBody(wallNow: () => number) {
  const expiresAt = z.iso
    .datetime({ offset: true, error: 'must be a time as in "2030-01-31T12:00:00Z"' })
    .transform((text) => new Date(text))
    .refine((date) => date.getTime() > wallNow(), 'must be in the future')
    .refine((date) => date.getTime() <= wallNow() + longestMs, 'must be within ten years')
  return z
    .strictObject({
      name: nameRule,
      scopes: z.array(z.enum(scopes)).min(1).max(scopes.length).optional(),
      expires_at: expiresAt.nullish(),
      expires_in: duration(1_000, longestMs).nullish(),
      limits: keyLimitsBody.optional(),
    })
    .refine((body) => !body.expires_at || !body.expires_in, {
      path: ['expires_in'],
      message: 'must be left out where expires_at is given',
    })
}

export function apiKeyRoutes({ apiKeys, readJson, wallNow }: ApiKeyRouteOptions) {
  const app = new Hono<AppEnv>()

  const createBody = createKeyBody(wallNow)

  async function create(c: AppContext) {
    const body = parseOr400(createBody, (await readJson(c)).value)
    const inMs = body.expires_in
    const made = await apiKeys.create(principalOf(c), {
      name: body.name,
      scopes: body.scopes && [...new Set(body.scopes)],
      limits: keyLimitsIn(body.limits ?? {}),
      expiresAt: body.expires_at ?? (inMs == null ? undefined : new Date(wallNow() + inMs)),
    })
    return respondSecret(c, 201, madeOut(made))
  }
  app.post('/apikeys', create)
  app.post('/apikey', create)

  app.get('/apikeys', async (c) => {
    parseOr400(nothing, c.req.query(), 'invalid_query')
    return respondJson(c, 200, { apikeys: (await apiKeys.list(principalOf(c))).map(keyOut) })
  })

  app.delete('/apikeys/:id', async (c) => {
    await apiKeys.revoke(principalOf(c), idOf(c))
    return respond(c, 204, {}, null)
  })

  app.post('/apikeys/:id/rotate', async (c) => {
    const { overlap } = parseOr400(rotateBody, await valueOrNone(c, readJson))
    return respondSecret(c, 201, madeOut(await apiKeys.rotate(principalOf(c), idOf(c), overlap)))
  })
  return app
}

const uuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i

function idOf(c: AppContext): string {
  const id = c.req.param('id') ?? ''
  if (!uuid.test(id)) throw new ApiError('unknown_api_key')
  return id.toLowerCase()
}

const keyOut = (key: ApiKey) => ({
  id: key.id,
  name: key.name,
  prefix: key.prefix,
  scopes: key.scopes,
  limits: keyLimitsOut(key.limits),
  created_at: key.createdAt.toISOString(),
  expires_at: key.expiresAt?.toISOString() ?? null,
  last_used_at: key.lastUsedAt?.toISOString() ?? null,
})

const madeOut = ({ apiKey, ...key }: ApiKey & { apiKey: string }) => ({ api_key: apiKey, ...keyOut(key) })
