import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, startTestGateway, type TestGateway, testAccountId, testKey, words } from '../support/gateway.ts'
import { hurriedClock } from '../support/hurried-clock.ts'

const clock = hurriedClock(20)
const strangersKey = 'ak_live_strangerstrangerstranger0002'
let gateway: TestGateway
let client: OpenAI

beforeAll(async () => {
  gateway = await startTestGateway({
    ports: { clock },
    market: { provisioningMs: 20, loadingMs: 20, paced: false },
    routing: ({ openai }) => ({
      providers: { openai: { kind: 'openai', base_url: openai.baseUrl } },
      models: {
        'llama-3.1-8b': { targets: [{ provider: 'openai', model: 'gpt-4o-mini' }] },
        '*': { targets: [{ provider: 'openai' }] },
      },
    }),
  })
  gateway.accounts.add(strangersKey, {
    accountId: '00000000-0000-7000-8000-000000000009',
    keyId: 'stranger',
    role: 'user',
    scopes: ['inference', 'gpu'],
    limits: { key: {}, account: {} },
  })
  client = new OpenAI({ apiKey: testKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 })
})
afterAll(() => gateway.close())

const path = '/api/v1/gpu/deployments'
const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } })
const keyed = (key: string) => ({ headers: { 'idempotency-key': key } })
const look = async (id: string) => (await gateway.get(`${path}/${id}`)).json()
const change = (id: string, method: 'PATCH' | 'DELETE', body?: object) =>
  gateway.get(`${path}/${id}`, {
    method,
    ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  })
const chat = (model: string, length = 5) =>
  client.chat.completions
    .create({ model, messages: [{ role: 'user', content: 'Say some words' }], max_tokens: length })
    .withResponse()
const all = () => gateway.rentals.list(testAccountId, { limit: 100, withGone: true })
/** What listens on each machine. */
const hostsOf = async (ids: readonly string[]) =>
  (await gateway.rentals.byIds(ids)).map(({ marketId }) => ({
    machine: marketId!,
    host: gateway.sandbox.vastai.host(marketId!)!,
  }))
const gone = (id: string) =>
  eventually(
    () => gateway.get(`${path}/${id}`),
    ({ status }) => status === 404,
  )
/** With all that is under way there. */
async function lose(machine: string) {
  const host = gateway.sandbox.vastai.host(machine)
  gateway.sandbox.vastai.loseHost(machine)
  await host?.goDown()
}
const running = () => gateway.sandbox.vastai.machines().filter(({ ending }) => !ending)

