/** Several machines at once, all or none. */
import { Hono } from 'hono'
import * as z from 'zod'
import { principalOf } from '../middleware/authenticate.ts'
import { keyedJson } from '../middleware/idempotency.ts'
import { type AppContext, type AppEnv, respondJson, waitedFor } from '../middleware/request-context.ts'
import { maxReserved, type Reservation, type Reservations } from '../services/reservations.ts'
import { configFields, type InstanceRouteOptions, instanceShape, payerOf, searchFields, specOf } from './instances.ts'
import { parseOr400 } from './parse.ts'
import { withPreference } from './preference-filter.ts'

export type ReservationRouteOptions = Omit<InstanceRouteOptions, 'desk'> & { reservations: Reservations }

export const body = z
  .strictObject({
    count: z.int().min(1).max(maxReserved),
    ...searchFields,
    /** On as many hosts. */
    spread: z.boolean().default(false),
    config: z.strictObject({ ...configFields, image: configFields.image.default('ubuntu:24.04') }),
  })
  .refine((asked) => asked.filters !== undefined || asked.preference !== undefined, {
    message: 'say by filters or preference what to look for',
    path: ['filters'],
  })

export function reservationRoutes({
  reservations,
  instances,
  preferences,
  idempotent,
  readJson,
}: ReservationRouteOptions) {
  const app = new Hono<AppEnv>()
  const answer = (c: AppContext, status: number, { id, status: stands, rentals }: Reservation): Response => {
    if (status !== 200) c.get('request').headers.location = `/api/v1/gpu/reservations/${id}`
    const shown = rentals.filter(({ state }) => state !== 'gone')
    return respondJson(c, status, {
      id,
      status: stands,
      count: rentals.filter(({ replaces }) => replaces === undefined).length,
      instances: shown.map((rental) => instanceShape(instances, rental)),
    })
  }

  app.post(
    '/',
    idempotent.required(keyedJson(readJson), async (c, { value }) => {
      const { count, filters = {}, preference, spread, config } = parseOr400(body, value)
      const filter = await withPreference(preferences, principalOf(c).accountId, preference, filters)
      const order = { id: c.get('request').id, spec: specOf(config, filter), search: { filter, spread } }
      const reservation = await waitedFor(c, reservations.reserve(payerOf(c), order, count))
      return answer(c, reservation.status === 'pending' ? 202 : 201, reservation)
    }),
  )
  app.get('/:id', async (c) => {
    return answer(c, 200, await reservations.show(principalOf(c).accountId, c.req.param('id')))
  })
  return app
}
