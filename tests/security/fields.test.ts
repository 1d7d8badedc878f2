/** Fields that are not a caller's to set: at every route of the platform that takes a body, at every depth of it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../adapters/node/identity.ts'
import type { RouteDoc } from '../../src/reference/route.ts'
import { routes } from '../../src/reference/routes.ts'
import { startTestGateway, type TestGateway, testKey } from '../support/gateway.ts'
import { caller, newPerson } from '../support/people.ts'

let gateway: TestGateway
/** An administrator who has signed in: nothing is refused for want of a right. */
let token: string
let accountId: string

beforeAll(async () => {
  gateway = await startTestGateway({
    env: { TRUSTED_PROXY_HOPS: '1' },
    market: { provisioningMs: 20, loadingMs: 20, paced: false },
  })
  const person = await newPerson(caller(gateway.url))
  token = person.token
  accountId = person.id
  gateway.accounts.table.get(accountId)!.role = 'administrator'
})
afterAll(() => gateway.close())

let sent = 0
async function send({ method, path, access }: RouteDoc, body: string) {
  const response = await fetch(gateway.url + path.replace(/\{\w+\}/, newId()), {
    method,
    headers: {
      // A session is ended by its own token where there is one, whatever the body says.
      ...(access !== 'anyone' && { authorization: `Bearer ${token}` }),
      'content-type': 'application/json',
      // Signing in is counted by address.
      'x-forwarded-for': `10.9.${sent >> 8}.${sent & 255}`,
      'idempotency-key': `fields-${++sent}`,
    },
    body,
  })
  return { status: response.status, text: await response.text() }
}

interface Taking {
  route: RouteDoc
  example: Record<string, unknown>
}
const taking: Taking[] = routes.flatMap((route) =>
  !route.body || route.body.type || 'none' in route.examples ? [] : [{ route, example: route.examples[0].body ?? {} }],
)
const platform = taking.filter(({ route }) => !route.path.startsWith('/v1/') && route.name !== 'explainRoute')
const named = (each: readonly Taking[]) => each.map((one) => [`${one.route.method} ${one.route.path}`, one] as const)

/** The body with the fields in each of its objects in turn. What maps names of the caller's own is no object here. */
function* withFields(body: unknown, fields: object): Generator<unknown> {
  if (Array.isArray(body)) {
    for (const [i, item] of body.entries()) for (const one of withFields(item, fields)) yield body.with(i, one)
  } else if (typeof body === 'object' && body !== null) {
    yield { ...body, ...fields }
    for (const [name, value] of Object.entries(body)) {
      for (const one of withFields(value, fields)) yield { ...body, [name]: one }
    }
  }
}

const notTheirs: Record<string, unknown> = {
  ...{ account_id: newId(), accountId: newId(), user_id: newId(), owner: 'me', is_admin: true, admin: true },
  ...{ role: 'administrator', credits: '1000000', balance: '1000000', available: 1_000_000, cost: '0' },
  ...{ created_at: '2020-01-01T00:00:00Z', updated_at: '2020-01-01T00:00:00Z', revoked_at: null, sandbox: true },
  ...{ key_id: newId(), keyId: newId(), id: newId(), status: 'running', price_per_hour: 0.0001, purseId: newId() },
}
/** Where a name is one of the route's own. */
const ofTheRoute: Record<string, readonly string[]> = { changeAccount: ['role'] }

test('every route that takes JSON has a body to begin with', () => {
  expect(platform.length).toBeGreaterThan(20)
})

describe('what is not a caller’s to set is a 400 that names it:', () => {
  test.each(named(platform))('%s', async (_name, { route, example }) => {
    const before = JSON.stringify(gateway.accounts.table.get(accountId))
    let asked = 0
    for (const [field, value] of Object.entries(notTheirs)) {
      if (ofTheRoute[route.name]?.includes(field)) continue
      for (const body of withFields(example, { [field]: value })) {
        const { status, text } = await send(route, JSON.stringify(body))
        expect([field, status, text.includes(field)], text).toEqual([field, 400, true])
        asked++
      }
    }
    expect(asked).toBeGreaterThan(15)
    expect(JSON.stringify(gateway.accounts.table.get(accountId))).toBe(before)
  })
})

describe('names that every object has change nothing in the program:', () => {
  const poisons = [
    '"__proto__":{"polluted":"yes","isAdmin":true,"role":"administrator"}',
    '"constructor":{"prototype":{"polluted":"yes"}}',
    '"prototype":{"polluted":"yes"}',
    '"toString":null,"hasOwnProperty":null,"valueOf":null',
    '"__proto__":null',
    '"__proto__":[]',
    '"__defineGetter__":"x","__lookupSetter__":"x"',
  ]
  const propertiesOf = (object: object) => Reflect.ownKeys(object).map(String).sort()
  const clean = [Object.prototype, Array.prototype, Function.prototype].map(propertiesOf)

  /** Into the text of each object of the body in turn: JSON.stringify would leave `__proto__` out. */
  function* poisoned(body: object, poison: string): Generator<string> {
    for (const one of withFields(body, { canary: 1 })) {
      yield JSON.stringify(one).replace('"canary":1', poison)
      yield JSON.stringify(one).replace('"canary":1', `"x":[[{${poison}}]]`)
    }
  }

  test.each(named(taking))('%s', async (_name, { route, example }) => {
    for (const poison of poisons) {
      for (const text of poisoned(example, poison)) {
        const { status } = await send(route, text)
        expect(status, text).toBeLessThan(500)
        // Nothing of a platform body is taken for what it does not say.
        if (!route.path.startsWith('/v1/') && route.name !== 'explainRoute') expect(status, text).toBe(400)
      }
    }
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
    expect([Object.prototype, Array.prototype, Function.prototype].map(propertiesOf)).toEqual(clean)
  })

  test('in a query', async () => {
    for (const query of [
      '__proto__[polluted]=yes',
      '__proto__.polluted=yes',
      'constructor[prototype][polluted]=yes',
      '__proto__=yes',
      'gpu_model=a&gpu_model[__proto__][polluted]=yes',
      'toString=1',
    ]) {
      for (const path of ['gpu/offers', 'gpu/prices', 'gpu/instances', 'billing/transactions', 'billing/usage']) {
        const { status } = await gateway.get(`/api/v1/${path}?${query}`)
        expect([path, query, status]).toEqual([path, query, 400])
      }
    }
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  test('a model, a target and a breaker of such a name are names like others', async () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      const chat = await gateway.post('/v1/chat/completions', {
        model: name,
        messages: [{ role: 'user', content: 'hi' }],
      })
      expect([name, chat.status]).toEqual([name, 200])
      await chat.text()
      expect((await gateway.get(`/v1/models/${name}`)).status).toBe(404)
      expect((await gateway.get(`/docs/${name}`)).status).toBe(404)
      expect((await gateway.get(`/console/assets/${name}`)).status).toBe(404)
      const forced = await gateway.get(`/api/v1/admin/breakers/${name}`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: '{"state":"open"}',
      })
      expect([name, forced.status]).toEqual([name, 404])
    }
    const again = await gateway.post('/v1/chat/completions', {
      model: 'm',
      messages: [{ role: 'user', content: 'hi' }],
    })
    expect(again.status).toBe(200)
    expect(await again.text()).not.toContain(testKey)
  })
})
