/** Models that an account serves on rented machines. */
import { Hono } from 'hono'
import * as z from 'zod'
import { readyCount, statusOf } from '../domain/deployment.ts'
import { usd } from '../domain/money.ts'
import { shownStatus } from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import { principalOf } from '../middleware/authenticate.ts'
import { type Idempotent, keyedJson } from '../middleware/idempotency.ts'
import type { ReadJson } from '../middleware/json-body.ts'
import { type AppContext, type AppEnv, respondJson } from '../middleware/request-context.ts'
import type { DeploymentDesk, ShownDeployment } from '../services/deployments.ts'
import type { Instances } from '../services/instances.ts'
import type { SavedPreferences } from '../services/preferences.ts'
import { payerOf } from './instances.ts'
import { dollars, filterFields, filterOf } from './offer-filters.ts'
import { count, parseOr400 } from './parse.ts'
import { preferenceName, withPreference } from './preference-filter.ts'
import { printable } from './sign-in.ts'

export interface DeploymentRouteOptions {
  deployments: DeploymentDesk
  instances: Pick<Instances, 'costOf'>
  preferences: Pick<SavedPreferences, 'find'>
  idempotent: Idempotent
  readJson: ReadJson
}

const modelName = printable(z.string().min(1).max(200))
const replicas = z.int().min(1).max(16)
export const body = z.strictObject({
  model: modelName,
  name: z
    .string()
    .regex(/^[A-Za-z0-9][\w.\-/:]{0,199}$/, 'must be 1 to 200 letters, digits and ._-/:')
    .optional(),
  ...filterFields,
  max_price: dollars.optional(),
  preference: preferenceName.optional(),
  replicas: replicas.default(1),
  max_hours: z.number().positive().max(8_760).optional(),
  fallbacks: z.array(modelName).max(8).default([]),
  hugging_face_token: printable(z.string().min(1).max(200)).optional(),
})
export const change = z.strictObject({ replicas })
export const page = z.strictObject({
  limit: count(50, 20),
  cursor: z.uuid().optional(),
})

export function deploymentRoutes({
  deployments,
  instances,
  preferences,
  idempotent,
  readJson,
}: DeploymentRouteOptions) {
  const app = new Hono<AppEnv>()
  const shape = (shown: ShownDeployment) => deploymentJson(shown, instances)
  const answer = (c: AppContext, status: number, shown: ShownDeployment): Response => {
    if (status === 202) c.get('request').headers.location = `/api/v1/gpu/deployments/${shown.deployment.id}`
    return respondJson(c, status, shape(shown))
  }

  app.post(
    '/',
    idempotent.required(keyedJson(readJson), async (c, { value }) => {
      const asked = parseOr400(body, value)
      const filter = await withPreference(preferences, principalOf(c).accountId, asked.preference, filterOf(asked))
      const { maxPriceMicroUsd: maxPrice } = filter
      if (maxPrice === undefined) {
        const message = 'max_price: say what one machine may cost an hour, here or in the preference.'
        throw new ApiError('invalid_body', { message, param: 'max_price' })
      }
      const order = {
        id: c.get('request').id,
        model: asked.model,
        name: asked.name,
        filter,
        replicas: asked.replicas,
        maxPrice,
        maxHours: asked.max_hours,
        fallbacks: asked.fallbacks,
        huggingFaceToken: asked.hugging_face_token,
      }
      return answer(c, 202, await deployments.create(payerOf(c), order))
    }),
  )
  app.get('/', async (c) => {
    const { limit, cursor } = parseOr400(page, c.req.query(), 'invalid_query')
    const found = await deployments.list(principalOf(c).accountId, { limit: limit + 1, before: cursor })
    const shown = found.slice(0, limit)
    return respondJson(c, 200, {
      deployments: shown.map(shape),
      ...(found.length > limit && { next_cursor: shown.at(-1)!.deployment.id }),
    })
  })
  app.get('/:id', async (c) => {
    return answer(c, 200, await deployments.find(principalOf(c).accountId, c.req.param('id')))
  })
  app.patch('/:id', async (c) => {
    const { replicas: wanted } = parseOr400(change, (await readJson(c)).value)
    return answer(c, 200, await deployments.scale(principalOf(c).accountId, c.req.param('id'), wanted))
  })
  app.delete('/:id', async (c) => {
    return answer(c, 202, await deployments.end(principalOf(c).accountId, c.req.param('id')))
  })
  return app
}

function deploymentJson({ deployment, rentals }: ShownDeployment, { costOf }: Pick<Instances, 'costOf'>) {
  const { id, name, model, replicas, maxPrice, maxHours, fallbacks, members, reason, spent, createdAt } = deployment
  const status = statusOf(deployment)
  const rentalOf = new Map(rentals.map((rental) => [rental.id, rental]))
  const instances = members.flatMap(({ rentalId, state }) => {
    const rental = rentalOf.get(rentalId)
    if (!rental) return []
    const { offer } = rental
    return [
      {
        id: rentalId,
        state,
        status: shownStatus[rental.state] ?? 'stopping',
        provider: offer.market,
        gpu_model: offer.gpuModel,
        gpu_count: offer.gpuCount,
        price_per_hour: usd(offer.pricePerHour),
        cost_so_far: usd(costOf(rental)),
      },
    ]
  })
  return {
    id,
    name,
    model,
    status,
    // What failed before stays in mind for a while after all answer.
    ...(status !== 'ready' && reason !== undefined && { reason }),
    replicas,
    ready_replicas: readyCount(deployment),
    max_price: usd(maxPrice),
    ...(maxHours !== undefined && { max_hours: maxHours }),
    fallbacks,
    instances,
    cost_so_far: usd(spent + rentals.reduce((sum, rental) => sum + costOf(rental), 0)),
    created_at: createdAt.toISOString(),
  }
}
