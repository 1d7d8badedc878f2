/** Machines that an account rents. */
import { Hono } from 'hono'
import * as z from 'zod'
import { usd } from '../domain/money.ts'
import { defaultDiskGb, type OfferFilter } from '../domain/offer.ts'
import { isShown, type Rental, shownStatus } from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import { principalOf } from '../middleware/authenticate.ts'
import { type Idempotent, keyedJson } from '../middleware/idempotency.ts'
import { type ReadJson, valueOrNone } from '../middleware/json-body.ts'
import { type AppContext, type AppEnv, respond, respondJson, waitedFor } from '../middleware/request-context.ts'
import type { Instances } from '../services/instances.ts'
import type { SavedPreferences } from '../services/preferences.ts'
import type { Payer, RentalDesk } from '../services/rental-desk.ts'
import { dollars, filters } from './offer-filters.ts'
import { count, nothing, parseOr400 } from './parse.ts'
import { preferenceName, withPreference } from './preference-filter.ts'

export interface InstanceRouteOptions {
  instances: Instances
  desk: RentalDesk
  preferences: Pick<SavedPreferences, 'find'>
  idempotent: Idempotent
  readJson: ReadJson
}

/** The database keeps it as JSON, which holds neither a NUL nor half of a character. */
const text = (most: number) =>
  z
    .string()
    .max(most)
    .refine((value) => value.isWellFormed() && !value.includes('\0'), 'must be text without NUL characters')

export const configFields = {
  image: z
    .string()
    .max(512)
    .regex(/^[\w][\w.\-/:@]*$/, 'must be the name of a container image'),
  disk_gb: z.number().min(8).max(10_000).optional(),
  env: z.record(z.string().regex(/^[A-Za-z_]\w{0,127}$/, 'must be names of variables'), text(8_192)).default({}),
  ports: z.array(z.int().min(1).max(65_535)).max(16).default([]),
  args: z.array(text(4_096)).max(256).default([]),
  onstart: text(4_048).optional(),
  label: text(200).optional(),
  max_price: dollars.optional(),
  max_hours: z.number().positive().max(8_760).optional(),
  bid: dollars.optional(),
  replace: z.boolean().default(false),
}
/** What to look for; a preference by its name. */
export const searchFields = { filters: filters.optional(), preference: preferenceName.optional() }
export const body = z
  .strictObject({ offer_id: z.string().min(1).max(100).optional(), ...searchFields, ...configFields })
  .refine(
    (asked) => (asked.offer_id === undefined) !== (asked.filters === undefined && asked.preference === undefined),
    {
      message: 'name an offer by offer_id, or say by filters or preference what to look for; one of them',
      path: ['offer_id'],
    },
  )
export const page = z.strictObject({
  limit: count(100, 50),
  cursor: z.uuid().optional(),
})

