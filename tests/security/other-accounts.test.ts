/** Nothing of one account is there for another, at any route that takes an id: the table of routes is walked whole. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../adapters/node/identity.ts'
import type { RouteDoc } from '../../src/reference/route.ts'
import { routes } from '../../src/reference/routes.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { caller, newKey, newPerson } from '../support/people.ts'

let gateway: TestGateway
let owner: string
let stranger: string
/** Of what the owner has, by the path of it; and one that nobody has. */
let theirs: Record<string, { own: string; missing: string }>

beforeAll(async () => {
  gateway = await startTestGateway({
    env: { TRUSTED_PROXY_HOPS: '1' },
    market: { provisioningMs: 20, loadingMs: 20, paced: false },
  })
  const call = caller(gateway.url)
  owner = (await newPerson(call)).token
  stranger = (await newPerson(call)).token
  const make = async (path: string, body: object) => {
    const answer = await ask(owner, 'POST', path, body)
    expect(answer.status, answer.text).toBeLessThan(300)
    return answer
  }
  const search = { gpu_model: 'RTX 4090', provider: 'vastai', max_price: 5 }
  const of = (answer: { text: string }) => ({ own: (JSON.parse(answer.text) as { id: string }).id, missing: newId() })
  const deployment = { model: 'llama-3.1-8b', name: 'mine', ...search }
  const chat = await make('/v1/chat/completions', { model: 'm', messages: [{ role: 'user', content: 'hi' }] })
  const saved = await ask(owner, 'PUT', '/api/v1/gpu/preferences/cards', { models: ['RTX 4090'] })
  expect(saved.status).toBe(201)
  theirs = {
    '/api/v1/gpu/preferences/{name}': { own: 'cards', missing: 'sdrac' },
    '/api/v1/gpu/instances/{id}': of(await make('/api/v1/gpu/instances', { filters: search, image: 'ubuntu:24.04' })),
    '/api/v1/gpu/reservations/{id}': of(
      await make('/api/v1/gpu/reservations', { count: 1, filters: search, config: {} }),
    ),
    '/api/v1/gpu/deployments/{id}': of(await make('/api/v1/gpu/deployments', deployment)),
    '/api/v1/auth/apikeys/{id}': { own: (await newKey(call, owner)).id, missing: newId() },
    '/api/v1/billing/payments/{id}': of(
      await make('/api/v1/billing/payments', { amount: '25.00', currency: 'USD', payment_method: 'pm_card_visa' }),
    ),
    '/api/v1/receipts/{id}': { own: chat.headers.get('x-request-id')!, missing: newId() },
  }
})
afterAll(() => gateway.close())

let keys = 0
async function ask(token: string, method: string, path: string, body?: object) {
  const response = await fetch(gateway.url + path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body && { 'content-type': 'application/json' }),
      ...(method === 'POST' && !path.startsWith('/v1/') && { 'idempotency-key': `other-${++keys}` }),
    },
    ...(body && { body: JSON.stringify(body) }),
  })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

/** For anyone, and what has a name in each account. */
const notOwned = ['GET /v1/models/{id}', 'GET /docs/{file}', 'PUT /api/v1/gpu/preferences/{name}']
const bodies: Record<string, object> = { scaleDeployment: { replicas: 2 }, rotateApiKey: {} }
const nameOf = ({ method, path }: RouteDoc) => `${method} ${path}`
const withId = routes.filter((route) => route.path.includes('{') && !notOwned.includes(nameOf(route)))
const administrators = withId.filter(({ access }) => access === 'admin')
const accounts = withId.filter(({ access }) => access !== 'admin')
const prefixOf = (path: string) => path.slice(0, path.indexOf('}') + 1)

test('each route with an id is about something that the owner has', () => {
  expect([...new Set(accounts.map(({ path }) => prefixOf(path)))].sort()).toEqual(Object.keys(theirs).sort())
})

describe('another account’s id is answered as one that does not exist:', () => {
  test.each(accounts.map((route) => [nameOf(route), route] as const))('%s', async (_name, route) => {
    const { own, missing } = theirs[prefixOf(route.path)]!
    const answers = []
    for (const id of [own, missing]) {
      const path = route.path.replace(/\{\w+\}/, id).replace('{path}', 'echo')
      const { status, headers, text } = await ask(stranger, route.method, path, bodies[route.name])
      const requestId = headers.get('x-request-id')!
      answers.push({
        status,
        names: [...headers.keys()].sort(),
        text: text.replaceAll(requestId, 'REQUEST').replaceAll(id, 'ID'),
      })
    }
    expect(answers[0]).toEqual(answers[1])
    expect(answers[0]!.status).toBe(404)
  })

  test.each(administrators.map((route) => [nameOf(route), route] as const))(
    '%s is for administrators',
    async (_name, route) => {
      const { status, text } = await ask(
        stranger,
        route.method,
        route.path.replace(/\{\w+\}/, newId()),
        route.body && {},
      )
      expect([status, JSON.parse(text).code]).toEqual([403, 'administrator_only'])
    },
  )
})

test('after that the owner has all of it still', async () => {
  for (const [path, { own }] of Object.entries(theirs)) {
    const reading = accounts.find((route) => route.method === 'GET' && route.path === path)
    if (reading) expect([path, (await ask(owner, 'GET', path.replace(/\{\w+\}/, own))).status]).toEqual([path, 200])
  }
  const { text } = await ask(owner, 'GET', '/api/v1/auth/apikeys')
  expect(JSON.parse(text).apikeys.map(({ id }: { id: string }) => id)).toEqual([
    theirs['/api/v1/auth/apikeys/{id}']!.own,
  ])
})

test('lists and sums of another account hold nothing of the owner’s', async () => {
  const lists = routes.filter(
    (route) => route.method === 'GET' && !route.path.includes('{') && route.access !== 'admin',
  )
  const secret = Object.values(theirs)
    .map(({ own }) => own)
    .filter((own) => own !== 'cards')
  const told = new Set<string>()
  for (const { path } of lists) {
    const [others, own] = [await ask(stranger, 'GET', path), await ask(owner, 'GET', path)]
    for (const id of secret) {
      expect(others.text.includes(id), `${path} tells of ${id}`).toBe(false)
      if (own.text.includes(id)) told.add(id)
    }
  }
  // To the owner they tell of each, or this would show nothing.
  expect([...told].sort()).toEqual(secret.sort())
})
