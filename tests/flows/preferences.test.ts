/** What an account prefers: saved, tried out, searched and rented by, and nobody else's. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startTestGateway, type TestGateway, testAccountId } from '../support/gateway.ts'

const otherKey = 'ak_live_testtesttesttesttesttest0002'
let gateway: TestGateway
beforeEach(async () => {
  gateway = await startTestGateway({ market: { provisioningMs: 20, loadingMs: 20, paced: false } })
  gateway.accounts.add(otherKey, {
    accountId: '00000000-0000-7000-8000-00000000000b',
    keyId: '00000000-0000-7000-8000-00000000001b',
    role: 'user',
    scopes: ['gpu'],
    limits: { key: {}, account: {} },
  })
})
afterEach(() => gateway.close())

let keys = 0
async function ask(method: string, path: string, body?: object, key?: string) {
  const headers = {
    ...(key && { authorization: `Bearer ${key}` }),
    ...(body && { 'content-type': 'application/json' }),
    ...(method === 'POST' && { 'idempotency-key': `preference-${++keys}` }),
  }
  const answer = await gateway.get(`/api/v1/gpu/${path}`, {
    method,
    headers,
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  return { status: answer.status, json: text ? JSON.parse(text) : undefined }
}
const cards = { models: ['no such card', 'RTX 4090', 'RTX 5090'], filters: { provider: 'Vast.ai', gpu_count: 1 } }

test('is saved, shown, listed, replaced and deleted', async () => {
  const saved = await ask('PUT', 'preferences/cards', { ...cards, max_price: 0.8, fallback_price_percent: 20 })
  expect(saved).toMatchObject({
    status: 201,
    json: {
      ...{ name: 'cards', models: cards.models, filters: { provider: 'vastai', gpu_count: 1 } },
      ...{ max_price: 0.8, fallback_price_percent: 20 },
    },
  })
  expect(await ask('GET', 'preferences/cards')).toEqual({ status: 200, json: saved.json })
  expect((await ask('GET', 'preferences')).json).toEqual({ preferences: [saved.json] })
  expect(await ask('PUT', 'preferences/cards', { name: 'cards', models: ['H100'] })).toMatchObject({
    status: 200,
    json: { models: ['H100'], filters: {} },
  })
  expect((await ask('DELETE', 'preferences/cards')).status).toBe(204)
  for (const method of ['GET', 'DELETE']) {
    expect(await ask(method, 'preferences/cards')).toMatchObject({
      status: 404,
      json: { code: 'preference_not_found' },
    })
  }
})

test('what it finds is for no cache that others share, however its name is spelt', async () => {
  await ask('PUT', 'preferences/cards', cards)
  const forCaches = async (query: string) =>
    (await gateway.get(`/api/v1/gpu/offers?${query}`)).headers.get('cdn-cache-control')
  expect(await forCaches('limit=5')).toContain('public')
  for (const name of ['preference', '%70reference', 'p%72eference']) expect(await forCaches(`${name}=cards`)).toBe(null)
})

test.each([
  [{ models: [] }, 'models'],
  [{ models: ['H100'], prefers: 1 }, 'prefers'],
  [{ models: ['H100'], filters: { gpu_model: 'H100' } }, 'filters.gpu_model'],
  [{ models: ['H100'], filters: { min_vram: '24' } }, 'filters.min_vram'],
  [{ models: ['H100'], fallback_price_percent: -1 }, 'fallback_price_percent'],
  [{ models: ['H100'], name: 'another' }, 'name'],
  [{}, 'models'],
])('%o is a 400 that names the field', async (body, param) => {
  expect(await ask('PUT', 'preferences/cards', body)).toMatchObject({ status: 400, json: { param } })
})

test('a name that is none is refused, and so are more than fifty', async () => {
  expect((await ask('PUT', 'preferences/a%20b', cards)).status).toBe(400)
  for (let n = 0; n < 50; n++) expect((await ask('PUT', `preferences/n${n}`, cards)).status).toBe(201)
  expect(await ask('PUT', 'preferences/more', cards)).toMatchObject({
    status: 409,
    json: { code: 'too_many_preferences' },
  })
})

test("another account reaches none of it by any route, and its own of the same name is another's", async () => {
  await ask('PUT', 'preferences/cards', cards)
  const search = { image: 'a', preference: 'cards' }
  for (const [method, path, body] of [
    ['GET', 'preferences/cards'],
    ['GET', 'preferences/cards/offers'],
    ['DELETE', 'preferences/cards'],
    ['GET', 'offers?preference=cards'],
    ['POST', 'instances', search],
    ['POST', 'reservations', { count: 1, preference: 'cards', config: {} }],
    ['POST', 'deployments', { model: 'tinyllama', max_price: 1, preference: 'cards' }],
  ] as [string, string, object?][]) {
    const answer = await ask(method, path, body, otherKey)
    expect([path, answer.status, answer.json.code]).toEqual([path, 404, 'preference_not_found'])
  }
  expect((await ask('GET', 'preferences', undefined, otherKey)).json).toEqual({ preferences: [] })
  expect((await ask('PUT', 'preferences/cards', { models: ['H100'] }, otherKey)).status).toBe(201)
  // The same query, after the other account's was answered.
  const models = async (key?: string) => {
    const { offers } = (await ask('GET', 'offers?preference=cards', undefined, key)).json
    return new Set(offers.map(({ gpu_model }: { gpu_model: string }) => gpu_model.split(' ')[0]))
  }
  expect(await models()).toEqual(new Set(['RTX']))
  expect(await models(otherKey)).toEqual(new Set(['H100']))
  expect(await models()).toEqual(new Set(['RTX']))
  expect((await ask('GET', 'preferences/cards')).json.models).toEqual(cards.models)
})

test('tried out it says what there is of each model and why, and finds and rents the same', async () => {
  await ask('PUT', 'preferences/cards', cards)
  const tried = (await ask('GET', 'preferences/cards/offers')).json
  expect(tried).toMatchObject({
    taken: 'RTX 4090',
    models: [
      { gpu_model: 'no such card', outcome: 'not_listed', listed: 0 },
      { gpu_model: 'RTX 4090', outcome: 'taken', cheapest: { provider: 'vastai', gpu_count: 1 } },
      { gpu_model: 'RTX 5090', outcome: 'next' },
    ],
    providers: [
      { name: 'vastai', status: 'ok' },
      { name: 'ionet', status: 'ok' },
    ],
  })
  const { offers } = (await ask('GET', 'offers?preference=cards&limit=200')).json
  expect(offers[0]).toEqual(tried.models[1].cheapest)
  const names = offers.map(({ gpu_model }: { gpu_model: string }) => gpu_model)
  expect([...new Set(names)]).toEqual(['RTX 4090', 'RTX 5090'])
  expect(names).toEqual([...names].sort())

  const made = await ask('POST', 'instances', { image: 'a', preference: 'cards', max_price: 5 })
  expect(made).toMatchObject({ status: 201, json: { gpu_model: 'RTX 4090', offer_id: offers[0].id } })
  // What is asked for beside it goes before.
  const other = await ask('POST', 'instances', { image: 'a', preference: 'cards', filters: { gpu_model: '5090' } })
  expect(other).toMatchObject({ status: 201, json: { gpu_model: 'RTX 5090' } })
  const several = await ask('POST', 'reservations', { count: 2, preference: 'cards', config: {} })
  expect(several).toMatchObject({
    status: 201,
    json: { instances: [{ gpu_model: 'RTX 4090' }, { gpu_model: 'RTX 4090' }] },
  })
})

test('where an offer goes while it is asked for, the next one by preference is rented', async () => {
  await ask('PUT', 'preferences/cards', { ...cards, models: ['RTX 6000 Ada', 'RTX 4090', 'B200'] })
  const tried = (await ask('GET', 'preferences/cards/offers')).json
  expect(tried).toMatchObject({ taken: 'RTX 6000 Ada', models: [{ found: 1 }, { outcome: 'next' }, {}] })
  gateway.sandbox.vastai.setFaults([
    { kind: 'status', status: 404, match: { method: 'PUT', path: '/asks/' }, times: 1, probability: 1 },
  ])
  const made = await ask('POST', 'instances', { image: 'a', preference: 'cards' })
  expect(made).toMatchObject({ status: 201, json: { gpu_model: 'RTX 4090' } })
})

test('what is held is for the models that are taken, not for a far dearer one at the end of the list', async () => {
  await ask('PUT', 'preferences/cards', { models: ['RTX 4090', 'B200'] })
  const { models } = (await ask('GET', 'preferences/cards/offers')).json
  const [card, dear] = models.map(({ cheapest }: { cheapest: { price_per_hour: number } }) => cheapest.price_per_hour)
  expect(dear).toBeGreaterThan(5 * card)
  expect((await ask('POST', 'instances', { image: 'a', preference: 'cards' })).status).toBe(201)
  const held = gateway.books.of(testAccountId).held / 1e6
  expect(held).toBeGreaterThanOrEqual(card)
  expect(held).toBeLessThan(dear)
})

test('a deployment takes its price from the preference, and needs one', async () => {
  await ask('PUT', 'preferences/cards', cards)
  const order = { model: 'tinyllama', preference: 'cards' }
  expect(await ask('POST', 'deployments', order)).toMatchObject({ status: 400, json: { param: 'max_price' } })
  await ask('PUT', 'preferences/cards', { ...cards, max_price: 2 })
  expect(await ask('POST', 'deployments', order)).toMatchObject({
    status: 202,
    json: { max_price: 2, instances: [{ gpu_model: 'RTX 4090' }] },
  })
})

test('an order says one thing to look for: an offer, or filters and a preference', async () => {
  for (const body of [{ image: 'a' }, { image: 'a', offer_id: 'vastai:1', preference: 'cards' }]) {
    expect(await ask('POST', 'instances', body)).toMatchObject({ status: 400, json: { param: 'offer_id' } })
  }
  expect(await ask('POST', 'reservations', { count: 1, config: {} })).toMatchObject({
    status: 400,
    json: { param: 'filters' },
  })
})

test('where a market is down it says so, and finds what the other has', async () => {
  await ask('PUT', 'preferences/cards', cards)
  await gateway.sandbox.vastai.goDown()
  const tried = (await ask('GET', 'preferences/cards/offers')).json
  expect(tried).toMatchObject({ taken: null, providers: [{ name: 'vastai', status: 'down' }, { name: 'ionet' }] })
})