export function instanceRoutes({ instances, desk, preferences, idempotent, readJson }: InstanceRouteOptions) {
  const app = new Hono<AppEnv>()
  const shape = (rental: Rental) => instanceShape(instances, rental)
  const answer = (c: AppContext, status: number, rental: Rental): Response => {
    if (status !== 200) c.get('request').headers.location = `/api/v1/gpu/instances/${rental.id}`
    return respondJson(c, status, shape(rental))
  }

  app.post(
    '/',
    idempotent.required(keyedJson(readJson), async (c, { value }) => {
      const asked = parseOr400(body, value)
      const { accountId } = principalOf(c)
      const filter = await withPreference(preferences, accountId, asked.preference, asked.filters ?? {})
      const what = { spec: specOf(asked, filter), search: { filter, spread: false }, offerId: asked.offer_id }
      const order = { id: c.get('request').id, ...what }
      const rental = await waitedFor(c, desk.rent(payerOf(c), order))
      return answer(c, rental.state === 'unknown' || rental.state === 'creating' ? 202 : 201, rental)
    }),
  )
  app.get('/', async (c) => {
    const { limit, cursor } = parseOr400(page, c.req.query(), 'invalid_query')
    const found = await instances.list(principalOf(c).accountId, { limit: limit + 1, before: cursor })
    const shown = found.slice(0, limit)
    return respondJson(c, 200, {
      instances: shown.filter(isShown).map(shape),
      ...(found.length > limit && { next_cursor: shown.at(-1)!.id }),
    })
  })
  app.get('/:id', async (c) => {
    return answer(c, 200, await instances.find(principalOf(c).accountId, c.req.param('id')))
  })
  app.delete('/:id', async (c) => {
    return answer(c, 202, await instances.end(principalOf(c).accountId, c.req.param('id')))
  })
  app.get('/:id/logs', async (c) => {
    parseOr400(nothing, c.req.query(), 'invalid_query')
    const logs = await waitedFor(c, instances.logs(principalOf(c).accountId, c.req.param('id'), c.req.raw.signal))
    return respond(c, 200, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' }, logs)
  })
  for (const action of ['start', 'stop'] as const) {
    app.post(`/:id/${action}`, async (c) => {
      parseOr400(nothing, await valueOrNone(c, readJson))
      const { accountId } = principalOf(c)
      const asked = instances.setRunning(accountId, c.req.param('id'), action === 'start', c.req.raw.signal)
      return answer(c, 202, await waitedFor(c, asked))
    })
  }
  return app
}

const configShape = z.strictObject(configFields)
/** What the configuration says of the disk goes before what was searched for. */
export const specOf = (asked: z.output<typeof configShape>, filter: OfferFilter) => ({
  image: asked.image,
  diskGb: asked.disk_gb ?? filter.diskGb ?? defaultDiskGb,
  env: asked.env,
  ports: asked.ports,
  args: asked.args,
  onstart: asked.onstart,
  label: asked.label,
  maxPrice: asked.max_price,
  maxHours: asked.max_hours,
  bid: asked.bid,
  replace: asked.replace,
})

/** The key's own purse where it has a budget; else the account's. */
export function payerOf(c: AppContext): Payer {
  const { accountId, keyId, limits } = principalOf(c)
  const { budgetPerDay: perDay, budgetPerMonth: perMonth } = limits.key
  const budgets = perDay === undefined && perMonth === undefined ? undefined : { keyId, perDay, perMonth }
  return { accountId, keyId, purseId: budgets ? keyId : accountId, budgets }
}

export const instanceShape = (instances: Pick<Instances, 'costOf'>, rental: Rental) =>
  instanceJson(rental, usd(instances.costOf(rental)))

function instanceJson(rental: Rental, costSoFar: number) {
  const { id, offer, spec, state, reason, createdAt, startedAt, endedAt, endpoints } = rental
  const status = shownStatus[state]
  if (status === undefined) throw new ApiError('instance_not_found')
  const [first] = endpoints
  return {
    id,
    provider: offer.market,
    offer_id: offer.id,
    status,
    ...(reason !== undefined && { reason }),
    gpu_model: offer.gpuModel,
    gpu_count: offer.gpuCount,
    location: offer.location,
    image: spec.image,
    ...(spec.label !== undefined && { label: spec.label }),
    price_per_hour: usd(offer.pricePerHour),
    cost_so_far: costSoFar,
    created_at: createdAt.toISOString(),
    ...(startedAt && { started_at: startedAt.toISOString() }),
    ...(endedAt && { ended_at: endedAt.toISOString() }),
    ...(first && { address: first.origin }),
    ...(endpoints.length > 0 && { endpoints: endpoints.map(({ port, origin }) => ({ port: port ?? null, origin })) }),
    ...(rental.replaces !== undefined && { replaces: rental.replaces }),
    ...(rental.replacedBy !== undefined && { replaced_by: rental.replacedBy }),
    ...(rental.reservationId !== undefined && { reservation_id: rental.reservationId }),
    ...(rental.deploymentId !== undefined && { deployment_id: rental.deploymentId }),
    ...(offer.sandbox && { sandbox: true }),
  }
}