test('a model is deployed, answers go on when a host is lost, it is scaled, and nothing is left of it', async () => {
  const asked = {
    model: 'llama-3.1-8b',
    name: 'mine',
    replicas: 2,
    max_price: 2,
    provider: 'vastai',
    gpu_model: 'RTX 4090',
  }
  const made = await gateway.post(path, asked, keyed('deploy'))
  const begun = await made.json()
  const { id } = begun
  expect(made.status).toBe(202)
  expect(made.headers.get('location')).toBe(`${path}/${id}`)
  expect(begun).toMatchObject({ status: 'starting', replicas: 2, ready_replicas: 0, instances: [{}, {}] })

  // Until a machine answers, its name leads to what is bought of the model.
  const early = await chat('llama-3.1-8b')
  expect(early.response.headers.get('x-gpuproxy-provider')).toBe('openai')

  const up = await eventually(
    () => look(id),
    ({ status }) => status === 'ready',
  )
  expect(up).toMatchObject({ ready_replicas: 2, instances: [{ state: 'ready' }, { state: 'ready' }] })
  const ids = up.instances.map((each: { id: string }) => each.id)
  const [first] = await gateway.rentals.byIds(ids)
  expect(JSON.stringify(up)).not.toContain(first!.spec.env.VLLM_API_KEY)

  // Other pods would read it by then, too.
  const served = await eventually(
    () => chat('mine'),
    ({ response }) => response.headers.get('x-gpuproxy-provider') === 'rented',
  )
  expect(served.data.choices[0]?.message.content).toBe(words(5))
  expect(served.response.headers.get('x-gpuproxy-model')).toBe('llama-3.1-8b')
  expect(Number(served.response.headers.get('x-gpuproxy-cost-usd'))).toBe(0)
  expect((await client.models.list()).data).toContainEqual(expect.objectContaining({ id: 'mine', owned_by: 'rented' }))

  const { plan } = await eventually(
    async () => (await gateway.post('/api/v1/route/explain', { model: 'mine' })).json(),
    ({ plan }) => plan.length >= 3,
  )
  expect(plan.map(({ provider, model }: Record<string, string>) => `${provider} ${model}`)).toEqual([
    expect.stringMatching(/^rented\/\S+ llama-3.1-8b$/),
    expect.stringMatching(/^rented\/\S+ llama-3.1-8b$/),
    'openai gpt-4o-mini',
  ])

  // To strangers it is not there, neither at the gateway nor at the machine itself.
  const hosts = await hostsOf(ids)
  const calls = () => hosts.map(({ host }) => host.calls.filter(isChat).length)
  const before = calls()
  for (const to of [`${path}/${id}`, '/v1/models/mine'])
    expect((await gateway.get(to, as(strangersKey))).status).toBe(404)
  const plain = { model: 'llama-3.1-8b', messages: [{ role: 'user', content: 'x' }] }
  const strangers = await gateway.post('/v1/chat/completions', plain, as(strangersKey))
  expect(strangers.headers.get('x-gpuproxy-provider')).toBe('openai')
  expect(calls()).toEqual(before)
  const direct = `${first!.endpoints[0]!.origin}/v1/chat/completions`
  expect((await fetch(direct, { method: 'POST', body: JSON.stringify(plain) })).status).toBe(401)

  // A host dies in the middle of an answer.
  const stream = await client.chat.completions.create({
    model: 'mine',
    messages: [{ role: 'user', content: 'Say some words' }],
    max_tokens: 600,
    stream: true,
  })
  let text = ''
  let lost: string | undefined
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? ''
    if (lost !== undefined || text.length < 40) continue
    lost = hosts.find(({ host }) => host.calls.some((call) => isChat(call) && call.closedAt === undefined))?.machine
    await lose(lost!)
  }
  expect(lost).toBeDefined()
  const lostRental = (await all()).find(({ marketId }) => marketId === lost)!.id
  expect(text).toBe(words(600))

  // It is replaced, and the account has paid for it until then.
  const again = await eventually(
    () => look(id),
    ({ status, instances }) => status === 'ready' && !instances.some((each: { id: string }) => each.id === lostRental),
  )
  expect(again.ready_replicas).toBe(2)
  expect(again.cost_so_far).toBeGreaterThan(0)

  // One that is taken out is emptied first.
  const slow = client.chat.completions.create({
    model: 'mine',
    messages: [{ role: 'user', content: 'Say some words' }],
    max_tokens: 1_500,
  })
  const scaled = await change(id, 'PATCH', { replicas: 1 })
  expect(await scaled.json()).toMatchObject({ replicas: 1 })
  await eventually(
    () => look(id),
    ({ instances }) => instances.length === 1,
  )
  expect((await slow).choices[0]?.message.content).toBe(words(1_500))
  expect(running()).toHaveLength(1)
  expect((await change(id, 'PATCH', { replicas: 3 })).status).toBe(200)
  const grown = await eventually(
    () => look(id),
    ({ ready_replicas, status }) => ready_replicas === 3 && status === 'ready',
  )
  expect(new Set(grown.instances.map((each: { id: string }) => each.id)).size).toBe(3)

  // All machines are lost: what is bought answers, under the same name.
  for (const { id: machine } of running()) await lose(machine)
  const bought = await chat('mine')
  expect(bought.response.headers.get('x-gpuproxy-provider')).toBe('openai')

  expect((await change(id, 'DELETE')).status).toBe(202)
  await gone(id)
  expect(gateway.sandbox.vastai.machines()).toEqual([])
  const rented = await all()
  expect(rented.every(({ state, held }) => state === 'gone' && held === 0)).toBe(true)
  const { transactions } = await (await gateway.get('/api/v1/billing/transactions?limit=100')).json()
  const machines = transactions.filter((each: { instance_id?: string }) => each.instance_id !== undefined)
  const paid = -1e6 * machines.reduce((sum: number, { amount }: { amount: string }) => sum + Number(amount), 0)
  const billed = gateway.sandbox.vastai.bill().reduce((sum, { microUsd }) => sum + microUsd, 0)
  expect(paid).toBeGreaterThan(0)
  expect(Math.abs(paid - billed)).toBeLessThan(100)
}, 60_000)

const isChat = ({ path: called }: { path: string }) => called === '/v1/chat/completions'

test('an answer of a rented machine has a receipt that says so', async () => {
  const made = await (
    await gateway.post(path, { model: 'acme/tiny-1b', provider: 'vastai', max_price: 2 }, keyed('receipt'))
  ).json()
  await eventually(
    () => look(made.id),
    ({ status }) => status === 'ready',
  )
  const { response } = await eventually(
    () => chat('acme/tiny-1b'),
    ({ response }) => response.headers.get('x-gpuproxy-provider') === 'rented',
  )
  const receipt = await eventually(
    () => gateway.get(`/api/v1/receipts/${response.headers.get('x-request-id')}`),
    ({ status }) => status === 200,
  )
  expect(await receipt.json()).toMatchObject({
    provider: 'rented',
    model: 'acme/tiny-1b',
    cost: '0.00',
    tries: [{ provider: 'rented', outcome: 'ok' }],
  })
  expect(await gateway.metric('circuit_breaker_state', { name: 'rented:other' })).toBe(0)
  expect((await gateway.metricsText()).includes(made.instances[0].id)).toBe(false)
  await change(made.id, 'DELETE')
  await gone(made.id)
}, 30_000)

test.each<[string, object, number, string]>([
  ['what cannot be served', { model: 'gpt-4o', max_price: 2 }, 400, 'invalid_body'],
  ['an unknown field', { model: 'a/b', max_price: 2, colour: 'red' }, 400, 'invalid_body'],
  ['too many at once', { model: 'a/b', max_price: 2, replicas: 17 }, 400, 'invalid_body'],
  ['no price', { model: 'a/b' }, 400, 'invalid_body'],
  ['a price at which nothing is offered', { model: 'a/b', max_price: 0.0001 }, 409, 'not_enough_offers'],
])('%s is refused, and nothing is left of it', async (_, body, status, code) => {
  const ids = async () => (await (await gateway.get(path)).json()).deployments.map((each: { id: string }) => each.id)
  const before = await ids()
  const refused = await gateway.post(path, body, keyed(JSON.stringify(body)))
  expect(refused.status).toBe(status)
  expect(await refused.json()).toMatchObject({ code })
  expect(await ids()).toEqual(before)
})
