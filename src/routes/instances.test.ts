import { Hono } from 'hono'
import { beforeAll, expect, it } from 'vitest'
import { rentalWorld, vastOffers } from '../../tests/support/rental-world.ts'
import type { RentalOffer } from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import type { Idempotent } from '../middleware/idempotency.ts'
import type { ReadJson } from '../middleware/json-body.ts'
import type { AppEnv } from '../middleware/request-context.ts'
import { instanceRoutes } from './instances.ts'

let offers: RentalOffer[]
beforeAll(async () => {
  offers = await vastOffers()
})

/** The routes behind a caller who is known; keys of idempotency are the middleware's own tests'. */
function world() {
  const parts = rentalWorld('vastai', offers)
  const { desk, instances, pass } = parts
  const idempotent = {
    required: (body, handle) => async (c) => handle(c, await body.read(c)),
  } as Pick<Idempotent, 'required'> as Idempotent
  const preferences = { find: () => Promise.reject(new ApiError('preference_not_found')) }
  const readJson = (async (c) => ({ value: await c.req.json() })) as ReadJson
  const app = new Hono<AppEnv>()
  app.use((c, next) => {
    const headers: Record<string, string> = {}
    const respond = (status: number, own: Record<string, string>, body: BodyInit) =>
      new Response(body, { status, headers: { ...headers, ...own } })
    const principal = { accountId: 'account', keyId: 'key', limits: { key: {}, account: {} } }
    c.set('request', { headers, respond, principal, trace: { waitedMs: 0 }, elapsedMs: () => 0 } as never)
    return next()
  })
  app.onError((error) =>
    Response.json({ code: error instanceof ApiError ? error.code : String(error) }, { status: 418 }),
  )
  app.route('/', instanceRoutes({ instances, desk, preferences, idempotent, readJson }))
  async function call(method: string, path: string, body?: object) {
    const answer = await pass(
      Promise.resolve(app.request(path, { method, ...(body && { body: JSON.stringify(body) }) })),
    )
    return { status: answer.status, headers: answer.headers, json: await answer.json() }
  }
  return { ...parts, call }
}

it('rents what is named, shows it, and ends it', async () => {
  const { call, watched } = world()
  const [offer] = offers
  const made = await call('POST', '/', { offer_id: offer!.id, image: 'a/b:1', ports: [8000], env: { SECRET: 'x' } })
  const { id } = made.json
  expect(made.status).toBe(201)
  expect(made.headers.get('location')).toBe(`/api/v1/gpu/instances/${id}`)
  expect(made.json).toMatchObject({ provider: 'vastai', offer_id: offer!.id, status: 'starting', cost_so_far: 0 })
  expect(JSON.stringify(made.json)).not.toContain('SECRET')
  await watched(10_000)
  const shown = await call('GET', `/${id}`)
  expect(shown.json).toMatchObject({ id, status: 'running', address: expect.stringMatching(/^http:/) })
  expect(shown.json.cost_so_far).toBeGreaterThan(0)
  expect((await call('GET', '/')).json.instances).toMatchObject([{ id }])
  expect((await call('DELETE', `/${id}`)).status).toBe(202)
  await watched(60_000)
  expect((await call('GET', `/${id}`)).json).toEqual({ code: 'instance_not_found' })
  expect((await call('GET', '/')).json).toEqual({ instances: [] })
})

it('answers 202 and where to look while nobody knows', async () => {
  const { call, market } = world()
  market.setFaults([{ kind: 'swallow_reply', match: { method: 'PUT' } }])
  const made = await call('POST', '/', { filters: {}, image: 'a' })
  expect(made).toMatchObject({ status: 202, json: { status: 'unknown' } })
})

it.each<[string, object]>([
  ['an unknown field', { offer_id: 'vastai:1', image: 'a', colour: 'red' }],
  ['neither an offer nor filters', { image: 'a' }],
  ['both', { offer_id: 'vastai:1', filters: {}, image: 'a' }],
  ['no image', { offer_id: 'vastai:1' }],
  ['a small disk', { offer_id: 'vastai:1', image: 'a', disk_gb: 1 }],
])('refuses %s', async (_, body) => {
  const { call, market } = world()
  expect((await call('POST', '/', body)).json).toEqual({ code: 'invalid_body' })
  expect(market.calls()).toBe(0)
})
